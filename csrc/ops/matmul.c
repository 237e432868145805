#include "ops/matmul.h"

/* Tokens that pass over a panel together: their activations stay in the second-level cache while
 * the worker's panels stream by (engines.md 6.2). */
#define TOKEN_BLOCK 96

/* What form of the activations a product reads. */
typedef enum { INPUT_FLOAT, INPUT_ROUNDED, INPUT_PLANES } input_form;

static input_form input_of(qb_mode mode, const qb_weights *w)
{
    if (mode == QB_MODE_EXACT || w->format == QB_F32)
        return INPUT_FLOAT;
    return qb_format_is_float(w->format) ? INPUT_ROUNDED : INPUT_PLANES;
}

qb_status qb_act_buffers_reserve(qb_act_buffers *b, const qb_weights *w, size_t n_tokens)
{
    const qb_grid *grid = w->grid;
    QB_TRY(qb_buffer_reserve(&b->planes, n_tokens, 2 * grid->n_positions));
    QB_TRY(qb_buffer_reserve(&b->scales, n_tokens, grid->n_blocks * sizeof(float)));
    QB_TRY(qb_buffer_reserve(&b->sums, n_tokens, grid->n_segments * sizeof(int32_t)));
    return qb_buffer_reserve(&b->rounded, n_tokens, qb_round_up(grid->n_cols, 16) * sizeof(float));
}

void qb_act_buffers_destroy(qb_act_buffers *b)
{
    qb_buffer_destroy(&b->planes);
    qb_buffer_destroy(&b->scales);
    qb_buffer_destroy(&b->sums);
    qb_buffer_destroy(&b->rounded);
}

qb_gemm_fn qb_gemm_of(const qb_kernels *kernels, qb_mode mode, qb_format format)
{
    return mode == QB_MODE_EXACT ? kernels->gemm.exact[format] : kernels->gemm.planes[format];
}

qb_acts qb_acts_prepare(qb_worker worker, const qb_kernels *kernels, qb_mode mode,
                        const qb_weights *w, const float *x, size_t x_stride, size_t n_tokens,
                        qb_act_buffers *b)
{
    const qb_grid *grid = w->grid;
    const input_form form = input_of(mode, w);
    const size_t padded = qb_round_up(grid->n_cols, 16);
    uint8_t *planes = b->planes.data;
    float *scales = b->scales.data, *rounded = b->rounded.data;
    int32_t *sums = b->sums.data;
    size_t begin, end;
    qb_worker_range(worker, n_tokens, &begin, &end);
    for (size_t t = begin; t < end && form != INPUT_FLOAT && !qb_team_cancelled(worker); t++) {
        if (form == INPUT_ROUNDED)
            kernels->act.bf16x2(rounded + t * padded, x + t * x_stride, padded);
        else
            kernels->act.planes(planes + t * 2 * grid->n_positions, scales + t * grid->n_blocks,
                                sums + t * grid->n_segments, x + t * x_stride, grid);
    }
    if (form == INPUT_ROUNDED)
        return (qb_acts){.x = rounded, .x_stride = padded};
    return (qb_acts){
        .x = x, .x_stride = x_stride, .planes = planes, .scales = scales, .sums = sums};
}

qb_acts qb_acts_from(qb_acts a, const qb_grid *grid, size_t token)
{
    a.x += token * a.x_stride;
    if (a.planes != NULL) {
        a.planes += token * 2 * grid->n_positions;
        a.scales += token * grid->n_blocks;
        a.sums += token * grid->n_segments;
    }
    return a;
}

/* This worker's share of the panels of all products, counted one after another. */
static void multiply(qb_worker worker, const qb_kernels *kernels, qb_mode mode,
                     const qb_product *products, size_t n_products, qb_acts acts, size_t n_tokens)
{
    size_t n_panels = 0, begin, end;
    for (size_t i = 0; i < n_products; i++)
        n_panels += qb_n_panels(products[i].w->n_rows);
    qb_worker_range(worker, n_panels, &begin, &end);
    for (size_t token = 0; token < n_tokens; token += TOKEN_BLOCK) {
        const size_t n = QB_MIN((size_t)TOKEN_BLOCK, n_tokens - token);
        size_t before = 0;
        for (size_t i = 0; i < n_products; i++) {
            const qb_product *p = &products[i];
            const size_t own = qb_n_panels(p->w->n_rows);
            const qb_gemm_fn gemm = qb_gemm_of(kernels, mode, p->w->format);
            const qb_acts part = qb_acts_from(acts, p->w->grid, token);
            for (size_t panel = 0; panel < own; panel++) {
                if (before + panel < begin || before + panel >= end)
                    continue;
                if (qb_team_cancelled(worker))
                    return;
                gemm(p->y + token * p->y_stride + panel * QB_PANEL_ROWS, p->y_stride, p->w, panel,
                     &part, p->w->grid, n);
            }
            before += own;
        }
    }
}

void qb_matmul(qb_worker worker, const qb_kernels *kernels, qb_mode mode,
               const qb_product *products, size_t n_products, const float *x, size_t x_stride,
               size_t n_tokens, qb_act_buffers *buffers)
{
    for (size_t i = 0, j; i < n_products; i = j) {
        const qb_weights *w = products[i].w;
        for (j = i + 1; j < n_products; j++) /* products that read the same form share it */
            if (input_of(mode, products[j].w) != input_of(mode, w) ||
                !qb_grid_equal(products[j].w->grid, w->grid))
                break;
        qb_acts acts = qb_acts_prepare(worker, kernels, mode, w, x, x_stride, n_tokens, buffers);
        qb_team_barrier(worker);
        multiply(worker, kernels, mode, products + i, j - i, acts, n_tokens);
        qb_team_barrier(worker);
    }
}
