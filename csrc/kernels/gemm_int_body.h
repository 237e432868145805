/* Integer panels times integer activations, written once over the tier's lanes. The tier's file
 * defines, before including this:
 *   QB_INT_TILE           tokens whose sums are in registers together
 *   QB_INT_CASES          QB_CASE(bits, form, 1) .. for that many tokens
 *   QB_FEW_FORM           16-bit activations of few tokens: INT16, or PLANES where bytes multiply well
 *   QB_PLANES_CASES(bits) QB_CASE(bits, PLANES, 1) .. for QB_FEW_TOKENS, or nothing
 *   QB_HALVES             halves (16 rows) of the panel whose sums are in registers together: 1, 2
 *   dot16(acc, codes, x)  acc + two products of 16 bits a lane
 *   unit8(bits, form, M, c, unit, half, x)
 *                         c[..][m][h] += a unit of codes times 8-bit activations, or their planes
 * Order of summation: kernels.h. */

/* One token reads one stream, which the prefetcher of Zen follows better in huge pages (shares of the
 * read bandwidth in turns: 4 bits 109 % as against 98, 8 bits 107 and 97). Sapphire Rapids' does not:
 * see gemm_amx_one.c. */
#ifndef QB_FETCH_FROM
#define QB_FETCH_FROM 2 /* tokens */
#endif
#define QB_FETCH(M, address)             \
    do {                                 \
        if ((M) >= QB_FETCH_FROM)        \
            __builtin_prefetch(address); \
    } while (0)

QB_INLINE void unit16(const unsigned bits, const int M, vi (*c)[QB_INT_TILE][QB_HALVES],
                      const uint8_t *unit, const int first_half, const uint8_t *x)
{
    QB_UNROLL(4)
    for (int step = 0; step < 4; step++)
        QB_UNROLL(2)
    for (int odd = 0; odd < 2; odd++) {
        vi codes[QB_HALVES];
        for (int h = 0; h < QB_HALVES; h++)
            codes[h] = codes_of(bits, 16, unit, step, first_half + h, odd);
        QB_UNROLL(8)
        for (int m = 0; m < M; m++) {
            const vi pair = vi_broadcast4(x + 32 * m + 8 * step + 4 * odd);
            vi *sums = c[odd % n_sums(QB_ACT_INT16, M)][m];
            for (int h = 0; h < QB_HALVES; h++)
                sums[h] = dot16(sums[h], codes[h], pair);
        }
    }
}

/* The weights' stream of one panel, and one tile of activations. */
typedef struct {
    const uint8_t *panel;
    const qb_weights *w;
    const uint8_t *units;
    const float *scales;
    const int32_t *sums;
    size_t n; /* tokens of the tile: the stride of all three */
} QB_NAME(int_call);

QB_INLINE vi broadcast_sum(const int32_t *sum)
{
    return vi_broadcast4((const uint8_t *)(const void *)sum);
}

/* What zero points take away from the sums of a segment. */
QB_INLINE void open_sums(const unsigned bits, const qb_act_form form, const int M,
                         vi (*c)[QB_INT_TILE][QB_HALVES], const uint8_t *zeros,
                         const int first_half, const int32_t *sums)
{
    for (int h = 0; h < QB_HALVES; h++) {
        const int lift = lift_of(bits, first_half + h);
        vi zero = vi_set1(0);
        if (zeros != NULL)
            zero = vi_shl(vi_load_u8(zeros + 16 * (first_half + h)), lift);
        for (int m = 0; m < M; m++) {
            const vi sum = broadcast_sum(sums + m);
            c[0][m][h] = zeros != NULL ? vi_mul(zero, sum) : vi_shl(sum, (int)bits - 1 + lift);
            if (n_sums(form, M) > 1)
                c[1][m][h] = vi_set1(0);
        }
    }
}

QB_INLINE vi whole_sum(const qb_act_form form, const int M, vi (*c)[QB_INT_TILE][QB_HALVES],
                       const int m, const int h)
{
    vi sum = c[0][m][h];
    if (n_sums(form, M) > 1)
        sum = vi_add(sum, form == QB_ACT_PLANES ? vi_shl(c[1][m][h], 8) : c[1][m][h]);
    return sum;
}

/* M tokens times 16 * QB_HALVES rows. Partial sums of a block lie in memory (they stay in L1), so that
 * the integer sums have the registers: left to itself gcc does it the other way round. */
