/* Sixteen float or int32 lanes in plain C: the portable meaning of every operation that the bodies
 * use. simd_avx2.h and simd_avx512.h say the same in instructions. Included inside a region. */
#ifndef QB_SIMD_SCALAR_H
#define QB_SIMD_SCALAR_H

#include <math.h>
#include <string.h>

#include "base/half.h"

#define QB_NAME(name) name##_scalar
#undef QB_UNROLL /* lanes are loops: unrolled around them the code grows and gains nothing */
#define QB_UNROLL(n)

typedef struct {
    float lane[16];
} vf;
typedef struct {
    int32_t lane[16];
} vi;

#define QB_LANES(expression)          \
    do {                              \
        for (int i = 0; i < 16; i++)  \
            r.lane[i] = (expression); \
    } while (0)

QB_INLINE vf vf_load(const float *p)
{
    vf r;
    memcpy(&r, p, sizeof r);
    return r;
}
QB_INLINE void vf_store(float *p, vf a) { memcpy(p, &a, sizeof a); }
QB_INLINE vf vf_set1(float a)
{
    vf r;
    QB_LANES(a);
    return r;
}
QB_INLINE vf vf_load_bf16(const uint16_t *p)
{
    vf r;
    QB_LANES(qb_bf16_to_f32(p[i]));
    return r;
}
QB_INLINE vf vf_load_f16(const uint16_t *p)
{
    vf r;
    QB_LANES(qb_f16_to_f32(p[i]));
    return r;
}
QB_INLINE vf vf_add(vf a, vf b)
{
    vf r;
    QB_LANES(a.lane[i] + b.lane[i]);
    return r;
}
QB_INLINE vf vf_sub(vf a, vf b)
{
    vf r;
    QB_LANES(a.lane[i] - b.lane[i]);
    return r;
}
QB_INLINE vf vf_mul(vf a, vf b)
{
    vf r;
    QB_LANES(a.lane[i] * b.lane[i]);
    return r;
}
QB_INLINE vf vf_div(vf a, vf b)
{
    vf r;
    QB_LANES(a.lane[i] / b.lane[i]);
    return r;
}
/* As maxps: the second operand where the first is not greater, so a NaN in b stays. */
QB_INLINE vf vf_max(vf a, vf b)
{
    vf r;
    QB_LANES(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
    return r;
}
QB_INLINE vf vf_abs(vf a)
{
    vf r;
    QB_LANES(fabsf(a.lane[i]));
    return r;
}
/* a * b + c in one rounding, on every tier. */
QB_INLINE vf vf_fma(vf a, vf b, vf c)
{
    vf r;
    QB_LANES(fmaf(a.lane[i], b.lane[i], c.lane[i]));
    return r;
}
/* a * b + c, fused where that is one instruction. */
QB_INLINE vf vf_mla(vf a, vf b, vf c)
{
    vf r;
    QB_LANES(a.lane[i] * b.lane[i] + c.lane[i]);
    return r;
}
QB_INLINE vf vf_round(vf a)
{
    vf r;
    QB_LANES(rintf(a.lane[i]));
    return r;
}
QB_INLINE vi vf_to_i32(vf a)
{
    vi r;
    QB_LANES((int32_t)a.lane[i]);
    return r;
}
QB_INLINE vf vi_to_f32(vi a)
{
    vf r;
    QB_LANES((float)a.lane[i]);
    return r;
}
QB_INLINE vi vi_bits(vf a)
{
    vi r;
    memcpy(&r, &a, sizeof r);
    return r;
}
QB_INLINE vf vf_bits(vi a)
{
    vf r;
    memcpy(&r, &a, sizeof r);
    return r;
}
QB_INLINE vi vi_set1(int32_t a)
{
    vi r;
    QB_LANES(a);
    return r;
}
QB_INLINE vi vi_load(const int32_t *p)
{
    vi r;
    memcpy(&r, p, sizeof r);
    return r;
}
QB_INLINE void vi_store(int32_t *p, vi a) { memcpy(p, &a, sizeof a); }
QB_INLINE vi vi_load_u8(const uint8_t *p)
{
    vi r;
    QB_LANES(p[i]);
    return r;
}
QB_INLINE vi vi_add(vi a, vi b)
{
    vi r;
    QB_LANES((int32_t)((uint32_t)a.lane[i] + (uint32_t)b.lane[i]));
    return r;
}
QB_INLINE vi vi_sub(vi a, vi b)
{
    vi r;
    QB_LANES((int32_t)((uint32_t)a.lane[i] - (uint32_t)b.lane[i]));
    return r;
}
QB_INLINE vi vi_mul(vi a, vi b)
{
    vi r;
    QB_LANES((int32_t)((uint32_t)a.lane[i] * (uint32_t)b.lane[i]));
    return r;
}
QB_INLINE vi vi_and(vi a, vi b)
{
    vi r;
    QB_LANES(a.lane[i] & b.lane[i]);
    return r;
}
QB_INLINE vi vi_shl(vi a, int n)
{
    vi r;
    QB_LANES((int32_t)((uint32_t)a.lane[i] << n));
    return r;
}
QB_INLINE vi vi_sar(vi a, int n)
{
    vi r;
    QB_LANES(a.lane[i] >> n);
    return r;
}
QB_INLINE vi vi_shr(vi a, int n)
{
    vi r;
    QB_LANES((int32_t)((uint32_t)a.lane[i] >> n));
    return r;
}
QB_INLINE vi vi_keep(vi a) { return a; }
/* x * 2^n, 0 for n < -126. */
QB_INLINE vf vf_scale2(vf x, vf n)
{
    const vi exponent = vf_to_i32(vf_max(n, vf_set1(-127.0f))); /* a NaN becomes the bound */
    return vf_mul(x, vf_bits(vi_shl(vi_add(exponent, vi_set1(127)), 23)));
}
/* Shifts of 16-bit lanes. */
QB_INLINE vi vi_shr16(vi a, int n)
{
    vi r;
    QB_LANES((int32_t)(((uint32_t)a.lane[i] & 0xffff0000u) >> n & 0xffff0000u) |
             (int32_t)(((uint32_t)a.lane[i] & 0xffffu) >> n));
    return r;
}
QB_INLINE vi vi_shl16(vi a, int n)
{
    vi r;
    QB_LANES((int32_t)(((uint32_t)a.lane[i] & 0xffff0000u) << n) |
             (int32_t)(((uint32_t)a.lane[i] << n) & 0xffffu));
    return r;
}
QB_INLINE vi vi_and_or(vi a, vi b, vi c)
{
    vi r;
    QB_LANES((a.lane[i] & b.lane[i]) | c.lane[i]);
    return r;
}
/* Four bytes in every lane. */
QB_INLINE vi vi_broadcast4(const uint8_t *p)
{
    int32_t four;
    memcpy(&four, p, 4);
    return vi_set1(four);
}
/* a where x < y, else b. */
QB_INLINE vf vf_select_lt(vf x, vf y, vf a, vf b)
{
    vf r;
    QB_LANES(x.lane[i] < y.lane[i] ? a.lane[i] : b.lane[i]);
    return r;
}

/* Reductions go down one fixed tree, lanes 8, 4, 2, 1 apart, on every tier. */
QB_INLINE float vf_sum(vf a)
{
    float t[16];
    vf_store(t, a);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            t[i] = t[i] + t[i + width];
    return t[0];
}

QB_INLINE float vf_max_lane(vf a)
{
    float t[16];
    vf_store(t, a);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            t[i] = t[i] > t[i + width] ? t[i] : t[i + width];
    return t[0];
}

#include "kernels/simd_tree.h"

#endif
