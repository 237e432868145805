#include "formats/panel.h"

#include <string.h>

#include "base/half.h"
#include "base/memory.h"
#include "formats/unit.h"

qb_status qb_panel_bytes(size_t *out, qb_format format, qb_scale_type scale_type,
                         const qb_grid *grid)
{
    if (qb_format_is_float(format))
        return qb_mul(out, qb_float_columns(format, grid->n_cols),
                      QB_PANEL_ROWS * qb_formats[format].bits / 8);
    *out = grid->n_groups * qb_group_header_bytes(format, scale_type) +
           qb_code_bytes(format, grid->n_positions);
    return QB_OK;
}

void qb_segment_offset(size_t *header, size_t *codes, const qb_weights *w,
                       const qb_segment *segment)
{
    size_t header_bytes = qb_group_header_bytes(w->format, w->scale_type);
    *header = segment->group * header_bytes + qb_code_bytes(w->format, segment->group_pos);
    *codes = (segment->group + 1) * header_bytes + qb_code_bytes(w->format, segment->pos);
}

/* Cells of `size` bytes (one value, or bf16's two) from rows into columns of 32; eight columns at a
 * time, so that what is written stays in the first cache. */
QB_INLINE void scatter(uint8_t *panel, const uint8_t *rows, size_t row_bytes, size_t n_valid,
                       size_t n_cells, size_t size)
{
    for (size_t first = 0; first < n_cells; first += 8)
        for (size_t r = 0; r < n_valid; r++)
            for (size_t c = first; c < QB_MIN(first + 8, n_cells); c++)
                memcpy(panel + (c * QB_PANEL_ROWS + r) * size, rows + r * row_bytes + c * size,
                       size);
}

void qb_panel_pack_float(uint8_t *panel, qb_format format, const void *rows, size_t n_valid,
                         size_t n_cols)
{
    const size_t size = qb_formats[format].bits / 8, row_bytes = n_cols * size;
    if (n_valid < QB_PANEL_ROWS || n_cols % 2 != 0)
        memset(panel, 0, qb_float_columns(format, n_cols) * QB_PANEL_ROWS * size);
    if (format == QB_F32)
        scatter(panel, rows, row_bytes, n_valid, n_cols, 4);
    else if (format == QB_F16)
        scatter(panel, rows, row_bytes, n_valid, n_cols, 2);
    else
        scatter(panel, rows, row_bytes, n_valid, n_cols / 2, 4);
    if (format == QB_BF16 && n_cols % 2 != 0)
        for (size_t r = 0; r < n_valid; r++)
            memcpy(panel + qb_float_place(format, r, n_cols - 1) * size,
                   (const uint8_t *)rows + (r + 1) * row_bytes - size, size);
}

static void store_scale(uint8_t *out, qb_scale_type type, float scale)
{
    uint16_t half;
    switch (type) {
    case QB_SCALE_F32:
        memcpy(out, &scale, 4);
        return;
    case QB_SCALE_F16:
        half = qb_f32_to_f16(scale);
        break;
    default:
        half = qb_f32_to_bf16(scale);
    }
    memcpy(out, &half, 2);
}

static float load_scale(const uint8_t *in, qb_scale_type type)
{
    float scale;
    uint16_t half;
    if (type == QB_SCALE_F32) {
        memcpy(&scale, in, 4);
        return scale;
    }
    memcpy(&half, in, 2);
    return type == QB_SCALE_F16 ? qb_f16_to_f32(half) : qb_bf16_to_f32(half);
}

/* Codes of one unit: those of a row are `stride` apart from the next row's; what lies beyond n_codes
 * inputs or n_valid rows is the zero point. */
static void gather_unit(qb_unit *unit, const uint8_t *codes, size_t stride, size_t n_codes,
                        const uint8_t zeros[QB_PANEL_ROWS], size_t n_valid)
{
    for (size_t r = 0; r < QB_PANEL_ROWS; r++) {
        uint8_t row[QB_UNIT_LEN];
        const size_t n = r < n_valid ? n_codes : 0;
        if (n < QB_UNIT_LEN)
            memset(row, zeros[r], sizeof row);
        if (n == QB_UNIT_LEN)
            memcpy(row, codes + r * stride, sizeof row);
        else if (n > 0)
            memcpy(row, codes + r * stride, n);
        qb_unit_set_row(unit, r, row);
    }
}

void qb_panel_pack_int(uint8_t *panel, const qb_weights *w, const uint8_t *codes,
                       const float *scales, const uint8_t *zeros, size_t n_valid)
{
    const qb_grid *grid = w->grid;
    const unsigned bits = qb_formats[w->format].bits;
    const size_t scale_bytes = qb_scale_bytes(w->scale_type);
    for (size_t s = 0; s < grid->n_segments; s++) {
        const qb_segment *segment = &grid->segments[s];
        size_t header, at;
        uint8_t zero[QB_PANEL_ROWS];
        qb_segment_offset(&header, &at, w, segment);
        for (size_t r = 0; r < QB_PANEL_ROWS; r++) {
            const size_t g = r * grid->n_groups + segment->group;
            zero[r] = r >= n_valid || zeros == NULL ? (uint8_t)(1u << (bits - 1)) : zeros[g];
            store_scale(panel + header + r * scale_bytes, w->scale_type,
                        r < n_valid ? scales[g] : 0.0f);
        }
        if (qb_formats[w->format].kind == QB_KIND_ASYM) {
            uint8_t *stored = panel + header + QB_PANEL_ROWS * scale_bytes;
            memcpy(stored, zero, sizeof zero);
            memset(stored + sizeof zero, 0, QB_PANEL_ZERO_BYTES - sizeof zero);
        }
        for (size_t i = 0; i < segment->n_pos; i += QB_UNIT_LEN) {
            qb_unit unit;
            gather_unit(&unit, codes + segment->col + i, grid->n_cols,
                        QB_MIN((size_t)QB_UNIT_LEN, segment->n_cols - i), zero, n_valid);
            qb_unit_store(panel + at + i * QB_PANEL_ROWS / 8 * bits, bits, &unit);
        }
    }
}

void qb_panel_unpack_int(uint8_t *codes, float *scales, uint8_t *zeros, const qb_weights *w,
                         size_t panel, size_t n_valid)
{
    const qb_grid *grid = w->grid;
    const uint8_t *data = w->data + panel * w->panel_bytes;
    const unsigned bits = qb_formats[w->format].bits;
    const size_t scale_bytes = qb_scale_bytes(w->scale_type);
    for (size_t s = 0; s < grid->n_segments; s++) {
        const qb_segment *segment = &grid->segments[s];
        size_t header, at;
        qb_segment_offset(&header, &at, w, segment);
        for (size_t r = 0; r < n_valid; r++) {
            const size_t g = r * grid->n_groups + segment->group;
            scales[g] = load_scale(data + header + r * scale_bytes, w->scale_type);
            if (zeros != NULL)
                zeros[g] = data[header + QB_PANEL_ROWS * scale_bytes + r];
        }
        for (size_t i = 0; i < segment->n_cols; i += QB_UNIT_LEN) {
            qb_unit unit;
            qb_unit_load(&unit, bits, data + at + i * QB_PANEL_ROWS / 8 * bits);
            for (size_t r = 0; r < n_valid; r++) {
                uint8_t row[QB_UNIT_LEN];
                qb_unit_get_row(row, &unit, r);
                memcpy(codes + r * grid->n_cols + segment->col + i, row,
                       QB_MIN((size_t)QB_UNIT_LEN, segment->n_cols - i));
            }
        }
    }
}
