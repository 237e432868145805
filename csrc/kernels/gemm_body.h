/* Matrix products of one panel with many tokens, written once over the tier's lanes. The tier's file
 * defines, before including this:
 *   QB_FLOAT_TILE, QB_INT_TILE   tokens that share one pass over the weights
 *   int_tile(M, out, codes, planes, plane_stride, n_positions, pos, n_pos)
 *                                out (M, 32) int32 = codes (n_pos/4, 128) times the tokens' 16-bit
 *                                activations at [pos, pos + n_pos)
 * Order of summation: kernels.h. */

/* Integer codes of n_pos positions in the 8-bit order; 8-bit codes are there already. */
QB_INLINE const uint8_t *expand(uint8_t *out, unsigned bits, const uint8_t *codes, size_t n_pos)
{
    uint8_t *const tile = out;
    switch (bits) {
    case 8:
        return codes;
    case 4:
        for (size_t step = 0; step < n_pos / 4; step++, out += 128, codes += 64)
            for (int i = 0; i < 64; i++) {
                out[i] = codes[i] & 15;
                out[64 + i] = codes[i] >> 4;
            }
        return tile;
    case 3:
        for (size_t unit = 0; unit < n_pos / 16; unit++, codes += 192)
            for (int step = 0; step < 4; step++, out += 128) {
                const uint8_t *low = codes + step / 2 * 64, *high = codes + 128;
                const int shift = 4 * (step % 2);
                for (int i = 0; i < 64; i++) {
                    out[i] =
                        (uint8_t)(((low[i] >> shift) & 3) | (((high[i] >> (2 * step)) & 1) << 2));
                    out[64 + i] = (uint8_t)(((low[i] >> (shift + 2)) & 3) |
                                            (((high[i] >> (2 * step + 1)) & 1) << 2));
                }
            }
        return tile;
    default:
        for (size_t pair = 0; pair < n_pos / 8; pair++, out += 256, codes += 64)
            for (int i = 0; i < 64; i++) {
                out[i] = codes[i] & 3;
                out[64 + i] = (codes[i] >> 2) & 3;
                out[128 + i] = (codes[i] >> 4) & 3;
                out[192 + i] = codes[i] >> 6;
            }
        return tile;
    }
}

/* A block of integer weights, ready for the products. */
typedef struct {
    _Alignas(QB_ALIGN) uint8_t codes[QB_BLOCK_LEN * QB_PANEL_ROWS];
    _Alignas(QB_ALIGN) float scale[QB_MAX_SEGMENTS][QB_PANEL_ROWS];
    _Alignas(QB_ALIGN) int32_t zero[QB_MAX_SEGMENTS][QB_PANEL_ROWS];
    const uint8_t *segment_codes[QB_MAX_SEGMENTS];
} QB_NAME(int_block);

QB_INLINE vf load_scales(const uint8_t *p, qb_scale_type type, int half)
{
    if (type == QB_SCALE_F32)
        return vf_load((const float *)(const void *)p + 16 * half);
    const uint16_t *q = (const uint16_t *)(const void *)p + 16 * half;
    return type == QB_SCALE_F16 ? vf_load_f16(q) : vf_load_bf16(q);
}

static void QB_NAME(open_block)(QB_NAME(int_block) *out, const qb_weights *w, size_t panel,
                                const qb_grid *grid, const qb_block *block)
{
    const uint8_t *data = w->data + panel * w->panel_bytes;
    const qb_format_traits *traits = &qb_formats[w->format];
    uint8_t *free_codes = out->codes;
    for (size_t s = 0; s < block->n_segments; s++) {
        const qb_segment *segment = &grid->segments[block->segment + s];
        size_t header, at;
        qb_segment_offset(&header, &at, w, segment);
        out->segment_codes[s] = expand(free_codes, traits->bits, data + at, segment->n_pos);
        free_codes += segment->n_pos * QB_PANEL_ROWS;
        for (int half = 0; half < 2; half++) {
            vf_store(out->scale[s] + 16 * half, load_scales(data + header, w->scale_type, half));
            const uint8_t *zeros =
                data + header + QB_PANEL_ROWS * qb_scale_bytes(w->scale_type) + 16 * half;
            vi_store(out->zero[s] + 16 * half, traits->kind == QB_KIND_ASYM
                                                   ? vi_load_u8(zeros)
                                                   : vi_set1(1 << (traits->bits - 1)));
        }
    }
}

/* M tokens of one block: y = fma(sum over segments, activation scale, y). */
QB_INLINE void planes_block(const int M, float *y, size_t y_stride, const QB_NAME(int_block) *w,
                            const qb_acts *x, const qb_grid *grid, size_t b, size_t token)
{
    const qb_block *block = &grid->blocks[b];
    _Alignas(QB_ALIGN) int32_t product[QB_INT_TILE][QB_PANEL_ROWS];
    _Alignas(QB_ALIGN) float part[QB_INT_TILE][QB_PANEL_ROWS];
    const size_t plane_stride = 2 * grid->n_positions;
    memset(part, 0, (size_t)M * sizeof part[0]);
    for (size_t s = 0; s < block->n_segments; s++) {
        const qb_segment *segment = &grid->segments[block->segment + s];
        int_tile(M, product, w->segment_codes[s], x->planes + token * plane_stride, plane_stride,
                 grid->n_positions, segment->pos, segment->n_pos);
        for (int m = 0; m < M; m++) {
            vi sum = vi_set1(x->sums[(token + (size_t)m) * grid->n_segments + block->segment + s]);
            for (int half = 0; half < 32; half += 16) {
                vi centred =
                    vi_sub(vi_load(product[m] + half), vi_mul(vi_load(w->zero[s] + half), sum));
                vf_store(part[m] + half, vf_fma(vi_to_f32(centred), vf_load(w->scale[s] + half),
                                                vf_load(part[m] + half)));
            }
        }
    }
    for (int m = 0; m < M; m++) {
        float *out = y + (token + (size_t)m) * y_stride;
        vf scale = vf_set1(x->scales[(token + (size_t)m) * grid->n_blocks + b]);
        for (int half = 0; half < 32; half += 16) {
            vf before = b == 0 ? vf_set1(0.0f) : vf_load(out + half);
            vf_store(out + half, vf_fma(vf_load(part[m] + half), scale, before));
        }
    }
}

