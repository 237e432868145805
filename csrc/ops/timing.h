/* How long products take: the figure that stands beside the peaks of the machine. */
#ifndef QB_TIMING_H
#define QB_TIMING_H

#include "ops/matmul.h"

/* Matrices that read the same input. */
typedef struct {
    const qb_weights *const *weights;
    size_t n_weights;
} qb_timed_group;

/* Seconds of one pass over all groups with n_tokens random activations, their quantization and the
 * barriers included; all weights together should exceed the caches. */
qb_status qb_time_products(double *seconds, const qb_kernels *kernels, qb_mode mode,
                           const qb_timed_group *groups, size_t n_groups, size_t n_tokens,
                           unsigned n_threads);

#endif
