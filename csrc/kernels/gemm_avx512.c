/* Products with vpdpwssd (codes widened to 16 bits times 16-bit activations, two products a lane) and
 * vpdpbusd (unsigned codes times 8-bit activations, four products a lane). */
/* Registers are allocated for a function as one region, not by loops: half the copies of sums in tiles
 * of 8. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("ira-region=one")
#endif
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AVX512)
#include "kernels/simd_avx512.h"
#include "kernels/gemm_codes.h"

/* 8 tokens x 2 registers = 16 sums of 32 registers. */
#define QB_INT_TILE 8
/* clang-format off */
#define QB_INT_CASES(bits, form)                                                       \
    QB_CASE(bits, form, 1) QB_CASE(bits, form, 2) QB_CASE(bits, form, 3) QB_CASE(bits, form, 4) \
    QB_CASE(bits, form, 5) QB_CASE(bits, form, 6) QB_CASE(bits, form, 7) QB_CASE(bits, form, 8)
#define QB_FEW_FORM QB_ACT_PLANES
#define QB_PLANES_CASES(bits) QB_CASE(bits, PLANES, 1) QB_CASE(bits, PLANES, 2)
#define QB_HALVES 2
#define QB_FLOAT_TILE 12
#define QB_FLOAT_CASES                                                          \
    QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4) QB_CASE(5) QB_CASE(6) QB_CASE(7) \
    QB_CASE(8) QB_CASE(9) QB_CASE(10) QB_CASE(11) QB_CASE(12)
/* clang-format on */

#if defined(QB_EMULATE_AVX512)
#define dot8 emulated_dpbusd_epi32
#define dot16 emulated_dpwssd_epi32
#else
/* gcc 12 copies the accumulator around the intrinsics in loops and loses about 30 %; this does not
 * (engines.md, headline 2). */
QB_INLINE vi dot8(vi acc, vi codes, vi x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(codes), "v"(x));
    return acc;
}
QB_INLINE vi dot16(vi acc, vi codes, vi x)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(codes), "v"(x));
    return acc;
}
#endif

#include "kernels/gemm_unit8.h"
#include "kernels/gemm_int_body.h"

#include "kernels/gemm_float_body.h"

void qb_gemm_pick_avx512(qb_gemm_kernels *kernels)
{
    pick_float_avx512(kernels);
    pick_int_avx512(kernels);
}
QB_ISA_END
#else
typedef int qb_empty_gemm_avx512;
#endif
