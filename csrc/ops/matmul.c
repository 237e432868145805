#include "ops/matmul.h"

/* Tiles of tokens that pass over a panel one after another: their activations stay in the
 * second-level cache while the worker's panels stream by (engines.md 6.2). With a block for each
 * worker, work is shared by tokens: the weights are read as often as by panels, but activations stay
 * with the thread that made them, and no barrier is needed. */
enum { TILES_PER_BLOCK = 16, BLOCK_TOKENS = TILES_PER_BLOCK * QB_TILE };

/* Tiles of rows are larger, and a panel is unpacked once for a block of them: as many as the cache holds
 * beside outputs and weights (one core of Sapphire Rapids, 8,192 inputs, 2 MB against 1: fast 776 and
 * 1,003 GMAC/s, 4 MB against 1: faithful 381 and 569). */
enum { ROWS_PER_BLOCK_BYTES = 1 << 20 };

static size_t tiles_per_block(qb_act_form form, const qb_grid *grid)
{
    if (!qb_act_in_rows(form))
        return TILES_PER_BLOCK;
    const size_t n = ROWS_PER_BLOCK_BYTES / (QB_TILE_ROWS * qb_act_bytes(form, grid));
    return QB_MAX(QB_MIN(n, (size_t)TILES_PER_BLOCK), (size_t)2);
}

qb_status qb_act_buffers_reserve(qb_act_buffers *b, const qb_weights *w, size_t n_tokens,
                                 unsigned n_threads)
{
    const qb_grid *grid = w->grid;
    size_t unit_bytes = 0;
    for (int form = 0; form < QB_ACT_COUNT; form++)
        unit_bytes = QB_MAX(unit_bytes, qb_act_bytes((qb_act_form)form, grid));
    b->unit_bytes = QB_MAX(b->unit_bytes, unit_bytes);
    b->n_blocks = QB_MAX(b->n_blocks, grid->n_blocks);
    b->n_segments = QB_MAX(b->n_segments, grid->n_segments);
    b->row_length = QB_MAX(b->row_length, qb_row_stride(grid->n_cols));
    QB_TRY(qb_buffer_reserve(&b->scratch, n_threads, b->row_length * sizeof(float)));
    const size_t readable = n_tokens + QB_TILE_ROWS; /* at least so many rows behind the last */
    QB_TRY(qb_buffer_reserve(&b->units, readable, b->unit_bytes));
    QB_TRY(qb_buffer_reserve(&b->scales, readable, b->n_blocks * sizeof(float)));
    QB_TRY(qb_buffer_reserve(&b->sums, readable, b->n_segments * sizeof(int32_t)));
    return qb_buffer_reserve(&b->rows, n_tokens, b->row_length * sizeof(float));
}

void qb_act_buffers_destroy(qb_act_buffers *b)
{
    qb_buffer_destroy(&b->units);
    qb_buffer_destroy(&b->scales);
    qb_buffer_destroy(&b->sums);
    qb_buffer_destroy(&b->rows);
    qb_buffer_destroy(&b->scratch);
}

const qb_gemm *qb_gemm_of(const qb_kernels *kernels, qb_mode mode, const qb_weights *w)
{
    return &kernels->gemm.of[mode][w->format];
}

qb_act_form qb_gemm_form(const qb_gemm *gemm, size_t n_tokens)
{
    if (n_tokens >= QB_MANY_TOKENS && gemm->many_fn != NULL)
        return gemm->many;
    return n_tokens <= QB_FEW_TOKENS ? gemm->few : gemm->form;
}

/* Where a token of tile [first, first + n) goes. */
static qb_act_row place_of(const qb_acts *a, const qb_grid *grid, size_t token, size_t first,
                           size_t n)
{
    const size_t m = token - first;
    const size_t unit_bytes =
        qb_act_in_rows(a->form) ? (size_t)QB_PIECE_BYTES : qb_act_unit_bytes(a->form);
    return (qb_act_row){.units = a->units + first * qb_act_bytes(a->form, grid) + m * unit_bytes,
                        .unit_stride = n * unit_bytes,
                        .scales = a->scales + first * grid->n_blocks + m,
                        .sums = a->sums + first * grid->n_segments + m,
                        .stride = n};
}

