/* Activations with 512-bit registers. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AVX512)
#include "kernels/simd_avx512.h"

QB_INLINE void store_int16(uint8_t *out, vi q)
{
    const __m256i words = _mm512_cvtepi32_epi16(q);
    _mm256_storeu_si256((void *)out,
                        _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xd8), 0xd8));
}
QB_INLINE void store_int8(uint8_t *out, vi q)
{
    _mm_storeu_si128((void *)out, _mm512_cvtepi32_epi8(q));
}
QB_INLINE void store_high(uint8_t *out, vi q)
{
    _mm256_storeu_si256((void *)out, _mm512_cvtepi32_epi16(_mm512_srli_epi32(q, 16)));
}

#include "kernels/act_body.h"
QB_ISA_END
#else
typedef int qb_empty_act_avx512;
#endif
