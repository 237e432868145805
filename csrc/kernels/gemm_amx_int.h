/* Integer panels times rows of tokens. A block of codes is unpacked once for all tokens, as signed bytes
 * less their zero points (q8a: less 128; the rest is taken from the sums). Then, tile of tokens by tile
 * of tokens, the products of all its segments go to memory while the last tile's are scaled and
 * added up: the tile unit and the vector units are busy together. Order of summation: kernels.h. */

/* Tiles of tokens in one pass over a panel: their totals stay near. */
enum { PASS = 16, MAX_PLANES = 2 };

typedef struct {
    int8_t codes[2][QB_BLOCK_LEN / QB_STEP_LEN][TILE_ROW_BYTES]; /* by half: 4 positions of 16 rows */
    float scales[2][QB_MAX_SEGMENTS][16];
    int32_t zeros[2][QB_MAX_SEGMENTS][16]; /* q8a: less 128 */
} open_weights;

/* Sums of one tile of tokens, by half. */
typedef struct {
    int32_t of[2][QB_MAX_SEGMENTS][MAX_PLANES][QB_TILE_ROWS][16];
} tile_sums;

typedef struct {
    const uint8_t *at, *header; /* in the panel's stream */
} panel_stream;

QB_INLINE void open_half(const unsigned bits, int8_t (*out)[TILE_ROW_BYTES], const uint8_t *unit,
                         const int half, vi zero)
{
    QB_UNROLL(4)
    for (int step = 0; step < 4; step++) {
        const vi codes = shift_right(codes_of(bits, 8, unit, step, half, 0), lift_of(bits, half));
        vi_store((int32_t *)(void *)out[step], _mm512_sub_epi8(codes, zero));
    }
}

/* The next block of a panel. */
QB_INLINE void open_next(const unsigned bits, open_weights *out, panel_stream *stream,
                         const qb_weights *w, const qb_block *block)
{
    const qb_segment *segments = w->grid->segments + block->segment;
    const size_t unit_bytes = QB_UNIT_LEN * QB_PANEL_ROWS / 8 * bits;
    const size_t zeros_at = QB_PANEL_ROWS * qb_scale_bytes(w->scale_type);
    const bool asym = qb_formats[w->format].kind == QB_KIND_ASYM;
    size_t step = 0;
    for (size_t s = 0; s < block->n_segments; s++) {
        vi zero[2];
        if (segments[s].pos == segments[s].group_pos) {
            stream->header = stream->at;
            stream->at += qb_group_header_bytes(w->format, w->scale_type);
        }
        for (int half = 0; half < 2; half++) {
            vf_store(out->scales[half][s], load_scales(stream->header, w->scale_type, half));
            zero[half] = vi_set1((1 << (bits - 1)) * 0x01010101);
            if (!asym)
                continue;
            const vi own = vi_load_u8(stream->header + zeros_at + 16 * half);
            if (bits == 8)
                vi_store(out->zeros[half][s], vi_sub(own, vi_set1(128)));
            else
                zero[half] = vi_mul(own, vi_set1(0x01010101));
        }
        for (size_t i = 0; i < segments[s].n_pos; i += QB_UNIT_LEN, step += 4) {
            for (size_t line = 0; line < unit_bytes; line += 64)
                __builtin_prefetch(stream->at + QB_PREFETCH + line);
            for (int half = 0; half < 2; half++)
                open_half(bits, out->codes[half] + step, stream->at, half, zero[half]);
            stream->at += unit_bytes;
        }
    }
    for (; step < QB_BLOCK_LEN / QB_STEP_LEN; step++)
        for (int half = 0; half < 2; half++)
            vi_store((int32_t *)(void *)out->codes[half][step], vi_set1(0));
}

/* What a tile of tokens needs of one block. */
typedef struct {
    const uint8_t *rows;
    const float *scales;
    const int32_t *sums; /* (n_segments, n) */
    float (*total)[QB_TILE_ROWS][16];
    size_t n; /* its tokens */
} tile_block;

/* How the segments of a panel's blocks are cut into tiles. */
typedef struct {
    size_t length; /* positions of a whole segment */
    size_t n_tiles;
} segment_cut;

