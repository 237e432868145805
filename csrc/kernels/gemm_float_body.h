/* Panels of any format times float rows: mode exact, and float formats in all modes. Weights of a
 * block are turned into floats once for all tokens. The tier's file defines, before including this:
 *   QB_FLOAT_TILE, QB_FLOAT_CASES   tokens whose sums are in registers together
 * Order of summation: kernels.h. */

/* Integer codes of a segment as floats, (n_cols, 32). */
QB_INLINE void open_segment(const unsigned bits, float *out, const qb_weights *w,
                            const qb_segment *segment, const uint8_t *data)
{
    size_t header, at;
    qb_segment_offset(&header, &at, w, segment);
    const uint8_t *zeros = data + header + QB_PANEL_ROWS * qb_scale_bytes(w->scale_type);
    for (int half = 0; half < 2; half++) {
        const vf scale = load_scales(data + header, w->scale_type, half);
        const vi zero = qb_formats[w->format].kind == QB_KIND_ASYM ? vi_load_u8(zeros + 16 * half)
                                                                   : vi_set1(1 << (bits - 1));
        for (size_t i = 0; i < segment->n_cols; i += QB_STEP_LEN) {
            const uint8_t *unit =
                data + at + i / QB_UNIT_LEN * (QB_UNIT_LEN * QB_PANEL_ROWS / 8 * bits);
            vi codes;
            switch (i / QB_STEP_LEN % 4) {
            case 0:
                codes = half ? codes_of(bits, 8, unit, 0, 1, 0) : codes_of(bits, 8, unit, 0, 0, 0);
                break;
            case 1:
                codes = half ? codes_of(bits, 8, unit, 1, 1, 0) : codes_of(bits, 8, unit, 1, 0, 0);
                break;
            case 2:
                codes = half ? codes_of(bits, 8, unit, 2, 1, 0) : codes_of(bits, 8, unit, 2, 0, 0);
                break;
            default:
                codes = half ? codes_of(bits, 8, unit, 3, 1, 0) : codes_of(bits, 8, unit, 3, 0, 0);
            }
            for (size_t j = 0; j < QB_STEP_LEN && i + j < segment->n_cols; j++) {
                const vi code = vi_and(vi_shr(codes, (int)(8 * j) + lift_of(bits, half)),
                                       vi_set1((1 << bits) - 1));
                vf_store(out + (i + j) * QB_PANEL_ROWS + 16 * (size_t)half,
                         vf_mul(vi_to_f32(vi_sub(code, zero)), scale));
            }
        }
    }
}

/* bf16 weights lie in pairs of inputs; the last may have no second. With few tokens this loop is as slow
 * as memory, and fetching ahead of it pays (49 instead of 38 GB/s where reading alone has 62). */
QB_INLINE void open_pairs(float *out, const uint8_t *pairs, size_t n_cols)
{
    for (size_t i = 0; i < n_cols; i += 2, pairs += 128) {
        __builtin_prefetch(pairs + QB_PREFETCH, 0, 2);
        __builtin_prefetch(pairs + QB_PREFETCH + 64, 0, 2);
        for (int half = 0; half < 2; half++) {
            const vi pair = load_codes(pairs + 64 * half);
            float *own = out + i * QB_PANEL_ROWS + 16 * half;
            vf_store(own, low_bf16(pair));
            if (i + 1 < n_cols)
                vf_store(own + QB_PANEL_ROWS, high_bf16(pair));
        }
    }
}

QB_INLINE void open_halves(float *out, const uint8_t *halves, size_t n_cols)
{
    for (size_t i = 0; i < n_cols; i++, halves += 64, out += QB_PANEL_ROWS) {
        __builtin_prefetch(halves + QB_PREFETCH, 0, 2);
        const uint16_t *own = (const uint16_t *)(const void *)halves;
        vf_store(out, vf_load_f16(own));
        vf_store(out + 16, vf_load_f16(own + 16));
    }
}

