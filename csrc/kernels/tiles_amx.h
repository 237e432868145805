/* AMX tiles: eight registers of up to 16 rows of 64 bytes. Their numbers are constants. Inline assembly, because what the intrinsics of gcc 12 read and write is unknown to the compiler (of a
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

/* c += a b: signed bytes, four to a dword; or bf16, two to a dword: the first of each pair and the
 * second are summed on their own, fused, then together. Subnormal numbers are not made zeros. */
QB_INLINE void emulated_product(int c, int a, int b, bool bf16)
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
QB_INLINE void tile_release(void) { memset(&tiles, 0, sizeof tiles); }
QB_INLINE void tile_zero(const int n) { memset(tiles.row[n], 0, sizeof tiles.row[n]); }
QB_INLINE void tile_load(const int n, const void *p, size_t stride)
{
    for (size_t i = 0; i < tiles.shapes.rows[n]; i++)
        memcpy(tiles.row[n][i], (const uint8_t *)p + i * stride, tiles.shapes.row_bytes[n]);
}
QB_INLINE void tile_store(const int n, void *p, size_t stride)
{
    for (size_t i = 0; i < tiles.shapes.rows[n]; i++)
        memcpy((uint8_t *)p + i * stride, tiles.row[n][i], tiles.shapes.row_bytes[n]);
}
QB_INLINE void tile_dot8(const int c, const int a, const int b)
{
    emulated_product(c, a, b, false);
}
QB_INLINE void tile_dot_bf16(const int c, const int a, const int b)
{
    emulated_product(c, a, b, true);
}
#else
QB_INLINE void tile_configure(const tile_shapes *shapes)
{
    __asm__ volatile("ldtilecfg %0" ::"m"(*shapes));
}
QB_INLINE void tile_release(void) { __asm__ volatile("tilerelease"); }

#define EACH_TILE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
QB_INLINE void tile_zero(const int n)
{
#define ONE(i)                                   \
    case i:                                      \
        __asm__ volatile("tilezero %%tmm" #i::); \
        break;
    switch (n) {
        EACH_TILE(ONE)
    }
#undef ONE
}
QB_INLINE void tile_load(const int n, const void *p, size_t stride)
{
#define ONE(i)                                                                             \
    case i:                                                                                \
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #i::"r"(p), "r"(stride) : "memory"); \
        break;
    switch (n) {
        EACH_TILE(ONE)
    }
#undef ONE
}
QB_INLINE void tile_store(const int n, void *p, size_t stride)
{
#define ONE(i)                                                                                  \
    case i:                                                                                     \
        __asm__ volatile("tilestored %%tmm" #i ", (%0,%1,1)" ::"r"(p), "r"(stride) : "memory"); \
        break;
    switch (n) {
        EACH_TILE(ONE)
    }
#undef ONE
}
/* Sums in 0 to 3, activations in 2 to 5, weights in 6 and 7. */
/* clang-format off */
#define EACH_PRODUCT(X)                                                                     \
    X(0, 2, 6) X(0, 2, 7) X(0, 3, 6) X(0, 3, 7) X(0, 4, 6) X(0, 4, 7) X(0, 5, 6) X(0, 5, 7) \
    X(1, 2, 6) X(1, 2, 7) X(1, 3, 6) X(1, 3, 7) X(1, 4, 6) X(1, 4, 7) X(1, 5, 6) X(1, 5, 7) \
    X(2, 4, 6) X(2, 4, 7) X(2, 5, 6) X(2, 5, 7) X(3, 4, 6) X(3, 4, 7) X(3, 5, 6) X(3, 5, 7)
/* clang-format on */
#define ONE_PRODUCT(name, c, a, b)                                      \
    case 64 * c + 8 * a + b:                                            \
        __asm__ volatile(name " %%tmm" #b ", %%tmm" #a ", %%tmm" #c::); \
        break;
QB_INLINE void tile_dot8(const int c, const int a, const int b)
{
#define ONE(c, a, b) ONE_PRODUCT("tdpbssd", c, a, b)
    switch (64 * c + 8 * a + b) {
        EACH_PRODUCT(ONE)
    }
#undef ONE
}
QB_INLINE void tile_dot_bf16(const int c, const int a, const int b)
{
#define ONE(c, a, b) ONE_PRODUCT("tdpbf16ps", c, a, b)
    switch (64 * c + 8 * a + b) {
        EACH_PRODUCT(ONE)
    }
#undef ONE
}
#endif

#endif
