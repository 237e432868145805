/* The kernels: fastest single-thread leaf loops, one table of function pointers per tier.
 * A kernel is pure: no allocation, no shape checks, no threads, returns void. All slots of a table
 * are always filled. Dispatch is a value: qb_kernels_init(&table, isa) and pass the table down.
 *
 * Numerical contract, per family:
 *   gemm   y[t][r] = sum over blocks (grid.h) in ascending order. Integers: within a segment exact
 *          int32 sums of code * activation minus zero * activation sum; then p = fma(int, scale, p)
 *          over the block's segments, y = fma(p, activation scale, y). The same bits on every tier.
 *          Floats: p = sum over inputs in ascending order within the block, y += p; fused where the
 *          tier has an instruction, so tiers differ by rounding. The tier amx multiplies f16 and bf16 as
 *          bf16 and adds pairs of inputs in ascending order, over all blocks, in one float32 sum.
 *   act    q = rint(x * (top / max|x|)) per block, top 32512 or 127: the same bits on every tier.
 *   attn   keys ascending in chunks of 256 from position 0 (attn_body.h); tiers differ by rounding.
 *   vec    16 lanes, then a fixed tree, no fused operations: the same bits on every tier.
 * Differences between tiers are bounded per (op, format) in tests/tolerance.py.
 * The value of an output never depends on how many tokens or rows a call covers. */
#ifndef QB_KERNELS_H
#define QB_KERNELS_H

#include "base/isa.h"
#include "formats/panel.h"

/* exact: float32 activations. faithful: 16-bit integers per block against integer weights, sums of
 * two bf16 against f16 and bf16 weights. fast: 8-bit integers per block, one bf16. f32 weights:
 * float32 in every mode. */
typedef enum { QB_MODE_EXACT, QB_MODE_FAITHFUL, QB_MODE_FAST, QB_MODE_COUNT } qb_mode;

/* How the activations of a product lie in memory: rows of floats, or tiles of few tokens. */
typedef enum {
    QB_ACT_F32,    /* rows, as they are */
    QB_ACT_BF16X2, /* rows, rounded to the sum of two bf16 */
    QB_ACT_BF16,   /* rows, rounded to bf16 */
    QB_ACT_PAIRS,  /* tiles of bf16 */
    QB_ACT_INT16,  /* tiles of 16-bit integers, four positions in the order 0 2 1 3 */
    QB_ACT_PLANES, /* tiles of 16-bit integers: 16 lower bytes, signed, and 16 upper ones */
    QB_ACT_INT8,   /* tiles of 8-bit integers */
    QB_ACT_ROWS8,  /* tiles of rows: 8-bit integers */
    QB_ACT_ROWS16, /* tiles of rows: 16-bit integers as two planes, the lower bytes (signed) first */
    QB_ACT_ROWS_BF16, /* tiles of rows: bf16 */
    QB_ACT_ROWS_BF16X2, /* tiles of rows: two planes of bf16, of which the second is what is missing */
    QB_ACT_COUNT
} qb_act_form;

/* A tile is up to 6 tokens (one of 7 or 8 if it is the only one; up to 8 of pairs) that share one pass
 * over a panel. For each unit of 16 positions it holds its tokens' units one after another, so that
 * a kernel reads one forward stream: rows of their own lie a power of two apart and fight for the
 * same few cache lines (4 bits, fast: 80 % of the peak in rows, 82 % in tiles; two planes of faithful: 38
 * and 42 %). Scales (block, token) and sums (segment, token) lie by tile as well. */
enum { QB_TILE = 6, QB_LONE_TILE = 8 };

/* A tile of rows is up to 16 tokens, as AMX takes them: pieces of 64 bytes of each token one after
 * another, of one plane and then the other, so that 1 KB is one operand (rows that lie apart reach 73 %
 * of the peak from the second-level cache, these 92). bf16: 32 inputs a piece, zeros behind the last.
 * Integers: two pieces a block, in which segments lie qb_row_pitch apart; what is between them is
 * undefined. Behind the last tile are QB_TILE_ROWS pieces that may be read. */
