/* Activation quantizer with 512-bit registers; the planes are gemm_avx512.c's: hi bytes, lo bytes. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AVX512)
#include "kernels/simd_avx512.h"

QB_INLINE void store_planes(uint8_t *planes, size_t n_positions, size_t pos, vi q)
{
    __m512i hi = _mm512_srai_epi32(_mm512_add_epi32(q, _mm512_set1_epi32(128)), 8);
    __m512i lo = _mm512_sub_epi32(q, _mm512_slli_epi32(hi, 8));
    _mm_storeu_si128((void *)(planes + pos), _mm512_cvtepi32_epi8(hi));
    _mm_storeu_si128((void *)(planes + n_positions + pos), _mm512_cvtepi32_epi8(lo));
}

#include "kernels/act_body.h"
QB_ISA_END
#else
typedef int qb_empty_act_avx512;
#endif
