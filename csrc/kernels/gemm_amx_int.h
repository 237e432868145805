/* Integer panels times rows of tokens. A block of codes is unpacked once for all tokens, as signed bytes
 * less their zero points (q8a: less 128; the rest is taken from the sums). Then, tile of tokens by tile
 * of tokens, the products of all its segments go to memory while the last tile's are scaled and
 * added up: the tile unit and the vector units are busy together. Order of summation: kernels.h. */

/* Tiles of tokens in one pass over a panel: their totals stay near. */
enum { PASS = 16, UNITS = QB_BLOCK_LEN / QB_UNIT_LEN };

/* A block of weights, by half of the panel: steps of 4 positions of 16 rows. Segments that it has not are
 * zeros. */
typedef struct {
    int8_t codes[2][QB_BLOCK_LEN / QB_STEP_LEN][TILE_ROW_BYTES];
    float scales[2][QB_MAX_SEGMENTS][16];
    int32_t zeros[2][QB_MAX_SEGMENTS][16]; /* q8a: less 128 */
    vi zero_bytes[2];                      /* of the segment that is being unpacked */
    size_t n_segments;                     /* that are there */
} open_weights;

/* Unpacks a panel unit by unit. */
typedef struct {
    const qb_weights *w;
    const uint8_t *at, *header;
    size_t block, segment, unit; /* the next; segment and unit in the block */
    size_t left;                 /* units of the segment */
    size_t n_segments;           /* to fill */
} opening;

QB_INLINE void open_segment_header(const unsigned bits, open_weights *out, opening *o,
                                   const qb_segment *segment)
{
    const qb_weights *w = o->w;
    const size_t zeros_at = QB_PANEL_ROWS * qb_scale_bytes(w->scale_type), s = o->segment;
    if (segment->pos == segment->group_pos) {
        o->header = o->at;
        o->at += qb_group_header_bytes(w->format, w->scale_type);
    }
    o->left = segment->n_pos / QB_UNIT_LEN;
    for (int half = 0; half < 2; half++) {
        vf_store(out->scales[half][s], load_scales(o->header, w->scale_type, half));
        out->zero_bytes[half] = vi_set1((1 << (bits - 1)) * 0x01010101);
        if (qb_formats[w->format].kind != QB_KIND_ASYM)
            continue;
        const vi own = vi_load_u8(o->header + zeros_at + 16 * half);
        if (bits == 8)
            vi_store(out->zeros[half][s], vi_sub(own, vi_set1(128)));
        else
            out->zero_bytes[half] = vi_mul(own, vi_set1(0x01010101));
    }
}

QB_INLINE void open_unit(const unsigned bits, open_weights *out, const opening *o)
{
    for (size_t line = 0; line < 64 * bits; line += 64)
        __builtin_prefetch(o->at + QB_PREFETCH + line);
    QB_UNROLL(4)
    for (int i = 0; i < 4; i++)
        for (int half = 0; half < 2; half++) {
            const vi codes = shift_right(codes_of(bits, 8, o->at, i, half, 0), lift_of(bits, half));
            vi_store((int32_t *)(void *)out->codes[half][4 * o->unit + (size_t)i],
                     _mm512_sub_epi8(codes, out->zero_bytes[half]));
        }
}

/* Units of the next block up to `end`, which is at most 8. */
QB_INLINE void open_units(const unsigned bits, open_weights *out, opening *o, size_t end)
{
    const qb_grid *grid = o->w->grid;
    const qb_block *block = &grid->blocks[o->block];
    const size_t per_segment = UNITS / o->n_segments;
    for (; o->unit < end; o->unit++) {
        o->segment = o->unit / per_segment;
        if (o->unit % per_segment == 0 && o->segment < block->n_segments)
            open_segment_header(bits, out, o, &grid->segments[block->segment + o->segment]);
        if (o->left > 0) {
            open_unit(bits, out, o);
            o->at += 64 * bits;
            o->left--;
            continue;
        }
        for (size_t i = 0; i < 4; i++) /* behind a segment */
            for (int half = 0; half < 2; half++)
                vi_store((int32_t *)(void *)out->codes[half][4 * o->unit + i], vi_set1(0));
    }
    if (end < UNITS)
        return;
    out->n_segments = block->n_segments;
    for (size_t s = block->n_segments; s < o->n_segments; s++) /* the last block may have fewer */
        for (int half = 0; half < 2; half++) {
            vf_store(out->scales[half][s], vf_set1(0.0f));
            vi_store(out->zeros[half][s], vi_set1(0));
            __asm__ volatile("" ::: "memory"); /* `rep stos` would take longer than all the rest */
        }
    o->block++;
    o->unit = 0;
}