/* The block's weights as floats, (n_cols, 32); f32 panels are that already. */
static const float *QB_NAME(open_block)(float *tile, const qb_weights *w, size_t panel,
                                        const qb_block *block)
{
    const uint8_t *data = w->data + panel * w->panel_bytes;
    float *out = tile;
    switch (w->format) {
    case QB_F32:
        return (const float *)(const void *)data + block->col * QB_PANEL_ROWS;
    case QB_BF16:
        open_pairs(tile, data + block->col * QB_PANEL_ROWS * 2, block->n_cols);
        return tile;
    case QB_F16:
        open_halves(tile, data + block->col * QB_PANEL_ROWS * 2, block->n_cols);
        return tile;
    default:
        for (size_t s = 0; s < block->n_segments; s++) {
            const qb_segment *segment = &w->grid->segments[block->segment + s];
            switch (qb_formats[w->format].bits) {
            case 8:
                open_segment(8, out, w, segment, data);
                break;
            case 4:
                open_segment(4, out, w, segment, data);
                break;
            case 3:
                open_segment(3, out, w, segment, data);
                break;
            default:
                open_segment(2, out, w, segment, data);
            }
            out += segment->n_cols * QB_PANEL_ROWS;
        }
        return tile;
    }
}

/* M tokens times the rows of a panel, both halves of it at a time where few sums are in flight: one
 * after the other, a token waits for its own sum (bf16, one token: 17 instead of 27 GB/s). */
QB_INLINE void float_tile(const int M, float *y, size_t y_stride, const float *w, const float *x,
                          size_t x_stride, size_t n_cols, bool first)
{
    const int together = M <= 2 ? 2 : 1;
    for (int half = 0; half < 2; half += together) {
        vf acc[QB_FLOAT_TILE][2];
        for (int m = 0; m < M; m++)
            for (int h = 0; h < together; h++)
                acc[m][h] = vf_set1(0.0f);
        for (size_t k = 0; k < n_cols; k++)
            for (int h = 0; h < together; h++) {
                const vf weight = vf_load(w + k * QB_PANEL_ROWS + 16 * (half + h));
                for (int m = 0; m < M; m++)
                    acc[m][h] = vf_mla(weight, vf_set1(x[(size_t)m * x_stride + k]), acc[m][h]);
            }
        for (int m = 0; m < M; m++)
            for (int h = 0; h < together; h++) {
                float *out = y + (size_t)m * y_stride + 16 * (half + h);
                vf_store(out, first ? acc[m][h] : vf_add(vf_load(out), acc[m][h]));
            }
    }
}

typedef void (*QB_NAME(float_tile_fn))(float *y, size_t y_stride, const float *w, const float *x,
                                       size_t x_stride, size_t n_cols, bool first);

#define QB_CASE(M)                                                                             \
    static QB_NOINLINE void QB_NAME(float_tile_##M)(float *y, size_t y_stride, const float *w, \
                                                    const float *x, size_t x_stride,           \
                                                    size_t n_cols, bool first)                 \
    {                                                                                          \
        float_tile(M, y, y_stride, w, x, x_stride, n_cols, first);                             \
    }
QB_FLOAT_CASES
#undef QB_CASE
#define QB_CASE(M) [M] = QB_NAME(float_tile_##M),
static const QB_NAME(float_tile_fn) QB_NAME(float_tiles)[QB_FLOAT_TILE + 1] = {QB_FLOAT_CASES};
#undef QB_CASE

QB_INLINE vf add_single(const qb_format format, vf acc, const uint8_t *at, const int half, vf x)
{
    if (format == QB_BF16)
        return vf_mla(low_bf16(load_codes(at + 64 * half)), x, acc);
    return vf_mla(vf_load_f16((const uint16_t *)(const void *)at + 16 * half), x, acc);
}

