/* Portable activations. */
#include "kernels/kernels.h"
#include "kernels/simd_scalar.h"

QB_INLINE void store_int16(uint8_t *out, vi q)
{
    static const int order[4] = {0, 2, 1, 3};
    for (int i = 0; i < 16; i++) {
        const int16_t word = (int16_t)q.lane[i / 4 * 4 + order[i % 4]];
        memcpy(out + 2 * i, &word, 2);
    }
}
QB_INLINE void store_int8(uint8_t *out, vi q)
{
    for (int i = 0; i < 16; i++)
        out[i] = (uint8_t)q.lane[i];
}
QB_INLINE void store_high(uint8_t *out, vi q)
{
    for (int i = 0; i < 16; i++) {
        const uint16_t word = (uint16_t)((uint32_t)q.lane[i] >> 16);
        memcpy(out + 2 * i, &word, 2);
    }
}

#include "kernels/act_body.h"