QB_INLINE void int_rows(const unsigned bits, const qb_act_form form, const int M, float *y,
                        size_t y_stride, const QB_NAME(int_call) *call, const int first_half)
{
    enum { ROWS = 16 * QB_HALVES };
    const size_t unit_bytes = QB_UNIT_LEN * QB_PANEL_ROWS / 8 * bits, n = call->n;
    const qb_weights *w = call->w;
    const qb_grid *grid = w->grid;
    const size_t header_bytes = qb_group_header_bytes(w->format, w->scale_type);
    const size_t zeros_at = QB_PANEL_ROWS * qb_scale_bytes(w->scale_type);
    const bool asym = qb_formats[w->format].kind == QB_KIND_ASYM;
    const uint8_t *at = call->panel, *header = at, *x = call->units;
    const int32_t *sums = call->sums;
    const qb_segment *segment = grid->segments;
    _Alignas(QB_ALIGN) float part[QB_INT_TILE][ROWS], total[QB_INT_TILE][ROWS];
    for (int m = 0; m < M; m++)
        for (int i = 0; i < ROWS; i += 16)
            vf_store(total[m] + i, vf_set1(0.0f));
    for (size_t b = 0; b < grid->n_blocks; b++) {
        for (int m = 0; m < M;
             m++) /* memset becomes `rep stos`, from which no vector is forwarded */
            for (int i = 0; i < ROWS; i += 16)
                vf_store(part[m] + i, vf_set1(0.0f));
        for (size_t s = 0; s < grid->blocks[b].n_segments; s++, segment++, sums += n) {
            vi c[QB_NAME(max_sums)][QB_INT_TILE][QB_HALVES];
            if (segment->pos == segment->group_pos) {
                header = at;
                at += header_bytes;
                for (size_t i = 0; i < header_bytes; i += 64)
                    QB_FETCH(M, header + QB_PREFETCH + i);
            }
            open_sums(bits, form, M, c, asym ? header + zeros_at : NULL, first_half, sums);
            for (size_t i = 0; i < segment->n_pos; i += QB_UNIT_LEN, at += unit_bytes) {
                for (size_t line = 0; line < unit_bytes; line += 64)
                    QB_FETCH(M, at + QB_PREFETCH + line);
                if (form == QB_ACT_INT16)
                    unit16(bits, M, c, at, first_half, x);
                else
                    unit8(bits, form, M, c, at, first_half, x);
                x += n * qb_act_unit_bytes(form);
            }
            for (int h = 0; h < QB_HALVES; h++) {
                const vf scale = load_scales(header, w->scale_type, first_half + h);
                for (int m = 0; m < M; m++) {
                    const vi sum = whole_sum(form, M, c, m, h);
                    float *own = part[m] + 16 * h;
                    vf_store(own, vf_fma(vi_to_f32(sum), scale, vf_load(own)));
                }
            }
            if (M > 2)
                __asm__ volatile("" ::: "memory");
        }
        for (int m = 0; m < M; m++) {
            for (int h = 0; h < QB_HALVES; h++) {
                const float lifted = (float)(1 << lift_of(bits, first_half + h));
                const vf scale = vf_set1(call->scales[b * n + (size_t)m] / lifted);
                float *own = total[m] + 16 * h;
                vf_store(own, vf_fma(vf_load(part[m] + 16 * h), scale, vf_load(own)));
            }
        }
    }
    for (int m = 0; m < M; m++)
        memcpy(y + (size_t)m * y_stride + 16 * first_half, total[m], sizeof total[m]);
}

typedef void (*QB_NAME(int_tile_fn))(float *y, size_t y_stride, const QB_NAME(int_call) *call);

/* clang-format off */
#define QB_EACH_TILE                                                                \
    QB_INT_CASES(2, INT8) QB_INT_CASES(2, INT16) QB_INT_CASES(3, INT8)              \
    QB_INT_CASES(3, INT16) QB_INT_CASES(4, INT8) QB_INT_CASES(4, INT16)             \
    QB_INT_CASES(8, INT8) QB_INT_CASES(8, INT16)                                    \
    QB_PLANES_CASES(2) QB_PLANES_CASES(3) QB_PLANES_CASES(4) QB_PLANES_CASES(8)

#define QB_CASE(bits, form, M)                                                      \
    static QB_NOINLINE void QB_NAME(int_tile_##bits##_##form##_##M)(                \
        float *y, size_t y_stride, const QB_NAME(int_call) *call)                   \
    {                                                                               \
        int_rows(bits, QB_ACT_##form, M, y, y_stride, call, 0);                     \
        if (QB_HALVES == 1)                                                         \
            int_rows(bits, QB_ACT_##form, M, y, y_stride, call, 1);                 \
    }
QB_EACH_TILE
#undef QB_CASE
#define QB_CASE(bits, form, M) \
    [bits][QB_ACT_##form][M] = QB_NAME(int_tile_##bits##_##form##_##M),
static const QB_NAME(int_tile_fn) QB_NAME(int_tiles)[9][QB_ACT_COUNT][QB_INT_TILE + 1] = {QB_EACH_TILE};
#undef QB_CASE
/* clang-format on */

static void QB_NAME(gemm_int)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                              const qb_acts *x, size_t begin, size_t end)
{
    const qb_grid *grid = w->grid;
    const size_t unit_bytes = qb_act_unit_bytes(x->form);
    const size_t token_bytes = grid->n_positions / QB_UNIT_LEN * unit_bytes;
    const QB_NAME(int_tile_fn) *tiles = QB_NAME(int_tiles)[qb_formats[w->format].bits][x->form];
    QB_NAME(int_call) call = {.panel = w->data + panel * w->panel_bytes, .w = w};
    const size_t origin = qb_tile_begin(x, begin);
    for (size_t tile = begin, first = origin, next; tile < end; tile++, first = next) {
        next = qb_tile_begin(x, tile + 1);
        call.n = next - first;
        for (size_t m = 0, own; m < call.n;
             m += own) { /* parts of a tile where registers are few */
            own = qb_ceil_div(call.n - m, qb_ceil_div(call.n - m, (size_t)QB_INT_TILE));
            call.units = x->units + first * token_bytes + m * unit_bytes;
            call.scales = x->scales + first * grid->n_blocks + m;
            call.sums = x->sums + first * grid->n_segments + m;
            tiles[own](y + (first - origin + m) * y_stride, y_stride, &call);
        }
    }
}

static void QB_NAME(pick_int)(qb_gemm_kernels *kernels)
{
    for (int f = 0; f < QB_FORMAT_COUNT; f++)
        if (!qb_format_is_float((qb_format)f)) {
            kernels->of[QB_MODE_FAITHFUL][f] =
                (qb_gemm){.fn = QB_NAME(gemm_int), .form = QB_ACT_INT16, .few = QB_FEW_FORM};
            kernels->of[QB_MODE_FAST][f] =
                (qb_gemm){.fn = QB_NAME(gemm_int), .form = QB_ACT_INT8, .few = QB_ACT_INT8};
        }
}