QB_INLINE vf add_two(const qb_format format, vf acc, const uint8_t *at, const int half, vf x0,
                     vf x1)
{
    if (format == QB_F16)
        return add_single(format, add_single(format, acc, at, half, x0), at + 2 * QB_PANEL_ROWS,
                          half, x1);
    const vi pair = vi_keep(load_codes(at + 64 * half));
    return vf_mla(high_bf16(pair), x1, vf_mla(low_bf16(pair), x0, acc));
}

/* One token times 16-bit weights, which go from memory into the product: opened into a tile first, they
 * would be read three times (bf16, faithful: 26 to 63 GB/s a thread from the cache; f16 26 to 50). */
QB_INLINE void one_token(const qb_format format, float *y, const qb_weights *w, size_t panel,
                         const float *x)
{
    const qb_grid *grid = w->grid;
    const uint8_t *at = w->data + panel * w->panel_bytes;
    vf total[2] = {vf_set1(0.0f), vf_set1(0.0f)};
    for (size_t b = 0; b < grid->n_blocks; b++) {
        const size_t n_cols = grid->blocks[b].n_cols, n_pairs = n_cols / 2;
        vf acc[2] = {vf_set1(0.0f), vf_set1(0.0f)};
        for (size_t i = 0; i < n_pairs; i++, at += 4 * QB_PANEL_ROWS, x += 2)
            for (int h = 0; h < 2; h++)
                acc[h] = add_two(format, acc[h], at, h, vf_set1(x[0]), vf_set1(x[1]));
        if (n_cols % 2 != 0) /* the last of a row */
            for (int h = 0; h < 2; h++)
                acc[h] = add_single(format, acc[h], at, h, vf_set1(x[0]));
        for (int h = 0; h < 2; h++)
            total[h] = b == 0 ? acc[h] : vf_add(total[h], acc[h]);
    }
    for (int h = 0; h < 2; h++)
        vf_store(y + 16 * h, total[h]);
}

static void QB_NAME(gemm_float)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                                const qb_acts *x, size_t begin, size_t end)
{
    _Alignas(QB_ALIGN) float tile[QB_BLOCK_LEN * QB_PANEL_ROWS];
    const qb_grid *grid = w->grid;
    const size_t origin = qb_tile_begin(x, begin), n_tokens = qb_tile_begin(x, end) - origin;
    if (n_tokens == 1 && w->format != QB_F32 && qb_format_is_float(w->format)) {
        const float *input = x->rows + origin * x->row_stride;
        if (w->format == QB_BF16)
            one_token(QB_BF16, y, w, panel, input);
        else
            one_token(QB_F16, y, w, panel, input);
        return;
    }
    for (size_t b = 0; b < grid->n_blocks; b++) {
        const qb_block *block = &grid->blocks[b];
        const float *weights = QB_NAME(open_block)(tile, w, panel, block);
        for (size_t token = 0, m; token < n_tokens; token += m) {
            const size_t left = n_tokens - token;
            const float *input = x->rows + (origin + token) * x->row_stride + block->col;
            float *out = y + token * y_stride;
            m = qb_ceil_div(left, qb_ceil_div(left, (size_t)QB_FLOAT_TILE));
            QB_NAME(float_tiles)[m](out, y_stride, weights, input, x->row_stride, block->n_cols,
                                    b == 0);
        }
    }
}

static void QB_NAME(pick_float)(qb_gemm_kernels *kernels)
{
    for (int f = 0; f < QB_FORMAT_COUNT; f++) {
        const bool rounds = qb_format_is_float((qb_format)f) && f != QB_F32;
        const qb_act_form forms[] = {[QB_MODE_EXACT] = QB_ACT_F32,
                                     [QB_MODE_FAITHFUL] = rounds ? QB_ACT_BF16X2 : QB_ACT_F32,
                                     [QB_MODE_FAST] = rounds ? QB_ACT_BF16 : QB_ACT_F32};
        for (int mode = 0; mode < QB_MODE_COUNT; mode++)
            kernels->of[mode][f] =
                (qb_gemm){.fn = QB_NAME(gemm_float), .form = forms[mode], .few = forms[mode]};
    }
}
