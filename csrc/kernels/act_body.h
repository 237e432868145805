/* Activations in the forms that products read. The tier's file defines, for 16 lanes of integers,
 *   store_int16(out, q)   as 16 bits, each four in the order 0 2 1 3
 *   store_int8(out, q)    as 8 bits, the lowest of each
 *   store_high(out, q)    the upper 16 bits of each */

/* Largest magnitudes. 127 * 256 is what two planes of signed bytes can hold. */
#define QB_INT16_TOP 32512.0f
#define QB_INT8_TOP 127.0f

/* A block's inputs by position; returns whether all are finite, and the largest magnitude. */
QB_INLINE float gather_block(float *values, const float *x, const qb_grid *grid,
                             const qb_block *block, float *max)
{
    memset(values, 0, block->n_pos * sizeof(float));
    for (size_t s = 0; s < block->n_segments; s++) {
        const qb_segment *segment = &grid->segments[block->segment + s];
        memcpy(values + (segment->pos - block->pos), x + segment->col,
               segment->n_cols * sizeof(float));
    }
    vf top = vf_set1(0.0f), poison = vf_set1(0.0f);
    for (size_t i = 0; i < block->n_pos; i += 16) {
        vf v = vf_load(values + i);
        top = vf_max(vf_abs(v), top);
        poison = vf_add(poison, vf_sub(v, v)); /* NaN if any value is not finite */
    }
    *max = vf_max_lane(top);
    return vf_sum(poison);
}

QB_INLINE void pack_int(const qb_act_form form, qb_act_row out, const float *x, const qb_grid *grid)
{
    const bool in_rows = qb_act_in_rows(form);
    const size_t n_planes = form == QB_ACT_PLANES ? 2 : qb_act_planes(form);
    const size_t pitch = in_rows ? qb_row_pitch(grid) : 0;
    const float largest = form == QB_ACT_INT8 || form == QB_ACT_ROWS8 ? QB_INT8_TOP : QB_INT16_TOP;
    _Alignas(QB_ALIGN) float values[QB_BLOCK_LEN];
    for (size_t b = 0; b < grid->n_blocks; b++) {
        const qb_block *block = &grid->blocks[b];
        float max;
        const float nan = gather_block(values, x, grid, block, &max);
        const bool usable = max >= 0x1p-100f && nan == 0.0f; /* below, 1 / max would overflow */
        out.scales[b * out.stride] = nan == 0.0f ? (usable ? max / largest : 0.0f) : nan;
        const vf inverse = vf_set1(usable ? largest / max : 0.0f);
        uint8_t *unit = out.units;
        for (size_t s = 0, i = 0; s < block->n_segments; s++) {
            const size_t end = i + grid->segments[block->segment + s].n_pos;
            vi sum = vi_set1(0);
            for (size_t at = s * pitch; i < end; i += QB_UNIT_LEN, at += QB_UNIT_LEN) {
                if (in_rows)
                    unit = out.units + at / QB_PIECE_BYTES * n_planes * out.unit_stride +
                           at % QB_PIECE_BYTES;
                vi q = vi_set1(0);
                if (usable)
                    q = vf_to_i32(vf_round(vf_mul(vf_load(values + i), inverse)));
                sum = vi_add(sum, q);
                if (form == QB_ACT_INT16)
                    store_int16(unit, q);
                else if (n_planes == 2) {
                    const vi upper = vi_sar(vi_add(q, vi_set1(128)), 8);
                    store_int8(unit, vi_sub(q, vi_shl(upper, 8)));
                    store_int8(unit + (in_rows ? out.unit_stride : QB_UNIT_LEN), upper);
                } else
                    store_int8(unit, q);
                unit += out.unit_stride;
            }
            out.sums[(block->segment + s) * out.stride] = -vi_sum(sum);
        }
        out.units =
            in_rows ? out.units + QB_BLOCK_LEN / QB_PIECE_BYTES * n_planes * out.unit_stride : unit;
    }
}

static void QB_NAME(pack_int16)(qb_act_row out, const float *x, const qb_grid *grid)
{
    pack_int(QB_ACT_INT16, out, x, grid);
}

static void QB_NAME(pack_planes)(qb_act_row out, const float *x, const qb_grid *grid)
{
    pack_int(QB_ACT_PLANES, out, x, grid);
}

