/* Activations into 16-bit integers per block, and into sums of two bf16. The tier's file defines
 *   store_planes(planes, n_positions, pos, q)   16 positions of 16-bit values, in the tier's order. */

/* Largest magnitude: both int8 planes of hi * 256 + lo hold it (hi <= 127, lo in -128..127). */
#define QB_ACT_TOP 32512.0f

static void QB_NAME(act_planes)(uint8_t *planes, float *scales, int32_t *sums, const float *x,
                                const qb_grid *grid)
{
    _Alignas(QB_ALIGN) float values[QB_BLOCK_LEN];
    for (size_t b = 0; b < grid->n_blocks; b++) {
        const qb_block *block = &grid->blocks[b];
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
        float max = vf_max_lane(top), nan = vf_sum(poison);
        bool usable = max >= 0x1p-100f && nan == 0.0f; /* below, 1 / max would overflow */
        scales[b] = nan == 0.0f ? (usable ? max / QB_ACT_TOP : 0.0f) : nan;
        vf inverse = vf_set1(usable ? QB_ACT_TOP / max : 0.0f);
        for (size_t s = 0; s < block->n_segments; s++) {
            const qb_segment *segment = &grid->segments[block->segment + s];
            vi sum = vi_set1(0);
            for (size_t i = 0; i < segment->n_pos; i += 16) {
                vi q = vi_set1(0);
                if (usable)
                    q = vf_to_i32(
                        vf_round(vf_mul(vf_load(values + segment->pos - block->pos + i), inverse)));
                sum = vi_add(sum, q);
                store_planes(planes, grid->n_positions, segment->pos + i, q);
            }
            sums[block->segment + s] = vi_sum(sum);
        }
    }
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

static void QB_NAME(act_bf16x2)(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        vf v = vf_load(x + i), hi = round_bf16(v);
        vf_store(out + i, vf_add(hi, round_bf16(vf_sub(v, hi))));
    }
}

void QB_NAME(qb_act_pick)(qb_act_kernels *kernels)
{
    *kernels = (qb_act_kernels){QB_NAME(act_planes), QB_NAME(act_bf16x2)};
}
