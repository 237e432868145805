/* How long attention over a prompt takes: the figure that stands beside the machine's peaks. */
#ifndef QB_ATTENTION_TIMING_H
#define QB_ATTENTION_TIMING_H

#include "model/kv_cache.h"

/* Seconds of one layer's causal attention over a prompt of n_tokens random queries, keys and values;
 * neither the writing of the cache nor the products around it count. */
qb_status qb_time_attention(double *seconds, const qb_kernels *kernels, qb_mode mode,
                            qb_kv_format kv_format, size_t n_tokens, size_t n_heads,
                            size_t n_kv_heads, size_t dim, unsigned n_threads);

#endif
