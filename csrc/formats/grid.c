#include "formats/grid.h"

#include "base/memory.h"

static void add_segment(qb_grid *grid, size_t col, size_t n_cols, size_t group, size_t per_block)
{
    size_t n_pos = qb_round_up(n_cols, QB_UNIT_LEN);
    qb_block *last = grid->n_blocks > 0 ? &grid->blocks[grid->n_blocks - 1] : NULL;
    if (last == NULL || last->n_segments == per_block) {
        last = &grid->blocks[grid->n_blocks++];
        *last = (qb_block){.segment = (uint32_t)grid->n_segments,
                           .col = (uint32_t)col,
                           .pos = (uint32_t)grid->n_positions};
    }
    last->n_segments++;
    last->n_cols += (uint32_t)n_cols;
    last->n_pos += (uint32_t)n_pos;
    bool begins_group = col == group * grid->group;
    grid->segments[grid->n_segments] =
        (qb_segment){.col = (uint32_t)col,
                     .n_cols = (uint32_t)n_cols,
                     .pos = (uint32_t)grid->n_positions,
                     .n_pos = (uint32_t)n_pos,
                     .group = (uint32_t)group,
                     .group_pos = begins_group ? (uint32_t)grid->n_positions
                                               : grid->segments[grid->n_segments - 1].group_pos};
    grid->n_segments++;
    grid->n_positions += n_pos;
}

qb_status qb_grid_init(qb_grid *grid, size_t n_cols, size_t group)
{
    *grid = (qb_grid){.n_cols = n_cols, .group = group};
    QB_REQUIRE(n_cols >= 1 && n_cols <= UINT32_MAX / 32 && group >= 1 && group <= n_cols,
               QB_ERR_RANGE);
    grid->n_groups = qb_ceil_div(n_cols, group);
    size_t per_group = qb_ceil_div(group, QB_BLOCK_LEN), capacity = grid->n_groups * per_group;
    /* Groups longer than a block are cut into blocks of their own. */
    size_t per_block = group > QB_BLOCK_LEN ? 1 : QB_BLOCK_LEN / qb_round_up(group, QB_UNIT_LEN);
    void *segments, *blocks;
    QB_TRY(qb_alloc(&segments, capacity, sizeof(qb_segment)));
    grid->segments = segments;
    qb_status status = qb_alloc(&blocks, capacity, sizeof(qb_block));
    if (status != QB_OK) {
        qb_grid_destroy(grid);
        return status;
    }
    grid->blocks = blocks;
    for (size_t g = 0; g < grid->n_groups; g++) {
        size_t end = QB_MIN(n_cols, (g + 1) * group);
        for (size_t col = g * group; col < end; col += QB_BLOCK_LEN)
            add_segment(grid, col, QB_MIN((size_t)QB_BLOCK_LEN, end - col), g, per_block);
    }
    return QB_OK;
}

void qb_grid_destroy(qb_grid *grid)
{
    qb_free(grid->segments);
    qb_free(grid->blocks);
    *grid = (qb_grid){0};
}
