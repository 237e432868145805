/* Row operations in plain C. */
#include "kernels/kernels.h"
#include "kernels/simd_scalar.h"

#include "kernels/vec_body.h"
