#define _POSIX_C_SOURCE 199309L
#include "ops/timing.h"

#include <time.h>

#include "base/rng.h"

enum { MAX_PRODUCTS = 16 };

typedef struct {
    const qb_kernels *kernels;
    qb_mode mode;
    const qb_timed_group *groups;
    size_t n_groups, n_tokens, x_stride;
    const float *x;
    qb_product outputs[MAX_PRODUCTS]; /* where the products of a group go */
    qb_act_buffers acts;
} timed_call;

static void run_groups(qb_worker worker, void *context)
{
    timed_call *c = context;
    qb_product products[MAX_PRODUCTS];
    for (size_t g = 0; g < c->n_groups; g++) {
        for (size_t i = 0; i < c->groups[g].n_weights; i++) {
            products[i] = c->outputs[i];
            products[i].w = c->groups[g].weights[i];
        }
        qb_matmul(worker, c->kernels, c->mode, products, c->groups[g].n_weights,
                  (qb_rows){.x = c->x, .x_stride = c->x_stride}, c->n_tokens, &c->acts);
    }
}

static qb_status allocate(timed_call *c, float **x, void **y, unsigned n_threads)
{
    size_t widest = 0, rows[MAX_PRODUCTS] = {0}, all = 0;
    void *block;
    for (size_t g = 0; g < c->n_groups; g++) {
        QB_REQUIRE(c->groups[g].n_weights <= MAX_PRODUCTS, QB_ERR_RANGE);
        for (size_t i = 0; i < c->groups[g].n_weights; i++) {
            const qb_weights *w = c->groups[g].weights[i];
            QB_TRY(qb_act_buffers_reserve(&c->acts, w, c->n_tokens, n_threads));
            widest = QB_MAX(widest, qb_row_stride(w->n_cols));
            rows[i] = QB_MAX(rows[i], qb_n_panels(w->n_rows) * QB_PANEL_ROWS);
        }
    }
    for (size_t i = 0; i < MAX_PRODUCTS; i++)
        all += rows[i];
    QB_TRY(qb_alloc(&block, c->n_tokens * widest, sizeof(float)));
    *x = block;
    for (size_t i = 0; i < c->n_tokens * widest; i++)
        (*x)[i] = (float)qb_uniform(1, (uint32_t)i) - 0.5f;
    QB_TRY(qb_alloc(y, c->n_tokens * all, sizeof(float)));
    float *next = *y;
    for (size_t i = 0; i < MAX_PRODUCTS; next += c->n_tokens * rows[i], i++)
        c->outputs[i] = (qb_product){NULL, next, rows[i]};
    c->x = *x;
    c->x_stride = widest;
    return QB_OK;
}

qb_status qb_time_products(double *seconds, const qb_kernels *kernels, qb_mode mode,
                           const qb_timed_group *groups, size_t n_groups, size_t n_tokens,
                           unsigned n_threads)
{
    timed_call call = {.kernels = kernels,
                       .mode = mode,
                       .groups = groups,
                       .n_groups = n_groups,
                       .n_tokens = n_tokens};
    float *x = NULL;
    void *y = NULL;
    struct timespec from, to;
    qb_status status = allocate(&call, &x, &y, n_threads);
    if (status == QB_OK) {
        clock_gettime(CLOCK_MONOTONIC, &from);
        status = qb_team_run(n_threads, run_groups, &call, NULL, NULL);
        clock_gettime(CLOCK_MONOTONIC, &to);
        *seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    }
    qb_act_buffers_destroy(&call.acts);
    qb_free(x);
    qb_free(y);
    return status;
}
