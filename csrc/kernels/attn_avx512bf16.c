/* Attention over bf16 keys and values in mode fast: queries and weights of the softmax as bf16. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AVX512BF16)
#include "kernels/simd_avx512bf16.h"

/* 8 rows x 2 registers, 4 rows x 4 registers: 16 sums of 32 registers. */
/* clang-format off */
#define QB_QUERIES 8
#define QB_HALVES 2
#define QB_VALUE_ROWS 4
#define QB_VALUE_VECS 4
#define QB_QUERY_CASES \
    QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4) QB_CASE(5) QB_CASE(6) QB_CASE(7) QB_CASE(8)
#define QB_VALUE_CASES QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4)
#define QB_NARROW_ROWS QB_QUERIES
#define QB_NARROW_CASES QB_QUERY_CASES
/* clang-format on */
#define QB_DOT_BF16
#if defined(QB_EMULATE_AVX512)
QB_INLINE void store_bf16(uint16_t *out, vf x)
{
    float lanes[16];
    vf_store(lanes, x);
    for (int i = 0; i < 16; i++)
        out[i] = qb_f32_to_bf16(lanes[i]);
}
#else
QB_INLINE void store_bf16(uint16_t *out, vf x)
{
    _mm256_storeu_si256((void *)out, (__m256i)_mm512_cvtneps_pbh(x));
}
#endif

#include "kernels/attn_body.h"

QB_ATTN_CHUNK(attn_bf16, KV_BF16_DOT)

static void QB_NAME(pack_query)(void *out, const float *q, float scale, size_t dim)
{
    uint16_t *own = out;
    size_t d = 0;
    for (; d + 16 <= dim; d += 16)
        store_bf16(own + d, vf_mul(vf_load(q + d), vf_set1(scale)));
    for (; d < dim; d++)
        own[d] = qb_f32_to_bf16(q[d] * scale);
}

void qb_attn_pick_avx512bf16(qb_attn_kernels *kernels)
{
    kernels->of[QB_MODE_FAST][QB_KV_BF16] = (qb_attn){QB_NAME(attn_bf16), QB_NAME(pack_query)};
}
QB_ISA_END
#else
typedef int qb_empty_attn_avx512bf16;
#endif
