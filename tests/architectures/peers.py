"""The models of `cases` as transformers makes them, with weights that give logits a spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import transformers
from architectures.cases import CASES, Case

SPECIAL = {"bos_token_id": 1, "eos_token_id": 2}


def spread_weights(model: Any, seed: int, norms_around: float) -> None:
    """Draw all weights: matrices that keep the size of rows, biases and norms that matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            is_norm = any(part in name.lower() for part in ("norm", "ln_"))
            if weight.dim() == 1 and is_norm and name.endswith("weight"):
                weight.uniform_(norms_around - 0.5, norms_around + 0.5, generator=generator)
            elif weight.dim() == 1:
                weight.normal_(0, 0.2, generator=generator)
            elif weight.shape[0] == model.config.vocab_size and "head" not in name:
                weight.normal_(0, 0.3, generator=generator)
            else:
                weight.normal_(0, 1.5 / weight.shape[-1] ** 0.5, generator=generator)


def build(name: str, seed: int = 0) -> tuple[Any, Case]:
    """Return a model in float32."""
    case = CASES[name]
    fields = {**SPECIAL, **case.fields}
    config = getattr(transformers, case.config)(**fields)
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation=case.attention
    )
    model = model.eval().float()
    spread_weights(model, seed, 0.0 if case.config.startswith("Gemma") else 1.0)
    return model, case


def arrays(model: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Weights by name and the configuration, as a user would hand them over."""
    weights = {name: t.detach().numpy() for name, t in model.state_dict().items()}
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    return weights, config


def logits(model: Any, ids: np.ndarray) -> np.ndarray:
    """Logits of every position by one forward."""
    with torch.no_grad():
        out: np.ndarray = model(torch.tensor(ids)[None]).logits[0].numpy()
    return out
