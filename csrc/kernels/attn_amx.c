/* Attention over bf16 keys and values with AMX: up to 16 rows of queries at a time, in mode fast as one
 * bf16, in faithful as two, and so the weights of the softmax. Blocks of 32 keys are multiplied whole;
 * of a block that not every row sees whole, a copy is, in which keys that no row sees are zero. A row's
 * own weights are zero there, so that its sums are the same whatever other rows there are. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AMX)
#define QB_NAME(name) name##_amx
#include "kernels/simd_avx512bf16.h"
#include "kernels/tiles_amx.h"

/* Heads that are no multiple of 32 wide go as on the tier below. */
/* clang-format off */
#define QB_QUERIES 8
#define QB_HALVES 2
#define QB_VALUE_ROWS 4
#define QB_VALUE_VECS 4
#define QB_QUERY_CASES \
    QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4) QB_CASE(5) QB_CASE(6) QB_CASE(7) QB_CASE(8)
#define QB_VALUE_CASES QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4)
#define QB_NARROW_ROWS QB_QUERIES
#define QB_NARROW_CASES QB_QUERY_CASES
/* clang-format on */
#define QB_DOT_BF16
#if defined(QB_EMULATE_AVX512)
QB_INLINE void store_bf16(uint16_t *out, vf x)
{
    float lanes[16];
    vf_store(lanes, x);
    for (int i = 0; i < 16; i++)
        out[i] = qb_f32_to_bf16(lanes[i]);
}
#else
QB_INLINE void store_bf16(uint16_t *out, vf x)
{
    _mm256_storeu_si256((void *)out, (__m256i)_mm512_cvtneps_pbh(x));
}
#endif
#include "kernels/attn_body.h"

QB_ATTN_CHUNK(attn_narrow, KV_BF16_DOT)
QB_ATTN_CHUNK(attn_narrow_faithful, KV_BF16)

enum { STEP_DIMS = TILE_ROW_BYTES / 2, GROUP_COLUMNS = 64 };

/* The rest of what a chunk's rows need. */
typedef struct {
    chunk_rows rows;
    _Alignas(QB_ALIGN) uint16_t rest[ROWS][QB_KEY_CHUNK]; /* second plane of p */
    _Alignas(QB_ALIGN) float acc[ROWS * QB_MAX_HEAD_DIM], own[ROWS * QB_MAX_HEAD_DIM];
    _Alignas(QB_ALIGN) uint8_t values[QB_KEY_BLOCK * QB_MAX_HEAD_DIM * 2];
} tile_scratch;

/* Scores of all rows against one block of keys. */
QB_INLINE void score_tiles(const int n_planes, float *s, const uint8_t *q, size_t q_stride,
                           const uint8_t *keys, size_t dim)
{
    tile_zero(0);
    tile_zero(1);
    for (size_t d = 0; d < dim; d += STEP_DIMS, keys += 2 * STEP_DIMS * QB_KEY_BLOCK) {
        tile_load(6, keys, 2 * TILE_ROW_BYTES);
        tile_load(7, keys + TILE_ROW_BYTES, 2 * TILE_ROW_BYTES);
        for (int plane = 0; plane < n_planes; plane++) {
            tile_load(4, q + 2 * (d + (size_t)plane * dim), q_stride);
            tile_dot_bf16(0, 4, 6);
            tile_dot_bf16(1, 4, 7);
        }
    }
    tile_store(0, s, sizeof(float) * QB_KEY_CHUNK);
    tile_store(1, s + 16, sizeof(float) * QB_KEY_CHUNK);
}

/* acc (rows, width) += p times the values of some blocks, which are those from `block` on. */
QB_INLINE void add_tiles(const int n_planes, float *acc, const tile_scratch *t, size_t block,
                         const void *const *values, size_t n_blocks, size_t width)
{
    const size_t stride = width * sizeof(float);
    for (size_t column = 0; column < width; column += GROUP_COLUMNS) {
        const int n = (int)(QB_MIN(width - column, (size_t)GROUP_COLUMNS) / 16);
        QB_UNROLL(4)
        for (int c = 0; c < 4; c++)
            if (c < n)
                tile_load(c, acc + column + 16 * (size_t)c, stride);
        for (size_t b = 0; b < n_blocks; b++) {
            const uint8_t *v = (const uint8_t *)values[b] + 4 * column;
            const size_t at = (block + b) * QB_KEY_BLOCK;
            tile_load(4, t->rows.pairs[0] + at, sizeof t->rows.pairs[0]);
            if (n_planes == 2)
                tile_load(5, t->rest[0] + at, sizeof t->rest[0]);
            QB_UNROLL(4)
            for (int c = 0; c < 4; c++)
                if (c < n) {
                    tile_load(6 + c % 2, v + TILE_ROW_BYTES * c, stride);
                    tile_dot_bf16(c, 4, 6 + c % 2);
                    if (n_planes == 2)
                        tile_dot_bf16(c, 5, 6 + c % 2);
                }
        }
        QB_UNROLL(4)
        for (int c = 0; c < 4; c++)
            if (c < n)
                tile_store(c, acc + column + 16 * (size_t)c, stride);
    }
}