enum { QB_TILE_ROWS = 16, QB_PIECE_BYTES = 64 };

/* Bytes ahead in the weights' stream: 1.3 to 2.5 times as fast at 2 to 16 tokens, nothing at 512; 2 KB
 * are too near, 36 KB too far. */
enum { QB_PREFETCH = 9216 };

typedef struct {
    qb_act_form form;
    size_t n_tokens, n_tiles;
    const float *rows; /* (n_tokens, row_stride) */
    size_t row_stride;
    uint8_t *units;
    float *scales;
    int32_t *sums; /* minus the sum of the integer activations of a segment */
} qb_acts;

QB_INLINE bool qb_act_in_tiles(qb_act_form form) { return form >= QB_ACT_PAIRS; }
QB_INLINE bool qb_act_in_rows(qb_act_form form) { return form >= QB_ACT_ROWS8; }

/* Bytes of a unit of one token. */
QB_INLINE size_t qb_act_unit_bytes(qb_act_form form)
{
    return form == QB_ACT_INT8 ? QB_UNIT_LEN : 2 * QB_UNIT_LEN;
}

/* Positions of a tile of rows from a segment to the next: 16, 32, 64 or 128. */
QB_INLINE size_t qb_row_pitch(const qb_grid *grid)
{
    const size_t length = grid->segments[0].n_pos;
    return length <= 32 ? length : length <= 64 ? 64 : 128;
}
QB_INLINE size_t qb_act_planes(qb_act_form form)
{
    return form == QB_ACT_ROWS16 || form == QB_ACT_ROWS_BF16X2 ? 2 : 1;
}

/* Bytes of one token: units one after another, or rows. */
QB_INLINE size_t qb_act_bytes(qb_act_form form, const qb_grid *grid)
{
    if (qb_act_in_rows(form))
        return grid->n_blocks * QB_BLOCK_LEN * qb_act_planes(form) *
               (form >= QB_ACT_ROWS_BF16 ? 2 : 1);
    return grid->n_positions / QB_UNIT_LEN * qb_act_unit_bytes(form);
}

/* Tokens of a tile, at most. */
QB_INLINE size_t qb_tile_tokens(qb_act_form form, size_t n_tokens)
{
    if (qb_act_in_rows(form))
        return QB_TILE_ROWS;
    return form == QB_ACT_PAIRS || n_tokens <= QB_LONE_TILE ? QB_LONE_TILE : QB_TILE;
}

QB_INLINE size_t qb_n_tiles(qb_act_form form, size_t n_tokens)
{
    return qb_ceil_div(n_tokens, qb_tile_tokens(form, n_tokens));
}

/* First token of tile i, which may be one behind the last: 13 tokens are tiles of 5, 4, 4. */
QB_INLINE size_t qb_tile_begin(const qb_acts *x, size_t i)
{
    return i * (x->n_tokens / x->n_tiles) + QB_MIN(i, x->n_tokens % x->n_tiles);
}

/* y (tokens of the tiles, y_stride): 32 outputs of one panel, written in full (padding rows are
 * zero), for tiles [begin, end). */
typedef void (*qb_gemm_fn)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                           const qb_acts *x, size_t begin, size_t end);

/* So few tokens that unpacking the weights to 16 bits costs more than a second product of bytes (one
 * token, faithful, from the cache: 4 bits 65 to 82 GB/s, 3 bits 31 to 51, 2 bits 36 to 46; nothing
 * from 3 tokens on, slower from 6). */
enum { QB_FEW_TOKENS = 2 };

/* So many that unpacking the weights for tiles pays (AMX beside vpdpbusd, groups of 32: 0.6 to 1.1 times as
 * fast at 8 and 12 tokens, 1.1 to 1.5 at 16). */
enum { QB_MANY_TOKENS = 16 };

