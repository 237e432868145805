/* Attention in plain C. */
#include "kernels/kernels.h"
#include "kernels/simd_scalar.h"

#define QB_QUERIES 2
#define QB_HALVES 1
#define QB_VALUE_ROWS 2
#define QB_VALUE_VECS 1
#define QB_QUERY_CASES QB_CASE(1) QB_CASE(2)
#define QB_VALUE_CASES QB_CASE(1) QB_CASE(2)

#define QB_NARROW_ROWS QB_VALUE_ROWS
#define QB_NARROW_CASES QB_VALUE_CASES
#include "kernels/attn_body.h"

void qb_attn_pick_scalar(qb_attn_kernels *kernels) { pick_attn_scalar(kernels); }
