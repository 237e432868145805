/* A unit of codes times 8-bit activations where one instruction multiplies bytes into 32-bit lanes
 * (dot8). Included before gemm_int_body.h, which says what the parameters are. */

QB_INLINE void unit8(const unsigned bits, const qb_act_form form, const int M,
                     vi (*c)[QB_INT_TILE][QB_HALVES], const uint8_t *unit, const int first_half,
                     const uint8_t *x)
{
    QB_UNROLL(4)
    for (int step = 0; step < 4; step++) {
        vi codes[QB_HALVES];
        for (int h = 0; h < QB_HALVES; h++)
            codes[h] = codes_of(bits, 8, unit, step, first_half + h, 0);
        QB_UNROLL(8)
        for (int m = 0; m < M; m++) {
            const int n_planes = form == QB_ACT_PLANES ? 2 : 1;
            for (int plane = 0; plane < n_planes; plane++) {
                const vi four = vi_broadcast4(x + 16 * (n_planes * m + plane) + 4 * step);
                vi *sums = c[(n_planes == 2 ? plane : step) % n_sums(form, M)][m];
                for (int h = 0; h < QB_HALVES; h++)
                    sums[h] = dot8(sums[h], codes[h], four);
            }
        }
    }
}
