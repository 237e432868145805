/* Softmax attention of query rows against one chunk of up to 256 keys, as two small matrix products.
 * The tier's file defines, before including this:
 *   QB_QUERIES, QB_HALVES          rows and halves (16 keys) of a block whose scores are in registers
 *   QB_VALUE_ROWS, QB_VALUE_VECS   rows and vectors (16 columns) of the sums in registers
 *   QB_QUERY_CASES, QB_VALUE_CASES QB_CASE(1) .. for that many rows
 *
 * For one query: scores of all its keys of the chunk, their maximum m, p = 2^(score - m) (queries are
 * scaled by log2(e)), l = sum p in sixteen lanes and a tree, a = sum p * v by ascending key. The
 * chunk's (m, l, a) is then merged into the state of the earlier chunks. Chunks start at multiples of
 * 256 positions, so the value depends on the keys alone: it is the same in prefill and decode, and a
 * suffix continues where its prefix ended. What a query may not see never enters a product, not even
 * times zero: it may be infinite. */

/* How keys and values are multiplied. */
typedef enum { KV_F32, KV_BF16, KV_BF16_DOT } kv_path;

enum { ROWS = 16, BLOCK_PAIRS = QB_KEY_BLOCK / 2, MAX_BLOCKS = QB_KEY_CHUNK / QB_KEY_BLOCK };

/* Scores, then p, of some rows; pairs of bf16 for the dot path. */
typedef struct {
    _Alignas(QB_ALIGN) float s[ROWS][QB_KEY_CHUNK];
    _Alignas(QB_ALIGN) uint16_t pairs[ROWS][QB_KEY_CHUNK];
    float max[ROWS], sum[ROWS];
} chunk_rows;

#ifndef QB_DOT_BF16 /* only one tier has it */
QB_INLINE vf dot_bf16(vf acc, vi a, vi b)
{
    (void)a, (void)b;
    return acc;
}
QB_INLINE void store_bf16(uint16_t *out, vf x) { (void)out, (void)x; }
#endif

QB_INLINE vf low_bf16(vi pair) { return vf_bits(vi_shl(pair, 16)); }
QB_INLINE vf high_bf16(vi pair) { return vf_bits(vi_and(pair, vi_set1((int32_t)0xffff0000))); }
QB_INLINE vi load_vi(const void *p) { return vi_load((const int32_t *)p); }

/* Scores of R rows against one block of keys, (dim, 32) floats or (dim / 2, 32, 2) bf16. */
QB_INLINE void score_block(const kv_path path, const int R, float *s, const uint8_t *q,
                           size_t q_stride, const uint8_t *keys, size_t dim)
{
    for (int half = 0; half < 2; half += QB_HALVES) {
        vf acc[QB_QUERIES][QB_HALVES];
        for (int r = 0; r < R; r++)
            for (int h = 0; h < QB_HALVES; h++)
                acc[r][h] = vf_set1(0.0f);
        const uint8_t *k = keys + 64 * half;
        const size_t n_steps = path == KV_F32 ? dim : dim / 2;
        for (size_t d = 0; d < n_steps; d++, k += 128) {
            vi key[QB_HALVES];
            for (int h = 0; h < QB_HALVES; h++)
                key[h] = load_vi(k + 64 * h);
            for (int r = 0; r < R; r++) {
                const uint8_t *own = q + (size_t)r * q_stride;
                for (int h = 0; h < QB_HALVES; h++)
                    if (path == KV_F32) {
                        acc[r][h] =
                            vf_mla(vf_bits(key[h]), vf_set1(((const float *)(const void *)own)[d]),
                                   acc[r][h]);
                    } else if (path == KV_BF16) {
                        const float *x = (const float *)(const void *)own + 2 * d;
                        acc[r][h] = vf_mla(low_bf16(key[h]), vf_set1(x[0]), acc[r][h]);
                        acc[r][h] = vf_mla(high_bf16(key[h]), vf_set1(x[1]), acc[r][h]);
                    } else {
                        acc[r][h] = dot_bf16(acc[r][h], key[h], vi_broadcast4(own + 4 * d));
                    }
            }
        }
        for (int r = 0; r < R; r++)
            for (int h = 0; h < QB_HALVES; h++)
                vf_store(s + r * QB_KEY_CHUNK + 16 * (half + h), acc[r][h]);
    }
}

