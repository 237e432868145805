#include "ops/head.h"

#include <math.h>
#include <string.h>

/* Rows that a chunk meets together, whose logits stay in the second-level cache; more where a panel is
 * unpacked for them first. */
enum { FEW_ROWS = 32, ROWS = 128 };

typedef struct {
    float max, sum; /* sum of exp(logit - max) over the chunk */
    uint32_t best;
} chunk_sum;

typedef struct {
    float logit;
    int32_t id;
} candidate;

typedef struct {
    double cross, mass;
} chunk_divergence;

/* Where the workers leave what they found of (chunk, row). */
typedef struct {
    chunk_sum *sums;
    candidate *tops; /* n_top each */
    chunk_divergence *divergences;
} partials;

static partials partials_of(const qb_head_buffers *b)
{
    return (partials){b->sums.data, b->tops.data, b->divergences.data};
}

qb_status qb_head_reserve(qb_head_buffers *b, const qb_weights *w, const qb_scored *scored,
                          unsigned n_threads)
{
    const size_t n = qb_ceil_div(w->n_rows, QB_HEAD_CHUNK) * scored->n_rows;
    QB_TRY(qb_act_buffers_reserve(&b->acts, w, scored->n_rows, n_threads));
    QB_TRY(qb_buffer_reserve(&b->sums, n, sizeof(chunk_sum)));
    QB_TRY(qb_buffer_reserve(&b->tops, n * scored->n_top, sizeof(candidate)));
    return qb_buffer_reserve(&b->divergences, scored->base == NULL ? 0 : n,
                             sizeof(chunk_divergence));
}

qb_status qb_head_reserve_worker(qb_buffer *scratch)
{
    return qb_buffer_reserve(scratch, ROWS * QB_HEAD_CHUNK, sizeof(float));
}

void qb_head_buffers_destroy(qb_head_buffers *b)
{
    qb_act_buffers_destroy(&b->acts);
    qb_buffer_destroy(&b->sums);
    qb_buffer_destroy(&b->tops);
    qb_buffer_destroy(&b->divergences);
}

/* Puts a candidate into a list of the best so far, descending; one that is equal stays behind. */
static void insert(candidate *list, size_t n, candidate new)
{
    size_t at = n;
    while (at > 0 && (list[at - 1].id < 0 || new.logit > list[at - 1].logit))
        at--;
    if (at == n)
        return;
    memmove(list + at + 1, list + at, (n - at - 1) * sizeof *list);
    list[at] = new;
}

static void clear(candidate *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        list[i] = (candidate){-INFINITY, -1};
}

/* Products of one chunk of the vocabulary become logits. */
static void apply_rule(const qb_kernels *kernels, const qb_logit_rule *rule, float *logits,
                       size_t begin, size_t n)
{
    if (rule->scale != 1.0f)
        for (size_t i = 0; i < n; i++)
            logits[i] *= rule->scale;
    if (rule->bias != NULL)
        for (size_t i = 0; i < n; i++)
            logits[i] += rule->bias[begin + i];
    if (rule->cap > 0.0f)
        kernels->vec.softcap(logits, qb_round_up(n, 16), rule->cap);
}

/* What is asked of one row's logits in one chunk of the vocabulary. */
static void reduce_chunk(const qb_kernels *kernels, const qb_scored *scored, const partials *out,
                         size_t n_vocab, size_t chunk, size_t row, const float *logits)
{
    const size_t begin = chunk * QB_HEAD_CHUNK, n = QB_MIN(n_vocab - begin, (size_t)QB_HEAD_CHUNK);
    const size_t at = chunk * scored->n_rows + row;
    chunk_sum *sum = &out->sums[at];
    kernels->vec.logsumexp(&sum->max, &sum->best, &sum->sum, logits, n);
    sum->best += (uint32_t)begin;
    for (int32_t t = scored->first_target[row]; t < scored->first_target[row + 1]; t++) {
        const size_t id = (size_t)scored->targets[t];
        if (id >= begin && id < begin + n)
            scored->logprobs[t] = (double)logits[id - begin];
    }
    if (scored->n_top > 0) {
        candidate *list = out->tops + at * scored->n_top;
        clear(list, scored->n_top);
        for (size_t i = 0; i < n; i++)
            insert(list, scored->n_top, (candidate){logits[i], (int32_t)(begin + i)});
    }
    if (scored->base != NULL)
        kernels->vec.divergence(&out->divergences[at].cross, &out->divergences[at].mass,
                                scored->base + row * n_vocab + begin, logits, n);
    if (scored->logits != NULL)
        memcpy(scored->logits + row * n_vocab + begin, logits, n * sizeof(float));
}

/* The tiles of so many rows. */
static size_t tiles_of(const qb_acts *acts)
{
    const size_t rows = qb_act_in_rows(acts->form) ? ROWS : FEW_ROWS;
    return rows / QB_MAX(qb_tile_tokens(acts->form, acts->n_tokens), (size_t)QB_LONE_TILE);
}

