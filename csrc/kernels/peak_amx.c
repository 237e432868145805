/* The peaks of tdpbssd, 16 * 16 * 64 products of bytes each, and of tdpbf16ps, half as many of bf16. Four
 * sums in turn. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AMX)
#define QB_NAME(name) name##_amx
#include "kernels/simd_avx512.h"
#include "kernels/tiles_amx.h"

/* All tiles whole; every byte of the operands is `byte`, so that a dword is two of bf16 as well. */
QB_INLINE void begin(uint8_t byte)
{
    uint8_t operand[TILE_BYTES];
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.rows[i] = QB_TILE_ROWS;
        shapes.row_bytes[i] = TILE_ROW_BYTES;
    }
    memset(operand, byte, sizeof operand);
    tile_configure(&shapes);
    tile_load(4, operand, TILE_ROW_BYTES);
    tile_load(6, operand, TILE_ROW_BYTES);
    for (int i = 0; i < 4; i++)
        tile_zero(i);
}

/* One dword of a sum. */
QB_INLINE uint32_t end(void)
{
    uint32_t sums[QB_TILE_ROWS * 16], found = 0;
    for (int i = 0; i < 4; i++) {
        tile_store(i, sums, TILE_ROW_BYTES);
        found ^= sums[5];
    }
    tile_release();
    return found;
}

static uint32_t int_products_amx(size_t n_iterations, size_t *n_products)
{
    const size_t n =
        n_iterations / 16 + 1; /* each takes as long as sixteen of other instructions */
    begin(1);
    for (size_t i = 0; i < n; i++) {
        QB_UNROLL(4)
        for (int c = 0; c < 4; c++)
            tile_dot8(c, 4, 6);
    }
    *n_products = n * 4 * QB_TILE_ROWS * 16 * TILE_ROW_BYTES;
    return end();
}

static float bf16_products_amx(size_t n_iterations, size_t *n_products)
{
    const size_t n = n_iterations / 16 + 1;
    begin(0x3f);
    for (size_t i = 0; i < n; i++) {
        QB_UNROLL(4)
        for (int c = 0; c < 4; c++)
            tile_dot_bf16(c, 4, 6);
    }
    *n_products = n * 4 * QB_TILE_ROWS * 16 * TILE_ROW_BYTES / 2;
    return (float)end();
}

/* Where prefetchers leave a stream behind, this reads a third more. */
static uint32_t read_amx(const uint8_t *lines, size_t n_lines)
{
    vi sums[4] = {vi_set1(0), vi_set1(0), vi_set1(0), vi_set1(0)};
    for (size_t i = 0; i < n_lines; i++) {
        __builtin_prefetch(lines + 64 * i + QB_PREFETCH);
        sums[i % 4] = vi_add(sums[i % 4], vi_load((const int32_t *)(const void *)(lines + 64 * i)));
    }
    return (uint32_t)vi_sum(vi_add(vi_add(sums[0], sums[1]), vi_add(sums[2], sums[3])));
}

void qb_peak_pick_amx(qb_peak_kernels *kernels)
{
    kernels->read = read_amx;
    kernels->int_products = int_products_amx;
    kernels->bf16_products = bf16_products_amx;
}
QB_ISA_END
#else
typedef int qb_empty_peak_amx;
#endif
