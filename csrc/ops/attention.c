#include "ops/attention.h"

#include <math.h>
#include <string.h>

enum { TOKEN_TILE = 16, BLOCKS_PER_CHUNK = QB_KEY_CHUNK / QB_KEY_BLOCK };

qb_status qb_attention_reserve(qb_buffer *scratch, const qb_attention_shape *shape)
{
    const size_t n_queries = TOKEN_TILE * (shape->n_heads / shape->n_kv_heads);
    const size_t per_query = shape->dim + qb_round_up(shape->dim, 16) + 3;
    return qb_buffer_reserve(scratch, n_queries * per_query, sizeof(float));
}

/* The queries of up to 16 tokens that read one KV head, against all their keys. */
static void attend_tile(const qb_kernels *kernels, const qb_attention_shape *s, float *out,
                        size_t out_stride, const float *q, size_t q_stride, const qb_run *run,
                        size_t first, size_t n_tokens, size_t kv_head, float *scratch)
{
    const size_t group = s->n_heads / s->n_kv_heads, width = qb_round_up(s->dim, 16);
    const size_t n = n_tokens * group, last = run->start + first + n_tokens - 1;
    const float scale = 1.0f / sqrtf((float)s->dim);
    float *queries = scratch, *acc = queries + n * s->dim, *max = acc + n * width, *sum = max + n;
    uint32_t *n_keys = (uint32_t *)(void *)(sum + n);

    memset(acc, 0, n * width * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        const float *source =
            q + (run->row + first + i / group) * q_stride + (kv_head * group + i % group) * s->dim;
        for (size_t d = 0; d < s->dim; d++)
            queries[i * s->dim + d] = source[d] * scale;
        max[i] = -INFINITY;
        sum[i] = 0.0f;
    }
    const qb_attn_state state = {.max = max, .sum = sum, .acc = acc};
    const size_t offset = s->layer_offset + kv_head * s->head_bytes;
    for (size_t base = 0; base <= last; base += QB_KEY_CHUNK) {
        const void *keys[BLOCKS_PER_CHUNK] = {0}, *values[BLOCKS_PER_CHUNK] = {0};
        for (size_t b = 0; b < BLOCKS_PER_CHUNK && base + b * QB_KEY_BLOCK <= last; b++) {
            keys[b] = run->pages[base / QB_KEY_BLOCK + b] + offset;
            values[b] = (const uint8_t *)keys[b] + s->key_bytes;
        }
        for (size_t i = 0; i < n; i++) {
            const size_t visible = run->start + first + i / group + 1;
            n_keys[i] =
                visible <= base ? 0 : (uint32_t)QB_MIN((size_t)QB_KEY_CHUNK, visible - base);
        }
        kernels->attn.chunk[s->kv_format](state, queries, s->dim, n_keys, n, keys, values, s->dim);
    }
    for (size_t i = 0; i < n; i++) {
        float *target = out + (run->row + first + i / group) * out_stride +
                        (kv_head * group + i % group) * s->dim;
        for (size_t d = 0; d < s->dim; d++)
            target[d] = acc[i * width + d] / sum[i];
    }
}

void qb_attention(qb_worker worker, const qb_kernels *kernels, const qb_attention_shape *shape,
                  float *out, size_t out_stride, const float *q, size_t q_stride,
                  const qb_run *runs, size_t n_runs, qb_buffer *scratch)
{
    size_t n_units = 0, begin, end, unit = 0;
    for (size_t r = 0; r < n_runs; r++)
        n_units += qb_ceil_div(runs[r].n_tokens, TOKEN_TILE) * shape->n_kv_heads;
    qb_worker_range(worker, n_units, &begin, &end);
    for (size_t r = 0; r < n_runs; r++) {
        const size_t own = qb_ceil_div(runs[r].n_tokens, TOKEN_TILE) * shape->n_kv_heads;
        for (size_t u = 0; u < own; u++) {
            if (unit + u < begin || unit + u >= end)
                continue;
            if (qb_team_cancelled(worker))
                return;
            const size_t first = u / shape->n_kv_heads * TOKEN_TILE;
            attend_tile(kernels, shape, out, out_stride, q, q_stride, &runs[r], first,
                        QB_MIN((size_t)TOKEN_TILE, runs[r].n_tokens - first), u % shape->n_kv_heads,
                        scratch->data);
        }
        unit += own;
    }
}
