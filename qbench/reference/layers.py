"""The layers of a Llama decoder in float64: what each computes, in its shortest form.

The oracle of ``csrc/ops``. Arrays are (n_tokens, features) unless stated otherwise; nothing of
qbench is known here.
"""

from __future__ import annotations

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


def rotate(x: np.ndarray, positions: np.ndarray, inv_freq: np.ndarray) -> np.ndarray:
    """Rotate each pair of a head by its position (RoPE, the half-split layout of Hugging Face).

    Parameters
    ----------
    x
        Shape (n_tokens, n_heads, head_dim). Feature ``i`` is paired with ``i + head_dim / 2``.
    positions
        Integer positions, shape (n_tokens,).
    inv_freq
        Angle per position and pair in radians, shape (head_dim / 2,).
    """
    angles = np.asarray(positions, np.float64)[:, None] * np.asarray(inv_freq, np.float64)
    cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    half = x.shape[-1] // 2
    first, second = np.asarray(x[..., :half], np.float64), np.asarray(x[..., half:], np.float64)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def silu(x: np.ndarray) -> np.ndarray:
    """Return ``x * sigmoid(x)``, without overflow for large negative x."""
    x = np.asarray(x, np.float64)
    decay = np.exp(-np.abs(x))
    out: np.ndarray = x * np.where(x >= 0, 1.0, decay) / (1.0 + decay)
    return out


def swiglu(gate: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Gate of the feed-forward layer ``down(silu(gate(x)) * up(x))`` (Shazeer 2020)."""
    return silu(gate) * np.asarray(up, np.float64)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities along the last axis, with the maximum subtracted first."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    out: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out
