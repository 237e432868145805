"""From a model and a prepared task to the facts of a cell.

Works with a model of ours and with any object that has ``loglikelihood_tokens`` or ``generate``, a
``tokenizer`` and a ``context_length``; what a foreign object does not tell is recorded as such.
"""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any

from qbench.errors import RequestError
from qbench.models.chat.template import template_hash
from qbench.study.records import CellFacts, sha256_of
from qbench.tasks import Prepared

FOREIGN = "external"


def check_model(model: Any) -> None:
    """Raise RequestError unless an object offers what scoring needs."""
    if not (hasattr(model, "loglikelihood_tokens") or hasattr(model, "generate")):
        raise RequestError(
            f"a {type(model).__name__} can be evaluated only with a method loglikelihood_tokens "
            "or generate"
        )
    for name in ("tokenizer", "context_length"):
        if not hasattr(model, name):
            raise RequestError(f"a {type(model).__name__} needs {name} to be evaluated")


def cell_facts(
    model: Any,
    name: str,
    prepared: Prepared,
    *,
    seed: int,
    window: int | None = None,
    stride: int | None = None,
) -> CellFacts:
    """Collect everything that is fixed while the items of one cell are scored.

    Parameters
    ----------
    model
        A loaded model or a foreign object.
    name
        Its display name.
    prepared
        The task with its items and hashes.
    seed, window, stride
        As given to the study; window and stride are None outside perplexity.

    Returns
    -------
    CellFacts
    """
    engine_version, isa_tier = _engine(model)
    tokenizer = model.tokenizer
    spec = prepared.spec
    return CellFacts(
        model=name,
        weights_sha256=str(getattr(model, "weights_sha256", "")),
        spec_sha256=_spec_hash(getattr(model, "spec", None)),
        tokenizer_sha256=str(getattr(tokenizer, "sha256", "")),
        recipe=str(getattr(model, "recipe", FOREIGN)),
        bits_per_weight=_optional_float(getattr(model, "bits_per_weight", None)),
        model_bits=_optional_float(getattr(model, "model_bits", None)),
        mode=str(getattr(model, "mode", FOREIGN)),
        kv_format=str(getattr(model, "kv_format", FOREIGN)),
        context_length=int(model.context_length),
        engine_version=engine_version,
        isa_tier=isa_tier,
        task=spec.task,
        preset=spec.preset,
        shots=spec.shots,
        version=int(prepared.version),
        prompt_sha256=prepared.prompt_sha256,
        data_sha256=prepared.data_sha256,
        template_sha256=_template_hash(tokenizer) if prepared.preset.chat else "",
        seed=seed,
        window=window,
        stride=stride,
    )


def _engine(model: Any) -> tuple[str, str]:
    """Version and tier of the engine behind a model."""
    if type(model).__module__.partition(".")[0] != "qbench":
        return str(getattr(model, "engine_version", FOREIGN)), FOREIGN
    from qbench import core

    return core.engine_version(), core.isa_tier()


def _spec_hash(spec: Any) -> str:
    """Hash of the decoder spec: rope scaling and the like are not in the weights."""
    if is_dataclass(spec) and not isinstance(spec, type):
        return sha256_of(asdict(spec))
    return "" if spec is None else sha256_of(repr(spec))


def _template_hash(tokenizer: Any) -> str:
    """Hash of the chat template that renders the prompts, and of the date if it asks for one."""
    template = getattr(tokenizer, "chat_template", None)
    return template_hash(template) if template else ""


def _optional_float(value: Any) -> float | None:
    """Return a number as float, None if there is none."""
    return None if value is None else float(value)
