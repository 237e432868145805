#include "ops/rotary.h"

#include <math.h>
#include <string.h>

enum { LEAST_POSITIONS = 256 };

qb_status qb_rotary_init(qb_rotary *r, const float *inverse_frequency, size_t half, float factor)
{
    void *block;
    *r = (qb_rotary){.half = half, .factor = factor};
    QB_TRY(qb_alloc(&block, half, sizeof(float)));
    r->inverse_frequency = block;
    memcpy(r->inverse_frequency, inverse_frequency, half * sizeof(float));
    return QB_OK;
}

void qb_rotary_destroy(qb_rotary *r)
{
    qb_free(r->inverse_frequency);
    qb_free(r->cosine); /* the sines lie behind */
}

qb_status qb_rotary_reserve(qb_rotary *r, size_t n, size_t most)
{
    void *block;
    if (n <= r->n_positions)
        return QB_OK;
    const size_t grown = QB_MAX(QB_MAX(2 * r->n_positions, (size_t)LEAST_POSITIONS), n);
    const size_t n_positions = QB_MAX(QB_MIN(grown, most), n);
    QB_TRY(qb_alloc(&block, 2 * n_positions * r->half, sizeof(float)));
    qb_free(r->cosine);
    r->cosine = block;
    r->sine = r->cosine + n_positions * r->half;
    r->n_positions = n_positions;
    for (size_t p = 0; p < n_positions; p++)
        for (size_t i = 0; i < r->half; i++) {
            const float angle = (float)p * r->inverse_frequency[i];
            r->cosine[p * r->half + i] = (float)cos((double)angle) * r->factor;
            r->sine[p * r->half + i] = (float)sin((double)angle) * r->factor;
        }
    return QB_OK;
}

/* The pairs of a head; `step` is a constant where this is inlined, so that loads stay vectors. */
QB_INLINE void turn(float *x, const float *cosine, const float *sine, size_t half, size_t step,
                    size_t other)
{
    for (size_t i = 0; i < half; i++) {
        const float a = x[i * step], b = x[i * step + other];
        x[i * step] = a * cosine[i] - b * sine[i];
        x[i * step + other] = b * cosine[i] + a * sine[i];
    }
}

void qb_rotate(float *x, size_t n_heads, const qb_rotary *r, qb_rotary_layout layout,
               size_t position)
{
    const float *cosine = r->cosine + position * r->half, *sine = r->sine + position * r->half;
    x += layout.begin;
    for (size_t h = 0; h < n_heads; h++, x += layout.dim)
        if (layout.interleaved)
            turn(x, cosine, sine, r->half, 2, 1);
        else
            turn(x, cosine, sine, r->half, 1, r->half);
}
