/* Products with 256-bit registers and no VNNI. 16-bit activations: vpmaddwd, sixteen products an
 * instruction. 8-bit activations times codes of up to 4 bits: vpmaddubsw, thirty-two; its 16-bit sums
 * hold the four steps of a unit (8 * 15 * 127 = 15,240) and are widened then. 8-bit codes would
 * saturate there, so their activations are widened to 16 bits in registers. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

QB_ISA_BEGIN(QB_TARGET_AVX2)
#include "kernels/simd_avx2.h"
#include "kernels/gemm_codes.h"

/* 6 tokens x 2 registers = 12 sums of 16 registers. */
#define QB_INT_TILE 6
/* clang-format off */
#define QB_INT_CASES(bits, form)                                                       \
    QB_CASE(bits, form, 1) QB_CASE(bits, form, 2) QB_CASE(bits, form, 3) \
    QB_CASE(bits, form, 4) QB_CASE(bits, form, 5) QB_CASE(bits, form, 6)
/* clang-format on */
#define QB_FEW_FORM QB_ACT_INT16
#define QB_PLANES_CASES(bits)
#define QB_HALVES 1
#define QB_FLOAT_TILE 6
#define QB_FLOAT_CASES QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4) QB_CASE(5) QB_CASE(6)

QB_INLINE vi dot16(vi acc, vi codes, vi x)
{
    return (vi){_mm256_add_epi32(acc.a, _mm256_madd_epi16(codes.a, x.a)),
                _mm256_add_epi32(acc.b, _mm256_madd_epi16(codes.b, x.b))};
}

QB_INLINE void unit8(const unsigned bits, const qb_act_form form, const int M,
                     vi (*c)[QB_INT_TILE][QB_HALVES], const uint8_t *unit, const int first_half,
                     const uint8_t *x)
{
    if (bits == 8) {
#pragma GCC unroll 4
        for (int step = 0; step < 4; step++) {
            const vi even = codes_of(8, 16, unit, step, first_half, 0),
                     odd = codes_of(8, 16, unit, step, first_half, 1);
#pragma GCC unroll 6
            for (int m = 0; m < M; m++) {
                const __m256i four = vi_broadcast4(x + 16 * m + 4 * step).a;
                const __m256i x1 = _mm256_srai_epi16(four, 8),
                              x0 = _mm256_srai_epi16(_mm256_slli_epi16(four, 8), 8);
                vi *sum = &c[step % n_sums(form, M)][m][0];
                *sum = dot16(*sum, even, (vi){x0, x0});
                *sum = dot16(*sum, odd, (vi){x1, x1});
            }
        }
        return;
    }
    vi part[QB_INT_TILE];
    const int lift = lift_of(bits, first_half);
    const __m256i one = _mm256_set1_epi16(bits == 4 ? (int16_t)(1 << lift) : 1);
#pragma GCC unroll 4
    for (int step = 0; step < 4; step++) {
        vi codes = codes_of(bits, 8, unit, step, first_half, 0);
        if (bits == 4) /* times 2^lift they would saturate */
            codes = shift_right(codes, lift);
#pragma GCC unroll 6
        for (int m = 0; m < M; m++) {
            const __m256i four = vi_broadcast4(x + 16 * m + 4 * step).a;
            const vi product = {_mm256_maddubs_epi16(codes.a, four),
                                _mm256_maddubs_epi16(codes.b, four)};
            part[m] = step == 0 ? product
                                : (vi){_mm256_add_epi16(part[m].a, product.a),
                                       _mm256_add_epi16(part[m].b, product.b)};
        }
    }
    for (int m = 0; m < M; m++)
        c[0][m][0] = dot16(c[0][m][0], part[m], (vi){one, one});
}

#include "kernels/gemm_int_body.h"

#include "kernels/gemm_float_body.h"

void qb_gemm_pick_avx2(qb_gemm_kernels *kernels)
{
    pick_float_avx2(kernels);
    pick_int_avx2(kernels);
}
QB_ISA_END
#else
typedef int qb_empty_gemm_avx2;
#endif
