/* The avx512 tier on a processor that lacks it, for tests: with QB_EMULATE_AVX512 the tier's files
 * are compiled for AVX2 and every intrinsic they use is the loop below, written from Intel's
 * description of the instruction. Logic, layouts and orders of summation of the tier are then tested
 * anywhere; its speed and its encoding are not. Never part of a released build. */
#ifndef QB_EMULATE_AVX512_H
#define QB_EMULATE_AVX512_H
#if defined(QB_EMULATE_AVX512)

#include <math.h>
#include <string.h>

#undef QB_TARGET_AVX512
#define QB_TARGET_AVX512 QB_TARGET_AVX2
#undef QB_TARGET_AVX512BF16
#define QB_TARGET_AVX512BF16 QB_TARGET_AVX2
#undef QB_TARGET_AMX
#define QB_TARGET_AMX QB_TARGET_AVX2
#undef QB_UNROLL /* lanes are loops */
#define QB_UNROLL(n)
#define QB_OPAQUE(a) __asm__ volatile("" ::"r"(&(a)) : "memory")
#pragma GCC diagnostic ignored "-Wpsabi"

typedef union {
    __m512 ps;
    __m512i si;
    float f[16];
    int32_t i[16];
    uint32_t u[16];
    uint8_t b[64];
    int8_t s[64];
    uint16_t h[32];
    __m256 ps256[2];
    __m256i si256;
    __m128i si128;
} emulated;

#define EMULATE(type, name, parameters, member, expression) \
    QB_INLINE type emulated_##name parameters               \
    {                                                       \
        emulated r;                                         \
        for (int n = 0; n < 16; n++)                        \
            r.expression;                                   \
        return r.member;                                    \
    }
#define F(x) (((emulated){.ps = (x)}).f[n])
#define I(x) (((emulated){.si = (x)}).i[n])
#define U(x) (((emulated){.si = (x)}).u[n])

EMULATE(__m512, add_ps, (__m512 a, __m512 b), ps, f[n] = F(a) + F(b))
EMULATE(__m512, sub_ps, (__m512 a, __m512 b), ps, f[n] = F(a) - F(b))
EMULATE(__m512, mul_ps, (__m512 a, __m512 b), ps, f[n] = F(a) * F(b))
EMULATE(__m512, div_ps, (__m512 a, __m512 b), ps, f[n] = F(a) / F(b))
EMULATE(__m512, max_ps, (__m512 a, __m512 b), ps, f[n] = F(a) > F(b) ? F(a) : F(b))
EMULATE(__m512, fmadd_ps, (__m512 a, __m512 b, __m512 c), ps, f[n] = fmaf(F(a), F(b), F(c)))
EMULATE(__m512, scalef_ps, (__m512 a, __m512 b), ps, f[n] = ldexpf(F(a), (int)fmaxf(F(b), -1e4f)))
EMULATE(__m512, set1_ps, (float a), ps, f[n] = a)
EMULATE(__m512, roundscale_ps, (__m512 a, int mode), ps, f[n] = ((void)mode, rintf(F(a))))
EMULATE(__m512, cvtepi32_ps, (__m512i a), ps, f[n] = (float)I(a))
EMULATE(__m512, mask_blend_ps, (uint16_t m, __m512 a, __m512 b), ps,
        f[n] = (m >> n) & 1 ? F(b) : F(a))
/* Out of range and NaN give the "integer indefinite". */
EMULATE(__m512i, cvttps_epi32, (__m512 a), si,
        i[n] = F(a) >= -2147483648.0f && F(a) < 2147483648.0f ? (int32_t)F(a) : INT32_MIN)
