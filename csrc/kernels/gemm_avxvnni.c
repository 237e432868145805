/* Products with 256-bit registers and AVX-VNNI: the AVX-512 instructions in VEX encoding. {vex} and
 * registers 0 to 15 ("x") are written out, or the assembler takes the EVEX form, which a processor
 * without AVX-512 cannot run. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

QB_ISA_BEGIN(QB_TARGET_AVX2)
#define QB_NAME(name) name##_avxvnni
#include "kernels/simd_avx2.h"
#include "kernels/gemm_codes.h"

/* 6 tokens x 2 registers = 12 sums of 16 registers. */
#define QB_INT_TILE 6
/* clang-format off */
#define QB_INT_CASES(bits, form)                                                       \
    QB_CASE(bits, form, 1) QB_CASE(bits, form, 2) QB_CASE(bits, form, 3) \
    QB_CASE(bits, form, 4) QB_CASE(bits, form, 5) QB_CASE(bits, form, 6)
/* clang-format on */
#define QB_FEW_FORM QB_ACT_PLANES
#define QB_PLANES_CASES(bits) QB_CASE(bits, PLANES, 1) QB_CASE(bits, PLANES, 2)
#define QB_HALVES 1

#if defined(QB_EMULATE_AVX512) /* a build for tests: kernels/emulate_avx512.h */
QB_INLINE vi dot8(vi acc, vi codes, vi x)
{
    int32_t sums[16];
    uint8_t u[64];
    int8_t s[64];
    memcpy(sums, &acc, 64), memcpy(u, &codes, 64), memcpy(s, &x, 64);
    for (int i = 0; i < 64; i++)
        sums[i / 4] += u[i] * s[i];
    return vi_load(sums);
}
QB_INLINE vi dot16(vi acc, vi codes, vi x)
{
    return (vi){_mm256_add_epi32(acc.a, _mm256_madd_epi16(codes.a, x.a)),
                _mm256_add_epi32(acc.b, _mm256_madd_epi16(codes.b, x.b))};
}
#else
QB_INLINE vi dot8(vi acc, vi codes, vi x)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc.a) : "x"(codes.a), "x"(x.a));
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc.b) : "x"(codes.b), "x"(x.b));
    return acc;
}
QB_INLINE vi dot16(vi acc, vi codes, vi x)
{
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(acc.a) : "x"(codes.a), "x"(x.a));
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(acc.b) : "x"(codes.b), "x"(x.b));
    return acc;
}
#endif

#include "kernels/gemm_unit8.h"
#include "kernels/gemm_int_body.h"

void qb_gemm_pick_avxvnni(qb_gemm_kernels *kernels) { pick_int_avxvnni(kernels); }
QB_ISA_END
#else
typedef int qb_empty_gemm_avxvnni;
#endif