/* Copies a block's values with zeros for keys outside [first, end); false if one is not finite. */
static QB_NOINLINE bool QB_NAME(copy_values)(uint8_t *out, const uint8_t *values, size_t width,
                                             uint32_t first, uint32_t end)
{
    vf poison = vf_set1(0.0f);
    for (uint32_t pair = 0; pair < BLOCK_PAIRS; pair++) {
        const uint32_t low = 2 * pair >= first && 2 * pair < end ? 0x0000ffffu : 0;
        const uint32_t high = 2 * pair + 1 >= first && 2 * pair + 1 < end ? 0xffff0000u : 0;
        const vi seen = vi_set1((int32_t)(low | high));
        for (size_t c = 0; c < width; c += 16) {
            const size_t at = 4 * (pair * width + c);
            const vi v = vi_and(load_vi(values + at), seen);
            const vf sum = vf_add(vf_abs(low_bf16(v)), vf_abs(high_bf16(v)));
            poison = vf_add(poison, vf_sub(sum, sum));
            vi_store((int32_t *)(void *)(out + at), v);
        }
    }
    return vf_sum(poison) == 0.0f;
}

/* A block that not every row sees whole. */
QB_INLINE void add_partly(const int n_planes, tile_scratch *t, const qb_attn_keys *keys, size_t q0,
                          int n_rows, size_t block, uint32_t first, uint32_t end)
{
    const uint32_t at = (uint32_t)block * QB_KEY_BLOCK;
    const size_t width = keys->width;
    const void *copy = t->values;
    if (QB_NAME(copy_values)(t->values, keys->v_blocks[block], width, QB_MAX(first, at) - at,
                             end - at)) {
        add_tiles(n_planes, t->acc, t, block, &copy, 1, width);
        return;
    }
    for (int r = 0; r < n_rows; r++) { /* what other rows see may be infinite: one at a time */
        const uint32_t from = keys->first_key[q0 + (size_t)r], to = keys->n_keys[q0 + (size_t)r];
        QB_NAME(copy_values)(t->values, keys->v_blocks[block], width, QB_MAX(from, at) - at,
                             QB_MAX(to, at) - at);
        memcpy(t->own, t->acc, (size_t)n_rows * width * sizeof(float));
        add_tiles(n_planes, t->own, t, block, &copy, 1, width);
        memcpy(t->acc + (size_t)r * width, t->own + (size_t)r * width, width * sizeof(float));
    }
}

/* p as bf16, and what is missing in a second plane. */
QB_INLINE void split_weights(tile_scratch *t, int r, uint32_t end)
{
    for (uint32_t j = 0; j < end; j += 16) {
        const vf p = vf_load(t->rows.s[r] + j);
        store_bf16(t->rows.pairs[r] + j, p);
        const vi hi =
            _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(t->rows.pairs[r] + j)));
        store_bf16(t->rest[r] + j, vf_sub(p, vf_bits(vi_shl(hi, 16))));
    }
}

