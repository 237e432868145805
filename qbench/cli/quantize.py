"""`qbench quantize`: a checkpoint in, a folder with packed codes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.options import ForceOption, JsonOption, ModelArgument, OutOption
from qbench.errors import RequestError


def quantize(
    model: ModelArgument,
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Such as rtn-w4g32.")],
    out: OutOption,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Quantize a checkpoint and save it; qbench reads the result like any model folder.

    OUT appears whole or not at all. `--force` replaces a model folder, nothing else.
    """
    from qbench.cli.progress import steps
    from qbench.cli.terminal import print_json, refuse_existing
    from qbench.models import decoder_spec, read_config
    from qbench.models.checkpoint import Checkpoint
    from qbench.models.hub import resolve
    from qbench.quant.loading import is_quantized
    from qbench.quant.quantize import quantize_checkpoint
    from qbench.quant.recipe import Recipe, require_available
    from qbench.quant.saving import save_quantized
    from qbench.report.numbers import bits, size

    parsed = Recipe.parse(recipe)
    require_available(parsed)
    refuse_existing(out, force)
    folder = resolve(model)
    config = read_config(folder)
    if is_quantized(config):
        raise RequestError(f"{folder}: already quantized; start from the unquantized checkpoint")
    spec = decoder_spec(config, str(folder / "config.json"))
    with Checkpoint.open(folder) as checkpoint, steps(parsed.canonical) as listener:
        quantized = quantize_checkpoint(checkpoint, spec, parsed, listener)
        save_quantized(quantized, out, folder, force=force)
    n_bytes = _folder_bytes(out)
    if as_json:
        print_json(
            {
                "folder": out,
                "recipe": parsed.canonical,
                "bits_per_weight": quantized.bits_per_weight,
                "model_bits": quantized.model_bits,
                "bytes": n_bytes,
            }
        )
        return
    print(f"recipe           {parsed.canonical}")
    print(f"bits per weight  {bits(quantized.bits_per_weight)}")
    print(f"model bits       {bits(quantized.model_bits)}")
    print(f"size             {size(n_bytes)} ({n_bytes} bytes)")
    print(f"folder           {out}")


def _folder_bytes(folder: Path) -> int:
    """Bytes of the files of a folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
