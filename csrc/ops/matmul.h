/* Linear layers: activations of many tokens times packed weights. Called by every thread of a team;
 * each computes the outputs of its own tokens or of its own panels, and no sum crosses threads. */
#ifndef QB_MATMUL_H
#define QB_MATMUL_H

#include "base/memory.h"
#include "base/threads.h"
#include "kernels/kernels.h"

/* From one row of n activations to the next: whole panels, and one cache line more, so that a column of
 * rows does not fall into one set of a cache (128 inputs to 704 outputs on two threads: 141 GMAC/s
 * instead of 118 each, to 4,096 outputs: 155 instead of 108). */
QB_INLINE size_t qb_row_stride(size_t n)
{
    return qb_round_up(n, QB_PANEL_ROWS) + QB_ALIGN / sizeof(float);
}

/* y (n_tokens, y_stride) = x times the transposed weights; y_stride >= 32 * panels. */
typedef struct {
    const qb_weights *w;
    float *y;
    size_t y_stride;
} qb_product;

/* The rows of an input, padded with zeros to 16 columns: as they lie, or made one by one (a norm, a
 * gate), so that a row is quantized while it is in the first-level cache. `make` may be called more
 * than once for a row. */
typedef struct {
    const float *x; /* (n_tokens, x_stride), or NULL */
    size_t x_stride;
    void (*make)(const void *context, float *out, size_t token);
    const void *context;
} qb_rows;

/* Buffers that hold prepared activations; reserved before the team starts. The sizes are those of
 * the widest input: where workers are not at the same product, each still has a part of its own. */
typedef struct {
    qb_buffer units, scales, sums, rows, scratch;
    size_t unit_bytes, n_blocks, n_segments, row_length; /* of one token */
} qb_act_buffers;

/* Tokens [begin, end) of a batch. */
typedef struct {
    size_t begin, end;
} qb_span;

qb_status qb_act_buffers_reserve(qb_act_buffers *buffers, const qb_weights *w, size_t n_tokens,
                                 unsigned n_threads);
void qb_act_buffers_destroy(qb_act_buffers *buffers);

/* Products that share an input. Each worker must have written what the rows of its own range
 * (qb_worker_range over n_tokens) are made from, and nothing else is assumed; returns when the
 * outputs of that range are there. */
void qb_matmul(qb_worker worker, const qb_kernels *kernels, qb_mode mode,
               const qb_product *products, size_t n_products, qb_rows rows, size_t n_tokens,
               qb_act_buffers *buffers);

/* One panel against prepared activations, for ops that walk panels themselves. */
const qb_gemm *qb_gemm_of(const qb_kernels *kernels, qb_mode mode, const qb_weights *w);

/* The form that it reads of n_tokens. */
qb_act_form qb_gemm_form(const qb_gemm *gemm, size_t n_tokens);

/* Prepares this worker's `own` rows among those of `batch`; the result, which counts tokens from the
 * first of the batch, is complete when all of them are. */
qb_acts qb_acts_prepare(qb_worker worker, const qb_kernels *kernels, qb_act_form form,
                        const qb_grid *grid, qb_rows rows, qb_span batch, qb_span own,
                        qb_act_buffers *buffers);

#endif
