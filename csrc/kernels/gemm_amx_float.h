/* bf16 and f16 panels times rows of tokens, for any number of them. A sum stays in its tile over all
 * inputs: 32 at a time in ascending order, of those the even and the odd ones each in one chain, and
 * subnormal numbers count as zero; of two planes the first comes first. f16 is unpacked into two
 * planes of bf16, which hold it exactly. */

/* Inputs of a product; a product's weights. */
enum { PRODUCT_LEN = TILE_ROW_BYTES / 2, PRODUCT_BYTES = 2 * PRODUCT_LEN * QB_PANEL_ROWS };
enum { MAX_FLOAT_TILES = 16, MAX_CHUNK_BYTES = 16 * PRODUCT_BYTES };

/* Inputs whose weights stay near for all tokens: whole blocks. What is unpacked should be read again
 * from the first-level cache (f16, one token: 256 22 GB/s, 128 38). */
QB_INLINE size_t chunk_len(const qb_format format) { return format == QB_F16 ? 128 : 256; }

/* Weights of a chunk as planes of products: pairs of inputs of 32 rows. */
typedef struct {
    uint8_t *plane[2]; /* read only where they are the panel itself */
    size_t n_products;
} float_chunk;

/* Two inputs of 16 rows in f16 as pairs of bf16, and of what is missing. */
QB_INLINE void split_pair(uint8_t *hi, uint8_t *lo, const uint16_t *first, const uint16_t *second)
{
    const uint16_t *in[2] = {first, second};
    vi top[2], rest[2];
    for (int i = 0; i < 2; i++) {
        const vf v = in[i] == NULL ? vf_set1(0.0f) : vf_load_f16(in[i]);
        top[i] = vi_and(vi_bits(v), vi_set1((int32_t)0xffff0000));
        rest[i] = vi_bits(vf_sub(v, vf_bits(top[i])));
    }
    vi_store((int32_t *)(void *)hi, vi_add(vi_shr(top[0], 16), top[1]));
    vi_store((int32_t *)(void *)lo, vi_add(vi_shr(rest[0], 16), rest[1]));
}

static QB_NOINLINE void QB_NAME(open_halves)(const float_chunk *out, const uint8_t *at,
                                             size_t n_cols)
{
    const uint16_t *in = (const uint16_t *)(const void *)at;
    for (size_t i = 0; i < qb_round_up(n_cols, PRODUCT_LEN); i += 2, in += 2 * QB_PANEL_ROWS) {
        __builtin_prefetch((const uint8_t *)in + QB_PREFETCH);
        __builtin_prefetch((const uint8_t *)in + QB_PREFETCH + 64);
        for (size_t half = 0; half < 2; half++) {
            const size_t place = i / 2 * 128 + 64 * half;
            split_pair(out->plane[0] + place, out->plane[1] + place,
                       i < n_cols ? in + 16 * half : NULL,
                       i + 1 < n_cols ? in + QB_PANEL_ROWS + 16 * half : NULL);
        }
    }
}

/* Inputs [col, col + n_cols) of a panel. bf16 is read where it lies, but for a last product that is
 * not whole. */
QB_INLINE float_chunk open_chunk(const qb_format format, uint8_t buffer[MAX_CHUNK_BYTES],
                                 const uint8_t *panel, size_t col, size_t n_cols)
{
    const uint8_t *at = panel + 2 * col * QB_PANEL_ROWS;
    float_chunk chunk = {{buffer, buffer + MAX_CHUNK_BYTES / 2}, qb_ceil_div(n_cols, PRODUCT_LEN)};
    if (format == QB_F16) {
        QB_NAME(open_halves)(&chunk, at, n_cols);
    } else if (n_cols % PRODUCT_LEN != 0) {
        const size_t n_bytes = qb_round_up(n_cols, 2) * 2 * QB_PANEL_ROWS;
        memcpy(buffer, at, n_bytes);
        memset(buffer + n_bytes, 0, chunk.n_products * PRODUCT_BYTES - n_bytes);
    } else {
        chunk.plane[0] = (uint8_t *)(uintptr_t)at;
    }
    return chunk;
}

typedef struct {
    const uint8_t *rows; /* its pieces of the chunk */
    size_t n;            /* its tokens */
} float_tile_rows;

/* A chunk of one or two tiles of tokens, whose sums wait in memory meanwhile. */
QB_INLINE void multiply_chunk(const int n_w, const int n_x, const int n_tiles, const float_chunk *w,
                              const float_tile_rows *x, float (*sums)[2][QB_TILE_ROWS][16],
                              bool first, bool fetches)
{
    const size_t piece[2] = {x[0].n * QB_PIECE_BYTES, x[n_tiles - 1].n * QB_PIECE_BYTES};
    const uint8_t *rows[2] = {x[0].rows, x[n_tiles - 1].rows};
    const uint8_t *weights[2] = {w->plane[0], w->plane[1]};
    for (int i = 0; i < 2 * n_tiles; i++)
        if (first)
            tile_zero(i);
        else
            tile_load(i, sums[i / 2][i % 2], TILE_ROW_BYTES);
    for (size_t k = 0; k < w->n_products; k++) {
        for (int line = 0; fetches && line < PRODUCT_BYTES; line += 64)
            __builtin_prefetch(weights[0] + QB_PREFETCH + line);
        for (int plane = 0; plane < n_w; plane++) {
            tile_load(6, weights[plane], 2 * TILE_ROW_BYTES);
            tile_load(7, weights[plane] + TILE_ROW_BYTES, 2 * TILE_ROW_BYTES);
            weights[plane] += PRODUCT_BYTES;
            for (int part = 0; part < n_x; part++)
                for (int i = 0; i < n_tiles; i++) {
                    tile_load(4 + i, rows[i] + (size_t)part * piece[i], QB_PIECE_BYTES);
                    tile_dot_bf16(2 * i, 4 + i, 6);
                    tile_dot_bf16(2 * i + 1, 4 + i, 7);
                }
        }
        for (int i = 0; i < n_tiles; i++)
            rows[i] += (size_t)n_x * piece[i];
    }
    for (int i = 0; i < 2 * n_tiles; i++)
        tile_store(i, sums[i / 2][i % 2], TILE_ROW_BYTES);
}

