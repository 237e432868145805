#include "ops/attention.h"

#include <math.h>
#include <string.h>

enum { TOKEN_TILE = 16, BLOCKS_PER_CHUNK = QB_KEY_CHUNK / QB_KEY_BLOCK };

static const double log2_e = 1.4426950408889634;

/* What one worker holds of the queries of a tile. */
typedef struct {
    float *acc, *queries, *max, *sum, *slopes, *positions;
    uint32_t *first_key, *n_keys;
} tile_state;

static size_t floats_per_query(const qb_attention_shape *s)
{
    return s->dim + qb_round_up(s->value_dim, 16) + 6;
}

qb_status qb_attention_reserve(qb_buffer *scratch, const qb_attention_shape *shape)
{
    const size_t n_queries = TOKEN_TILE * (shape->n_heads / shape->n_kv_heads);
    return qb_buffer_reserve(scratch, n_queries * floats_per_query(shape), sizeof(float));
}

static tile_state divide(float *scratch, const qb_attention_shape *s, size_t n)
{
    tile_state t = {.acc = scratch};
    t.queries = t.acc + n * qb_round_up(s->value_dim, 16);
    t.max = t.queries + n * s->dim;
    t.sum = t.max + n;
    t.slopes = t.sum + n;
    t.positions = t.slopes + n;
    t.first_key = (uint32_t *)(void *)(t.positions + n);
    t.n_keys = t.first_key + n;
    return t;
}

/* First key that the query at a position sees. */
static size_t first_visible(const qb_attention_shape *s, size_t position)
{
    return s->window == 0 || position < s->window ? 0 : position + 1 - s->window;
}

/* The keys of the chunk from `base` on that each query sees. */
static void see(const tile_state *t, const qb_attention_shape *s, size_t first_position,
                size_t group, size_t n, size_t base)
{
    for (size_t i = 0; i < n; i++) {
        const size_t position = first_position + i / group;
        const size_t from = first_visible(s, position), end = position + 1;
        t->first_key[i] = from <= base ? 0 : (uint32_t)QB_MIN((size_t)QB_KEY_CHUNK, from - base);
        t->n_keys[i] = end <= base ? 0 : (uint32_t)QB_MIN((size_t)QB_KEY_CHUNK, end - base);
    }
}

/* The queries of up to 16 tokens that read one KV head, against all their keys. */
static void attend_tile(const qb_attn *attn, const qb_attention_shape *s, float *out,
                        size_t out_stride, const float *q, size_t q_stride, const qb_run *run,
                        size_t first, size_t n_tokens, size_t kv_head, float *scratch)
{
    const size_t group = s->n_heads / s->n_kv_heads, width = qb_round_up(s->value_dim, 16);
    const size_t n = n_tokens * group, position = run->start + first;
    const size_t last = position + n_tokens - 1;
    const tile_state t = divide(scratch, s, n);
    qb_score_rule rule = {.cap = (float)(log2_e * (double)s->cap),
                          .slopes = s->slopes == NULL ? NULL : t.slopes,
                          .positions = t.positions,
                          .slope_scale = (float)(log2_e * (double)s->slope_scale),
                          .in_bf16 = s->slopes_in_bf16};
    const bool plain = s->cap == 0.0f && s->slopes == NULL;
    const float scale = (float)(log2_e * s->scale);

    memset(t.acc, 0, n * width * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        const size_t head = kv_head * group + i % group;
        const float *source = q + (run->row + first + i / group) * q_stride + head * s->dim;
        attn->pack(t.queries + i * s->dim, source, scale, s->dim);
        t.max[i] = -INFINITY;
        t.sum[i] = 0.0f;
        t.positions[i] = (float)(position + i / group);
        t.slopes[i] = s->slopes == NULL ? 0.0f : s->slopes[head];
    }
    const qb_attn_state state = {.max = t.max, .sum = t.sum, .acc = t.acc};
    const size_t offset = s->layer_offset + kv_head * s->head_bytes;
    for (size_t base = first_visible(s, position) / QB_KEY_CHUNK * QB_KEY_CHUNK; base <= last;
         base += QB_KEY_CHUNK) {
        const void *keys[BLOCKS_PER_CHUNK] = {0}, *values[BLOCKS_PER_CHUNK] = {0};
        for (size_t b = 0; b < BLOCKS_PER_CHUNK && base + b * QB_KEY_BLOCK <= last; b++) {
            keys[b] = run->pages[base / QB_KEY_BLOCK + b] + offset;
            values[b] = (const uint8_t *)keys[b] + s->key_bytes;
        }
        see(&t, s, position, group, n, base);
        rule.first_position = (float)base;
        const qb_attn_keys chunk = {n,      t.first_key, t.n_keys, keys,
                                    values, s->dim,      width,    plain ? NULL : &rule};
        attn->chunk(state, t.queries, s->dim * sizeof(float), &chunk);
    }
    for (size_t i = 0; i < n; i++) {
        float *target = out + (run->row + first + i / group) * out_stride +
                        (kv_head * group + i % group) * s->value_dim;
        for (size_t d = 0; d < s->value_dim; d++)
            target[d] = t.acc[i * width + d] / t.sum[i];
    }
}

/* Products of a tile, in keys: the measure by which tiles are shared out. */
static size_t cost_of(const qb_attention_shape *s, const qb_run *run, size_t first,
                      size_t *n_tokens)
{
    *n_tokens = QB_MIN((size_t)TOKEN_TILE, run->n_tokens - first);
    const size_t position = run->start + first;
    return *n_tokens * (position + *n_tokens - first_visible(s, position));
}

void qb_attention(qb_worker worker, const qb_attn *attn, const qb_attention_shape *shape,
                  float *out, size_t out_stride, const float *q, size_t q_stride,
                  const qb_run *runs, size_t n_runs, qb_buffer *scratch)
{
    size_t all = 0, begin, end, before = 0, n_tokens;
    for (size_t r = 0; r < n_runs; r++)
        for (size_t first = 0; first < runs[r].n_tokens; first += TOKEN_TILE)
            all += cost_of(shape, &runs[r], first, &n_tokens);
    qb_worker_range(worker, all * shape->n_kv_heads, &begin, &end);
    for (size_t head = 0; head < shape->n_kv_heads; head++)
        for (size_t r = 0; r < n_runs; r++)
            for (size_t first = 0; first < runs[r].n_tokens; first += TOKEN_TILE) {
                const size_t cost = cost_of(shape, &runs[r], first, &n_tokens),
                             middle = before + cost / 2;
                before += cost;
                if (middle < begin || middle >= end) /* a tile belongs to whom its middle does */
                    continue;
                if (qb_team_cancelled(worker))
                    return;
                attend_tile(attn, shape, out, out_stride, q, q_stride, &runs[r], first, n_tokens,
                            head, scratch->data);
            }
}
