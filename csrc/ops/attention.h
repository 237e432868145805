/* Causal attention of a packed batch over a paged cache. */
#ifndef QB_ATTENTION_H
#define QB_ATTENTION_H

#include "base/memory.h"
#include "base/threads.h"
#include "kernels/kernels.h"

/* Consecutive new tokens of one sequence. Token i of the run stands in row `row + i` of the batch
 * and at position `start + i`; keys 0 .. start + i are in the cache. */
typedef struct {
    size_t row, n_tokens, start;
    const uint8_t *const *pages; /* of the sequence, one per 32 positions */
} qb_run;

typedef struct {
    size_t n_heads, n_kv_heads, dim, value_dim;
    qb_kv_format kv_format;
    /* Bytes from a page's start to a head's keys and values in this layer. */
    size_t layer_offset, head_bytes, key_bytes;
    /* What a layer adds; all zero is plain attention but for the scale. */
    double scale;        /* of the scores, such as 1 / sqrt(dim) */
    float cap;           /* scores = cap * tanh(scores / cap); 0: none */
    size_t window;       /* a query sees itself and the window - 1 keys before it; 0: all */
    const float *slopes; /* (n_heads,) of ALiBi, or NULL */
    float slope_scale;
    bool slopes_in_bf16;
} qb_attention_shape;

/* Scratch for one worker, reserved before the team starts. */
qb_status qb_attention_reserve(qb_buffer *scratch, const qb_attention_shape *shape);

/* out (n_tokens, out_stride) = softmax(scale q k) v for every run, heads of value_dim values; q
 * (n_tokens, q_stride), heads of dim values. Units (KV head, tile of 16 tokens) are split over the team by their number of
 * keys; no barrier. */
void qb_attention(qb_worker worker, const qb_attn *attn, const qb_attention_shape *shape,
                  float *out, size_t out_stride, const float *q, size_t q_stride,
                  const qb_run *runs, size_t n_runs, qb_buffer *scratch);

#endif
