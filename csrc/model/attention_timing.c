#define _POSIX_C_SOURCE 199309L
#include "model/attention_timing.h"

#include <time.h>

#include "base/rng.h"

typedef struct {
    const qb_attn *attn;
    qb_attention_shape shape;
    qb_run run;
    float *q, *out;
    size_t stride;
    qb_buffer *scratch; /* one per worker */
} timed_call;

static void attend(qb_worker worker, void *context)
{
    const timed_call *c = context;
    qb_attention(worker, c->attn, &c->shape, c->out, c->stride, c->q, c->stride, &c->run, 1,
                 &c->scratch[worker.index]);
}

static void fill(float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = (float)qb_uniform(2, (uint32_t)i) - 0.5f;
}

/* One sequence of n_tokens in a cache of one layer. */
static qb_status fill_cache(qb_kv_cache *cache, size_t n_tokens, size_t width, uint32_t *sequence)
{
    void *row;
    QB_TRY(qb_kv_sequence_new(cache, sequence, 0));
    QB_TRY(qb_kv_reserve(cache, *sequence, n_tokens));
    QB_TRY(qb_alloc(&row, width, sizeof(float)));
    for (size_t t = 0; t < n_tokens; t++) {
        fill(row, width);
        ((float *)row)[t % width] += 1.0f;
        qb_kv_store(cache, *sequence, t, 0, row, row);
    }
    qb_kv_commit(cache, *sequence, n_tokens);
    qb_free(row);
    return QB_OK;
}

static qb_status time_call(double *seconds, timed_call *c, unsigned n_threads)
{
    struct timespec from, to;
    void *block;
    QB_TRY(qb_alloc(&block, 2 * c->run.n_tokens * c->stride, sizeof(float)));
    c->q = block;
    c->out = c->q + c->run.n_tokens * c->stride;
    fill(c->q, c->run.n_tokens * c->stride);
    clock_gettime(CLOCK_MONOTONIC, &from);
    const qb_status status = qb_team_run(n_threads, attend, c, NULL, NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    *seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    qb_free(block);
    return status;
}

qb_status qb_time_attention(double *seconds, const qb_kernels *kernels, qb_mode mode,
                            qb_kv_format kv_format, size_t n_tokens, size_t n_heads,
                            size_t n_kv_heads, size_t dim, unsigned n_threads)
{
    QB_REQUIRE(n_heads >= 1 && n_kv_heads >= 1 && n_heads % n_kv_heads == 0 && n_threads >= 1,
               QB_ERR_RANGE);
    timed_call call = {.attn = &kernels->attn.of[mode][kv_format], .stride = n_heads * dim};
    qb_kv_cache *cache;
    void *scratch;
    uint32_t sequence;
    QB_TRY(qb_kv_cache_create(&cache, kv_format, (qb_kv_sizes){1, n_kv_heads, dim, dim},
                              qb_ceil_div(n_tokens, QB_KEY_BLOCK)));
    qb_status status = qb_alloc(&scratch, n_threads, sizeof(qb_buffer));
    if (status == QB_OK) {
        call.scratch = scratch;
        call.shape = qb_kv_shape(cache, 0, n_heads);
        for (unsigned i = 0; i < n_threads && status == QB_OK; i++)
            status = qb_attention_reserve(&call.scratch[i], &call.shape);
        if (status == QB_OK)
            status = fill_cache(cache, n_tokens, n_kv_heads * dim, &sequence);
        if (status == QB_OK) {
            call.run = (qb_run){.n_tokens = n_tokens, .pages = qb_kv_pages(cache, sequence)};
            status = time_call(seconds, &call, n_threads);
        }
        for (unsigned i = 0; i < n_threads; i++)
            qb_buffer_destroy(&call.scratch[i]);
        qb_free(scratch);
    }
    qb_kv_cache_free(cache);
    return status;
}
