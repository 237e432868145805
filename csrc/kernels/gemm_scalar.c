/* Portable products: the meaning of every other tier. */
#include "kernels/kernels.h"
#include "kernels/simd_scalar.h"
#include "kernels/gemm_codes.h"

#define QB_INT_TILE 1
#define QB_INT_CASES(bits, form) QB_CASE(bits, form, 1)
#define QB_FEW_FORM QB_ACT_INT16
#define QB_PLANES_CASES(bits)
#define QB_HALVES 1
#define QB_FLOAT_TILE 2
#define QB_FLOAT_CASES QB_CASE(1) QB_CASE(2)

QB_INLINE vi dot16(vi acc, vi codes, vi x)
{
    for (int i = 0; i < 16; i++)
        acc.lane[i] +=
            (int16_t)codes.lane[i] * (int16_t)x.lane[i] + (codes.lane[i] >> 16) * (x.lane[i] >> 16);
    return acc;
}

QB_INLINE vi dot8(vi acc, vi codes, vi x)
{
    for (int i = 0; i < 16; i++)
        for (int shift = 0; shift < 32; shift += 8)
            acc.lane[i] += (codes.lane[i] >> shift & 255) * (int8_t)(x.lane[i] >> shift);
    return acc;
}

#include "kernels/gemm_unit8.h"
#include "kernels/gemm_int_body.h"

#include "kernels/gemm_float_body.h"

void qb_gemm_pick_scalar(qb_gemm_kernels *kernels)
{
    pick_float_scalar(kernels);
    pick_int_scalar(kernels);
}
