/* The peak of this tier. Integer: vpdpbusd: 64 products of bytes each. Twelve accumulators
 * hide the latency; they start from different values, or the compiler would merge them. The operands
 * are made opaque and not memory, which would send the accumulators there and back. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AVX512)

#ifndef QB_OPAQUE
#define QB_OPAQUE(a) __asm__ volatile("" : "+v"(a))
#endif

#ifndef QB_DPBUSD
QB_INLINE __m512i dpbusd_peak(__m512i acc, __m512i a, __m512i b)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
}
#define QB_DPBUSD dpbusd_peak
#endif

static uint32_t int_products_avx512(size_t n_iterations, size_t *n_products)
{
    __m512i acc[12], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(1);
    for (int i = 0; i < 12; i++)
        acc[i] = _mm512_set1_epi32(i);
    for (size_t n = 0; n < n_iterations; n++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++)
            acc[i] = QB_DPBUSD(acc[i], a, b);
        QB_OPAQUE(a);
        QB_OPAQUE(b);
    }
    __m512i all = acc[0];
    for (int i = 1; i < 12; i++)
        all = _mm512_xor_si512(all, acc[i]);
    uint32_t out[512 / 32];
    _mm512_storeu_si512((void *)out, all);
    *n_products = 12 * 64 * n_iterations;
    return out[0];
}

static float float_products_avx512(size_t n_iterations, size_t *n_products)
{
    __m512 acc[12], a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1.0f);
    for (int i = 0; i < 12; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (size_t n = 0; n < n_iterations; n++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++)
            acc[i] = _mm512_fmadd_ps(acc[i], a, b);
        QB_OPAQUE(a);
        QB_OPAQUE(b);
    }
    __m512 all = acc[0];
    for (int i = 1; i < 12; i++)
        all = _mm512_add_ps(all, acc[i]);
    float out[16];
    _mm512_storeu_ps(out, all);
    *n_products = 12 * 16 * n_iterations;
    return out[0];
}

static uint32_t read_avx512(const uint8_t *lines, size_t n_lines)
{
    __m512i sums[4];
    for (int i = 0; i < 4; i++)
        sums[i] = _mm512_setzero_si512();
    for (size_t i = 0; i < n_lines; i++)
        sums[i % 4] = _mm512_xor_si512(sums[i % 4], _mm512_loadu_si512(lines + 64 * i));
    uint32_t out[16];
    _mm512_storeu_si512((void *)out, _mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]),
                                                      _mm512_xor_si512(sums[2], sums[3])));
    return out[0];
}

void qb_peak_pick_avx512(qb_peak_kernels *kernels)
{
    *kernels = (qb_peak_kernels){int_products_avx512, float_products_avx512, NULL, read_avx512};
}
QB_ISA_END
#else
typedef int qb_empty_peak_avx512;
#endif
