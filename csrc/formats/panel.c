#include "formats/panel.h"

#include <string.h>

#include "base/half.h"
#include "base/memory.h"

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

void qb_panel_pack_float(uint8_t *panel, qb_format format, const void *rows, size_t stride,
                         size_t n_valid, size_t n_cols)
{
    size_t size = qb_formats[format].bits / 8;
    const uint8_t *source = rows;
    memset(panel, 0, qb_float_columns(format, n_cols) * QB_PANEL_ROWS * size);
    for (size_t r = 0; r < n_valid; r++)
        for (size_t c = 0; c < n_cols; c++)
            memcpy(panel + qb_float_place(format, r, c) * size, source + (r * stride + c) * size,
                   size);
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

/* The place of one code: unit, byte of the unit, bit of the byte (and of the third-bit plane). */
static void put_code(uint8_t *codes, unsigned bits, size_t pos, size_t row, uint8_t code)
{
    size_t step = pos / QB_STEP_LEN, j = pos % QB_STEP_LEN;
    size_t half = row / 16, lane = 4 * (row % 16) + j; /* byte within 64 */
    size_t unit = pos / QB_UNIT_LEN, unit_step = step % 4;
    switch (bits) {
    case 8:
        codes[step * QB_STEP_BYTES + 4 * row + j] = code;
        break;
    case 4:
        codes[step * 64 + lane] |= (uint8_t)(code << (4 * half));
        break;
    case 3:
        codes[unit * 192 + 128 + lane] |= (uint8_t)((code >> 2) << (2 * unit_step + half));
        codes[unit * 192 + unit_step / 2 * 64 + lane] |=
            (uint8_t)((code & 3) << (4 * (unit_step % 2) + 2 * half));
        break;
    default:
        codes[step / 2 * 64 + lane] |= (uint8_t)(code << (4 * (step % 2) + 2 * half));
    }
}

void qb_codes_expand(uint8_t *out, unsigned bits, const uint8_t *codes, size_t n_pos)
{
    size_t n_steps = n_pos / QB_STEP_LEN;
    for (size_t step = 0; step < n_steps; step++, out += QB_STEP_BYTES)
        for (size_t half = 0; half < 2; half++)
            for (size_t lane = 0; lane < 64; lane++) {
                size_t shift = 4 * (step % 2) + 2 * half, unit = step / 4, unit_step = step % 4;
                uint8_t code;
                switch (bits) {
                case 8:
                    code = codes[step * QB_STEP_BYTES + half * 64 + lane];
                    break;
                case 4:
                    code = (codes[step * 64 + lane] >> (4 * half)) & 15;
                    break;
                case 3:
                    code = (codes[unit * 192 + unit_step / 2 * 64 + lane] >> shift) & 3;
                    code |= ((codes[unit * 192 + 128 + lane] >> (2 * unit_step + half)) & 1) << 2;
                    break;
                default:
                    code = (codes[step / 2 * 64 + lane] >> shift) & 3;
                }
                out[half * 64 + lane] = code;
            }
}

void qb_panel_pack_int(uint8_t *panel, qb_format format, qb_scale_type scale_type,
                       const qb_grid *grid, const uint8_t *codes, const float *scales,
                       const uint8_t *zeros, size_t n_valid)
{
    unsigned bits = qb_formats[format].bits;
    uint8_t middle = (uint8_t)(1u << (bits - 1));
    size_t scale_bytes = qb_scale_bytes(scale_type), panel_bytes = 0;
    qb_weights layout = {.format = format, .scale_type = scale_type, .grid = grid};
    if (qb_panel_bytes(&panel_bytes, format, scale_type, grid) != QB_OK)
        return;
    memset(panel, 0, panel_bytes);
    for (size_t s = 0; s < grid->n_segments; s++) {
        const qb_segment *segment = &grid->segments[s];
        size_t header, at;
        qb_segment_offset(&header, &at, &layout, segment);
        for (size_t r = 0; r < QB_PANEL_ROWS; r++) {
            bool valid = r < n_valid;
            size_t g = r * grid->n_groups + segment->group;
            uint8_t zero = !valid || zeros == NULL ? middle : zeros[g];
            store_scale(panel + header + r * scale_bytes, scale_type, valid ? scales[g] : 0.0f);
            if (qb_formats[format].kind == QB_KIND_ASYM)
                panel[header + QB_PANEL_ROWS * scale_bytes + r] = zero;
            for (size_t i = 0; i < segment->n_pos; i++) {
                bool real = valid && i < segment->n_cols;
                put_code(panel + at, bits, i, r,
                         real ? codes[r * grid->n_cols + segment->col + i] : zero);
            }
        }
    }
}

void qb_panel_unpack_int(uint8_t *codes, float *scales, uint8_t *zeros, const qb_weights *w,
                         size_t panel, size_t n_valid)
{
    const qb_grid *grid = w->grid;
    const uint8_t *data = w->data + panel * w->panel_bytes;
    unsigned bits = qb_formats[w->format].bits;
    size_t scale_bytes = qb_scale_bytes(w->scale_type);
    uint8_t tile[QB_BLOCK_LEN * QB_PANEL_ROWS];
    for (size_t s = 0; s < grid->n_segments; s++) {
        const qb_segment *segment = &grid->segments[s];
        size_t header, at;
        qb_segment_offset(&header, &at, w, segment);
        qb_codes_expand(tile, bits, data + at, segment->n_pos);
        for (size_t r = 0; r < n_valid; r++) {
            size_t g = r * grid->n_groups + segment->group;
            scales[g] = load_scale(data + header + r * scale_bytes, w->scale_type);
            if (zeros != NULL)
                zeros[g] = data[header + QB_PANEL_ROWS * scale_bytes + r];
            for (size_t i = 0; i < segment->n_cols; i++)
                codes[r * grid->n_cols + segment->col + i] =
                    tile[i / QB_STEP_LEN * QB_STEP_BYTES + 4 * r + i % QB_STEP_LEN];
        }
    }
}