static QB_NOINLINE void QB_NAME(open_units)(open_weights *out, opening *o, size_t end)
{
    switch (qb_formats[o->w->format].bits) {
    case 8:
        open_units(8, out, o, end);
        break;
    case 4:
        open_units(4, out, o, end);
        break;
    case 3:
        open_units(3, out, o, end);
        break;
    default:
        open_units(2, out, o, end);
    }
}

/* A tile of tokens: where its part of the present block lies. */
typedef struct {
    const uint8_t *rows;
    const float *scales;
    const int32_t *sums;
    size_t n;
    float *y; /* (n, y_stride) */
} token_tile;

/* Sums of one segment on their way from the tiles to the vector units, a plane after the other. */
typedef int32_t segment_sums[2][QB_TILE_ROWS][16];

/* Products of segment s: into sums `c`, and `c + 2` of the upper plane. Activations stay in their
 * tiles for the second half where there is room. */
QB_INLINE void multiply(const int n_segments, const int n_planes, const int c, const int half,
                        const int s, const open_weights *w, const token_tile *x)
{
    const int n_parts = n_segments == 1 ? 2 : 1;
    const bool stays = n_planes == 1 && n_segments * n_parts <= 4;
    for (int plane = 0; plane < n_planes; plane++)
        tile_zero(c + 2 * plane);
    QB_UNROLL(2)
    for (int part = 0; part < n_parts; part++) {
        const int at = s * (QB_BLOCK_LEN / n_segments) + part * QB_PIECE_BYTES;
        const int b = 6 + (s + part) % 2;
        tile_load(b, w->codes[half][at / QB_STEP_LEN], TILE_ROW_BYTES);
        QB_UNROLL(2)
        for (int plane = 0; plane < n_planes; plane++) {
            const int a = stays ? (n_segments == 4 ? 2 + s : 4 + s + part) : 4 + plane;
            if (!stays || half == 0)
                tile_load(a,
                          x->rows +
                              (size_t)(at / QB_PIECE_BYTES * n_planes + plane) * x->n *
                                  QB_PIECE_BYTES +
                              at % QB_PIECE_BYTES,
                          QB_PIECE_BYTES);
            tile_dot8(c + 2 * plane, a, b);
        }
    }
}

/* part = fma(sum, scale, part) for 16 tokens and outputs. */
QB_INLINE void add_segment(const int n_planes, const bool corrects, vf part[QB_TILE_ROWS],
                           segment_sums sums, const open_weights *w, const token_tile *x,
                           const int half, const int s)
{
    const vf scale = vf_load(w->scales[half][s]);
    const size_t own = (size_t)s < w->n_segments ? (size_t)s * x->n : 0;
    QB_UNROLL(16)
    for (int m = 0; m < QB_TILE_ROWS; m++) {
        vi sum = vi_load(sums[0][m]);
        if (n_planes == 2)
            sum = vi_add(sum, vi_shl(vi_load(sums[1][m]), 8));
        if (corrects)
            sum =
                vi_add(sum, vi_mul(vi_load(w->zeros[half][s]), vi_set1(x->sums[own + (size_t)m])));
        part[m] = vf_fma(vi_to_f32(sum), scale, s == 0 ? vf_set1(0.0f) : part[m]);
    }
}

