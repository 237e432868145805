/* Products with 256-bit registers. Without a byte product that does not saturate, 16-bit
 * activations against codes widened to 16 bits (vpmaddwd) carry full precision in one pass: 16
 * products an instruction, where two int8 planes would take two passes of 32. A dword of codes
 * (positions 0 1 2 3 of a row) gives the pairs (0, 2) by a mask and (1, 3) by a shift. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

QB_ISA_BEGIN(QB_TARGET_AVX2)
#include "kernels/simd_avx2.h"

#define QB_INT_TILE 4
#define QB_INT_CASES QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4)
#define QB_FLOAT_TILE 6
#define QB_FLOAT_CASES QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4) QB_CASE(5) QB_CASE(6)

QB_INLINE void int_tile(const int M, int32_t (*out)[QB_PANEL_ROWS], const uint8_t *codes,
                        const uint8_t *planes, size_t plane_stride, size_t n_positions, size_t pos,
                        size_t n_pos)
{
    (void)n_positions;
    const __m256i low = _mm256_set1_epi16(255);
    const uint8_t *x = planes + 2 * pos;
    for (int rows = 0; rows < QB_PANEL_ROWS; rows += 16) { /* 2 * M accumulators: 16 registers */
        __m256i acc[QB_INT_TILE][2];
        for (int m = 0; m < M; m++)
            acc[m][0] = acc[m][1] = _mm256_setzero_si256();
        for (size_t step = 0; step < n_pos / 4; step++) {
            const uint8_t *c = codes + step * QB_STEP_BYTES + 4 * rows;
            __m256i c0 = _mm256_loadu_si256((const void *)c),
                    c1 = _mm256_loadu_si256((const void *)(c + 32));
            __m256i even0 = _mm256_and_si256(c0, low), odd0 = _mm256_srli_epi16(c0, 8);
            __m256i even1 = _mm256_and_si256(c1, low), odd1 = _mm256_srli_epi16(c1, 8);
            for (int m = 0; m < M; m++) {
                int32_t pairs[2];
                memcpy(pairs, x + (size_t)m * plane_stride + 8 * step, 8);
                __m256i x_even = _mm256_set1_epi32(pairs[0]), x_odd = _mm256_set1_epi32(pairs[1]);
                acc[m][0] = _mm256_add_epi32(acc[m][0], _mm256_madd_epi16(even0, x_even));
                acc[m][1] = _mm256_add_epi32(acc[m][1], _mm256_madd_epi16(even1, x_even));
                acc[m][0] = _mm256_add_epi32(acc[m][0], _mm256_madd_epi16(odd0, x_odd));
                acc[m][1] = _mm256_add_epi32(acc[m][1], _mm256_madd_epi16(odd1, x_odd));
            }
        }
        for (int m = 0; m < M; m++) {
            _mm256_storeu_si256((void *)(out[m] + rows), acc[m][0]);
            _mm256_storeu_si256((void *)(out[m] + rows + 8), acc[m][1]);
        }
    }
}

#include "kernels/gemm_body.h"
QB_ISA_END
#else
typedef int qb_empty_gemm_avx2;
#endif
