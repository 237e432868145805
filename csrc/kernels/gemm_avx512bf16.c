/* bf16 weights times bf16 activations in mode fast (vdpbf16ps: two products a lane, summed in
 * float32; it takes subnormal numbers for zero). */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AVX512BF16)
#include "kernels/simd_avx512bf16.h"

enum { PAIR_BYTES = 4 * QB_PANEL_ROWS, UNIT_PAIRS = QB_UNIT_LEN / 2 };

/* One pair of inputs of 32 rows times that of M tokens. */
QB_INLINE void add_pair(const int M, vf (*acc)[2], const uint8_t *w, const uint8_t *x)
{
    const vi w0 = vi_load((const int32_t *)(const void *)w),
             w1 = vi_load((const int32_t *)(const void *)(w + 64));
    if (M > 1)
        __builtin_prefetch(w + QB_PREFETCH);
    if (M > 1)
        __builtin_prefetch(w + QB_PREFETCH + 64);
    QB_UNROLL(8)
    for (int m = 0; m < M; m++) {
        const vi two = vi_broadcast4(x + 32 * m);
        acc[m][0] = dot_bf16(acc[m][0], w0, two);
        acc[m][1] = dot_bf16(acc[m][1], w1, two);
    }
}

/* M tokens of one tile times 32 rows: 2 * M sums. */
QB_INLINE void pairs_tile(const int M, float *y, size_t y_stride, const uint8_t *w,
                          const qb_grid *grid, const uint8_t *x)
{
    _Alignas(QB_ALIGN) float total[QB_LONE_TILE][QB_PANEL_ROWS];
    memset(total, 0, (size_t)M * sizeof total[0]);
    for (size_t b = 0; b < grid->n_blocks; b++) {
        vf acc[QB_LONE_TILE][2];
        for (int m = 0; m < M; m++)
            acc[m][0] = acc[m][1] = vf_set1(0.0f);
        const size_t n_pairs = qb_ceil_div(grid->blocks[b].n_cols, 2);
        size_t left = n_pairs;
        for (; left >= UNIT_PAIRS; left -= UNIT_PAIRS, x += M * 4 * UNIT_PAIRS) {
            QB_UNROLL(8)
            for (int pair = 0; pair < UNIT_PAIRS; pair++, w += PAIR_BYTES)
                add_pair(M, acc, w, x + 4 * pair);
        }
        if (left > 0) { /* the last unit of a row */
            for (size_t pair = 0; pair < left; pair++, w += PAIR_BYTES)
                add_pair(M, acc, w, x + 4 * pair);
            x += M * 4 * UNIT_PAIRS;
        }
        for (int m = 0; m < M; m++)
            for (int h = 0; h < 2; h++)
                vf_store(total[m] + 16 * h, vf_add(vf_load(total[m] + 16 * h), acc[m][h]));
    }
    for (int m = 0; m < M; m++)
        memcpy(y + (size_t)m * y_stride, total[m], sizeof total[m]);
}

typedef void (*pairs_tile_fn)(float *y, size_t y_stride, const uint8_t *w, const qb_grid *grid,
                              const uint8_t *x);

#define CASES CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#define CASE(M)                                                                                  \
    static QB_NOINLINE void QB_NAME(pairs_tile_##M)(float *y, size_t y_stride, const uint8_t *w, \
                                                    const qb_grid *grid, const uint8_t *x)       \
    {                                                                                            \
        pairs_tile(M, y, y_stride, w, grid, x);                                                  \
    }
CASES
#undef CASE
#define CASE(M) QB_NAME(pairs_tile_##M),
static const pairs_tile_fn pairs_tiles[QB_LONE_TILE] = {CASES};
#undef CASE

static void QB_NAME(gemm_pairs)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                                const qb_acts *x, size_t begin, size_t end)
{
    const size_t token_bytes = w->grid->n_positions / QB_UNIT_LEN * qb_act_unit_bytes(QB_ACT_PAIRS);
    const size_t origin = qb_tile_begin(x, begin);
    for (size_t tile = begin, first = origin, next; tile < end; tile++, first = next) {
        next = qb_tile_begin(x, tile + 1);
        pairs_tiles[next - first - 1](y + (first - origin) * y_stride, y_stride,
                                      w->data + panel * w->panel_bytes, w->grid,
                                      x->units + first * token_bytes);
    }
}

void qb_gemm_pick_avx512bf16(qb_gemm_kernels *kernels)
{
    kernels->of[QB_MODE_FAST][QB_BF16] =
        (qb_gemm){.fn = QB_NAME(gemm_pairs), .form = QB_ACT_PAIRS, .few = QB_ACT_PAIRS};
}
QB_ISA_END
#else
typedef int qb_empty_gemm_avx512bf16;
#endif
