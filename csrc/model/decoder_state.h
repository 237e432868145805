/* What the files of the decoder share: its state, and one call of it. */
#ifndef QB_DECODER_STATE_H
#define QB_DECODER_STATE_H

#include "model/decoder.h"
#include "ops/rotary.h"

enum { QB_MAX_THREADS = 256 };

/* From one token's row to the next, padded so that a row may be read in whole vectors. */
typedef struct {
    size_t hidden, q, k, v, attn, wide, kv_a, kv_b, router;
} qb_strides;

struct qb_decoder {
    qb_decoder_spec spec;
    qb_decoder_weights weights;
    qb_kernels kernels;
    qb_layer *layers;
    float *vectors;      /* all of them, padded with zeros */
    qb_rotary *rotaries; /* (n_sets, n_rotations) */
    size_t n_rotations, n_sets;
    qb_strides stride;
    /* Reused from call to call. */
    qb_buffer x, q, k, v, attn, gate, up, out, kv_a, kv_b, first_bad, runs;
    qb_buffer attn_out;                        /* of parallel layers */
    qb_buffer router, shared_gate, expert_out; /* of mixtures */
    qb_buffer chosen, chosen_weight, expert_end, expert_tokens, expert_weights;
    qb_act_buffers acts;
    qb_head_buffers head;
    qb_buffer attn_scratch[QB_MAX_THREADS], head_scratch[QB_MAX_THREADS];
};

typedef struct {
    qb_decoder *d;
    qb_kv_cache *cache;
    const qb_batch *batch;
} qb_forward_call;

/* The rows that a product reads: the norm of rows of x. */
typedef struct {
    const qb_forward_call *call;
    const float *weight, *bias; /* weight NULL: no norm */
    int32_t layer;              /* remembered where a row first was not finite; -1: it is not */
    const uint32_t *tokens;     /* which rows of x, or NULL: all */
} qb_norm_source;

void qb_make_normed(const void *context, float *out, size_t index);

/* The gate of a feed-forward layer times its other half, from the buffers of the decoder. */
typedef struct {
    const qb_decoder *d;
    size_t n; /* values of a row */
    bool gated;
} qb_gate_source;

void qb_make_gated(const void *context, float *out, size_t index);

/* out (n,) = the norm of x; returns a sum that is finite if x is. */
float qb_norm_row(const qb_decoder *d, float *out, const float *x, const float *weight,
                  const float *bias, size_t n);

/* Adds `bias` (or nothing, if NULL) to rows [begin, end). */
void qb_add_bias(const qb_decoder *d, float *rows, size_t stride, const float *bias, size_t n,
                 size_t begin, size_t end);

/* One layer of a worker's part; complete for its own range of tokens. */
void qb_run_layer(qb_worker worker, const qb_forward_call *call, size_t layer);

/* The mixture of a layer: adds its experts' outputs to the rows of d->out, which hold what the shared
 * expert gave, if there is one. Complete after its last barrier. */
void qb_run_experts(qb_worker worker, const qb_forward_call *call, size_t layer);
qb_status qb_reserve_experts(qb_decoder *decoder, size_t n_tokens, unsigned n_threads);

#endif
