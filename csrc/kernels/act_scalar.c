/* Portable activation quantizer; the order of the planes is gemm_scalar.c's. */
#include "kernels/kernels.h"
#include "kernels/simd_scalar.h"

QB_INLINE void store_planes(uint8_t *planes, size_t n_positions, size_t pos, vi q)
{
    (void)n_positions;
    int16_t *out = (int16_t *)(void *)planes + pos;
    for (int i = 0; i < 16; i += 4) {
        out[i] = (int16_t)q.lane[i];
        out[i + 1] = (int16_t)q.lane[i + 2];
        out[i + 2] = (int16_t)q.lane[i + 1];
        out[i + 3] = (int16_t)q.lane[i + 3];
    }
}

#include "kernels/act_body.h"
