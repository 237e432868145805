/* Activations with 256-bit registers. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

QB_ISA_BEGIN(QB_TARGET_AVX2)
#include "kernels/simd_avx2.h"

/* Sixteen 16-bit values. packs works within 128-bit halves: a0-3 b0-3 | a4-7 b4-7; quadwords are put
 * in order. */
QB_INLINE __m256i words_of(vi q)
{
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(q.a, q.b), 0xd8);
}
QB_INLINE void store_int16(uint8_t *out, vi q)
{
    const __m256i swapped = _mm256_shufflelo_epi16(words_of(q), 0xd8);
    _mm256_storeu_si256((void *)out, _mm256_shufflehi_epi16(swapped, 0xd8));
}
QB_INLINE void store_int8(uint8_t *out, vi q)
{
    const __m256i words = words_of(q);
    _mm_storeu_si128((void *)out, _mm_packs_epi16(_mm256_castsi256_si128(words),
                                                  _mm256_extracti128_si256(words, 1)));
}
QB_INLINE void store_high(uint8_t *out, vi q)
{
    const vi high = {_mm256_srai_epi32(q.a, 16), _mm256_srai_epi32(q.b, 16)};
    _mm256_storeu_si256((void *)out, words_of(high));
}

#include "kernels/act_body.h"
QB_ISA_END
#else
typedef int qb_empty_act_avx2;
#endif
