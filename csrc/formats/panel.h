/* The P32 panel: how a weight matrix lies in memory for the kernels.
 *
 * A panel is 32 output rows; panels follow each other, and each is one forward stream.
 * f32, f16: for each input, 32 values (the panel's rows). bf16: for each two inputs, 32 pairs of
 * values, so that one dword lane holds two consecutive inputs of one row, as vdpbf16ps consumes them.
 * Integer formats: for each group of inputs
 *
 *   [32 scales (bf16, f16 or f32)] [32 zero points, one byte each, then 32 unused bytes: ASYM only]
 *   [codes: units of 16 positions]
 *
 * A step is 4 positions of 32 rows. Within a step, byte 4*r + j belongs to row r, position j:
 *   8 bits  128 bytes a step.
 *   4 bits  64 bytes a step: low nibbles rows 0-15, high nibbles rows 16-31.
 *   2 bits  64 bytes for two steps: bit pairs 0, 1 = first step (rows 0-15, 16-31), 2, 3 = second.
 *   3 bits  a unit is its four steps as 2-bit codes (128 bytes), then one plane of third bits
 *           (64 bytes): of each byte bits 0, 1, 4, 5 for rows 0-15 in the four steps, 2, 3, 6, 7 for
 *           rows 16-31, so that one shift a step serves both.
 * Unpacked, a step is always the 8-bit order: 128 bytes, byte 4*r + j. One dword lane then holds
 * four consecutive inputs of one row, which is what vpdpbusd consumes.
 *
 * Rows beyond the matrix have scale 0 and code = zero point; padded positions code = zero point. */
#ifndef QB_PANEL_H
#define QB_PANEL_H

#include "formats/format.h"
#include "formats/grid.h"

enum {
    QB_PANEL_ROWS = 32,
    QB_STEP_LEN = 4,
    QB_STEP_BYTES = QB_PANEL_ROWS * QB_STEP_LEN,
    QB_PANEL_ZERO_BYTES = 64
};

/* A packed weight matrix, borrowed. */
typedef struct {
    qb_format format;
    qb_scale_type scale_type; /* integer formats */
    size_t n_rows, n_cols;    /* outputs, inputs */
    const qb_grid *grid;
    size_t panel_bytes;
    const uint8_t *data; /* (n_panels, panel_bytes), 64-byte aligned */
} qb_weights;

QB_INLINE size_t qb_n_panels(size_t n_rows) { return qb_ceil_div(n_rows, QB_PANEL_ROWS); }

/* Bytes of scales and zero points in front of a group's codes. */
QB_INLINE size_t qb_group_header_bytes(qb_format format, qb_scale_type scale_type)
{
    return QB_PANEL_ROWS * qb_scale_bytes(scale_type) +
           (qb_formats[format].kind == QB_KIND_ASYM ? (size_t)QB_PANEL_ZERO_BYTES : 0);
}

/* Bytes of n_pos positions (a multiple of 16) of 32 rows. */
QB_INLINE size_t qb_code_bytes(qb_format format, size_t n_pos)
{
    return n_pos * QB_PANEL_ROWS / 8 * qb_formats[format].bits;
}

/* Columns of a float panel, and the index of a value in it. */
QB_INLINE size_t qb_float_columns(qb_format format, size_t n_cols)
{
    return format == QB_BF16 ? qb_round_up(n_cols, 2) : n_cols;
}
QB_INLINE size_t qb_float_place(qb_format format, size_t row, size_t col)
{
    return format == QB_BF16 ? (col / 2 * QB_PANEL_ROWS + row) * 2 + col % 2
                             : col * QB_PANEL_ROWS + row;
}

/* Where the third bits of a step's first half lie; those of the second lie two above. */
QB_INLINE int qb_third_bit(int step) { return step % 2 + step / 2 * 4; }

qb_status qb_panel_bytes(size_t *out, qb_format format, qb_scale_type scale_type,
                         const qb_grid *grid);

/* Offset of a segment's codes in its panel, and of its group's header. */
void qb_segment_offset(size_t *header, size_t *codes, const qb_weights *w,
                       const qb_segment *segment);

/* One panel of float values from n_valid rows of n_cols raw elements; every byte is written. */
void qb_panel_pack_float(uint8_t *panel, qb_format format, const void *rows, size_t n_valid,
                         size_t n_cols);

/* One panel of the format, scale type and grid of `layout`, every byte of it: codes (n_valid,
 * n_cols), scales (n_valid, n_groups) representable in its type, zeros (n_valid, n_groups) or NULL
 * for symmetric formats. */
void qb_panel_pack_int(uint8_t *panel, const qb_weights *layout, const uint8_t *codes,
                       const float *scales, const uint8_t *zeros, size_t n_valid);

/* The inverse of qb_panel_pack_int. */
void qb_panel_unpack_int(uint8_t *codes, float *scales, uint8_t *zeros, const qb_weights *w,
                         size_t panel, size_t n_valid);

#endif
