/* Portable products: the meaning of every other tier. Planes: 16-bit activations, four positions of
 * a step in the order 0, 2, 1, 3 (the same as avx2's). */
#include "kernels/kernels.h"
#include "kernels/simd_scalar.h"

#define QB_INT_TILE 2
#define QB_INT_CASES QB_CASE(1) QB_CASE(2)
#define QB_FLOAT_TILE 2
#define QB_FLOAT_CASES QB_CASE(1) QB_CASE(2)

QB_INLINE void int_tile(const int M, int32_t (*out)[QB_PANEL_ROWS], const uint8_t *codes,
                        const uint8_t *planes, size_t plane_stride, size_t n_positions, size_t pos,
                        size_t n_pos)
{
    (void)n_positions;
    for (int m = 0; m < M; m++) {
        const int16_t *x = (const int16_t *)(const void *)(planes + (size_t)m * plane_stride) + pos;
        memset(out[m], 0, sizeof out[m]);
        for (size_t step = 0; step < n_pos / 4; step++, x += 4)
            for (int r = 0; r < QB_PANEL_ROWS; r++) {
                const uint8_t *c = codes + step * QB_STEP_BYTES + 4 * r;
                out[m][r] += c[0] * x[0] + c[2] * x[1] + c[1] * x[2] + c[3] * x[3];
            }
    }
}

#include "kernels/gemm_body.h"
