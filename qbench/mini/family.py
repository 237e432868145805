"""The embedded models: small checkpoints that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

MODELS = ("mini-small", "mini-medium", "mini-large")
"""Names of the embedded models, by size."""

_FOLDER = Path(__file__).parent / "models"


def model_folder(name: str) -> Path | None:
    """Return the checkpoint folder of an embedded model; None if the name is not one's."""
    return _FOLDER / name if name in MODELS else None