/* Products of one segment, both halves of the panel. */
QB_INLINE void multiply_segment(const int n_planes, tile_sums *out, const open_weights *w,
                                const tile_block *x, size_t s, const segment_cut *cut)
{
    const uint8_t *rows = x->rows + s * cut->length;
    const int8_t *first = w->codes[0][s * cut->length / QB_STEP_LEN];
    const int8_t *second = w->codes[1][s * cut->length / QB_STEP_LEN];
    TILE_ZERO(0);
    TILE_ZERO(1);
    if (n_planes == 2) {
        TILE_ZERO(2);
        TILE_ZERO(3);
    }
    for (size_t i = 0; i < cut->n_tiles; i++) {
        TILE_LOAD(4, rows + 64 * i, QB_ROW_BYTES);
        TILE_LOAD(6, first + TILE_BYTES * i, TILE_ROW_BYTES);
        TILE_DOT8(0, 4, 6);
        TILE_LOAD(7, second + TILE_BYTES * i, TILE_ROW_BYTES);
        TILE_DOT8(1, 4, 7);
        if (n_planes == 2) {
            TILE_LOAD(5, rows + 64 * i + x->n * QB_ROW_BYTES, QB_ROW_BYTES);
            TILE_DOT8(2, 5, 6);
            TILE_DOT8(3, 5, 7);
        }
    }
    TILE_STORE(0, out->of[0][s][0], TILE_ROW_BYTES);
    TILE_STORE(1, out->of[1][s][0], TILE_ROW_BYTES);
    if (n_planes == 2) {
        TILE_STORE(2, out->of[0][s][1], TILE_ROW_BYTES);
        TILE_STORE(3, out->of[1][s][1], TILE_ROW_BYTES);
    }
}

/* part = fma(sum, scale, part) for 16 tokens and outputs. */
QB_INLINE void add_segment(const int n_planes, const bool corrects, vf part[QB_TILE_ROWS],
                           const tile_sums *sums, const open_weights *w, const tile_block *x,
                           const int half, size_t s)
{
    const vf scale = vf_load(w->scales[half][s]);
    QB_UNROLL(16)
    for (int m = 0; m < QB_TILE_ROWS; m++) {
        vi sum = vi_load(sums->of[half][s][0][m]);
        if (n_planes == 2)
            sum = vi_add(sum, vi_shl(vi_load(sums->of[half][s][1][m]), 8));
        if (corrects)
            sum = vi_add(sum, vi_mul(vi_load(w->zeros[half][s]),
                                     vi_set1(x->sums[s * x->n + (size_t)m])));
        part[m] = vf_fma(vi_to_f32(sum), scale, part[m]);
    }
}

/* One block: the products of `next`, and the sums of `last`; either may be NULL. */
QB_INLINE void pass_block(const int n_planes, const bool corrects, const open_weights *w,
                          size_t n_segments, const segment_cut *cut, const tile_block *next,
                          tile_sums *next_sums, const tile_block *last, const tile_sums *last_sums)
{
    size_t n_done = 0;
    for (int half = 0; half < 2; half++) {
        vf part[QB_TILE_ROWS];
        for (int m = 0; m < QB_TILE_ROWS; m++)
            part[m] = vf_set1(0.0f);
        for (size_t s = 0; s < n_segments; s++) {
            if (next != NULL && 2 * n_done <= half * n_segments + s)
                multiply_segment(n_planes, next_sums, w, next, n_done++, cut);
            if (last != NULL)
                add_segment(n_planes, corrects, part, last_sums, w, last, half, s);
        }
        if (last == NULL)
            continue;
        QB_UNROLL(16)
        for (int m = 0; m < QB_TILE_ROWS; m++) {
            float *total = last->total[half][m];
            vf_store(total, vf_fma(part[m], vf_set1(last->scales[m]), vf_load(total)));
        }
    }
}