QB_INLINE void add_block(float (*total)[16], const vf part[QB_TILE_ROWS], const float *scales)
{
    QB_UNROLL(16)
    for (int m = 0; m < QB_TILE_ROWS; m++)
        vf_store(total[m], vf_fma(part[m], vf_set1(scales[m]), vf_load(total[m])));
}

/* Where the outputs of a tile will be written (1B shape, 512 tokens: 581 to 509 ms). */
QB_INLINE void fetch_outputs(const token_tile *x, size_t y_stride)
{
    for (size_t m = 0; m < x->n; m++) {
        __builtin_prefetch(x->y + m * y_stride, 1);
        __builtin_prefetch(x->y + m * y_stride + 16, 1);
    }
}

/* To the next block. */
QB_INLINE void go_on(token_tile *x, const int n_planes, size_t n_segments)
{
    x->rows += x->n * QB_BLOCK_LEN * (size_t)n_planes;
    x->scales += x->n;
    x->sums += x->n * n_segments;
}

/* One panel times n tiles of tokens. While the tile unit multiplies a segment, the sums of the last one
 * are stored and those of the one before scaled; while the tiles of tokens pass a block, the next
 * is unpacked. What the first step finds of the one before it goes to total[-1], which nobody reads. */
QB_INLINE void pass_panel(const int n_segments, const int n_planes, const bool corrects,
                          const qb_weights *w, size_t panel, token_tile *tiles_of_x, size_t n,
                          float (*total)[2][QB_TILE_ROWS][16], size_t y_stride)
{
    const int n_steps = 2 * n_segments;
    const qb_grid *grid = w->grid;
    _Alignas(QB_ALIGN) segment_sums sums[2];
    _Alignas(QB_ALIGN) open_weights open[2];
    opening o = {.w = w, .at = w->data + panel * w->panel_bytes, .n_segments = (size_t)n_segments};
    token_tile last = tiles_of_x[0];
    float (*last_total)[QB_TILE_ROWS][16] = total[-1];
    const open_weights *last_open = &open[0];
    vf part[QB_TILE_ROWS];
    for (int m = 0; m < QB_TILE_ROWS; m++)
        part[m] = vf_set1(0.0f);
    memset(sums, 0, sizeof sums);
    QB_NAME(open_units)(&open[0], &o, UNITS);
    for (size_t b = 0; b <= grid->n_blocks; b++) {
        const open_weights *now = &open[b % 2];
        for (size_t i = 0; i < n; i++) {
            const token_tile x = tiles_of_x[i];
            const bool ends = b == grid->n_blocks;
            QB_UNROLL(16)
            for (int step = 0; step < n_steps; step++) {
                const int c = step % 2;
                const int done = (step + n_steps - 2) % n_steps, half = done / n_segments;
                const open_weights *done_open = step < 2 ? last_open : now;
                const token_tile *done_x = step < 2 ? &last : &x;
                if (ends && step == 2)
                    break;
                if (!ends)
                    multiply(n_segments, n_planes, c, step / n_segments, step % n_segments, now,
                             &x);
                for (int plane = 0; plane < n_planes; plane++)
                    tile_store(1 - c + 2 * plane, sums[1 - c][plane], TILE_ROW_BYTES);
                add_segment(n_planes, corrects, part, sums[c], done_open, done_x, half,
                            done % n_segments);
                if (done % n_segments == n_segments - 1)
                    add_block(step < 2 ? last_total[half] : total[i][half], part, done_x->scales);
            }
            if (ends)
                return;
            if (b + 1 < grid->n_blocks)
                QB_NAME(open_units)(&open[(b + 1) % 2], &o, (i + 1) * UNITS / n);
            else
                fetch_outputs(&x, y_stride);
            last = x;
            last_total = total[i];
            last_open = now;
            go_on(&tiles_of_x[i], n_planes, grid->blocks[b].n_segments);
        }
    }
}

typedef void (*pass_fn)(const qb_weights *w, size_t panel, token_tile *x, size_t n,
                        float (*total)[2][QB_TILE_ROWS][16], size_t y_stride);

