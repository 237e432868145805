/* A decoder-only transformer over packed weights: one forward of a packed batch, one team region.
 *
 * A batch is a list of runs, each the next tokens of one sequence in the cache, packed without
 * padding: row = token. Scored rows are reduced by the head. The matrices are borrowed. */
#ifndef QB_DECODER_H
#define QB_DECODER_H

#include "model/kv_cache.h"
#include "model/weights.h"
#include "ops/head.h"

typedef struct qb_decoder qb_decoder;

/* Inverse frequencies of a rotation, (rotary_dim / 2,), and the factor of its cosines and sines. */
typedef struct {
    const float *inverse_frequency;
    float factor;
} qb_rotation;

/* Checks every shape. Vectors and frequencies are copied. The first set of rotations has n_rotations,
 * as every other one will; layers name one of them. */
qb_status qb_decoder_create(qb_decoder **out, const qb_decoder_spec *spec,
                            const qb_decoder_weights *weights, const qb_rotation *rotations,
                            size_t n_rotations, const qb_kernels *kernels);
void qb_decoder_free(qb_decoder *decoder);
const qb_decoder_spec *qb_decoder_get_spec(const qb_decoder *decoder);
size_t qb_decoder_n_rotations(const qb_decoder *decoder);

/* Another set, for sequences whose length asks for it (dynamic scaling), under a number by which
 * sequences of the cache name it: the next new one, or one that no sequence uses any more. */
qb_status qb_decoder_set_rotations(qb_decoder *decoder, uint32_t set, const qb_rotation *rotations);

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
 * are as they were. Errors: RANGE (an id, a row, a rotation, or a sequence that would exceed the
 * context), CAPACITY (cache pages), NOMEM. */
qb_status qb_decoder_forward(qb_decoder *decoder, qb_kv_cache *cache, const qb_batch *batch,
                             unsigned n_threads, qb_poll_fn poll, void *poll_context);

#endif
