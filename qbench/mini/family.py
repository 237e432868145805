"""The embedded models: small checkpoints inside the package, by name."""

from __future__ import annotations

from pathlib import Path

MODELS = ("mini-small", "mini-medium", "mini-large")
"""Names of the family, by size."""

FOLDER = Path(__file__).parent / "models"


def embedded_models() -> dict[str, Path]:
    """Return the checkpoint folders of those models of the family that this package holds."""
    return {name: FOLDER / name for name in MODELS if (FOLDER / name).is_dir()}
