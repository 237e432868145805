/* Rotary position embedding (Su et al. 2021). */
#ifndef QB_ROTARY_H
#define QB_ROTARY_H

#include "base/memory.h"

/* Angles of one set of inverse frequencies, for as many positions as were asked for so far. */
typedef struct {
    size_t half, n_positions;
    float factor;             /* of cosine and sine: the attention factor of YaRN and LongRoPE */
    float *inverse_frequency; /* (half,) */
    float *cosine, *sine;     /* (n_positions, half) */
} qb_rotary;

/* Copies the frequencies. */
qb_status qb_rotary_init(qb_rotary *rotary, const float *inverse_frequency, size_t half,
                         float factor);
/* Makes room for positions below n, in steps that double; at most `most` are ever computed. The angle
 * is float32 position * frequency, as transformers computes it. */
qb_status qb_rotary_reserve(qb_rotary *rotary, size_t n, size_t most);
void qb_rotary_destroy(qb_rotary *rotary);

/* Where the rotated values of a head of `dim` stand: 2 * half from `begin` on, in pairs (i, i + half), or
 * (2 i, 2 i + 1) if interleaved. */
typedef struct {
    size_t dim, begin;
    bool interleaved;
} qb_rotary_layout;

/* x (n_heads, dim): every pair turns by the angle of the position. Plain C without fused operations, so
 * the same bits on every tier. */
void qb_rotate(float *x, size_t n_heads, const qb_rotary *rotary, qb_rotary_layout layout,
               size_t position);

#endif
