/* Softmax attention of query rows against one chunk of up to 256 keys, as two small matrix products.
 * The tier's file defines, before including this:
 *   QB_QUERIES, QB_HALVES          rows and halves (16 keys) of a block whose scores are in registers
 *   QB_VALUE_ROWS, QB_VALUE_VECS   rows and vectors (16 columns) of the sums in registers
 *   QB_NARROW_ROWS                 rows of the sums in registers where one vector of columns is left
 *   QB_QUERY_CASES, QB_VALUE_CASES, QB_NARROW_CASES   QB_CASE(1) .. for that many rows
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

QB_INLINE float round_bf16(float x) { return qb_bf16_to_f32(qb_f32_to_bf16(x)); }

/* Softcap and ALiBi of one row's scores. */
QB_INLINE void adjust(const qb_score_rule *rule, float *s, size_t query, uint32_t end)
{
    if (rule->cap > 0.0f)
        for (uint32_t j = 0; j < end; j += 16)
            vf_store(s + j, vf_softcap(vf_load(s + j), rule->cap));
    if (rule->slopes == NULL)
        return;
    const float slope = rule->slopes[query], at = rule->positions[query];
    const float own = round_bf16(slope * round_bf16(at));
    for (uint32_t j = 0; j < end; j++) {
        const float key = rule->first_position + (float)j;
        const float bias =
            rule->in_bf16 ? round_bf16(slope * round_bf16(key)) - own : slope * (key - at);
        s[j] += bias * rule->slope_scale;
    }
}

/* One row's scores become p; what is before its first key and behind its last one becomes zero. */
QB_INLINE void soften(const kv_path path, chunk_rows *rows, int r, uint32_t first_key,
                      uint32_t n_keys, uint32_t end)
{
    float *s = rows->s[r];
    for (uint32_t j = 0; j < first_key; j++)
        s[j] = -__builtin_inff();
    for (uint32_t j = n_keys; j < end; j++)
        s[j] = -__builtin_inff();
    vf top = vf_load(s);
    for (uint32_t j = 16; j < end; j += 16)
        top = vf_max(vf_load(s + j), top);
    rows->max[r] = vf_max_lane(top);
    const vf max = vf_set1(rows->max[r]);
    vf sum = vf_set1(0.0f);
    for (uint32_t j = 0; j < end; j += 16) {
        const vf below = vf_sub(vf_load(s + j), max);
        const vf p = path == KV_BF16_DOT ? vf_exp2_bf16(below) : vf_exp2(below);
        sum = vf_add(sum, p);
        if (path == KV_BF16_DOT)
            store_bf16(rows->pairs[r] + j, p);
        else
            vf_store(s + j, p);
    }
    rows->sum[r] = vf_sum(sum);
}

/* sum (R, C) += p times the value of key j of a block alone, in bf16: the other key of its pair may be
 * one that is not there, and infinite. */
QB_INLINE void add_lone(const kv_path path, const int R, const int C, vf (*sum)[QB_VALUE_VECS],
                        const float *s, const uint16_t *pairs, const uint8_t *values, size_t width,
                        uint32_t j)
{
    const vi own_half = vi_set1((int32_t)(j % 2 == 0 ? 0x0000ffffu : 0xffff0000u));
    for (int c = 0; c < C; c++) {
        const vi v = vi_and(load_vi(values + (j / 2 * width + 16 * (size_t)c) * 4), own_half);
        for (int r = 0; r < R; r++) {
            const size_t row = (size_t)r * QB_KEY_CHUNK;
            if (path == KV_BF16)
                sum[r][c] =
                    vf_mla(j % 2 == 0 ? low_bf16(v) : high_bf16(v), vf_set1(s[row + j]), sum[r][c]);
            else
                sum[r][c] = dot_bf16(sum[r][c], v,
                                     vi_broadcast4((const uint8_t *)(pairs + row + j / 2 * 2)));
        }
    }
}

/* sum (R, C) += p times the values of keys [first, end) of a block. `s` and `pairs` are p of the
 * block's keys for the first of R rows; values (32, width) floats or (16, width, 2) bf16. */
