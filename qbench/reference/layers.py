"""The layers of a decoder in float64: what each computes, in its shortest form.

The oracle of ``csrc/ops``. Arrays are (n_tokens, features) unless stated otherwise; nothing of
qbench is known here.
"""

from __future__ import annotations

import math

import numpy as np


def linear(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Multiply activations (n, in) by a weight (out, in); the result is (n, out)."""
    out: np.ndarray = np.asarray(x, np.float64) @ np.asarray(weight, np.float64).T
    return out


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    """Divide each token by its root mean square, then scale each feature (Zhang 2019)."""
    x = np.asarray(x, np.float64)
    mean_square = np.mean(x * x, axis=-1, keepdims=True)
    out: np.ndarray = x / np.sqrt(mean_square + eps) * np.asarray(weight, np.float64)
    return out


def layer_norm(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, eps: float
) -> np.ndarray:
    """Subtract the mean and divide by the deviation, then scale and shift (Ba 2016)."""
    x = np.asarray(x, np.float64)
    off = x - x.mean(axis=-1, keepdims=True)
    scaled = off / np.sqrt(np.mean(off * off, axis=-1, keepdims=True) + eps)
    out: np.ndarray = scaled * np.asarray(weight, np.float64) + (0.0 if bias is None else bias)
    return out


def rotate(
    x: np.ndarray,
    positions: np.ndarray,
    inv_freq: np.ndarray,
    *,
    begin: int = 0,
    interleaved: bool = False,
    factor: float = 1.0,
) -> np.ndarray:
    """Rotate pairs of a head by its position (RoPE, Su 2021).

    Parameters
    ----------
    x
        Shape (n_tokens, n_heads, head_dim).
    positions
        Integer positions, shape (n_tokens,).
    inv_freq
        Angle per position and pair in radians, shape (pairs,).
    begin
        First of the rotated values; those in front and behind stay.
    interleaved
        Whether value ``2 i`` is paired with ``2 i + 1`` (GPT-J), or ``i`` with ``i + pairs`` (the
        layout of Hugging Face).
    factor
        Of cosine and sine.
    """
    angles = np.asarray(positions, np.float64)[:, None] * np.asarray(inv_freq, np.float64)
    cos, sin = (factor * f(angles)[:, None, :] for f in (np.cos, np.sin))
    out = np.array(x, np.float64)
    end = begin + 2 * len(inv_freq)
    middle = begin + len(inv_freq)
    one = slice(begin, end, 2) if interleaved else slice(begin, middle)
    two = slice(begin + 1, end, 2) if interleaved else slice(middle, end)
    first, second = out[..., one].copy(), out[..., two].copy()
    out[..., one] = first * cos - second * sin
    out[..., two] = second * cos + first * sin
    return out


def softcap(x: np.ndarray, cap: float) -> np.ndarray:
    """Return ``cap * tanh(x / cap)``, or x where cap is 0."""
    return x if cap == 0 else cap * np.tanh(x / cap)


def silu(x: np.ndarray) -> np.ndarray:
    """Return ``x * sigmoid(x)``, without overflow for large negative x."""
    x = np.asarray(x, np.float64)
    decay = np.exp(-np.abs(x))
    out: np.ndarray = x * np.where(x >= 0, 1.0, decay) / (1.0 + decay)
    return out


def swiglu(gate: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Gate of the feed-forward layer ``down(silu(gate(x)) * up(x))`` (Shazeer 2020)."""
    return silu(gate) * np.asarray(up, np.float64)


def gelu(x: np.ndarray) -> np.ndarray:
    """Return ``x`` times the normal distribution up to it (Hendrycks 2016)."""
    x = np.asarray(x, np.float64)
    erf = np.vectorize(math.erf, otypes=[np.float64])
    out: np.ndarray = 0.5 * x * (1 + erf(x / math.sqrt(2)))
    return out


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """Its approximation by tanh."""
    x = np.asarray(x, np.float64)
    out: np.ndarray = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return out


def relu(x: np.ndarray) -> np.ndarray:
    """Return x where it is positive."""
    return np.maximum(np.asarray(x, np.float64), 0.0)


ACTIVATIONS = {"silu": silu, "gelu": gelu, "gelu_tanh": gelu_tanh, "relu": relu}
"""By the names of a specification."""


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities along the last axis, with the maximum subtracted first."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    out: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out
