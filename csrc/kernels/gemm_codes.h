/* Codes of integer panels in registers. The tier's file includes this after its lanes, and before the
 * products that read them. */

enum { QB_NAME(max_sums) = 2 };

/* A token's sums of a segment: its two planes, or, as products of one chain wait for each other, the
 * steps of a unit in turns where tokens are few. Integers, so that no result depends on it. */
QB_INLINE int n_sums(const qb_act_form form, const int M)
{
    return form == QB_ACT_PLANES || M <= 3 ? 2 : 1;
}

QB_INLINE vi load_codes(const uint8_t *p) { return vi_load((const int32_t *)(const void *)p); }

QB_INLINE vi shift_right(vi v, const int n)
{
    return n > 0 ? vi_shr16(v, n) : n < 0 ? vi_shl16(v, -n) : v;
}

QB_INLINE vf load_scales(const uint8_t *p, qb_scale_type type, int half)
{
    if (type == QB_SCALE_F32)
        return vf_load((const float *)(const void *)p + 16 * half);
    const uint16_t *q = (const uint16_t *)(const void *)p + 16 * half;
    return type == QB_SCALE_F16 ? vf_load_f16(q) : vf_load_bf16(q);
}

/* Where both halves come from one vector. */
QB_INLINE vi load_once(const int width, const uint8_t *p)
{
    return width == 8 ? vi_keep(load_codes(p)) : load_codes(p);
}

/* The second half's codes stay where they lie in their bytes, 2^lift times what they are: a shift a step
 * costs more than one scale a block. */
QB_INLINE int lift_of(const unsigned bits, const int half)
{
    return half == 0 || bits == 8 ? 0 : bits == 4 ? 4 : 2;
}

/* Codes of 16 rows, times 2^lift, as `width`-bit lanes: 8: the four positions of a step, one to a byte;
 * 16: of each two bytes the lower (odd: the upper), which are positions 0 and 2 (1 and 3). panel.h has
 * the layout. */
QB_INLINE vi codes_of(const unsigned bits, const int width, const uint8_t *unit, const int step,
                      const int half, const int odd)
{
    const int32_t every = width == 8 ? 0x01010101 : 0x00010001;
    const int lift = lift_of(bits, half), pair_shift = 4 * (step % 2) + 8 * odd;
    vi low, high;
    switch (bits) {
    case 8:
        low = load_codes(unit + step * QB_STEP_BYTES + 64 * half);
        return width == 8 ? low : odd ? vi_shr16(low, 8) : vi_and(low, vi_set1(255 * every));
    case 4:
        low = shift_right(load_once(width, unit + step * 64), 8 * odd);
        return vi_and(low, vi_set1((15 << lift) * every));
    case 3:
        low = shift_right(load_once(width, unit + step / 2 * 64), pair_shift);
        high = shift_right(load_once(width, unit + 128), qb_third_bit(step) - 2 + 8 * odd);
        return vi_and_or(high, vi_set1((4 << lift) * every),
                         vi_and(low, vi_set1((3 << lift) * every)));
    default:
        low = shift_right(load_once(width, unit + step / 2 * 64), pair_shift);
        return vi_and(low, vi_set1((3 << lift) * every));
    }
}
