/* Sixteen lanes as one 512-bit register; see simd_scalar.h for the meaning of each operation. */
#ifndef QB_SIMD_AVX512_H
#define QB_SIMD_AVX512_H

#ifndef QB_NAME
#define QB_NAME(name) name##_avx512
#endif

typedef __m512 vf;
typedef __m512i vi;

QB_INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
QB_INLINE void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
QB_INLINE vf vf_set1(float x) { return _mm512_set1_ps(x); }
QB_INLINE vf vf_load_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
}
QB_INLINE vf vf_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}
QB_INLINE vf vf_add(vf x, vf y) { return _mm512_add_ps(x, y); }
QB_INLINE vf vf_sub(vf x, vf y) { return _mm512_sub_ps(x, y); }
QB_INLINE vf vf_mul(vf x, vf y) { return _mm512_mul_ps(x, y); }
QB_INLINE vf vf_div(vf x, vf y) { return _mm512_div_ps(x, y); }
QB_INLINE vf vf_max(vf x, vf y) { return _mm512_max_ps(x, y); }
QB_INLINE vf vf_fma(vf x, vf y, vf z) { return _mm512_fmadd_ps(x, y, z); }
QB_INLINE vf vf_mla(vf x, vf y, vf z) { return _mm512_fmadd_ps(x, y, z); }
QB_INLINE vf vf_round(vf x) { return _mm512_roundscale_ps(x, 8); }
QB_INLINE vi vf_to_i32(vf x) { return _mm512_cvttps_epi32(x); }
QB_INLINE vf vi_to_f32(vi x) { return _mm512_cvtepi32_ps(x); }
QB_INLINE vi vi_bits(vf x) { return _mm512_castps_si512(x); }
QB_INLINE vf vf_bits(vi x) { return _mm512_castsi512_ps(x); }
QB_INLINE vi vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
QB_INLINE vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
QB_INLINE void vi_store(int32_t *p, vi x) { _mm512_storeu_si512(p, x); }
QB_INLINE vi vi_load_u8(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p));
}
QB_INLINE vi vi_add(vi x, vi y) { return _mm512_add_epi32(x, y); }
QB_INLINE vi vi_sub(vi x, vi y) { return _mm512_sub_epi32(x, y); }
QB_INLINE vi vi_mul(vi x, vi y) { return _mm512_mullo_epi32(x, y); }
QB_INLINE vi vi_and(vi x, vi y) { return _mm512_and_si512(x, y); }
QB_INLINE vi vi_shl(vi x, int n) { return _mm512_slli_epi32(x, (unsigned)n); }
QB_INLINE vi vi_sar(vi x, int n) { return _mm512_srai_epi32(x, (unsigned)n); }
QB_INLINE vi vi_shr(vi x, int n) { return _mm512_srli_epi32(x, (unsigned)n); }
/* Left to itself gcc reads memory again for each use of a vector, and loads of 64 bytes have one port. */
QB_INLINE vi vi_keep(vi x)
{
#if !defined(QB_EMULATE_AVX512)
    __asm__("" : "+v"(x));
#endif
    return x;
}
/* x * 2^n. */
QB_INLINE vf vf_scale2(vf x, vf n) { return _mm512_scalef_ps(x, n); }
QB_INLINE vi vi_shr16(vi x, int n) { return _mm512_srli_epi16(x, (uint8_t)n); }
QB_INLINE vi vi_shl16(vi x, int n) { return _mm512_slli_epi16(x, (uint8_t)n); }
/* x & y | z */
QB_INLINE vi vi_and_or(vi x, vi y, vi z) { return _mm512_ternarylogic_epi32(z, x, y, 0xf8); }
QB_INLINE vi vi_broadcast4(const uint8_t *p)
{
    int32_t four;
    memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
}
QB_INLINE vf vf_select_lt(vf x, vf y, vf u, vf v)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), v, u);
}
QB_INLINE vf vf_abs(vf x)
{
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff)));
}

/* The tree of simd_scalar.h: halves of sixteen, of eight, of four, of two. */
QB_INLINE float vf_sum(vf x)
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 v = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}
QB_INLINE float vf_max_lane(vf x)
{
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 v = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(v, _mm_shuffle_ps(v, v, 1)));
}

#include "kernels/simd_tree.h"

#endif
