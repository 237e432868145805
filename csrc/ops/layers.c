#include "ops/layers.h"

#include "base/half.h"

void qb_embedding_row(float *x, const qb_weights *table, size_t row)
{
    const uint8_t *panel = table->data + row / QB_PANEL_ROWS * table->panel_bytes;
    const size_t lane = row % QB_PANEL_ROWS;
    const float *f32 = (const float *)(const void *)panel;
    const uint16_t *half = (const uint16_t *)(const void *)panel;
    for (size_t k = 0; k < table->n_cols; k++) {
        const size_t at = qb_float_place(table->format, lane, k);
        x[k] = table->format == QB_F32   ? f32[at]
               : table->format == QB_F16 ? qb_f16_to_f32(half[at])
                                         : qb_bf16_to_f32(half[at]);
    }
}