EMULATE(__m512i, add_epi32, (__m512i a, __m512i b), si, u[n] = U(a) + U(b))
EMULATE(__m512i, sub_epi32, (__m512i a, __m512i b), si, u[n] = U(a) - U(b))
EMULATE(__m512i, mullo_epi32, (__m512i a, __m512i b), si, u[n] = U(a) * U(b))
EMULATE(__m512i, and_si512, (__m512i a, __m512i b), si, u[n] = U(a) & U(b))
EMULATE(__m512i, xor_si512, (__m512i a, __m512i b), si, u[n] = U(a) ^ U(b))
EMULATE(__m512i, slli_epi32, (__m512i a, unsigned k), si, u[n] = k < 32 ? U(a) << k : 0)
EMULATE(__m512i, srli_epi32, (__m512i a, unsigned k), si, u[n] = k < 32 ? U(a) >> k : 0)
EMULATE(__m512i, srai_epi32, (__m512i a, unsigned k), si, i[n] = I(a) >> (k < 32 ? k : 31))
EMULATE(__m512i, set1_epi32, (int32_t a), si, i[n] = a)
EMULATE(__m512i, cvtepu16_epi32, (__m256i a), si, u[n] = ((emulated){.si256 = a}).h[n])
EMULATE(__m512i, cvtepu8_epi32, (__m128i a), si, u[n] = ((emulated){.si128 = a}).b[n])
EMULATE(__m256i, cvtepi32_epi16, (__m512i a), si256, h[n] = (uint16_t)U(a))
EMULATE(__m512, cvtph_ps, (__m256i a), ps, f[n] = qb_f16_to_f32(((emulated){.si256 = a}).h[n]))
/* vpdpbusd: unsigned bytes of b times signed bytes of c, four to a lane, no saturation. */
EMULATE(__m512i, dpbusd_epi32, (__m512i a, __m512i b, __m512i c), si,
        u[n] = U(a) +
               (uint32_t)(((emulated){.si = b}).b[4 * n] * ((emulated){.si = c}).s[4 * n] +
                          ((emulated){.si = b}).b[4 * n + 1] * ((emulated){.si = c}).s[4 * n + 1] +
                          ((emulated){.si = b}).b[4 * n + 2] * ((emulated){.si = c}).s[4 * n + 2] +
                          ((emulated){.si = b}).b[4 * n + 3] * ((emulated){.si = c}).s[4 * n + 3]))

/* vpdpwssd: two products of signed words to a lane, no saturation. */
EMULATE(__m512i, dpwssd_epi32, (__m512i a, __m512i b, __m512i c), si,
        u[n] = U(a) + (uint32_t)((int16_t)U(b) * (int16_t)U(c)) +
               (uint32_t)((I(b) >> 16) * (I(c) >> 16)))
/* vdpbf16ps: the upper product first, each addition rounded. Its subnormal inputs and results are
 * zeros, which no test of the emulation looks at. */
EMULATE(__m512, dpbf16_ps, (__m512 a, __m512i b, __m512i c), ps,
        f[n] = fmaf(qb_bf16_to_f32((uint16_t)U(b)), qb_bf16_to_f32((uint16_t)U(c)),
                    fmaf(qb_bf16_to_f32((uint16_t)(U(b) >> 16)),
                         qb_bf16_to_f32((uint16_t)(U(c) >> 16)), F(a))))

QB_INLINE __m512i emulated_ternarylogic_epi32(__m512i a, __m512i b, __m512i c, int table)
{
    emulated r;
    for (int n = 0; n < 16; n++) {
        r.u[n] = 0; /* bit 4a + 2b + c of the table, for each bit of the lanes */
        for (int row = 0; row < 8; row++)
            if (table >> row & 1)
                r.u[n] |=
                    (row & 4 ? U(a) : ~U(a)) & (row & 2 ? U(b) : ~U(b)) & (row & 1 ? U(c) : ~U(c));
    }
    return r.si;
}

QB_INLINE __m512i emulated_shift_epi16(__m512i a, int left)
{
    emulated r = {.si = a};
    for (int n = 0; n < 32; n++)
        r.h[n] = (uint16_t)(left > 0 ? r.h[n] << left : r.h[n] >> -left);
    return r.si;
}

QB_INLINE __m512i emulated_sub_epi8(__m512i a, __m512i b)
{
    emulated r = {.si = a};
    for (int n = 0; n < 64; n++)
        r.b[n] = (uint8_t)(r.b[n] - ((emulated){.si = b}).b[n]);
    return r.si;
}

