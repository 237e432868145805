/* Attention in plain C. */
#include "kernels/kernels.h"
#include "kernels/simd_scalar.h"

#include "kernels/attn_body.h"
