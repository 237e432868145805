/* Per-token operations that are no products. Plain C without fused operations, so the same bits on
 * every tier. */
#ifndef QB_LAYERS_H
#define QB_LAYERS_H

#include "formats/panel.h"

/* x (n_cols,) = one row of a float panel matrix. */
void qb_embedding_row(float *x, const qb_weights *table, size_t row);

#endif