/* One row's scores become p; what is behind its last key becomes zero. */
QB_INLINE void soften(const kv_path path, chunk_rows *rows, int r, uint32_t n_keys, uint32_t end)
{
    float *s = rows->s[r];
    for (uint32_t j = n_keys; j < end; j++)
        s[j] = -__builtin_inff();
    vf top = vf_load(s);
    for (uint32_t j = 16; j < end; j += 16)
        top = vf_max(vf_load(s + j), top);
    rows->max[r] = vf_max_lane(top);
    const vf max = vf_set1(rows->max[r]);
    vf sum = vf_set1(0.0f);
    for (uint32_t j = 0; j < end; j += 16) {
        const vf p = vf_exp2(vf_sub(vf_load(s + j), max));
        sum = vf_add(sum, p);
        if (path == KV_BF16_DOT)
            store_bf16(rows->pairs[r] + j, p);
        else
            vf_store(s + j, p);
    }
    rows->sum[r] = vf_sum(sum);
}

/* acc (R, acc_stride) += p times the values of keys [first, end) of a block; `first` even.
 * Values: (32, width) floats or (16, width, 2) bf16. */
QB_INLINE void add_values(const kv_path path, const int R, const int C, float *acc,
                          size_t acc_stride, const chunk_rows *rows, int r0, uint32_t at,
                          const uint8_t *values, size_t width, uint32_t first, uint32_t end)
{
    vf sum[QB_VALUE_ROWS][QB_VALUE_VECS];
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            sum[r][c] = vf_load(acc + (size_t)r * acc_stride + 16 * c);
    if (path == KV_F32) {
        for (uint32_t j = first; j < end; j++)
            for (int c = 0; c < C; c++) {
                const vf v = vf_load((const float *)(const void *)values + j * width + 16 * c);
                for (int r = 0; r < R; r++)
                    sum[r][c] = vf_mla(v, vf_set1(rows->s[r0 + r][at + j]), sum[r][c]);
            }
    } else {
        const uint32_t whole = end / 2;
        for (uint32_t pair = first / 2; pair < whole; pair++)
            for (int c = 0; c < C; c++) {
                const vi v = load_vi(values + (pair * width + 16 * (size_t)c) * 4);
                for (int r = 0; r < R; r++)
                    if (path == KV_BF16) {
                        const float *p = rows->s[r0 + r] + at + 2 * pair;
                        sum[r][c] = vf_mla(low_bf16(v), vf_set1(p[0]), sum[r][c]);
                        sum[r][c] = vf_mla(high_bf16(v), vf_set1(p[1]), sum[r][c]);
                    } else {
                        sum[r][c] = dot_bf16(
                            sum[r][c], v,
                            vi_broadcast4((const uint8_t *)(rows->pairs[r0 + r] + at + 2 * pair)));
                    }
            }
        if (end % 2 != 0) /* the second key of the last pair is not there */
            for (int c = 0; c < C; c++) {
                const vi v =
                    vi_and(load_vi(values + (whole * width + 16 * (size_t)c) * 4), vi_set1(0xffff));
                for (int r = 0; r < R; r++)
                    if (path == KV_BF16)
                        sum[r][c] =
                            vf_mla(low_bf16(v), vf_set1(rows->s[r0 + r][at + end - 1]), sum[r][c]);
                    else
                        sum[r][c] = dot_bf16(
                            sum[r][c], v,
                            vi_broadcast4((const uint8_t *)(rows->pairs[r0 + r] + at + end - 1)));
            }
    }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            vf_store(acc + (size_t)r * acc_stride + 16 * c, sum[r][c]);
}

/* The same over all columns. */
QB_INLINE void add_block(const kv_path path, const int R, float *acc, size_t width,
                         const chunk_rows *rows, int r0, uint32_t at, const uint8_t *values,
                         uint32_t first, uint32_t end)
{
    const size_t element = path == KV_F32 ? 4 : 2, pair = path == KV_F32 ? 1 : 2;
    size_t c = 0;
    for (; c + 16 * QB_VALUE_VECS <= width; c += 16 * QB_VALUE_VECS)
        add_values(path, R, QB_VALUE_VECS, acc + c, width, rows, r0, at,
                   values + c * pair * element, width, first, end);
    for (; c < width; c += 16)
        add_values(path, R, 1, acc + c, width, rows, r0, at, values + c * pair * element, width,
                   first, end);
}