/* Up to MAX_FLOAT_TILES tiles of tokens times one panel. */
QB_INLINE void float_pass(const qb_format format, const int n_x, float *y, size_t y_stride,
                          const qb_weights *w, size_t panel, const qb_acts *x, size_t begin,
                          size_t n)
{
    const int n_w = format == QB_F16 ? 2 : 1;
    const size_t token_bytes = qb_act_bytes(x->form, w->grid);
    _Alignas(QB_ALIGN) uint8_t buffer[MAX_CHUNK_BYTES];
    _Alignas(QB_ALIGN) float sums[MAX_FLOAT_TILES][2][QB_TILE_ROWS][16];
    float_tile_rows own[MAX_FLOAT_TILES];
    for (size_t i = 0; i < n; i++) {
        const size_t first = qb_tile_begin(x, begin + i);
        own[i] = (float_tile_rows){x->units + first * token_bytes,
                                   qb_tile_begin(x, begin + i + 1) - first};
    }
    for (size_t col = 0; col < w->n_cols; col += chunk_len(format)) {
        const float_chunk chunk = open_chunk(format, buffer, w->data + panel * w->panel_bytes, col,
                                             QB_MIN(w->n_cols - col, chunk_len(format)));
        size_t i = 0;
        for (; i + 2 <= n; i += 2)
            multiply_chunk(n_w, n_x, 2, &chunk, own + i, sums + i, col == 0, n_w == 1 && i == 0);
        if (i < n)
            multiply_chunk(n_w, n_x, 1, &chunk, own + i, sums + i, col == 0, n_w == 1 && i == 0);
        for (i = 0; i < n; i++)
            own[i].rows += own[i].n * chunk_len(format) * 2 * (size_t)n_x;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t m = 0; m < own[i].n; m++, y += y_stride)
            for (int half = 0; half < 2; half++)
                vf_store(y + 16 * half, vf_load(sums[i][half][m]));
}

typedef void (*float_pass_fn)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                              const qb_acts *x, size_t begin, size_t n);

#define CASE(format, n_x)                                                               \
    static QB_NOINLINE void QB_NAME(float_pass_##format##_##n_x)(                       \
        float *y, size_t y_stride, const qb_weights *w, size_t panel, const qb_acts *x, \
        size_t begin, size_t n)                                                         \
    {                                                                                   \
        float_pass(QB_##format, n_x, y, y_stride, w, panel, x, begin, n);               \
    }
CASE(BF16, 1)
CASE(BF16, 2)
CASE(F16, 1)
CASE(F16, 2)
#undef CASE

static void QB_NAME(gemm_float)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                                const qb_acts *x, size_t begin, size_t end)
{
    static const float_pass_fn passes[2][2] = {
        {QB_NAME(float_pass_BF16_1), QB_NAME(float_pass_BF16_2)},
        {QB_NAME(float_pass_F16_1), QB_NAME(float_pass_F16_2)}};
    const float_pass_fn pass = passes[w->format == QB_F16][qb_act_planes(x->form) - 1];
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.rows[i] = (uint8_t)(i >= 6 ? QB_TILE_ROWS : qb_ceil_div(x->n_tokens, x->n_tiles));
        shapes.row_bytes[i] = TILE_ROW_BYTES;
    }
    tile_configure(&shapes);
    for (size_t tile = begin, next; tile < end; tile = next) {
        next = QB_MIN(tile + MAX_FLOAT_TILES, end);
        pass(y + (qb_tile_begin(x, tile) - qb_tile_begin(x, begin)) * y_stride, y_stride, w, panel,
             x, tile, next - tile);
    }
    tile_release();
}

static void QB_NAME(pick_float)(qb_gemm_kernels *kernels)
{
    static const qb_format formats[] = {QB_BF16, QB_F16};
    for (size_t i = 0; i < QB_ARRAY_LEN(formats); i++) {
        kernels->of[QB_MODE_FAITHFUL][formats[i]] = (qb_gemm){
            .fn = QB_NAME(gemm_float), .form = QB_ACT_ROWS_BF16X2, .few = QB_ACT_ROWS_BF16X2};
        kernels->of[QB_MODE_FAST][formats[i]] =
            (qb_gemm){.fn = QB_NAME(gemm_float), .form = QB_ACT_ROWS_BF16, .few = QB_ACT_ROWS_BF16};
    }
}