qb_acts qb_acts_prepare(qb_worker worker, const qb_kernels *kernels, qb_act_form form,
                        const qb_grid *grid, qb_rows rows, qb_span batch, qb_span own,
                        qb_act_buffers *b)
{
    const size_t stride = qb_row_stride(grid->n_cols), n_tokens = batch.end - batch.begin;
    float *out = (float *)b->rows.data + batch.begin * b->row_length,
          *scratch = (float *)b->scratch.data + worker.index * b->row_length;
    qb_acts a = {.form = form, .n_tokens = n_tokens, .n_tiles = qb_n_tiles(form, n_tokens)};
    if (qb_act_in_tiles(form)) {
        a.units = (uint8_t *)b->units.data + batch.begin * b->unit_bytes;
        a.scales = (float *)b->scales.data + batch.begin * b->n_blocks;
        a.sums = (int32_t *)b->sums.data + batch.begin * b->n_segments;
    } else {
        a.rows = out;
        a.row_stride = stride;
    }
    if (form == QB_ACT_F32 && rows.x != NULL) { /* they are what is wanted already */
        a.rows = rows.x + batch.begin * rows.x_stride;
        a.row_stride = rows.x_stride;
        return a;
    }
    for (size_t tile = 0; tile < a.n_tiles; tile++) {
        const size_t first = batch.begin + qb_tile_begin(&a, tile);
        const size_t n = batch.begin + qb_tile_begin(&a, tile + 1) - first;
        for (size_t t = QB_MAX(first, own.begin); t < QB_MIN(first + n, own.end); t++) {
            if (qb_team_cancelled(worker))
                return a;
            float *target = out + (t - batch.begin) * stride;
            float *made = form == QB_ACT_F32 ? target : scratch;
            if (rows.x == NULL)
                rows.make(rows.context, made, t);
            if (form == QB_ACT_F32)
                continue;
            const qb_act_row row = qb_act_in_tiles(form)
                                       ? place_of(&a, grid, t - batch.begin, first - batch.begin, n)
                                       : (qb_act_row){.units = (uint8_t *)target};
            kernels->act.pack[form](row, rows.x == NULL ? made : rows.x + t * rows.x_stride, grid);
        }
    }
    return a;
}

/* Panels [begin, end) of all products, counted one after another; outputs from token `first` on. */
static void multiply(qb_worker worker, const qb_kernels *kernels, qb_mode mode,
                     const qb_product *products, size_t n_products, size_t begin, size_t end,
                     const qb_acts *acts, size_t first)
{
    const size_t n_tiles = tiles_per_block(acts->form, products[0].w->grid);
    for (size_t tile = 0; tile < acts->n_tiles; tile += n_tiles) {
        const size_t tile_end = QB_MIN(tile + n_tiles, acts->n_tiles);
        size_t before = 0;
        for (size_t i = 0; i < n_products; i++) {
            const qb_product *p = &products[i];
            const size_t own = qb_n_panels(p->w->n_rows);
            const qb_gemm_fn fn = qb_gemm_fn_of(qb_gemm_of(kernels, mode, p->w), acts);
            float *y = p->y + (first + qb_tile_begin(acts, tile)) * p->y_stride;
            for (size_t panel = QB_MAX(begin, before) - before;
                 before + panel < QB_MIN(end, before + own); panel++) {
                if (qb_team_cancelled(worker))
                    return;
                fn(y + panel * QB_PANEL_ROWS, p->y_stride, p->w, panel, acts, tile, tile_end);
            }
            before += own;
        }
    }
}

void qb_matmul(qb_worker worker, const qb_kernels *kernels, qb_mode mode,
               const qb_product *products, size_t n_products, qb_rows rows, size_t n_tokens,
               qb_act_buffers *buffers)
{
    const bool by_tokens = n_tokens >= (size_t)BLOCK_TOKENS * worker.count;
    qb_span own, batch = {0, n_tokens};
    qb_worker_range(worker, n_tokens, &own.begin, &own.end);
    if (by_tokens)
        batch = own;
    for (size_t i = 0, j; i < n_products; i = j) {
        const qb_weights *w = products[i].w;
        const qb_act_form form = qb_gemm_form(qb_gemm_of(kernels, mode, w), n_tokens);
        size_t n_panels = qb_n_panels(w->n_rows), begin = 0, end;
        for (j = i + 1; j < n_products; j++) { /* products that read the same form share it */
            const qb_gemm *next = qb_gemm_of(kernels, mode, products[j].w);
            if (qb_gemm_form(next, n_tokens) != form ||
                !qb_grid_equal(products[j].w->grid, w->grid))
                break;
            n_panels += qb_n_panels(products[j].w->n_rows);
        }
        const qb_acts acts =
            qb_acts_prepare(worker, kernels, form, w->grid, rows, batch, own, buffers);
        end = n_panels;
        if (!by_tokens) {
            qb_worker_range(worker, n_panels, &begin, &end);
            qb_team_barrier(worker);
        }
        multiply(worker, kernels, mode, products + i, j - i, begin, end, &acts, batch.begin);
        if (!by_tokens)
            qb_team_barrier(worker);
    }
}