QB_INLINE void add_block(const kv_path path, const int R, const int C, vf (*sum)[QB_VALUE_VECS],
                         const float *s, const uint16_t *pairs, const uint8_t *values, size_t width,
                         uint32_t first, uint32_t end)
{
    if (path == KV_F32) {
        for (uint32_t j = first; j < end; j++)
            for (int c = 0; c < C; c++) {
                const vf v = vf_load((const float *)(const void *)values + j * width + 16 * c);
                for (int r = 0; r < R; r++)
                    sum[r][c] = vf_mla(v, vf_set1(s[(size_t)r * QB_KEY_CHUNK + j]), sum[r][c]);
            }
        return;
    }
    if (first % 2 != 0)
        add_lone(path, R, C, sum, s, pairs, values, width, first);
    for (uint32_t pair = (first + 1) / 2; pair < end / 2; pair++)
        for (int c = 0; c < C; c++) {
            const vi v = load_vi(values + (pair * width + 16 * (size_t)c) * 4);
            for (int r = 0; r < R; r++)
                if (path == KV_BF16) {
                    const float *own = s + r * QB_KEY_CHUNK + 2 * pair;
                    sum[r][c] = vf_mla(low_bf16(v), vf_set1(own[0]), sum[r][c]);
                    sum[r][c] = vf_mla(high_bf16(v), vf_set1(own[1]), sum[r][c]);
                } else {
                    const uint16_t *own = pairs + r * QB_KEY_CHUNK + 2 * pair;
                    sum[r][c] = dot_bf16(sum[r][c], v, vi_broadcast4((const uint8_t *)own));
                }
        }
    if (end % 2 != 0)
        add_lone(path, R, C, sum, s, pairs, values, width, end - 1);
}

/* acc (R, width) += p times the values of keys [first, end) of the chunk, for C vectors of columns
 * from `column` on: sums stay in registers from block to block. */
QB_INLINE void add_values(const kv_path path, const int R, const int C, float *acc,
                          const chunk_rows *rows, int r0, const void *const *v_blocks, size_t width,
                          size_t column, uint32_t first, uint32_t end)
{
    vf sum[QB_MAX(QB_VALUE_ROWS, QB_NARROW_ROWS)][QB_VALUE_VECS];
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            sum[r][c] = vf_load(acc + (size_t)r * width + column + 16 * c);
    for (uint32_t at = first & ~(uint32_t)(QB_KEY_BLOCK - 1); at < end; at += QB_KEY_BLOCK)
        add_block(path, R, C, sum, rows->s[r0] + at, rows->pairs[r0] + at,
                  (const uint8_t *)v_blocks[at / QB_KEY_BLOCK] + 4 * column, width,
                  QB_MAX(first, at) - at, QB_MIN(end - at, (uint32_t)QB_KEY_BLOCK));
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            vf_store(acc + (size_t)r * width + column + 16 * c, sum[r][c]);
}

/* The same over all columns and rows, with as many sums in registers as hide their latency: what is
 * left over beside whole groups of vectors is one vector wide, and takes more rows. */
QB_INLINE void add_columns(const kv_path path, int n_rows, float *acc, const chunk_rows *rows,
                           int r0, const void *const *v_blocks, size_t width, uint32_t first,
                           uint32_t end)
{
    size_t column = 0;
#define QB_CASE(R)                                                                             \
    case R:                                                                                    \
        add_values(path, R, C, acc + (size_t)r * width, rows, r0 + r, v_blocks, width, column, \
                   first, end);                                                                \
        break;
    for (; column + 16 * QB_VALUE_VECS <= width; column += 16 * QB_VALUE_VECS) {
        enum { C = QB_VALUE_VECS };
        for (int r = 0; r < n_rows; r += QB_VALUE_ROWS)
            switch (QB_MIN(QB_VALUE_ROWS, n_rows - r)) {
                QB_VALUE_CASES
            }
    }
    for (; column < width; column += 16) {
        enum { C = 1 };
        for (int r = 0; r < n_rows; r += QB_NARROW_ROWS)
            switch (QB_MIN(QB_NARROW_ROWS, n_rows - r)) {
                QB_NARROW_CASES
            }
    }
#undef QB_CASE
}

/* Takes a chunk's rows into the states of the chunks before. */
QB_INLINE void merge(qb_attn_state state, const chunk_rows *rows, const float *acc, int n_rows,
                     size_t width)
{
    float old[ROWS] = {0}, new[ROWS] = {0}; /* exponents, then factors */
    for (int r = 0; r < n_rows; r++) {
        const float m = rows->max[r], before = state.max[r];
        state.max[r] = before > m ? before : m;
        old[r] = before - state.max[r];
        new[r] = m - state.max[r];
    }
    vf_store(old, vf_exp2(vf_load(old)));
    vf_store(new, vf_exp2(vf_load(new)));
    for (int r = 0; r < n_rows; r++, acc += width, state.acc += width) {
        state.sum[r] = state.sum[r] * old[r] + rows->sum[r] * new[r];
        for (size_t d = 0; d < width; d += 16)
            vf_store(state.acc + d, vf_add(vf_mul(vf_load(state.acc + d), vf_set1(old[r])),
                                           vf_mul(vf_load(acc + d), vf_set1(new[r]))));
    }
}