/* Tokens in tiles of at most MAX, evenly: 13 tokens in tiles of 6 go as 5 + 4 + 4. */
#define QB_FOR_TILES(MAX, n, token, m)                                               \
    for (size_t token = 0, tiles_left = qb_ceil_div((n), (MAX)), m = 0; token < (n); \
         token += m, tiles_left--)                                                   \
        if (m = qb_ceil_div((n) - token, tiles_left), true)

static void QB_NAME(gemm_planes)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                                 const qb_acts *x, const qb_grid *grid, size_t n_tokens)
{
    QB_NAME(int_block) open;
    for (size_t b = 0; b < grid->n_blocks; b++) {
        QB_NAME(open_block)(&open, w, panel, grid, &grid->blocks[b]);
        QB_FOR_TILES(QB_INT_TILE, n_tokens, token, m)
        {
#define QB_CASE(M)                                              \
    case M:                                                     \
        planes_block(M, y, y_stride, &open, x, grid, b, token); \
        break;
            switch (m) {
                QB_INT_CASES
            }
#undef QB_CASE
        }
    }
}

/* The block's weights as float, (n_cols, 32); f32 panels are that already. */
static const float *QB_NAME(open_float)(float *tile, const qb_weights *w, size_t panel,
                                        const qb_grid *grid, const qb_block *block)
{
    const uint8_t *data = w->data + panel * w->panel_bytes;
    if (w->format == QB_F32)
        return (const float *)(const void *)data + block->col * QB_PANEL_ROWS;
    if (qb_format_is_float(w->format)) {
        const uint16_t *half = (const uint16_t *)(const void *)data + block->col * QB_PANEL_ROWS;
        for (size_t i = 0; i < (size_t)block->n_cols * QB_PANEL_ROWS; i += 16)
            vf_store(tile + i,
                     w->format == QB_F16 ? vf_load_f16(half + i) : vf_load_bf16(half + i));
        return tile;
    }
    QB_NAME(int_block) open;
    QB_NAME(open_block)(&open, w, panel, grid, block);
    float *out = tile;
    for (size_t s = 0; s < block->n_segments; s++) {
        const qb_segment *segment = &grid->segments[block->segment + s];
        for (size_t i = 0; i < segment->n_cols; i++, out += QB_PANEL_ROWS) {
            const int32_t *step =
                (const int32_t *)(const void *)(open.segment_codes[s] + i / 4 * 128);
            for (int half = 0; half < 32; half += 16) {
                vi code = vi_and(vi_shr(vi_load(step + half), (int)(8 * (i % 4))), vi_set1(255));
                vf value = vi_to_f32(vi_sub(code, vi_load(open.zero[s] + half)));
                vf_store(out + half, vf_mul(value, vf_load(open.scale[s] + half)));
            }
        }
    }
    return tile;
}

QB_INLINE void float_block(const int M, float *y, size_t y_stride, const float *w, const float *x,
                           size_t x_stride, size_t n_cols, bool first)
{
    for (int half = 0; half < 32; half += 16) {
        vf acc[QB_FLOAT_TILE];
        for (int m = 0; m < M; m++)
            acc[m] = vf_set1(0.0f);
        for (size_t k = 0; k < n_cols; k++) {
            vf weight = vf_load(w + k * QB_PANEL_ROWS + half);
            for (int m = 0; m < M; m++)
                acc[m] = vf_mla(weight, vf_set1(x[(size_t)m * x_stride + k]), acc[m]);
        }
        for (int m = 0; m < M; m++) {
            float *out = y + (size_t)m * y_stride + half;
            vf_store(out, first ? acc[m] : vf_add(vf_load(out), acc[m]));
        }
    }
}

static void QB_NAME(gemm_float)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                                const qb_acts *x, const qb_grid *grid, size_t n_tokens)
{
    _Alignas(QB_ALIGN) float tile[QB_BLOCK_LEN * QB_PANEL_ROWS];
    for (size_t b = 0; b < grid->n_blocks; b++) {
        const qb_block *block = &grid->blocks[b];
        const float *weights = QB_NAME(open_float)(tile, w, panel, grid, block);
        QB_FOR_TILES(QB_FLOAT_TILE, n_tokens, token, m)
        {
            const float *input = x->x + token * x->x_stride + block->col;
            float *out = y + token * y_stride;
#define QB_CASE(M)                                                                         \
    case M:                                                                                \
        float_block(M, out, y_stride, weights, input, x->x_stride, block->n_cols, b == 0); \
        break;
            switch (m) {
                QB_FLOAT_CASES
            }
#undef QB_CASE
        }
    }
}

void QB_NAME(qb_gemm_pick)(qb_gemm_kernels *kernels)
{
    for (int f = 0; f < QB_FORMAT_COUNT; f++) {
        kernels->exact[f] = QB_NAME(gemm_float);
        kernels->planes[f] =
            qb_format_is_float((qb_format)f) ? QB_NAME(gemm_float) : QB_NAME(gemm_planes);
    }
}
