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
                const vi code = vi_and(vi_shr(codes, (int)(8 * j)), vi_set1(255));
                vf_store(out + (i + j) * QB_PANEL_ROWS + 16 * (size_t)half,
                         vf_mul(vi_to_f32(vi_sub(code, zero)), scale));
            }
        }
    }
}

/* bf16 weights lie in pairs of inputs; the last may have no second. With one token this loop is as slow
 * as memory, and fetching ahead of it pays (bf16 49 instead of 38 GB/s where reading alone has 62). */
QB_INLINE void open_pairs(float *out, const uint8_t *pairs, size_t n_cols)
{
    for (size_t i = 0; i < n_cols; i += 2, pairs += 128) {
        __builtin_prefetch(pairs + QB_PREFETCH, 0, 2);
        __builtin_prefetch(pairs + QB_PREFETCH + 64, 0, 2);
        for (int half = 0; half < 2; half++) {
            const vi pair = load_codes(pairs + 64 * half);
            float *own = out + i * QB_PANEL_ROWS + 16 * half;
            vf_store(own, vf_bits(vi_shl(pair, 16)));
            if (i + 1 < n_cols)
                vf_store(own + QB_PANEL_ROWS, vf_bits(vi_and(pair, vi_set1((int32_t)0xffff0000))));
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

static void QB_NAME(gemm_float)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                                const qb_acts *x, size_t begin, size_t end)
{
    _Alignas(QB_ALIGN) float tile[QB_BLOCK_LEN * QB_PANEL_ROWS];
    const qb_grid *grid = w->grid;
    const size_t origin = qb_tile_begin(x, begin), n_tokens = qb_tile_begin(x, end) - origin;
    for (size_t b = 0; b < grid->n_blocks; b++) {
        const qb_block *block = &grid->blocks[b];
        const float *weights = QB_NAME(open_block)(tile, w, panel, block);
        for (size_t token = 0, m; token < n_tokens; token += m) {
            const size_t left = n_tokens - token;
            const float *input = x->rows + (origin + token) * x->row_stride + block->col;
            float *out = y + token * y_stride;
            m = qb_ceil_div(left, qb_ceil_div(left, (size_t)QB_FLOAT_TILE));
#define QB_CASE(M)                                                                          \
    case M:                                                                                 \
        float_tile(M, out, y_stride, weights, input, x->row_stride, block->n_cols, b == 0); \
        break;
            switch (m) {
                QB_FLOAT_CASES
            }
#undef QB_CASE
        }
    }
}

static void QB_NAME(pick_float)(qb_gemm_kernels *kernels)
{
    for (int f = 0; f < QB_FORMAT_COUNT; f++) {
        const bool rounds = qb_format_is_float((qb_format)f) && f != QB_F32;
        kernels->of[QB_MODE_EXACT][f] = (qb_gemm){QB_NAME(gemm_float), QB_ACT_F32};
        kernels->of[QB_MODE_FAITHFUL][f] =
            (qb_gemm){QB_NAME(gemm_float), rounds ? QB_ACT_BF16X2 : QB_ACT_F32};
        kernels->of[QB_MODE_FAST][f] =
            (qb_gemm){QB_NAME(gemm_float), rounds ? QB_ACT_BF16 : QB_ACT_F32};
    }
}