static void QB_NAME(pack_int8)(qb_act_row out, const float *x, const qb_grid *grid)
{
    pack_int(QB_ACT_INT8, out, x, grid);
}

static void QB_NAME(pack_rows8)(qb_act_row out, const float *x, const qb_grid *grid)
{
    pack_int(QB_ACT_ROWS8, out, x, grid);
}

static void QB_NAME(pack_rows16)(qb_act_row out, const float *x, const qb_grid *grid)
{
    pack_int(QB_ACT_ROWS16, out, x, grid);
}

/* Rounds to bf16, half to even; infinities and NaN pass. */
QB_INLINE vf round_bf16(vf x)
{
    vi bits = vi_bits(x);
    vi odd = vi_and(vi_shr(bits, 16), vi_set1(1));
    vi rounded = vi_and(vi_add(bits, vi_add(odd, vi_set1(0x7fff))), vi_set1((int32_t)0xffff0000));
    /* Where x - x is not 0, x is not finite: keep it. */
    return vf_select_lt(vf_abs(x), vf_set1(0x1.fep127f), vf_bits(rounded), x);
}

static void QB_NAME(pack_pairs)(qb_act_row out, const float *x, const qb_grid *grid)
{
    for (size_t i = 0; i < grid->n_cols; i += QB_UNIT_LEN, out.units += out.unit_stride) {
        vf v = vf_load(x + i);
        /* What is not finite must stay so in 16 bits: a NaN may have its only bits below. */
        v = vf_add(round_bf16(v), vf_sub(v, v));
        store_high(out.units, vi_bits(v));
    }
}

/* Rows of bf16, and what is missing in a second plane. */
QB_INLINE void pack_bf16_rows(const int n_planes, qb_act_row out, const float *x,
                              const qb_grid *grid)
{
    enum { LEN = QB_PIECE_BYTES / 2 };
    for (size_t i = 0; i < qb_round_up(grid->n_cols, LEN); i += QB_UNIT_LEN) {
        uint8_t *own = out.units + i / LEN * (size_t)n_planes * out.unit_stride + 2 * (i % LEN);
        const vf v = i < grid->n_cols ? vf_load(x + i) : vf_set1(0.0f), hi = round_bf16(v);
        store_high(own, vi_bits(vf_add(hi, vf_sub(v, v))));
        if (n_planes == 2)
            store_high(own + out.unit_stride, vi_bits(round_bf16(vf_sub(v, hi))));
    }
}

static void QB_NAME(pack_rows_bf16)(qb_act_row out, const float *x, const qb_grid *grid)
{
    pack_bf16_rows(1, out, x, grid);
}

static void QB_NAME(pack_rows_bf16x2)(qb_act_row out, const float *x, const qb_grid *grid)
{
    pack_bf16_rows(2, out, x, grid);
}

static void QB_NAME(pack_bf16x2)(qb_act_row out, const float *x, const qb_grid *grid)
{
    float *row = (float *)(void *)out.units;
    for (size_t i = 0; i < grid->n_cols; i += 16) {
        vf v = vf_load(x + i), hi = round_bf16(v);
        vf_store(row + i, vf_add(hi, round_bf16(vf_sub(v, hi))));
    }
}

static void QB_NAME(pack_bf16)(qb_act_row out, const float *x, const qb_grid *grid)
{
    float *row = (float *)(void *)out.units;
    for (size_t i = 0; i < grid->n_cols; i += 16)
        vf_store(row + i, round_bf16(vf_load(x + i)));
}

void QB_NAME(qb_act_pick)(qb_act_kernels *kernels)
{
    *kernels = (qb_act_kernels){{[QB_ACT_BF16X2] = QB_NAME(pack_bf16x2),
                                 [QB_ACT_BF16] = QB_NAME(pack_bf16),
                                 [QB_ACT_PAIRS] = QB_NAME(pack_pairs),
                                 [QB_ACT_INT16] = QB_NAME(pack_int16),
                                 [QB_ACT_PLANES] = QB_NAME(pack_planes),
                                 [QB_ACT_INT8] = QB_NAME(pack_int8),
                                 [QB_ACT_ROWS8] = QB_NAME(pack_rows8),
                                 [QB_ACT_ROWS16] = QB_NAME(pack_rows16),
                                 [QB_ACT_ROWS_BF16] = QB_NAME(pack_rows_bf16),
                                 [QB_ACT_ROWS_BF16X2] = QB_NAME(pack_rows_bf16x2)}};
}