QB_INLINE __m512i emulated_set1_epi8(char a)
{
    emulated r;
    memset(r.b, a, 64);
    return r.si;
}

QB_INLINE uint16_t emulated_cmp_ps_mask(__m512 a, __m512 b, int predicate)
{
    unsigned mask = 0;
    (void)predicate; /* _CMP_LT_OQ is the only one in use */
    for (int n = 0; n < 16; n++)
        mask |= (unsigned)(F(a) < F(b)) << n;
    return (uint16_t)mask;
}

QB_INLINE __m128i emulated_cvtepi32_epi8(__m512i a)
{
    uint8_t bytes[16];
    for (int n = 0; n < 16; n++)
        bytes[n] = (uint8_t)U(a);
    return _mm_loadu_si128((const void *)bytes);
}

QB_INLINE __m512i emulated_load(const void *p)
{
    emulated r;
    memcpy(&r, p, sizeof r);
    return r.si;
}

QB_INLINE void emulated_store(void *p, __m512i a) { memcpy(p, &a, sizeof a); }

#define _mm512_add_ps emulated_add_ps
#define _mm512_sub_ps emulated_sub_ps
#define _mm512_mul_ps emulated_mul_ps
#define _mm512_div_ps emulated_div_ps
#define _mm512_max_ps emulated_max_ps
#define _mm512_fmadd_ps emulated_fmadd_ps
#define _mm512_scalef_ps emulated_scalef_ps
#define _mm512_set1_ps emulated_set1_ps
#undef _mm512_roundscale_ps
#define _mm512_roundscale_ps emulated_roundscale_ps
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_mask_blend_ps emulated_mask_blend_ps
#define _mm512_cvttps_epi32 emulated_cvttps_epi32
#define _mm512_add_epi32 emulated_add_epi32
#define _mm512_sub_epi32 emulated_sub_epi32
#define _mm512_sub_epi8 emulated_sub_epi8
#define _mm512_mullo_epi32 emulated_mullo_epi32
#define _mm512_and_si512 emulated_and_si512
#define _mm512_xor_si512 emulated_xor_si512
#undef _mm512_slli_epi32
#define _mm512_slli_epi32 emulated_slli_epi32
#undef _mm512_srli_epi32
#define _mm512_srli_epi32 emulated_srli_epi32
#undef _mm512_srai_epi32
#define _mm512_srai_epi32 emulated_srai_epi32
#define _mm512_set1_epi32 emulated_set1_epi32
#define _mm512_set1_epi8 emulated_set1_epi8
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm512_cvtph_ps emulated_cvtph_ps
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask emulated_cmp_ps_mask
#define _mm512_cvtepi32_epi8 emulated_cvtepi32_epi8
#define _mm512_castps_si512(a) (((emulated){.ps = (a)}).si)
#define _mm512_castsi512_ps(a) (((emulated){.si = (a)}).ps)
#define _mm512_castps512_ps256(a) (((emulated){.ps = (a)}).ps256[0])
#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(a, k) (((emulated){.ps = (a)}).ps256[k])
#define _mm512_setzero_si512() emulated_set1_epi32(0)
#define _mm512_loadu_si512 emulated_load
#define _mm512_loadu_ps(p) _mm512_castsi512_ps(emulated_load(p))
#define _mm512_storeu_si512 emulated_store
#define _mm512_storeu_ps(p, a) emulated_store(p, _mm512_castps_si512(a))
#define QB_DPBUSD emulated_dpbusd_epi32
#undef _mm512_ternarylogic_epi32
#define _mm512_ternarylogic_epi32 emulated_ternarylogic_epi32
#undef _mm512_srli_epi16
#define _mm512_srli_epi16(a, n) emulated_shift_epi16(a, -(int)(n))
#undef _mm512_slli_epi16
#define _mm512_slli_epi16(a, n) emulated_shift_epi16(a, n)
#define _mm512_cvtepi32_epi16 emulated_cvtepi32_epi16

#endif
#endif
