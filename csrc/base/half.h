/* f16 and bf16 to and from f32, one value at a time, round to nearest even, without libm.
 * The SIMD tiers have instructions for these; the results are the same bits. */
#ifndef QB_HALF_H
#define QB_HALF_H

#include <string.h>

#include "base/base.h"

QB_INLINE uint32_t qb_f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

QB_INLINE float qb_f32_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

QB_INLINE float qb_bf16_to_f32(uint16_t half) { return qb_f32_from_bits((uint32_t)half << 16); }

/* NaN stays NaN (quiet); everything else rounds to nearest even. */
QB_INLINE uint16_t qb_f32_to_bf16(float value)
{
    uint32_t bits = qb_f32_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

QB_INLINE float qb_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u,
             mantissa = half & 0x3ffu;
    if (exponent == 31u)
        return qb_f32_from_bits(sign | 0x7f800000u | (mantissa << 13));
    if (exponent == 0u) /* zero or subnormal: mantissa * 2^-24 is exact in f32 */
        return qb_f32_from_bits(sign | qb_f32_bits((float)mantissa * 0x1p-24f));
    return qb_f32_from_bits(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

/* Overflow becomes infinity, as IEEE 754 says; callers that may not lose values check before. */
QB_INLINE uint16_t qb_f32_to_f16(float value)
{
    uint32_t bits = qb_f32_bits(value), magnitude = bits & 0x7fffffffu;
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) /* 65520: rounds to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* below 2^-14: a multiple of 2^-24, rounded by the adder */
        uint32_t shifted = qb_f32_bits(qb_f32_from_bits(magnitude) + 0.5f) - qb_f32_bits(0.5f);
        return (uint16_t)(sign | shifted);
    }
    uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

#endif