/* Up to 16 rows, all with at least one key. */
QB_INLINE void attend_rows(const kv_path path, qb_attn_state state, const uint8_t *q,
                           size_t q_stride, const uint32_t *n_keys, int n_rows,
                           const void *const *k_blocks, const void *const *v_blocks, size_t dim)
{
    const size_t width = qb_round_up(dim, 16);
    chunk_rows rows;
    _Alignas(QB_ALIGN) float acc[ROWS * QB_MAX_HEAD_DIM];
    uint32_t most = 0, least = QB_KEY_CHUNK;
    for (int r = 0; r < n_rows; r++) {
        most = QB_MAX(most, n_keys[r]);
        least = QB_MIN(least, n_keys[r]);
    }
    least &= ~1u;
    const uint32_t end = (uint32_t)qb_round_up(most, QB_KEY_BLOCK);
    for (uint32_t at = 0, b = 0; at < end; at += QB_KEY_BLOCK, b++)
        for (int r = 0; r < n_rows; r += QB_QUERIES) {
#define QB_CASE(R)                                                                            \
    case R:                                                                                   \
        score_block(path, R, rows.s[r] + at, q + (size_t)r * q_stride, q_stride, k_blocks[b], \
                    dim);                                                                     \
        break;
            switch (QB_MIN(QB_QUERIES, n_rows - r)) {
                QB_QUERY_CASES
            }
#undef QB_CASE
        }
    for (int r = 0; r < n_rows; r++)
        soften(path, &rows, r, n_keys[r], end);
    memset(acc, 0, (size_t)n_rows * width * sizeof(float));
    for (uint32_t at = 0, b = 0; at < end; at += QB_KEY_BLOCK, b++) {
        const uint32_t shared = least <= at ? 0 : QB_MIN((uint32_t)QB_KEY_BLOCK, least - at);
        for (int r = 0; r < n_rows && shared > 0; r += QB_VALUE_ROWS) {
#define QB_CASE(R)                                                                                \
    case R:                                                                                       \
        add_block(path, R, acc + (size_t)r * width, width, &rows, r, at, v_blocks[b], 0, shared); \
        break;
            switch (QB_MIN(QB_VALUE_ROWS, n_rows - r)) {
                QB_VALUE_CASES
            }
#undef QB_CASE
        }
        for (int r = 0; r < n_rows; r++) {
            const uint32_t own =
                n_keys[r] <= at ? 0 : QB_MIN((uint32_t)QB_KEY_BLOCK, n_keys[r] - at);
            if (own > shared)
                add_block(path, 1, acc + (size_t)r * width, width, &rows, r, at, v_blocks[b],
                          shared, own);
        }
    }
    for (int r = 0; r < n_rows; r++) {
        const float m = rows.max[r], before = state.max[r], top = before > m ? before : m;
        const float old = exp2_one(before - top), new = exp2_one(m - top);
        float *total = state.acc + (size_t)r * width;
        state.sum[r] = state.sum[r] * old + rows.sum[r] * new;
        for (size_t d = 0; d < width; d += 16)
            vf_store(total + d, vf_add(vf_mul(vf_load(total + d), vf_set1(old)),
                                       vf_mul(vf_load(acc + (size_t)r * width + d), vf_set1(new))));
        state.max[r] = top;
    }
}

#define QB_ATTN_CHUNK(name, path)                                                               \
    static void QB_NAME(name)(                                                                  \
        qb_attn_state state, const void *q, size_t q_stride, const uint32_t *n_keys,            \
        size_t n_queries, const void *const *k_blocks, const void *const *v_blocks, size_t dim) \
    {                                                                                           \
        const size_t width = qb_round_up(dim, 16);                                              \
        for (size_t i = 0, n; i < n_queries; i += n) {                                          \
            for (n = 0; n < ROWS && i + n < n_queries && n_keys[i + n] > 0; n++)                \
                continue;                                                                       \
            const qb_attn_state own = {state.max + i, state.sum + i, state.acc + i * width};    \
            if (n > 0)                                                                          \
                attend_rows(path, own, (const uint8_t *)q + i * q_stride, q_stride, n_keys + i, \
                            (int)n, k_blocks, v_blocks, dim);                                   \
            n += n == 0;                                                                        \
        }                                                                                       \
    }

#ifndef QB_DOT_BF16
QB_ATTN_CHUNK(attn_f32, KV_F32)
QB_ATTN_CHUNK(attn_bf16, KV_BF16)

static void QB_NAME(pack_query)(void *out, const float *q, float scale, size_t dim)
{
    float *own = out;
    for (size_t d = 0; d < dim; d++)
        own[d] = q[d] * scale;
}

static void QB_NAME(pick_attn)(qb_attn_kernels *kernels)
{
    for (int mode = 0; mode < QB_MODE_COUNT; mode++) {
        kernels->of[mode][QB_KV_F32] = (qb_attn){QB_NAME(attn_f32), QB_NAME(pack_query)};
        kernels->of[mode][QB_KV_BF16] = (qb_attn){QB_NAME(attn_bf16), QB_NAME(pack_query)};
    }
}
#endif
