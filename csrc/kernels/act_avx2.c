/* Activation quantizer with 256-bit registers; the order of the planes is gemm_avx2.c's. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

QB_ISA_BEGIN(QB_TARGET_AVX2)
#include "kernels/simd_avx2.h"

QB_INLINE void store_planes(uint8_t *planes, size_t n_positions, size_t pos, vi q)
{
    (void)n_positions;
    /* packs works within 128-bit halves: a0-3 b0-3 | a4-7 b4-7; put the quadwords in order, then
     * swap positions 1 and 2 of each four. */
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(q.a, q.b), 0xd8);
    packed = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(packed, 0xd8), 0xd8);
    _mm256_storeu_si256((void *)(planes + 2 * pos), packed);
}

#include "kernels/act_body.h"
QB_ISA_END
#else
typedef int qb_empty_act_avx2;
#endif
