/* Products with vpdpbusd: unsigned codes against the two int8 planes hi * 256 + lo of the
 * activations, both planes on one load of the codes. Planes: n_positions bytes hi, then lo. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AVX512)
#include "kernels/simd_avx512.h"

/* 6 tokens x 2 registers x 2 planes = 24 accumulators of 32 registers. */
#define QB_INT_TILE 6
#define QB_INT_CASES QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4) QB_CASE(5) QB_CASE(6)
#define QB_FLOAT_TILE 12
/* clang-format off */
#define QB_FLOAT_CASES                                                          \
    QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4) QB_CASE(5) QB_CASE(6) QB_CASE(7) \
    QB_CASE(8) QB_CASE(9) QB_CASE(10) QB_CASE(11) QB_CASE(12)
/* clang-format on */

#ifndef QB_DPBUSD
/* gcc 12 copies the accumulator around _mm512_dpbusd_epi32 in loops and loses about 30 %; this does
 * not (engines.md, headline 2). */
QB_INLINE __m512i dpbusd(__m512i acc, __m512i codes, __m512i x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(codes), "v"(x));
    return acc;
}
#define QB_DPBUSD dpbusd
#endif

QB_INLINE __m512i broadcast4(const uint8_t *p)
{
    int32_t four;
    memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
}

QB_INLINE void int_tile(const int M, int32_t (*out)[QB_PANEL_ROWS], const uint8_t *codes,
                        const uint8_t *planes, size_t plane_stride, size_t n_positions, size_t pos,
                        size_t n_pos)
{
    __m512i hi[QB_INT_TILE][2], lo[QB_INT_TILE][2];
    for (int m = 0; m < M; m++)
        hi[m][0] = hi[m][1] = lo[m][0] = lo[m][1] = _mm512_setzero_si512();
    for (size_t step = 0; step < n_pos / 4; step++) {
        const uint8_t *c = codes + step * QB_STEP_BYTES;
        __m512i c0 = _mm512_loadu_si512(c), c1 = _mm512_loadu_si512(c + 64);
        for (int m = 0; m < M; m++) {
            const uint8_t *x = planes + (size_t)m * plane_stride + pos + 4 * step;
            __m512i x_hi = broadcast4(x), x_lo = broadcast4(x + n_positions);
            hi[m][0] = QB_DPBUSD(hi[m][0], c0, x_hi);
            hi[m][1] = QB_DPBUSD(hi[m][1], c1, x_hi);
            lo[m][0] = QB_DPBUSD(lo[m][0], c0, x_lo);
            lo[m][1] = QB_DPBUSD(lo[m][1], c1, x_lo);
        }
    }
    for (int m = 0; m < M; m++)
        for (int half = 0; half < 2; half++)
            _mm512_storeu_si512(out[m] + 16 * half,
                                _mm512_add_epi32(_mm512_slli_epi32(hi[m][half], 8), lo[m][half]));
}

#include "kernels/gemm_body.h"
QB_ISA_END
#else
typedef int qb_empty_gemm_avx512;
#endif
