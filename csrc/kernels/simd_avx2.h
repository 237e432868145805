/* Sixteen lanes as two 256-bit registers; see simd_scalar.h for the meaning of each operation. */
#ifndef QB_SIMD_AVX2_H
#define QB_SIMD_AVX2_H

#ifndef QB_NAME
#define QB_NAME(name) name##_avx2
#endif

typedef struct {
    __m256 a, b;
} vf;
typedef struct {
    __m256i a, b;
} vi;

QB_INLINE vf vf_load(const float *p) { return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
QB_INLINE void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
QB_INLINE vf vf_set1(float x) { return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
QB_INLINE __m256 widen_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
}
QB_INLINE vf vf_load_bf16(const uint16_t *p) { return (vf){widen_bf16(p), widen_bf16(p + 8)}; }
QB_INLINE vf vf_load_f16(const uint16_t *p)
{
    return (vf){_mm256_cvtph_ps(_mm_loadu_si128((const void *)p)),
                _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 8)))};
}
QB_INLINE vf vf_add(vf x, vf y) { return (vf){_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
QB_INLINE vf vf_sub(vf x, vf y) { return (vf){_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
QB_INLINE vf vf_mul(vf x, vf y) { return (vf){_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
QB_INLINE vf vf_div(vf x, vf y) { return (vf){_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
QB_INLINE vf vf_max(vf x, vf y) { return (vf){_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
QB_INLINE vf vf_fma(vf x, vf y, vf z)
{
    return (vf){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
QB_INLINE vf vf_mla(vf x, vf y, vf z) { return vf_fma(x, y, z); }
QB_INLINE vf vf_round(vf x) { return (vf){_mm256_round_ps(x.a, 8), _mm256_round_ps(x.b, 8)}; }
QB_INLINE vi vf_to_i32(vf x) { return (vi){_mm256_cvttps_epi32(x.a), _mm256_cvttps_epi32(x.b)}; }
QB_INLINE vf vi_to_f32(vi x) { return (vf){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
QB_INLINE vi vi_bits(vf x) { return (vi){_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
QB_INLINE vf vf_bits(vi x) { return (vf){_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
QB_INLINE vi vi_set1(int32_t x) { return (vi){_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
QB_INLINE vi vi_load(const int32_t *p)
{
    return (vi){_mm256_loadu_si256((const void *)p), _mm256_loadu_si256((const void *)(p + 8))};
}
QB_INLINE void vi_store(int32_t *p, vi x)
{
    _mm256_storeu_si256((void *)p, x.a);
    _mm256_storeu_si256((void *)(p + 8), x.b);
}
QB_INLINE vi vi_load_u8(const uint8_t *p)
{
    return (vi){_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p)),
                _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(p + 8)))};
}
QB_INLINE vi vi_add(vi x, vi y)
{
    return (vi){_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
QB_INLINE vi vi_sub(vi x, vi y)
{
    return (vi){_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)};
}
QB_INLINE vi vi_mul(vi x, vi y)
{
    return (vi){_mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b)};
}
QB_INLINE vi vi_and(vi x, vi y)
{
    return (vi){_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)};
}
QB_INLINE vi vi_shl(vi x, int n)
{
    return (vi){_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)};
}
QB_INLINE vi vi_sar(vi x, int n)
{
    return (vi){_mm256_srai_epi32(x.a, n), _mm256_srai_epi32(x.b, n)};
}
QB_INLINE vi vi_shr(vi x, int n)
{
    return (vi){_mm256_srli_epi32(x.a, n), _mm256_srli_epi32(x.b, n)};
}
QB_INLINE vi vi_keep(vi x) { return x; }
/* x * 2^n, 0 for n < -126. */
QB_INLINE vf vf_scale2(vf x, vf n)
{
    const vi exponent = vf_to_i32(vf_max(n, vf_set1(-127.0f))); /* a NaN becomes the bound */
    return vf_mul(x, vf_bits(vi_shl(vi_add(exponent, vi_set1(127)), 23)));
}
QB_INLINE vi vi_shr16(vi x, int n)
{
    return (vi){_mm256_srli_epi16(x.a, n), _mm256_srli_epi16(x.b, n)};
}
QB_INLINE vi vi_shl16(vi x, int n)
{
    return (vi){_mm256_slli_epi16(x.a, n), _mm256_slli_epi16(x.b, n)};
}
QB_INLINE vi vi_and_or(vi x, vi y, vi z)
{
    return (vi){_mm256_or_si256(_mm256_and_si256(x.a, y.a), z.a),
                _mm256_or_si256(_mm256_and_si256(x.b, y.b), z.b)};
}
QB_INLINE vi vi_broadcast4(const uint8_t *p)
{
    int32_t four;
    memcpy(&four, p, 4);
    const __m256i all = _mm256_set1_epi32(four);
    return (vi){all, all};
}
QB_INLINE vf vf_select_lt(vf x, vf y, vf u, vf v)
{
    return (vf){_mm256_blendv_ps(v.a, u.a, _mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ)),
                _mm256_blendv_ps(v.b, u.b, _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ))};
}
QB_INLINE vf vf_abs(vf x) { return vf_bits(vi_and(vi_bits(x), vi_set1(0x7fffffff))); }

/* The tree of simd_scalar.h: halves of sixteen, of eight, of four, of two. */
QB_INLINE float vf_sum(vf x)
{
    const __m256 eight = _mm256_add_ps(x.a, x.b);
    __m128 v = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}
QB_INLINE float vf_max_lane(vf x)
{
    const __m256 eight = _mm256_max_ps(x.a, x.b);
    __m128 v = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(v, _mm_shuffle_ps(v, v, 1)));
}

#include "kernels/simd_tree.h"

#endif
