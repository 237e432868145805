#include "model/tensor.h"

#include <math.h>

#include "base/half.h"
#include "base/memory.h"
#include "base/threads.h"

static qb_status create(qb_tensor **out, qb_format format, qb_scale_type scale_type, size_t group,
                        size_t n_rows, size_t n_cols)
{
    void *block, *panels;
    size_t panel_bytes;
    *out = NULL;
    QB_REQUIRE(n_rows >= 1 && n_rows <= UINT32_MAX / 32, QB_ERR_RANGE);
    QB_TRY(qb_alloc(&block, 1, sizeof(qb_tensor)));
    qb_tensor *tensor = block;
    qb_status status = qb_grid_init(&tensor->grid, n_cols, group);
    if (status == QB_OK)
        status = qb_panel_bytes(&panel_bytes, format, scale_type, &tensor->grid);
    if (status == QB_OK)
        status = qb_alloc_stream(&panels, qb_n_panels(n_rows), panel_bytes);
    if (status != QB_OK) {
        qb_tensor_free(tensor);
        return status;
    }
    tensor->panels = panels;
    tensor->weights = (qb_weights){.format = format,
                                   .scale_type = scale_type,
                                   .n_rows = n_rows,
                                   .n_cols = n_cols,
                                   .grid = &tensor->grid,
                                   .panel_bytes = panel_bytes,
                                   .data = tensor->panels};
    *out = tensor;
    return QB_OK;
}

static size_t rows_of(const qb_weights *w, size_t panel)
{
    return QB_MIN((size_t)QB_PANEL_ROWS, w->n_rows - panel * QB_PANEL_ROWS);
}

/* What a team packs: raw elements, or codes with their scales and zero points. */
typedef struct {
    qb_tensor *tensor;
    const void *values;
    const uint8_t *codes, *zeros;
    const float *scales;
} packing;

static void pack_dense(qb_worker worker, void *context)
{
    const packing *p = context;
    const qb_weights *w = &p->tensor->weights;
    const size_t row_bytes = w->n_cols * qb_formats[w->format].bits / 8;
    size_t begin, end;
    qb_worker_range(worker, qb_n_panels(w->n_rows), &begin, &end);
    for (size_t panel = begin; panel < end; panel++)
        qb_panel_pack_float(p->tensor->panels + panel * w->panel_bytes, w->format,
                            (const uint8_t *)p->values + panel * QB_PANEL_ROWS * row_bytes,
                            rows_of(w, panel), w->n_cols);
}

qb_status qb_tensor_from_dense(qb_tensor **out, qb_format format, const void *values, size_t n_rows,
                               size_t n_cols, unsigned n_threads)
{
    QB_REQUIRE(qb_format_is_float(format), QB_ERR_FORMAT);
    QB_TRY(create(out, format, QB_SCALE_F32, n_cols, n_rows, n_cols));
    packing p = {.tensor = *out, .values = values};
    return qb_team_run(n_threads, pack_dense, &p, NULL, NULL);
}

static qb_status check_codes(const uint8_t *codes, size_t n, unsigned bits)
{
    uint8_t all = 0;
    for (size_t i = 0; i < n; i++)
        all |= codes[i];
    return all >> bits == 0 ? QB_OK : QB_ERR_RANGE;
}

static qb_status check_scales(const float *scales, size_t n, qb_scale_type type)
{
    for (size_t i = 0; i < n; i++) {
        const float stored = type == QB_SCALE_F32   ? scales[i]
                             : type == QB_SCALE_F16 ? qb_f16_to_f32(qb_f32_to_f16(scales[i]))
                                                    : qb_bf16_to_f32(qb_f32_to_bf16(scales[i]));
        QB_REQUIRE(isfinite(scales[i]), QB_ERR_NONFINITE);
        QB_REQUIRE(stored == scales[i], QB_ERR_RANGE);
    }
    return QB_OK;
}

static qb_status pack_panel(const packing *p, size_t panel)
{
    const qb_weights *w = &p->tensor->weights;
    const unsigned bits = qb_formats[w->format].bits;
    const size_t row = panel * QB_PANEL_ROWS, n_rows = rows_of(w, panel);
    const size_t first_group = row * w->grid->n_groups, n_groups = n_rows * w->grid->n_groups;
    const uint8_t *codes = p->codes + row * w->n_cols;
    const uint8_t *zeros = p->zeros == NULL ? NULL : p->zeros + first_group;
    QB_TRY(check_codes(codes, n_rows * w->n_cols, bits));
    QB_TRY(check_scales(p->scales + first_group, n_groups, w->scale_type));
    if (zeros != NULL)
        QB_TRY(check_codes(zeros, n_groups, bits));
    qb_panel_pack_int(p->tensor->panels + panel * w->panel_bytes, w, codes, p->scales + first_group,
                      zeros, n_rows);
    return QB_OK;
}

static void pack_codes(qb_worker worker, void *context)
{
    const packing *p = context;
    size_t begin, end;
    qb_worker_range(worker, qb_n_panels(p->tensor->weights.n_rows), &begin, &end);
    for (size_t panel = begin; panel < end; panel++) {
        const qb_status status = pack_panel(p, panel);
        if (status != QB_OK) {
            qb_team_fail(worker, status);
            return;
        }
    }
}

qb_status qb_tensor_from_codes(qb_tensor **out, qb_format format, qb_scale_type scale_type,
                               size_t group, const uint8_t *codes, const float *scales,
                               const uint8_t *zeros, size_t n_rows, size_t n_cols,
                               unsigned n_threads)
{
    QB_REQUIRE(!qb_format_is_float(format), QB_ERR_FORMAT);
    QB_REQUIRE((zeros != NULL) == (qb_formats[format].kind == QB_KIND_ASYM), QB_ERR_FORMAT);
    QB_REQUIRE(n_cols >= 1 && group >= 1, QB_ERR_RANGE);
    QB_TRY(create(out, format, scale_type, QB_MIN(group, n_cols), n_rows, n_cols));
    packing p = {.tensor = *out, .codes = codes, .scales = scales, .zeros = zeros};
    const qb_status status = qb_team_run(n_threads, pack_codes, &p, NULL, NULL);
    if (status != QB_OK) {
        qb_tensor_free(*out);
        *out = NULL;
    }
    return status;
}

qb_status qb_tensor_codes(const qb_tensor *tensor, uint8_t *codes, float *scales, uint8_t *zeros)
{
    const qb_weights *w = &tensor->weights;
    QB_REQUIRE(!qb_format_is_float(w->format), QB_ERR_FORMAT);
    for (size_t p = 0; p < qb_n_panels(w->n_rows); p++) {
        const size_t row = p * QB_PANEL_ROWS, groups = row * w->grid->n_groups;
        qb_panel_unpack_int(codes + row * w->n_cols, scales + groups,
                            zeros == NULL ? NULL : zeros + groups, w, p, rows_of(w, p));
    }
    return QB_OK;
}

size_t qb_tensor_bytes(const qb_tensor *tensor)
{
    return qb_n_panels(tensor->weights.n_rows) * tensor->weights.panel_bytes;
}

void qb_tensor_free(qb_tensor *tensor)
{
    if (tensor == NULL)
        return;
    qb_grid_destroy(&tensor->grid);
    qb_free(tensor->panels);
    qb_free(tensor);
}