/* What every row of some sees: the keys [first, end), from an even one to an even one; maybe none. */
QB_INLINE uint32_t common_keys(const uint32_t *first_key, const uint32_t *n_keys, int n_rows,
                               uint32_t *end)
{
    uint32_t first = 0;
    *end = QB_KEY_CHUNK;
    for (int r = 0; r < n_rows; r++) {
        first = QB_MAX(first, first_key[r]);
        *end = QB_MIN(*end, n_keys[r]);
    }
    first = (first + 1) & ~1u;
    *end = QB_MAX(first, *end & ~1u);
    return first;
}

/* Up to 16 rows from query `q0` on, all with at least one key. */
QB_INLINE void attend_rows(const kv_path path, qb_attn_state state, const uint8_t *q,
                           size_t q_stride, const qb_attn_keys *keys, size_t q0, int n_rows)
{
    const size_t width = keys->width;
    const uint32_t *first_key = keys->first_key + q0, *n_keys = keys->n_keys + q0;
    chunk_rows rows;
    _Alignas(QB_ALIGN) float acc[ROWS * QB_MAX_HEAD_DIM];
    uint32_t most = 0, common_end;
    for (int r = 0; r < n_rows; r++)
        most = QB_MAX(most, n_keys[r]);
    const uint32_t common = common_keys(first_key, n_keys, n_rows, &common_end);
    const uint32_t end = (uint32_t)qb_round_up(most, QB_KEY_BLOCK);
    for (uint32_t at = 0, b = 0; at < end; at += QB_KEY_BLOCK, b++)
        for (int r = 0; r < n_rows; r += QB_QUERIES) {
#define QB_CASE(R)                                                               \
    case R:                                                                      \
        score_block(path, R, rows.s[r] + at, q + (size_t)r * q_stride, q_stride, \
                    keys->k_blocks[b], keys->dim);                               \
        break;
            switch (QB_MIN(QB_QUERIES, n_rows - r)) {
                QB_QUERY_CASES
            }
#undef QB_CASE
        }
    for (int r = 0; r < n_rows; r++) {
        if (keys->rule != NULL)
            adjust(keys->rule, rows.s[r], q0 + (size_t)r, end);
        soften(path, &rows, r, first_key[r], n_keys[r], end);
    }
    memset(acc, 0, (size_t)n_rows * width * sizeof(float));
    /* For every row ascending: keys of its own, those that all rows see, keys of its own. */
    for (int r = 0; r < n_rows; r++)
        if (first_key[r] < QB_MIN(common, n_keys[r]))
            add_columns(path, 1, acc + (size_t)r * width, &rows, r, keys->v_blocks, width,
                        first_key[r], QB_MIN(common, n_keys[r]));
    if (common < common_end)
        add_columns(path, n_rows, acc, &rows, 0, keys->v_blocks, width, common, common_end);
    for (int r = 0; r < n_rows; r++)
        if (QB_MAX(common_end, first_key[r]) < n_keys[r])
            add_columns(path, 1, acc + (size_t)r * width, &rows, r, keys->v_blocks, width,
                        QB_MAX(common_end, first_key[r]), n_keys[r]);
    merge(state, &rows, acc, n_rows, width);
}

#define QB_ATTN_CHUNK(name, path)                                                                  \
    static void QB_NAME(name)(qb_attn_state state, const void *q, size_t q_stride,                 \
                              const qb_attn_keys *keys)                                            \
    {                                                                                              \
        for (size_t i = 0, n; i < keys->n_queries; i += n) {                                       \
            for (n = 0; n < ROWS && i + n < keys->n_queries &&                                     \
                        keys->first_key[i + n] < keys->n_keys[i + n];                              \
                 n++)                                                                              \
                continue;                                                                          \
            const qb_attn_state own = {state.max + i, state.sum + i, state.acc + i * keys->width}; \
            if (n > 0)                                                                             \
                attend_rows(path, own, (const uint8_t *)q + i * q_stride, q_stride, keys, i,       \
                            (int)n);                                                               \
            n += n == 0;                                                                           \
        }                                                                                          \
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
