"""What prefill and decode make a machine do at least: products to compute, weights to read.

Pure arithmetic on the shapes of a model that is ready to run; nothing runs here. Together with the
machine's peaks it says how fast a job could be, and which peak stands in the way.

The formula. A token at position p (counted from 0) costs, in multiply-accumulates,

    the weights of the linear layers
    + the weights of the head, where the head is computed
    + layers · heads · head size · 2 · (p + 1)    scores and sums over the p + 1 keys it may see

Norms, rotations and the softmax are not products and do not count. A forward reads the weights of
the linear layers once, however many tokens it has, and the head if any of them asks for it. Rows of
the embedding and the cache of keys and values do not count as weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from qbench.core import PackedTensor, Peaks, formats
from qbench.engine.cost import attention_products
from qbench.engine.model import Model

INT, FLOAT, BF16 = "int", "float", "bf16"
"""Types of products: `Peaks` has the most of each, as ``int_gmacs`` and so on."""


@dataclass(frozen=True)
class Work:
    """The least that a job takes.

    ``n_tokens``: tokens read or made; ``macs``: multiply-accumulates by the type whose peak bounds
    them; ``read_bytes``: bytes of weights, as they lie in memory.
    """

    n_tokens: int
    macs: Mapping[str, int]
    read_bytes: int

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of every type."""
        return sum(self.macs.values())

    def product_seconds(self, peaks: Peaks) -> float:
        """Return the least seconds of the products, each type at its own peak."""
        gmacs = {
            INT: peaks.int_gmacs,
            FLOAT: peaks.float_gmacs,
            # A machine without an instruction for bf16 multiplies it as float32.
            BF16: peaks.bf16_gmacs or peaks.float_gmacs,
        }
        return sum(count / (gmacs[kind] * 1e9) for kind, count in self.macs.items())

    def read_seconds(self, peaks: Peaks) -> float:
        """Return the least seconds of reading the weights from memory."""
        return self.read_bytes / (peaks.read_gbs * 1e9)


def prefill(model: Model, n_tokens: int) -> Work:
    """Return the work of reading a prompt, with the head after its last token only."""
    n_forwards = -(-n_tokens // model.batch_tokens)
    return _work(model, 1, n_tokens, n_scored=1, n_forwards=n_forwards, n_heads_read=1)


def decode(model: Model, n_tokens: int, batch: int) -> Work:
    """Return the work of so many steps from one token on, with the head in each of them."""
    return _work(
        model,
        batch,
        n_tokens,
        n_scored=batch * n_tokens,
        n_forwards=n_tokens,
        n_heads_read=n_tokens,
    )


def _work(
    model: Model, batch: int, length: int, *, n_scored: int, n_forwards: int, n_heads_read: int
) -> Work:
    """Add up linear layers, head and attention of sequences that begin at position 0."""
    spec, weights = model.spec, model.runtime.weights
    linears = list(weights.linears())
    macs: Counter[str] = Counter()
    for linear in linears:
        macs[_type_of(linear, model.mode)] += batch * length * _size(linear)
    macs[_type_of(weights.head, model.mode)] += n_scored * _size(weights.head)
    keys_seen = batch * length * (length + 1) // 2
    attention_type = BF16 if model.kv_format == "bf16" and model.mode != "exact" else FLOAT
    macs[attention_type] += attention_products(spec, keys_seen)
    read = n_forwards * sum(linear.nbytes for linear in linears)
    return Work(batch * length, dict(macs), read + n_heads_read * weights.head.nbytes)


def _size(tensor: PackedTensor) -> int:
    """Weights of a matrix, without padding."""
    n_outputs, n_inputs = tensor.shape
    return n_outputs * n_inputs


def _type_of(tensor: PackedTensor, mode: str) -> str:
    """Name the type of products with a matrix.

    Integers for codes and bf16 for 16-bit floats, in mode faithful, too, whose wider activations
    take more than one such product: a share of the peak is a share of what the machine could do.
    Mode exact computes in float32 whatever the weights are.
    """
    kind = next(form.kind for form in formats() if form.name == tensor.format)
    if mode == "exact" or tensor.format == "f32":
        return FLOAT
    return BF16 if kind == "float" else INT
