/* Per-token operations that are no products: embedding rows and rotary positions. Plain C without
 * fused operations, so the same bits on every tier. */
#ifndef QB_LAYERS_H
#define QB_LAYERS_H

#include "formats/panel.h"

/* x (n_cols,) = one row of a float panel matrix. */
void qb_embedding_row(float *x, const qb_weights *table, size_t row);

/* Rotary position embedding (Su et al. 2021) in the split-half convention of transformers' Llama:
 * the pair (i, i + dim/2) of each head turns by the angle whose cosine and sine are given.
 * x (n_heads, dim); cosine, sine (dim / 2,) of the token's position. */
void qb_rope(float *x, size_t n_heads, size_t dim, const float *cosine, const float *sine);

/* cosine, sine (n_positions, dim / 2) of float32 position * inverse frequency, as transformers
 * computes the angle. */
void qb_rope_table(float *cosine, float *sine, const float *inverse_frequency, size_t half,
                   size_t n_positions);

#endif
