/* Integer panels times one token on processors with AMX, whose prefetchers leave a stream of weights
 * behind: the kernel of avx512, with fetches ahead (two threads of Sapphire Rapids, in turns: 4 bits 18 to
 * 24 GB/s, 3 bits 14 to 23, 2 bits 12 to 21, 8 bits 20 to 26). */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AVX512)
#define QB_NAME(name) name##_one_amx
#include "kernels/simd_avx512.h"
#include "kernels/gemm_codes.h"

#define QB_FETCH_FROM 1
#define QB_INT_TILE 1
#define QB_INT_CASES(bits, form) QB_CASE(bits, form, 1)
#define QB_FEW_FORM QB_ACT_PLANES
#define QB_PLANES_CASES(bits) QB_CASE(bits, PLANES, 1)
#define QB_HALVES 2

#if defined(QB_EMULATE_AVX512)
#define dot8 emulated_dpbusd_epi32
#define dot16 emulated_dpwssd_epi32
#else
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

void qb_gemm_pick_amx_one(qb_gemm_kernels *kernels)
{
    qb_gemm_kernels own = {0};
    QB_NAME(pick_int)(&own);
    for (int mode = 0; mode < QB_MODE_COUNT; mode++)
        for (int f = 0; f < QB_FORMAT_COUNT; f++)
            kernels->of[mode][f].one_fn = own.of[mode][f].fn;
}
QB_ISA_END
#else
typedef int qb_empty_gemm_amx_one;
#endif
