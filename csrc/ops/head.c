#include "ops/head.h"

#include <math.h>
#include <string.h>

typedef struct {
    float max, sum; /* sum of exp(logit - max) over the chunk */
    uint32_t best;
} chunk_sum;

qb_status qb_head_reserve(qb_head_buffers *b, const qb_weights *w, size_t n_rows)
{
    QB_TRY(qb_act_buffers_reserve(&b->acts, w, n_rows));
    return qb_buffer_reserve(&b->partial, qb_ceil_div(w->n_rows, QB_HEAD_CHUNK) * n_rows,
                             sizeof(chunk_sum));
}

qb_status qb_head_reserve_worker(qb_buffer *scratch)
{
    return qb_buffer_reserve(scratch, QB_HEAD_ROWS * QB_HEAD_CHUNK, sizeof(float));
}

void qb_head_buffers_destroy(qb_head_buffers *b)
{
    qb_act_buffers_destroy(&b->acts);
    qb_buffer_destroy(&b->partial);
}

/* Logits of rows [first, first + n) against one vocabulary chunk: reduce, pick out the targets. */
static void sweep_chunk(const qb_kernels *kernels, qb_gemm_fn gemm, const qb_weights *w,
                        const qb_acts *acts, const qb_scored *scored, size_t chunk, size_t first,
                        size_t n, chunk_sum *partial, float *logits)
{
    const size_t begin = chunk * QB_HEAD_CHUNK, end = QB_MIN(w->n_rows, begin + QB_HEAD_CHUNK);
    for (size_t panel = begin / QB_PANEL_ROWS; panel * QB_PANEL_ROWS < end; panel++)
        gemm(logits + panel * QB_PANEL_ROWS - begin, QB_HEAD_CHUNK, w, panel, acts, w->grid, n);
    for (size_t i = 0; i < n; i++) {
        const float *row = logits + i * QB_HEAD_CHUNK;
        chunk_sum *out = &partial[chunk * scored->n_rows + first + i];
        kernels->vec.logsumexp(&out->max, &out->best, &out->sum, row, end - begin);
        out->best += (uint32_t)begin;
        for (int32_t t = scored->first_target[first + i]; t < scored->first_target[first + i + 1];
             t++) {
            const size_t id = (size_t)scored->targets[t];
            if (id >= begin && id < end)
                scored->logprobs[t] = (double)row[id - begin];
        }
        if (scored->logits != NULL)
            memcpy(scored->logits + (first + i) * w->n_rows + begin, row,
                   (end - begin) * sizeof(float));
    }
}

/* One row: chunks in ascending order, in double. */
static void finish_row(const qb_scored *scored, const chunk_sum *partial, size_t n_chunks,
                       size_t row)
{
    double max = -INFINITY, sum = 0.0;
    uint32_t best = 0;
    for (size_t c = 0; c < n_chunks; c++) {
        const chunk_sum *part = &partial[c * scored->n_rows + row];
        if ((double)part->max > max) {
            max = (double)part->max;
            best = part->best;
        }
    }
    for (size_t c = 0; c < n_chunks; c++) {
        const chunk_sum *part = &partial[c * scored->n_rows + row];
        sum += (double)part->sum * exp((double)part->max - max);
    }
    const double normalizer = max + log(sum);
    const bool finite = isfinite(normalizer);
    scored->best[row] = finite ? (int32_t)best : -1;
    for (int32_t t = scored->first_target[row]; t < scored->first_target[row + 1]; t++)
        scored->logprobs[t] = finite ? scored->logprobs[t] - normalizer : (double)NAN;
}

void qb_head(qb_worker worker, const qb_kernels *kernels, qb_mode mode, const qb_weights *w,
             const float *x, size_t x_stride, const qb_scored *scored, qb_head_buffers *buffers,
             qb_buffer *scratch)
{
    const size_t n_chunks = qb_ceil_div(w->n_rows, QB_HEAD_CHUNK);
    const size_t n_tiles = qb_ceil_div(scored->n_rows, QB_HEAD_ROWS);
    const qb_acts acts =
        qb_acts_prepare(worker, kernels, mode, w, x, x_stride, scored->n_rows, &buffers->acts);
    chunk_sum *partial = buffers->partial.data;
    size_t begin, end;
    qb_team_barrier(worker);
    qb_worker_range(worker, n_chunks * n_tiles, &begin, &end);
    for (size_t unit = begin; unit < end && !qb_team_cancelled(worker); unit++) {
        const size_t first = unit % n_tiles * QB_HEAD_ROWS;
        const qb_acts part = qb_acts_from(acts, w->grid, first);
        sweep_chunk(kernels, qb_gemm_of(kernels, mode, w->format), w, &part, scored, unit / n_tiles,
                    first, QB_MIN((size_t)QB_HEAD_ROWS, scored->n_rows - first), partial,
                    scratch->data);
    }
    qb_team_barrier(worker);
    qb_worker_range(worker, scored->n_rows, &begin, &end);
    for (size_t row = begin; row < end; row++)
        finish_row(scored, partial, n_chunks, row);
    qb_team_barrier(worker);
}