/* clang-format off */
#define EACH_PASS                                                                     \
    CASE(1, 1, 0) CASE(1, 2, 0) CASE(1, 1, 1) CASE(1, 2, 1) CASE(2, 1, 0) CASE(2, 2, 0) \
    CASE(2, 1, 1) CASE(2, 2, 1) CASE(4, 1, 0) CASE(4, 2, 0) CASE(4, 1, 1) CASE(4, 2, 1) \
    CASE(8, 1, 0) CASE(8, 2, 0) CASE(8, 1, 1) CASE(8, 2, 1)
#define CASE(segments, planes, corrects)                                              \
    static QB_NOINLINE void QB_NAME(pass_##segments##_##planes##_##corrects)(         \
        const qb_weights *w, size_t panel, token_tile *x, size_t n,                   \
        float (*total)[2][QB_TILE_ROWS][16], size_t y_stride)                         \
    {                                                                                 \
        pass_panel(segments, planes, corrects, w, panel, x, n, total, y_stride);      \
    }
EACH_PASS
#undef CASE
#define CASE(segments, planes, corrects) \
    [segments][planes][corrects] = QB_NAME(pass_##segments##_##planes##_##corrects),
static const pass_fn passes[QB_MAX_SEGMENTS + 1][3][2] = {EACH_PASS};
#undef CASE
/* clang-format on */

/* Up to PASS tiles of tokens times one panel. */
QB_INLINE void int_pass(pass_fn pass, float *y, size_t y_stride, const qb_weights *w, size_t panel,
                        const qb_acts *x, size_t begin, size_t n)
{
    const qb_grid *grid = w->grid;
    _Alignas(QB_ALIGN) float total[1 + PASS][2][QB_TILE_ROWS][16];
    token_tile own[PASS];
    const size_t origin = qb_tile_begin(x, begin);
    for (size_t i = 0; i < n; i++) {
        const size_t first = qb_tile_begin(x, begin + i);
        own[i] = (token_tile){.rows = x->units + first * qb_act_bytes(x->form, grid),
                              .scales = x->scales + first * grid->n_blocks,
                              .sums = x->sums + first * grid->n_segments,
                              .n = qb_tile_begin(x, begin + i + 1) - first,
                              .y = y + (first - origin) * y_stride};
    }
    memset(total, 0, (1 + n) * sizeof total[0]);
    pass(w, panel, own, n, total + 1, y_stride);
    for (size_t i = 0; i < n; i++)
        for (size_t m = 0; m < own[i].n; m++)
            for (int half = 0; half < 2; half++)
                vf_store(own[i].y + m * y_stride + 16 * (size_t)half,
                         vf_load(total[1 + i][half][m]));
}

static void QB_NAME(gemm_int)(float *y, size_t y_stride, const qb_weights *w, size_t panel,
                              const qb_acts *x, size_t begin, size_t end)
{
    const size_t pitch = qb_row_pitch(w->grid), k = QB_MIN(pitch, (size_t)TILE_ROW_BYTES);
    const size_t n_segments = QB_BLOCK_LEN / pitch;
    const size_t n_planes = x->form == QB_ACT_ROWS16 ? 2 : 1;
    const pass_fn pass = passes[n_segments][n_planes][w->format == QB_Q8A];
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        const bool sums = i < (n_planes == 2 ? 4 : 2), weights = i >= 6;
        shapes.rows[i] = (uint8_t)(weights ? k / 4 : qb_ceil_div(x->n_tokens, x->n_tiles));
        shapes.row_bytes[i] = (uint16_t)(sums || weights ? TILE_ROW_BYTES : k);
    }
    tile_configure(&shapes);
    for (size_t tile = begin, next; tile < end; tile = next) {
        next = QB_MIN(tile + PASS, end);
        int_pass(pass, y + (qb_tile_begin(x, tile) - qb_tile_begin(x, begin)) * y_stride, y_stride,
                 w, panel, x, tile, next - tile);
    }
    tile_release();
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
