/* A decoder-only transformer over packed weights: one forward of a packed batch, one team region.
 *
 * A batch is a list of runs, each the next tokens of one sequence in the cache, packed without
 * padding: row = token. Scored rows are reduced by the head. The weights are borrowed. */
#ifndef QB_DECODER_H
#define QB_DECODER_H

#include "model/kv_cache.h"
#include "ops/head.h"

typedef struct {
    size_t n_layers, hidden, intermediate, n_heads, n_kv_heads, dim, n_vocab, context;
    float norm_eps;
    const float *inverse_frequency; /* (dim / 2,) */
    qb_mode mode;
} qb_decoder_spec;

typedef struct {
    const float *attn_norm, *mlp_norm; /* (hidden,) */
    const qb_weights *q, *k, *v, *o, *gate, *up, *down;
} qb_layer;

typedef struct {
    const qb_weights *embedding; /* float format, (n_vocab, hidden) */
    const qb_weights *head;      /* (n_vocab, hidden); may be the embedding */
    const float *final_norm;
    const qb_layer *layers; /* (n_layers,), copied */
} qb_decoder_weights;

typedef struct qb_decoder qb_decoder;

/* Checks every shape. Norm weights are copied. */
qb_status qb_decoder_create(qb_decoder **out, const qb_decoder_spec *spec,
                            const qb_decoder_weights *weights, const qb_kernels *kernels);
void qb_decoder_free(qb_decoder *decoder);
const qb_decoder_spec *qb_decoder_get_spec(const qb_decoder *decoder);

typedef struct {
    uint32_t sequence;
    size_t n_tokens;
} qb_batch_run;

typedef struct {
    const qb_batch_run *runs;
    size_t n_runs;
    const int32_t *tokens; /* (n_tokens,), runs one after another */
    size_t n_tokens;
    const int32_t *rows; /* (scored.n_rows,), rows of the batch to score */
    qb_scored scored;
    int32_t *bad_layer; /* (scored.n_rows,) or NULL: first layer with a non-finite hidden state, or
                           -1; n_layers stands for the final norm */
} qb_batch;

/* Runs the batch and appends it to the cache. On failure (QB_ERR_CANCELLED included) the sequences
 * are as they were. Errors: RANGE (an id, a row, or a sequence that would exceed the context),
 * CAPACITY (cache pages), NOMEM. */
qb_status qb_decoder_forward(qb_decoder *decoder, qb_kv_cache *cache, const qb_batch *batch,
                             unsigned n_threads, qb_poll_fn poll, void *poll_context);

#endif
