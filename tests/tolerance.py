"""Every numeric bound of the tests of the C core, by operation and format or mode.

A bound that stands anywhere else is a mistake. Each entry says what it is relative to. Measured
errors are a factor of three or more below; a wrong block, scale or key exceeds a bound by orders of
magnitude.
"""

from __future__ import annotations

MATMUL = {
    # |y - y64| <= bound * sum |x||w| of the same output: float32 sums of at most 1023 terms.
    ("float", "exact"): 2e-6,
    ("integer", "exact"): 2e-6,
    # Against activations rounded by an independent model: only the sums of float products remain.
    ("float", "faithful"): 2e-6,
    ("integer", "faithful"): 1e-6,
    ("float", "fast"): 2e-6,
    ("integer", "fast"): 1e-6,
}

# |y - y_exact| / |y_exact| of a matrix product on the activations of trained models: median and
# worst over a model's products; by weights and mode. Those of faithful are promised, and hold for
# both kinds (measured: 2.8e-5 and 8.4e-5). Exact is against float64.
PRECISION = {
    ("float", "exact"): (1e-6, 1e-6),
    ("integer", "exact"): (1e-6, 1e-6),
    ("float", "faithful"): (1e-4, 5e-4),
    ("integer", "faithful"): (1e-4, 5e-4),
    ("float", "fast"): (6e-3, 1e-2),
    ("integer", "fast"): (2.5e-2, 7e-2),
}

# The same where two channels are 64 times the others: the integer grid of a block follows its
# largest value, so that the promise above is not kept for such models (measured: 5.0e-4, 9.8e-4).
PRECISION_WITH_OUTLIERS = {"exact": (1e-6, 1e-6), "faithful": (1.5e-3, 3e-3), "fast": (0.4, 0.8)}

# 172 products of subnormal activations, each rounded to a multiple of 2**-149; absolute.
MATMUL_SUBNORMAL = 400 * 2.0**-149

ROUNDING = {
    # Of activations in mode faithful, relative to the largest magnitude of the block of 128.
    "int16": 0.52 / 32512,
    # The same in mode fast.
    "int8": 0.52 / 127,
    # Relative to the value itself: two bf16 carry 16 bits of significand.
    "bf16x2": 2.0**-16,
    "bf16": 2.0**-8,
}

ROW = {
    "rmsnorm": 1e-6,  # relative to the value
    "silu": 4e-7,  # relative to the value: exp within 2 ulp, one division, two products
    "logsumexp": 3e-6,  # of the sum, relative
}

# Largest difference of logits from float64, relative to their root mean square; by mode.
DECODER = {"exact": 5e-5, "faithful": 5e-5, "fast": 5e-5}

# With a bf16 cache, against a float64 reference that rounds keys and values as well: where one lies
# within float32's error of a tie it rounds the other way, so the largest is looser than the median.
BF16_CACHE = {"largest": 2e-2, "median": 1e-5}

# The same in mode fast, where queries and the softmax may be bf16 too.
FAST_ATTENTION = {"largest": 2e-1, "median": 3e-3, "against its twin": 3e-5}

QUANTIZED_DECODER = {
    # The same, quantized weights against the float64 reference of the dequantized weights.
    "exact": 5e-5,
    "faithful": 3e-3,
    "fast": 0.5,
}

# Between tiers, whose float paths round differently; by KV format, relative to the RMS.
TIERS = {"f32": 5e-5, "bf16": 5e-3}

# log-probabilities against float64 log-softmax of the very logits that the core returned.
LOGPROB = 1e-6

# Share of a grid of draws whose id may differ from the reference (cumulative sums that tie in
# rounding), and the largest difference of mean and variance of 20000 uniform draws (5 sigma).
SAMPLE_MISMATCHES = 0.0
UNIFORM_MEAN = 5 * (1 / 12 / 20000) ** 0.5
UNIFORM_VARIANCE = 5 * (1 / 180 / 20000) ** 0.5
