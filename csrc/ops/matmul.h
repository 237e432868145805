/* Linear layers: activations of many tokens times packed weights. Called by every thread of a team;
 * each computes the outputs of its own panels, and no sum crosses threads. */
#ifndef QB_MATMUL_H
#define QB_MATMUL_H

#include "base/memory.h"
#include "base/threads.h"
#include "kernels/kernels.h"

/* exact: float32 activations. faithful: 16-bit activations against integer weights, sums of two
 * bf16 against f16 and bf16 weights, float32 against f32 weights. */
typedef enum { QB_MODE_EXACT, QB_MODE_FAITHFUL, QB_MODE_COUNT } qb_mode;

/* y (n_tokens, y_stride) = x times the transposed weights; y_stride >= 32 * panels. */
typedef struct {
    const qb_weights *w;
    float *y;
    size_t y_stride;
} qb_product;

/* Buffers that hold prepared activations; reserved before the team starts. */
typedef struct {
    qb_buffer planes, scales, sums, rounded;
} qb_act_buffers;

qb_status qb_act_buffers_reserve(qb_act_buffers *buffers, const qb_weights *w, size_t n_tokens);
void qb_act_buffers_destroy(qb_act_buffers *buffers);

/* Products that share the input x (n_tokens, x_stride), rows padded with zeros to 16. Each worker
 * must have written the rows of its own range (qb_worker_range over n_tokens) and nothing else is
 * assumed; returns after a barrier, when all outputs are there. */
void qb_matmul(qb_worker worker, const qb_kernels *kernels, qb_mode mode,
               const qb_product *products, size_t n_products, const float *x, size_t x_stride,
               size_t n_tokens, qb_act_buffers *buffers);

/* One panel against prepared activations, for ops that walk panels themselves. */
qb_gemm_fn qb_gemm_of(const qb_kernels *kernels, qb_mode mode, qb_format format);

/* Prepares the rows of this worker; the result is complete after the next barrier. */
qb_acts qb_acts_prepare(qb_worker worker, const qb_kernels *kernels, qb_mode mode,
                        const qb_weights *w, const float *x, size_t x_stride, size_t n_tokens,
                        qb_act_buffers *buffers);

/* The same activations, counted from `token` on. */
qb_acts qb_acts_from(qb_acts acts, const qb_grid *grid, size_t token);

#endif