QB_INLINE void attend_by_tiles(const int n_planes, qb_attn_state state, const uint8_t *q,
                               size_t q_stride, const qb_attn_keys *keys, size_t q0, int n_rows)
{
    const size_t width = keys->width;
    const uint32_t *first_key = keys->first_key + q0, *n_keys = keys->n_keys + q0;
    tile_scratch t;
    uint32_t first = QB_KEY_CHUNK, end = 0, all_from = 0, all_to = QB_KEY_CHUNK;
    for (int r = 0; r < n_rows; r++) { /* what some row sees, and what every row does */
        first = QB_MIN(first, first_key[r]);
        end = QB_MAX(end, n_keys[r]);
        all_from = QB_MAX(all_from, first_key[r]);
        all_to = QB_MIN(all_to, n_keys[r]);
    }
    const size_t n_blocks = qb_ceil_div(end, QB_KEY_BLOCK);
    for (size_t b = first / QB_KEY_BLOCK; b < n_blocks; b++)
        score_tiles(n_planes, t.rows.s[0] + b * QB_KEY_BLOCK, q, q_stride, keys->k_blocks[b],
                    keys->dim);
    for (int r = 0; r < n_rows; r++) {
        const uint32_t filled = (uint32_t)n_blocks * QB_KEY_BLOCK;
        if (keys->rule != NULL)
            adjust(keys->rule, t.rows.s[r], q0 + (size_t)r, filled);
        soften(n_planes == 2 ? KV_BF16 : KV_BF16_DOT, &t.rows, r, first_key[r], n_keys[r], filled);
        if (n_planes == 2)
            split_weights(&t, r, filled);
    }
    memset(t.acc, 0, (size_t)n_rows * width * sizeof(float));
    for (size_t b = first / QB_KEY_BLOCK, n; b < n_blocks; b += n) {
        for (n = 0; all_from <= b * QB_KEY_BLOCK && (b + n + 1) * QB_KEY_BLOCK <= all_to; n++)
            continue;
        if (n > 0)
            add_tiles(n_planes, t.acc, &t, b, keys->v_blocks + b, n, width);
        else
            add_partly(n_planes, &t, keys, q0, n_rows, b, first,
                       QB_MIN(end, (uint32_t)(b + 1) * QB_KEY_BLOCK));
        n += n == 0;
    }
    merge(state, &t.rows, t.acc, n_rows, width);
}

QB_INLINE void attend(const int n_planes, qb_attn_state state, const void *q, size_t q_stride,
                      const qb_attn_keys *keys)
{
    uint8_t rows = 0;
    for (size_t i = 0, n; i < keys->n_queries; i += n) {
        for (n = 0;
             n < ROWS && i + n < keys->n_queries && keys->first_key[i + n] < keys->n_keys[i + n];
             n++)
            continue;
        if (n == 0) {
            n = 1;
            continue;
        }
        if (rows != n) {
            tile_shapes shapes = {.palette = 1};
            rows = (uint8_t)n;
            for (int tile = 0; tile < 8; tile++) {
                shapes.rows[tile] = tile >= 6 ? QB_TILE_ROWS : rows;
                shapes.row_bytes[tile] = TILE_ROW_BYTES;
            }
            tile_configure(&shapes);
        }
        const qb_attn_state own = {state.max + i, state.sum + i, state.acc + i * keys->width};
        attend_by_tiles(n_planes, own, (const uint8_t *)q + i * q_stride, q_stride, keys, i,
                        (int)n);
    }
    if (rows > 0)
        tile_release();
}

static void QB_NAME(attn_fast)(qb_attn_state state, const void *q, size_t q_stride,
                               const qb_attn_keys *keys)
{
    if (keys->dim % STEP_DIMS == 0)
        attend(1, state, q, q_stride, keys);
    else
        QB_NAME(attn_narrow)(state, q, q_stride, keys);
}

static void QB_NAME(attn_faithful)(qb_attn_state state, const void *q, size_t q_stride,
                                   const qb_attn_keys *keys)
{
    if (keys->dim % STEP_DIMS == 0)
        attend(2, state, q, q_stride, keys);
    else
        QB_NAME(attn_narrow_faithful)(state, q, q_stride, keys);
}

static void QB_NAME(pack_query)(void *out, const float *q, float scale, size_t dim)
{
    uint16_t *own = out;
    size_t d = 0;
    for (; d + 16 <= dim; d += 16)
        store_bf16(own + d, vf_mul(vf_load(q + d), vf_set1(scale)));
    for (; d < dim; d++)
        own[d] = qb_f32_to_bf16(q[d] * scale);
}

static void QB_NAME(pack_query_faithful)(void *out, const float *q, float scale, size_t dim)
{
    uint16_t *planes = out;
    float *floats = out;
    for (size_t d = 0; d < dim; d++) {
        const float x = q[d] * scale;
        if (dim % STEP_DIMS != 0) {
            floats[d] = x;
            continue;
        }
        planes[d] = qb_f32_to_bf16(x);
        planes[dim + d] = qb_f32_to_bf16(x - qb_bf16_to_f32(planes[d]));
    }
}

void qb_attn_pick_amx(qb_attn_kernels *kernels)
{
    kernels->of[QB_MODE_FAST][QB_KV_BF16] = (qb_attn){QB_NAME(attn_fast), QB_NAME(pack_query)};
    kernels->of[QB_MODE_FAITHFUL][QB_KV_BF16] =
        (qb_attn){QB_NAME(attn_faithful), QB_NAME(pack_query_faithful)};
}
QB_ISA_END
#else
typedef int qb_empty_attn_amx;
#endif