/* Up to PASS tiles of tokens times one panel. */
QB_INLINE void int_pass(const unsigned bits, const int n_planes, const bool corrects, float *y,
                        size_t y_stride, const qb_weights *w, size_t panel, const qb_acts *x,
                        size_t begin, size_t end)
{
    const qb_grid *grid = w->grid;
    const size_t token_bytes = qb_act_bytes(x->form, grid), origin = qb_tile_begin(x, begin);
    const size_t length = grid->segments[0].n_pos;
    const segment_cut cut = {length, qb_ceil_div(length, TILE_ROW_BYTES)};
    const uint8_t *data = w->data + panel * w->panel_bytes;
    panel_stream stream = {data, data};
    _Alignas(QB_ALIGN) open_weights open;
    _Alignas(QB_ALIGN) tile_sums sums[2];
    _Alignas(QB_ALIGN) float total[PASS][2][QB_TILE_ROWS][16];
    for (size_t i = 0; i < (end - begin) * sizeof total[0] / TILE_ROW_BYTES; i++)
        vf_store(total[0][0][0] + 16 * i, vf_set1(0.0f));
    for (size_t b = 0; b < grid->n_blocks; b++) {
        const qb_block *block = &grid->blocks[b];
        tile_block own[2];
        open_next(bits, &open, &stream, w, block);
        for (size_t i = begin, first = origin; i <= end; i++) {
            tile_block *next = &own[i % 2], *last = &own[(i + 1) % 2];
            if (i < end) {
                next->n = qb_tile_begin(x, i + 1) - first;
                next->rows =
                    x->units + first * token_bytes + b * next->n * QB_ROW_BYTES * (size_t)n_planes;
                next->scales = x->scales + first * grid->n_blocks + b * next->n;
                next->sums = x->sums + first * grid->n_segments + block->segment * next->n;
                next->total = total[i - begin];
                first += next->n;
            }
            pass_block(n_planes, corrects, &open, block->n_segments, &cut, i < end ? next : NULL,
                       &sums[i % 2], i > begin ? last : NULL, &sums[(i + 1) % 2]);
        }
    }
    for (size_t i = begin; i < end; i++) {
        const size_t first = qb_tile_begin(x, i), n = qb_tile_begin(x, i + 1) - first;
        for (size_t m = 0; m < n; m++)
            for (int half = 0; half < 2; half++)
                vf_store(y + (first - origin + m) * y_stride + 16 * half,
                         vf_load(total[i - begin][half][m]));
    }
}

typedef void (*int_pass_fn)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                            const qb_acts *x, size_t begin, size_t end);

/* clang-format off */
#define EACH_PASS                                                                            \
    CASE(2, 1, false) CASE(2, 2, false) CASE(3, 1, false) CASE(3, 2, false) CASE(4, 1, false) \
    CASE(4, 2, false) CASE(8, 1, false) CASE(8, 2, false) CASE(8, 1, true) CASE(8, 2, true)
#define CASE(bits, planes, corrects)                                                         \
    static QB_NOINLINE void QB_NAME(int_pass_##bits##_##planes##_##corrects)(                \
        float *y, size_t y_stride, const qb_weights *w, size_t panel, const qb_acts *x,      \
        size_t begin, size_t end)                                                            \
    {                                                                                        \
        int_pass(bits, planes, corrects, y, y_stride, w, panel, x, begin, end);              \
    }
EACH_PASS
#undef CASE
#define CASE(bits, planes, corrects) \
    [bits][planes][corrects] = QB_NAME(int_pass_##bits##_##planes##_##corrects),
static const int_pass_fn int_passes[9][MAX_PLANES + 1][2] = {EACH_PASS};
#undef CASE
/* clang-format on */

static void QB_NAME(gemm_int)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                              const qb_acts *x, size_t begin, size_t end)
{
    const size_t k = QB_MIN(w->grid->segments[0].n_pos, (uint32_t)TILE_ROW_BYTES);
    const unsigned bits = qb_formats[w->format].bits;
    const bool corrects = bits == 8 && qb_formats[w->format].kind == QB_KIND_ASYM;
    const int_pass_fn pass = int_passes[bits][x->form == QB_ACT_ROWS16 ? 2 : 1][corrects];
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        const bool weights = i >= 6, acts = i == 4 || i == 5;
        shapes.rows[i] = (uint8_t)(weights ? k / 4 : qb_ceil_div(x->n_tokens, x->n_tiles));
        shapes.row_bytes[i] = (uint16_t)(acts ? k : TILE_ROW_BYTES);
    }
    tile_configure(&shapes);
    for (size_t tile = begin, next; tile < end; tile = next) {
        next = QB_MIN(tile + PASS, end);
        pass(y + (qb_tile_begin(x, tile) - qb_tile_begin(x, begin)) * y_stride, y_stride, w, panel,
             x, tile, next);
    }
    TILE_RELEASE();
}

static void QB_NAME(pick_int)(qb_gemm_kernels *kernels)
{
    for (int f = 0; f < QB_FORMAT_COUNT; f++)
        if (!qb_format_is_float((qb_format)f)) {
            kernels->of[QB_MODE_FAITHFUL][f].many_fn = QB_NAME(gemm_int);
            kernels->of[QB_MODE_FAITHFUL][f].many = QB_ACT_ROWS16;
            kernels->of[QB_MODE_FAST][f].many_fn = QB_NAME(gemm_int);
            kernels->of[QB_MODE_FAST][f].many = QB_ACT_ROWS8;
        }
}
