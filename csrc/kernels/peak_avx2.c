/* The peak of this tier. Integer: vpmaddwd and vpaddd: 16 products of 16 bits each. Twelve accumulators
 * hide the latency; they start from different values, or the compiler would merge them. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>

#include "kernels/kernels.h"

QB_ISA_BEGIN(QB_TARGET_AVX2)

static uint32_t int_products_avx2(size_t n_iterations, size_t *n_products)
{
    __m256i acc[12], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(1);
    for (int i = 0; i < 12; i++)
        acc[i] = _mm256_set1_epi32(i);
    for (size_t n = 0; n < n_iterations; n++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++)
            acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(a, b));
        __asm__ volatile("" : "+x"(a), "+x"(b));
    }
    __m256i all = acc[0];
    for (int i = 1; i < 12; i++)
        all = _mm256_xor_si256(all, acc[i]);
    uint32_t out[256 / 32];
    _mm256_storeu_si256((void *)out, all);
    *n_products = 12 * 16 * n_iterations;
    return out[0];
}

static float float_products_avx2(size_t n_iterations, size_t *n_products)
{
    __m256 acc[12], a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1.0f);
    for (int i = 0; i < 12; i++)
        acc[i] = _mm256_set1_ps((float)i);
    for (size_t n = 0; n < n_iterations; n++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++)
            acc[i] = _mm256_fmadd_ps(acc[i], a, b);
        __asm__ volatile("" : "+x"(a), "+x"(b));
    }
    __m256 all = acc[0];
    for (int i = 1; i < 12; i++)
        all = _mm256_add_ps(all, acc[i]);
    float out[8];
    _mm256_storeu_ps(out, all);
    *n_products = 12 * 8 * n_iterations;
    return out[0];
}

static uint32_t read_avx2(const uint8_t *lines, size_t n_lines)
{
    __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                       _mm256_setzero_si256()};
    for (size_t i = 0; i < 2 * n_lines; i++)
        sums[i % 4] =
            _mm256_xor_si256(sums[i % 4], _mm256_load_si256((const void *)(lines + 32 * i)));
    uint32_t out[8];
    _mm256_storeu_si256((void *)out, _mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]),
                                                      _mm256_xor_si256(sums[2], sums[3])));
    return out[0];
}

void qb_peak_pick_avx2(qb_peak_kernels *kernels)
{
    *kernels = (qb_peak_kernels){int_products_avx2, float_products_avx2, NULL, read_avx2};
}
QB_ISA_END
#else
typedef int qb_empty_peak_avx2;
#endif
