/* A unit of codes times 8-bit activations where one instruction multiplies bytes into 32-bit lanes
 * (dot8). Included before gemm_int_body.h, which says what the parameters are. */

QB_INLINE vi codes_of(const unsigned bits, const int width, const uint8_t *unit, const int step,
                      const int half, const int odd);
QB_INLINE int phases_of(const int M);

QB_INLINE void unit8(const unsigned bits, const int M, vi (*c)[QB_INT_TILE][QB_HALVES],
                     const uint8_t *unit, const int first_half, const uint8_t *x)
{
    QB_UNROLL(4)
    for (int step = 0; step < 4; step++) {
        vi codes[QB_HALVES];
        for (int h = 0; h < QB_HALVES; h++)
            codes[h] = codes_of(bits, 8, unit, step, first_half + h, 0);
        QB_UNROLL(8)
        for (int m = 0; m < M; m++) {
            const vi four = vi_broadcast4(x + 16 * m + 4 * step);
            vi *sums = c[step % phases_of(M)][m];
            for (int h = 0; h < QB_HALVES; h++)
                sums[h] = dot8(sums[h], codes[h], four);
        }
    }
}
