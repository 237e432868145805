/* Round to nearest: each group's range becomes a grid of 2^bits levels, each weight takes the
 * nearest one. The formulas and their source stand in qbench/quant/rtn.py; float32 throughout. */
#ifndef QB_ROUND_NEAREST_H
#define QB_ROUND_NEAREST_H

#include "base/threads.h"
#include "formats/format.h"

/* The largest weight: its range and every level of its grid are finite. */
#define QB_LARGEST_WEIGHT 0x1p126f

typedef struct {
    const void *values; /* (n_rows, n_cols) of the float format `type`, finite */
    qb_format type;
    size_t n_rows, n_cols, group; /* n_groups = ceil(n_cols / group) */
    unsigned bits;
    bool symmetric;
    qb_scale_type scale_type;
    /* Out. A scale that cannot be is NaN if the group holds a weight beyond the largest, infinity
     * if it exceeds its type; the codes of such a group mean nothing. */
    uint8_t *codes; /* (n_rows, n_cols) */
    float *scales;  /* (n_rows, n_groups) */
    uint8_t *zeros; /* (n_rows, n_groups), NULL if symmetric */
} qb_rounding;

qb_status qb_round_nearest(const qb_rounding *rounding, unsigned n_threads);

#endif