typedef struct {
    qb_gemm_fn fn;
    qb_act_form form;  /* what fn reads */
    qb_act_form few;   /* what it reads of at most QB_FEW_TOKENS */
    qb_gemm_fn one_fn; /* for one token, where a tier has something of its own; or NULL */
    /* For QB_MANY_TOKENS and more, where a tier has something of its own for them; or NULL. */
    qb_gemm_fn many_fn;
    qb_act_form many;
} qb_gemm;

/* The kernel that reads such activations. */
QB_INLINE qb_gemm_fn qb_gemm_fn_of(const qb_gemm *gemm, const qb_acts *x)
{
    if (gemm->one_fn != NULL && x->n_tokens == 1)
        return gemm->one_fn;
    return gemm->many_fn != NULL && x->form == gemm->many ? gemm->many_fn : gemm->fn;
}

typedef struct {
    qb_gemm of[QB_MODE_COUNT][QB_FORMAT_COUNT];
} qb_gemm_kernels;

/* Where one token's activations go. */
typedef struct {
    uint8_t *units;     /* its row, or its first unit or piece */
    size_t unit_stride; /* to the next */
    float *scales;
    int32_t *sums;
    size_t stride; /* of scales and sums */
} qb_act_row;

typedef struct {
    /* x (n_cols, padded with zeros to 16); every form but F32. A block with a non-finite value gets scale NaN, so that the
     * result is NaN and not a silently clipped integer. */
    void (*pack[QB_ACT_COUNT])(qb_act_row out, const float *x, const qb_grid *grid);
} qb_act_kernels;

/* silu(v) = v / (1 + exp(-v)); gelu(v) = v * (1 + erf(v / sqrt(2))) / 2, and its usual approximation
 * by tanh. */
#define QB_ACTIVATIONS(X) X(SILU, silu) X(GELU, gelu) X(GELU_TANH, gelu_tanh) X(RELU, relu)
#define QB_ENUM(NAME, name) QB_##NAME,
typedef enum { QB_ACTIVATIONS(QB_ENUM) QB_ACTIVATION_COUNT } qb_activation;
#undef QB_ENUM

/* Rows of n values; n is a multiple of 16 and what pads a row is zero. */
typedef struct {
    /* out = x / sqrt(sum(x^2) / n_true + eps) * weight; returns the sum of squares. NaN where that
     * is not finite. */
    float (*rmsnorm)(float *out, const float *x, const float *weight, size_t n, size_t n_true,
                     float eps);
    /* out = (x - mean) / sqrt(variance + eps) * weight + bias (NULL: none); returns the sum of squares
     * of x. NaN where that is not finite. */
    float (*layernorm)(float *out, const float *x, const float *weight, const float *bias, size_t n,
                       size_t n_true, float eps);
    /* out = f(gate) * up, or f(gate) where `up` is NULL. */
    void (*activate[QB_ACTIVATION_COUNT])(float *out, const float *gate, const float *up, size_t n);
    void (*softcap)(float *x, size_t n, float cap);  /* x = cap * tanh(x / cap) */
    void (*add)(float *x, const float *y, size_t n); /* x += y */
    /* Over the first n_true of n values: the maximum, its lowest index, and sum(exp(x - max)), which
     * is NaN if any value is not finite. */
    void (*logsumexp)(float *max, uint32_t *argmax, float *sum, const float *x, size_t n_true);
    /* cross = sum(p * (base - x)), mass = sum(p), p = exp(base), in float64: what x adds to a
     * divergence from the distribution `base` (finite log-probabilities) once its log-sum-exp is
     * known: cross + mass * lse. A float32 difference from it would cancel nearly all digits. */
    void (*divergence)(double *cross, double *mass, const float *base, const float *x, size_t n);
} qb_vec_kernels;

enum { QB_KEY_BLOCK = 32, QB_KEY_CHUNK = 256 };

typedef enum { QB_KV_F32, QB_KV_BF16, QB_KV_COUNT } qb_kv_format;

