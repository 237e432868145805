#include "model/generate.h"

#include "base/memory.h"
#include "base/rng.h"

/* Buffers of one call, sized for all requests. */
typedef struct {
    qb_batch_run *runs;
    int32_t *tokens, *rows, *first_target, *best, *last;
    uint32_t *active;
    float *logits; /* sampling only */
    qb_candidate *candidates;
} workspace;

static void workspace_destroy(workspace *w)
{
    void *blocks[] = {w->runs, w->tokens, w->rows,   w->first_target, w->best,
                      w->last, w->active, w->logits, w->candidates};
    for (size_t i = 0; i < QB_ARRAY_LEN(blocks); i++)
        qb_free(blocks[i]);
}

#define NEW(field, count)                                       \
    do {                                                        \
        void *block_;                                           \
        QB_TRY(qb_alloc(&block_, (count), sizeof *(w->field))); \
        w->field = block_;                                      \
    } while (0)

static qb_status workspace_init(workspace *w, size_t n, size_t n_vocab, bool sampled)
{
    NEW(runs, n);
    NEW(tokens, n);
    NEW(rows, n);
    NEW(first_target, n + 1);
    NEW(best, n);
    NEW(last, n);
    NEW(active, n);
    if (sampled) {
        NEW(logits, n * n_vocab);
        NEW(candidates, n_vocab);
    }
    return QB_OK;
}

static bool contains(const int32_t *ids, size_t n, int32_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* One forward of the active requests' last tokens; best or logits are filled. */
static qb_status step_forward(qb_decoder *d, qb_kv_cache *cache, const qb_request *requests,
                              workspace *w, size_t n_active, unsigned n_threads, qb_poll_fn poll,
                              void *poll_context)
{
    for (size_t i = 0; i < n_active; i++) {
        w->runs[i] = (qb_batch_run){requests[w->active[i]].sequence, 1};
        w->tokens[i] = w->last[w->active[i]];
        w->rows[i] = (int32_t)i;
    }
    const qb_batch batch = {.runs = w->runs,
                            .n_runs = n_active,
                            .tokens = w->tokens,
                            .n_tokens = n_active,
                            .rows = w->rows,
                            .scored = {.n_rows = n_active,
                                       .first_target = w->first_target,
                                       .best = w->best,
                                       .logits = w->logits}};
    return qb_decoder_forward(d, cache, &batch, n_threads, poll, poll_context);
}

static qb_status generate(qb_decoder *d, qb_kv_cache *cache, const qb_request *requests,
                          size_t n_requests, size_t n_steps, qb_sampling how,
                          const int32_t *end_ids, size_t n_end_ids, int32_t *tokens, workspace *w,
                          unsigned n_threads, qb_poll_fn poll, void *poll_context)
{
    const qb_decoder_spec *spec = qb_decoder_get_spec(d);
    size_t n_active = 0;
    for (size_t i = 0; i < n_requests; i++) {
        w->last[i] = requests[i].last_token;
        if (requests[i].n_left > 0)
            w->active[n_active++] = (uint32_t)i;
    }
    for (size_t step = 0; step < n_steps && n_active > 0; step++) {
        QB_TRY(step_forward(d, cache, requests, w, n_active, n_threads, poll, poll_context));
        size_t n_next = 0;
        for (size_t i = 0; i < n_active; i++) {
            const uint32_t r = w->active[i];
            const qb_request *request = &requests[r];
            int32_t chosen = w->best[i];
            if (w->logits != NULL)
                chosen = qb_sample(w->logits + i * spec->n_vocab, spec->n_vocab, how,
                                   qb_uniform(request->key, request->step + (uint32_t)step),
                                   w->candidates);
            tokens[r * n_steps + step] = chosen < 0 ? QB_NOT_FINITE : chosen;
            size_t length;
            QB_TRY(qb_kv_sequence_length(cache, request->sequence, &length));
            w->last[r] = chosen;
            if (chosen >= 0 && step + 1 < request->n_left && length < spec->context &&
                !contains(end_ids, n_end_ids, chosen))
                w->active[n_next++] = r;
        }
        n_active = n_next;
    }
    return QB_OK;
}

qb_status qb_generate(qb_decoder *d, qb_kv_cache *cache, const qb_request *requests,
                      size_t n_requests, size_t n_steps, qb_sampling how, const int32_t *end_ids,
                      size_t n_end_ids, int32_t *tokens, unsigned n_threads, qb_poll_fn poll,
                      void *poll_context)
{
    workspace w = {0};
    for (size_t i = 0; i < n_requests * n_steps; i++)
        tokens[i] = QB_NO_TOKEN;
    qb_status status =
        workspace_init(&w, n_requests, qb_decoder_get_spec(d)->n_vocab, how.temperature > 0.0f);
    if (status == QB_OK)
        status = generate(d, cache, requests, n_requests, n_steps, how, end_ids, n_end_ids, tokens,
                          &w, n_threads, poll, poll_context);
    workspace_destroy(&w);
    return status;
}
