/* The lanes of simd_avx512.h, and the product of bf16 that this tier adds. */
#ifndef QB_SIMD_AVX512BF16_H
#define QB_SIMD_AVX512BF16_H

#ifndef QB_NAME
#define QB_NAME(name) name##_avx512bf16
#endif
#include "kernels/simd_avx512.h"

/* acc + two products a lane, summed in float32; subnormal numbers count as zero. */
#if defined(QB_EMULATE_AVX512)
#define dot_bf16 emulated_dpbf16_ps
#else
QB_INLINE vf dot_bf16(vf acc, vi a, vi b)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
}
#endif

#endif
