#include "ops/attention.h"

#include <math.h>
#include <string.h>

enum { TOKEN_TILE = 16, BLOCKS_PER_CHUNK = QB_KEY_CHUNK / QB_KEY_BLOCK };

static const double log2_e = 1.4426950408889634;

qb_status qb_attention_reserve(qb_buffer *scratch, const qb_attention_shape *shape)
{
    const size_t n_queries = TOKEN_TILE * (shape->n_heads / shape->n_kv_heads);
    const size_t per_query = shape->dim + qb_round_up(shape->dim, 16) + 3;
    return qb_buffer_reserve(scratch, n_queries * per_query, sizeof(float));
}

/* The queries of up to 16 tokens that read one KV head, against all their keys. */
static void attend_tile(const qb_attn *attn, const qb_attention_shape *s, float *out,
                        size_t out_stride, const float *q, size_t q_stride, const qb_run *run,
                        size_t first, size_t n_tokens, size_t kv_head, float *scratch)
{
    const size_t group = s->n_heads / s->n_kv_heads, width = qb_round_up(s->dim, 16);
    const size_t n = n_tokens * group, last = run->start + first + n_tokens - 1;
    const float scale = (float)(log2_e / sqrt((double)s->dim));
    float *acc = scratch, *queries = acc + n * width, *max = queries + n * s->dim, *sum = max + n;
    uint32_t *n_keys = (uint32_t *)(void *)(sum + n);

    memset(acc, 0, n * width * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        const float *source =
            q + (run->row + first + i / group) * q_stride + (kv_head * group + i % group) * s->dim;
        attn->pack(queries + i * s->dim, source, scale, s->dim);
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
        attn->chunk(state, queries, s->dim * sizeof(float), n_keys, n, keys, values, s->dim);
    }
    for (size_t i = 0; i < n; i++) {
        float *target = out + (run->row + first + i / group) * out_stride +
                        (kv_head * group + i % group) * s->dim;
        for (size_t d = 0; d < s->dim; d++)
            target[d] = acc[i * width + d] / sum[i];
    }
}

/* Products of a tile, in keys: the measure by which tiles are shared out. */
static size_t cost_of(const qb_run *run, size_t first, size_t *n_tokens)
{
    *n_tokens = QB_MIN((size_t)TOKEN_TILE, run->n_tokens - first);
    return *n_tokens * (run->start + first + *n_tokens);
}

void qb_attention(qb_worker worker, const qb_attn *attn, const qb_attention_shape *shape,
                  float *out, size_t out_stride, const float *q, size_t q_stride,
                  const qb_run *runs, size_t n_runs, qb_buffer *scratch)
{
    size_t all = 0, begin, end, before = 0, n_tokens;
    for (size_t r = 0; r < n_runs; r++)
        for (size_t first = 0; first < runs[r].n_tokens; first += TOKEN_TILE)
            all += cost_of(&runs[r], first, &n_tokens);
    qb_worker_range(worker, all * shape->n_kv_heads, &begin, &end);
    for (size_t head = 0; head < shape->n_kv_heads; head++)
        for (size_t r = 0; r < n_runs; r++)
            for (size_t first = 0; first < runs[r].n_tokens; first += TOKEN_TILE) {
                const size_t cost = cost_of(&runs[r], first, &n_tokens), middle = before + cost / 2;
                before += cost;
                if (middle < begin || middle >= end) /* a tile belongs to whom its middle does */
                    continue;
                if (qb_team_cancelled(worker))
                    return;
                attend_tile(attn, shape, out, out_stride, q, q_stride, &runs[r], first, n_tokens,
                            head, scratch->data);
            }
}
