/* The kernels: fastest single-thread leaf loops, one table of function pointers per tier.
 * A kernel is pure: no allocation, no shape checks, no threads, returns void. All slots of a table
 * are always filled. Dispatch is a value: qb_kernels_init(&table, isa) and pass the table down.
 *
 * Numerical contract, per family:
 *   gemm   y[t][r] = sum over blocks (grid.h) in ascending order. Integer path (`planes`): within a
 *          segment exact int32 sums of code * activation minus zero * activation sum; then
 *          p = fma(int, scale, p) over the block's segments, y = fma(p, activation scale, y). The
 *          same bits on every tier. Float path: p = sum over inputs in ascending order within the
 *          block, y += p; fused where the tier has an instruction, so tiers differ by rounding.
 *   act    planes: q = rint(x * (32512 / max|x|)) per block, the same bits on every tier.
 *   attn   keys in blocks of 32 from position 0, chunks of 256 (attn.h); tiers differ by rounding.
 *   vec    16 lanes, then a fixed tree, no fused operations: the same bits on every tier.
 * Differences between tiers are bounded per (op, format) in tests/tolerance.py.
 * The value of an output never depends on how many tokens or rows a call covers. */
#ifndef QB_KERNELS_H
#define QB_KERNELS_H

#include "base/isa.h"
#include "formats/panel.h"

/* Activations of n_tokens rows as the gemm kernels read them.
 * planes: per token and position two bytes, in the tier's own order. */
typedef struct {
    const float *x; /* (n_tokens, x_stride): float path */
    size_t x_stride;
    const uint8_t *planes; /* (n_tokens, 2 * n_positions) */
    const float *scales;   /* (n_tokens, n_blocks) */
    const int32_t *sums;   /* (n_tokens, n_segments): sums of the 16-bit activations */
} qb_acts;

/* y (n_tokens, y_stride): 32 outputs of one panel, written in full (padding rows are zero). */
typedef void (*qb_gemm_fn)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                           const qb_acts *x, const qb_grid *grid, size_t n_tokens);

typedef struct {
    qb_gemm_fn exact[QB_FORMAT_COUNT];  /* float activations against any format */
    qb_gemm_fn planes[QB_FORMAT_COUNT]; /* 16-bit activations; integer formats only, else exact */
} qb_gemm_kernels;

typedef struct {
    /* One token: x (n_cols,) -> planes, scales, sums as in qb_acts. A block with a non-finite value
     * gets scale NaN, so that the result is NaN and not a silently clipped integer. */
    void (*planes)(uint8_t *planes, float *scales, int32_t *sums, const float *x,
                   const qb_grid *grid);
    /* n values rounded to the sum of two bf16 (16 bits of significand); n a multiple of 16. */
    void (*bf16x2)(float *out, const float *x, size_t n);
} qb_act_kernels;

/* Rows of n values; n is a multiple of 16 and what pads a row is zero. */
typedef struct {
    /* out = x / sqrt(sum(x^2) / n_true + eps) * weight; returns the sum of squares. NaN where that
     * is not finite. */
    float (*rmsnorm)(float *out, const float *x, const float *weight, size_t n, size_t n_true,
                     float eps);
    /* out = silu(gate) * up, silu(v) = v / (1 + exp(-v)). */
    void (*silu_mul)(float *out, const float *gate, const float *up, size_t n);
    void (*add)(float *x, const float *y, size_t n); /* x += y */
    /* Over the first n_true of n values: the maximum, its lowest index, and sum(exp(x - max)), which
     * is NaN if any value is not finite. */
    void (*logsumexp)(float *max, uint32_t *argmax, float *sum, const float *x, size_t n_true);
} qb_vec_kernels;

enum { QB_KEY_BLOCK = 32, QB_KEY_CHUNK = 256 };

typedef enum { QB_KV_F32, QB_KV_BF16, QB_KV_COUNT } qb_kv_format;

/* Running softmax of one query row: maximum, sum, weighted values (dim_padded,). */
typedef struct {
    float *max, *sum; /* (n_queries,) */
    float *acc;       /* (n_queries, dim_padded) */
} qb_attn_state;

/* One chunk of keys of one KV head against n_queries rows, merged into their states.
 * q (n_queries, q_stride), scaled; n_keys[i]: valid keys of the chunk for query i, 0..256;
 * k_blocks, v_blocks: pointers to blocks of 32 tokens: keys (dim, 32), values (32, dim_padded). */
typedef void (*qb_attn_fn)(qb_attn_state state, const float *q, size_t q_stride,
                           const uint32_t *n_keys, size_t n_queries, const void *const *k_blocks,
                           const void *const *v_blocks, size_t dim);

typedef struct {
    qb_attn_fn chunk[QB_KV_COUNT];
} qb_attn_kernels;

/* Loops that do nothing but reach the machine's peak; each returns a value that depends on all. */
typedef struct {
    uint32_t (*int_products)(size_t n_iterations, size_t *n_products);
    float (*float_products)(size_t n_iterations, size_t *n_products);
} qb_peak_kernels;

typedef struct {
    qb_isa isa;
    qb_gemm_kernels gemm;
    qb_act_kernels act;
    qb_vec_kernels vec;
    qb_attn_kernels attn;
    qb_peak_kernels peak;
} qb_kernels;

/* Pure: the same tier gives the same table. QB_ERR_ISA for a tier that cannot run here. */
qb_status qb_kernels_init(qb_kernels *kernels, qb_isa isa);

/* What the families offer; gemm and act of a tier belong together (the order of the planes). */
#define QB_DECLARE_TIER(tier)                           \
    void qb_gemm_pick_##tier(qb_gemm_kernels *kernels); \
    void qb_act_pick_##tier(qb_act_kernels *kernels);   \
    void qb_vec_pick_##tier(qb_vec_kernels *kernels);   \
    void qb_attn_pick_##tier(qb_attn_kernels *kernels); \
    void qb_peak_pick_##tier(qb_peak_kernels *kernels);
QB_DECLARE_TIER(scalar)
#if QB_ARCH_X86
QB_DECLARE_TIER(avx2)
QB_DECLARE_TIER(avx512)
#endif

#endif
