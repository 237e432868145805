#include "ops/layers.h"

#include <math.h>

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

void qb_rope(float *x, size_t n_heads, size_t dim, const float *cosine, const float *sine)
{
    const size_t half = dim / 2;
    for (size_t h = 0; h < n_heads; h++, x += dim)
        for (size_t i = 0; i < half; i++) {
            const float a = x[i], b = x[i + half];
            x[i] = a * cosine[i] - b * sine[i];
            x[i + half] = b * cosine[i] + a * sine[i];
        }
}

void qb_rope_table(float *cosine, float *sine, const float *inverse_frequency, size_t half,
                   size_t n_positions)
{
    for (size_t p = 0; p < n_positions; p++)
        for (size_t i = 0; i < half; i++) {
            const float angle = (float)p * inverse_frequency[i];
            cosine[p * half + i] = (float)cos((double)angle);
            sine[p * half + i] = (float)sin((double)angle);
        }
}
