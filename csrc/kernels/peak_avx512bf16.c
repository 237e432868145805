/* The peak of vdpbf16ps: 32 products of bf16 each. Sixteen accumulators hide its latency. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AVX512BF16)
#include "kernels/simd_avx512bf16.h"

#ifndef QB_OPAQUE
#define QB_OPAQUE(a) __asm__ volatile("" : "+v"(a))
#endif

static float bf16_products_avx512bf16(size_t n_iterations, size_t *n_products)
{
    __m512 acc[16];
    __m512i one = _mm512_set1_epi32(0x3f803f80);
    for (int i = 0; i < 16; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (size_t n = 0; n < n_iterations; n++) {
        QB_UNROLL(16)
        for (int i = 0; i < 16; i++)
            acc[i] = dot_bf16(acc[i], one, one);
        QB_OPAQUE(one);
    }
    __m512 all = acc[0];
    for (int i = 1; i < 16; i++)
        all = _mm512_add_ps(all, acc[i]);
    float out[16];
    _mm512_storeu_ps(out, all);
    *n_products = 16 * 32 * n_iterations;
    return out[0];
}

void qb_peak_pick_avx512bf16(qb_peak_kernels *kernels)
{
    kernels->bf16_products = bf16_products_avx512bf16;
}
QB_ISA_END
#else
typedef int qb_empty_peak_avx512bf16;
#endif