/* Logits of a few tiles of rows against one chunk of the vocabulary. */
static void sweep_chunk(const qb_kernels *kernels, const qb_gemm *gemm, const qb_weights *w,
                        const qb_acts *acts, const qb_logit_rule *rule, const qb_scored *scored,
                        size_t chunk, size_t tile, const partials *out, float *logits)
{
    const size_t begin = chunk * QB_HEAD_CHUNK, end = QB_MIN(w->n_rows, begin + QB_HEAD_CHUNK);
    const size_t tile_end = QB_MIN(tile + tiles_of(acts), acts->n_tiles);
    const qb_gemm_fn fn = qb_gemm_fn_of(gemm, acts);
    const size_t first = qb_tile_begin(acts, tile), n = qb_tile_begin(acts, tile_end) - first;
    for (size_t panel = begin / QB_PANEL_ROWS; panel * QB_PANEL_ROWS < end; panel++)
        fn(logits + panel * QB_PANEL_ROWS - begin, QB_HEAD_CHUNK, w, panel, acts, tile, tile_end);
    for (size_t i = 0; i < n; i++) {
        apply_rule(kernels, rule, logits + i * QB_HEAD_CHUNK, begin, end - begin);
        reduce_chunk(kernels, scored, out, w->n_rows, chunk, first + i, logits + i * QB_HEAD_CHUNK);
    }
}

/* The most likely ids of one row, once its normalizer is known. */
static void finish_top(const qb_scored *scored, const partials *found, size_t n_chunks, size_t row,
                       double normalizer)
{
    const size_t n = scored->n_top;
    candidate list[QB_MAX_TOP];
    clear(list, n);
    for (size_t c = 0; c < n_chunks; c++)
        for (size_t i = 0; i < n; i++) {
            const candidate own = found->tops[(c * scored->n_rows + row) * n + i];
            if (own.id >= 0)
                insert(list, n, own);
        }
    for (size_t i = 0; i < n; i++) {
        const bool finite = isfinite(normalizer);
        scored->top[row * n + i] = finite ? list[i].id : -1;
        scored->top_logprobs[row * n + i] =
            finite ? (double)list[i].logit - normalizer : (double)NAN;
    }
}

/* One row: chunks in ascending order, in double. */
static void finish_row(const qb_scored *scored, const partials *found, size_t n_chunks, size_t row)
{
    double max = -INFINITY, sum = 0.0;
    uint32_t best = 0;
    for (size_t c = 0; c < n_chunks; c++) {
        const chunk_sum *part = &found->sums[c * scored->n_rows + row];
        if ((double)part->max > max) {
            max = (double)part->max;
            best = part->best;
        }
    }
    for (size_t c = 0; c < n_chunks; c++) {
        const chunk_sum *part = &found->sums[c * scored->n_rows + row];
        sum += (double)part->sum * exp((double)part->max - max);
    }
    const double normalizer = max + log(sum);
    const bool finite = isfinite(normalizer);
    scored->best[row] = finite ? (int32_t)best : -1;
    for (int32_t t = scored->first_target[row]; t < scored->first_target[row + 1]; t++)
        scored->logprobs[t] = finite ? scored->logprobs[t] - normalizer : (double)NAN;
    if (scored->n_top > 0)
        finish_top(scored, found, n_chunks, row, normalizer);
    if (scored->base != NULL) {
        double cross = 0.0, mass = 0.0;
        for (size_t c = 0; c < n_chunks; c++) {
            cross += found->divergences[c * scored->n_rows + row].cross;
            mass += found->divergences[c * scored->n_rows + row].mass;
        }
        scored->divergence[row] = finite ? cross + mass * normalizer : (double)NAN;
    }
}

void qb_head(qb_worker worker, const qb_kernels *kernels, qb_mode mode, const qb_weights *w,
             qb_rows rows, const qb_logit_rule *rule, const qb_scored *scored,
             qb_head_buffers *buffers, qb_buffer *scratch)
{
    const size_t n_chunks = qb_ceil_div(w->n_rows, QB_HEAD_CHUNK);
    const qb_gemm *gemm = qb_gemm_of(kernels, mode, w);
    qb_span own;
    qb_worker_range(worker, scored->n_rows, &own.begin, &own.end);
    const qb_acts acts =
        qb_acts_prepare(worker, kernels, qb_gemm_form(gemm, scored->n_rows), w->grid, rows,
                        (qb_span){0, scored->n_rows}, own, &buffers->acts);
    const size_t tiles = tiles_of(&acts), n_groups = qb_ceil_div(acts.n_tiles, tiles);
    const partials found = partials_of(buffers);
    size_t begin, end;
    qb_team_barrier(worker);
    qb_worker_range(worker, n_chunks * n_groups, &begin, &end);
    for (size_t unit = begin; unit < end && !qb_team_cancelled(worker); unit++)
        sweep_chunk(kernels, gemm, w, &acts, rule, scored, unit / n_groups, unit % n_groups * tiles,
                    &found, scratch->data);
    qb_team_barrier(worker);
    qb_worker_range(worker, scored->n_rows, &begin, &end);
    for (size_t row = begin; row < end; row++)
        finish_row(scored, &found, n_chunks, row);
    qb_team_barrier(worker);
}