/* Largest head size. */
enum { QB_MAX_HEAD_DIM = 512 };

/* Running softmax of one query row: maximum of the scores times log2(e), sum, weighted values
 * (width,). */
typedef struct {
    float *max, *sum; /* (n_queries,) */
    float *acc;       /* (n_queries, width) */
} qb_attn_state;

/* What is done to scores, which carry a factor of log2(e), before their softmax. */
typedef struct {
    float cap; /* cap * tanh(score / cap), with that factor; 0: none */
    /* (n_queries,) or NULL. ALiBi (Press et al. 2022): score + slope * (key - query) * slope_scale. */
    const float *slopes;
    const float *positions; /* (n_queries,) of the queries */
    float first_position;   /* of the chunk's first key */
    float slope_scale;
    bool in_bf16; /* positions and their products with a slope as bf16, as Falcon computes them */
} qb_score_rule;

/* One chunk of keys of one KV head against query rows. */
typedef struct {
    size_t n_queries;
    const uint32_t *first_key, *n_keys; /* query i sees keys first_key[i] .. n_keys[i] of 0..256 */
    /* Pointers to blocks of 32 tokens, as the cache stores them: f32 keys (dim, 32) and values
     * (32, width); bf16 keys in pairs of dimensions (dim / 2, 32, 2) and values in pairs of tokens
     * (16, width, 2). */
    const void *const *k_blocks, *const *v_blocks;
    size_t dim, width;         /* of a key, and of a value padded to 16 */
    const qb_score_rule *rule; /* or NULL */
} qb_attn_keys;

/* Merges a chunk into the states of the queries: q (n_queries, q_stride bytes), packed. */
typedef void (*qb_attn_fn)(qb_attn_state state, const void *q, size_t q_stride,
                           const qb_attn_keys *keys);

typedef struct {
    qb_attn_fn chunk;
    /* A query of dim values times `scale`, in the form that chunk reads: at most 4 * dim bytes. */
    void (*pack)(void *out, const float *q, float scale, size_t dim);
} qb_attn;

typedef struct {
    qb_attn of[QB_MODE_COUNT][QB_KV_COUNT];
} qb_attn_kernels;

/* Loops that do nothing but reach the machine's peak; each returns a value that depends on all. */
typedef struct {
    uint32_t (*int_products)(size_t n_iterations, size_t *n_products);
    float (*float_products)(size_t n_iterations, size_t *n_products);
    float (*bf16_products)(size_t n_iterations, size_t *n_products); /* NULL below avx512bf16 */
    uint32_t (*read)(const uint8_t *lines, size_t n_lines);          /* of 64 bytes */
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

/* What the families offer. A tier without a family of its own keeps the one below it. */
#define QB_DECLARE_TIER(tier)                           \
    void qb_gemm_pick_##tier(qb_gemm_kernels *kernels); \
    void qb_act_pick_##tier(qb_act_kernels *kernels);   \
    void qb_vec_pick_##tier(qb_vec_kernels *kernels);   \
    void qb_attn_pick_##tier(qb_attn_kernels *kernels); \
    void qb_peak_pick_##tier(qb_peak_kernels *kernels);
QB_DECLARE_TIER(scalar)
#if QB_ARCH_X86
QB_DECLARE_TIER(avx2)
void qb_gemm_pick_avxvnni(qb_gemm_kernels *kernels);
QB_DECLARE_TIER(avx512)
void qb_gemm_pick_avx512bf16(qb_gemm_kernels *kernels);
void qb_attn_pick_avx512bf16(qb_attn_kernels *kernels);
void qb_peak_pick_avx512bf16(qb_peak_kernels *kernels);
void qb_gemm_pick_amx(qb_gemm_kernels *kernels);
void qb_gemm_pick_amx_one(qb_gemm_kernels *kernels);
void qb_attn_pick_amx(qb_attn_kernels *kernels);
void qb_peak_pick_amx(qb_peak_kernels *kernels);
#endif

#endif
