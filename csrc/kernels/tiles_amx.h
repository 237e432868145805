/* AMX tiles: eight registers of up to 16 rows of 64 bytes. Numbers of registers are literals. Inline
 * assembly, because what the intrinsics of gcc 12 read and write is unknown to the compiler (of a
 * configuration it stores the first 8 bytes and leaves out the rest). Included in the tier's region. */
#ifndef QB_TILES_AMX_H
#define QB_TILES_AMX_H

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

enum { TILE_ROW_BYTES = 64, TILE_BYTES = QB_TILE_ROWS * TILE_ROW_BYTES };

#if defined(QB_EMULATE_AVX512)
static _Thread_local struct {
    tile_shapes shapes;
    uint8_t row[8][QB_TILE_ROWS][TILE_ROW_BYTES];
} tiles;

QB_INLINE void emulated_tile_move(int n, uint8_t *p, size_t stride, bool store)
{
    const tile_shapes *s = &tiles.shapes;
    for (size_t i = 0; i < s->rows[n]; i++)
        if (store)
            memcpy(p + i * stride, tiles.row[n][i], s->row_bytes[n]);
        else
            memcpy(tiles.row[n][i], p + i * stride, s->row_bytes[n]);
}

/* c += a b: signed bytes, four to a dword; or bf16, two to a dword: the first of each pair and the
 * second are summed on their own, fused, then together. Subnormal numbers are not made zeros. */
QB_INLINE void emulated_tile_product(int c, int a, int b, bool bf16)
{
    const tile_shapes *s = &tiles.shapes;
    for (int i = 0; i < s->rows[c]; i++)
        for (int j = 0; j < s->row_bytes[c] / 4; j++) {
            float even = 0.0f, odd = 0.0f, total;
            uint32_t sum;
            memcpy(&sum, tiles.row[c][i] + 4 * j, 4);
            memcpy(&total, &sum, 4);
            for (int k = 0; k < s->row_bytes[a] / 4; k++) {
                const uint8_t *x = tiles.row[a][i] + 4 * k, *y = tiles.row[b][k] + 4 * j;
                uint16_t p[2], q[2];
                memcpy(p, x, 4);
                memcpy(q, y, 4);
                even = fmaf(qb_bf16_to_f32(p[0]), qb_bf16_to_f32(q[0]), even);
                odd = fmaf(qb_bf16_to_f32(p[1]), qb_bf16_to_f32(q[1]), odd);
                for (int byte = 0; byte < 4; byte++)
                    sum += (uint32_t)((int8_t)x[byte] * (int8_t)y[byte]);
            }
            total += even + odd;
            memcpy(tiles.row[c][i] + 4 * j, bf16 ? (const void *)&total : (const void *)&sum, 4);
        }
}

QB_INLINE void tile_configure(const tile_shapes *shapes)
{
    tiles.shapes = *shapes;
    memset(tiles.row, 0, sizeof tiles.row);
}
#define TILE_RELEASE() memset(&tiles, 0, sizeof tiles)
#define TILE_ZERO(n) memset(tiles.row[n], 0, sizeof tiles.row[n])
#define TILE_LOAD(n, p, stride) emulated_tile_move(n, (uint8_t *)(uintptr_t)(p), stride, false)
#define TILE_STORE(n, p, stride) emulated_tile_move(n, (uint8_t *)(p), stride, true)
#define TILE_DOT8(c, a, b) emulated_tile_product(c, a, b, false)
#define TILE_DOT_BF16(c, a, b) emulated_tile_product(c, a, b, true)
#else
QB_INLINE void tile_configure(const tile_shapes *shapes)
{
    __asm__ volatile("ldtilecfg %0" ::"m"(*shapes));
}
#define TILE_RELEASE() __asm__ volatile("tilerelease")
#define TILE_ZERO(n) __asm__ volatile("tilezero %%tmm" #n ::)
#define TILE_LOAD(n, p, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #n ::"r"(p), "r"((size_t)(stride)) : "memory")
#define TILE_STORE(n, p, stride) \
    __asm__ volatile("tilestored %%tmm" #n ", (%0,%1,1)" ::"r"(p), "r"((size_t)(stride)) : "memory")
#define TILE_DOT8(c, a, b) __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)
#define TILE_DOT_BF16(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)
#endif

#endif
