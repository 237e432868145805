/* How the K axis (the inputs of a linear layer) is cut. Two cuts matter:
 *
 *   segment  consecutive inputs that share one weight scale, at most 128 of them;
 *   block    consecutive segments whose activations share one scale, at most 128 positions.
 *
 * Every kernel sums integers within a segment, float products of segments within a block, and
 * blocks in ascending order: this is the one summation order of the engine, whatever the tile. 128
 * keeps the int32 sums of 8-bit codes times 16-bit activations below 2^31.
 *
 * A position is an input's place in the padded order: each group is padded to a multiple of 16
 * positions (one unit of the narrowest code layout). Padding counts in no statistic. */
#ifndef QB_GRID_H
#define QB_GRID_H

#include "base/base.h"
#include "base/status.h"

enum { QB_BLOCK_LEN = 128, QB_UNIT_LEN = 16, QB_MAX_SEGMENTS = QB_BLOCK_LEN / QB_UNIT_LEN };

typedef struct {
    uint32_t col, n_cols; /* inputs [col, col + n_cols) */
    uint32_t pos, n_pos;  /* positions [pos, pos + n_pos), n_pos a multiple of 16 */
    uint32_t group;       /* index of the weight group */
    uint32_t group_pos;   /* first position of that group */
} qb_segment;

typedef struct {
    uint32_t segment, n_segments; /* at most QB_MAX_SEGMENTS */
    uint32_t col, n_cols;
    uint32_t pos, n_pos;
} qb_block;

typedef struct {
    size_t n_cols, group, n_groups;
    size_t n_positions;
    size_t n_segments, n_blocks;
    qb_segment *segments; /* (n_segments,) */
    qb_block *blocks;     /* (n_blocks,) */
} qb_grid;

/* group: inputs per weight group, 1..n_cols. Owns its arrays. */
qb_status qb_grid_init(qb_grid *grid, size_t n_cols, size_t group);
void qb_grid_destroy(qb_grid *grid);

/* Grids of equal shape cut equally, so that one quantized activation serves both. */
QB_INLINE bool qb_grid_equal(const qb_grid *a, const qb_grid *b)
{
    return a->n_cols == b->n_cols && a->group == b->group;
}

#endif
