/* A mixture of experts: each token goes through the few that its router scores highest. Tokens of one
 * expert are one product; a token's experts are added in ascending order, so that its value does not
 * depend on which others are there. */
#include <math.h>
#include <string.h>

#include "model/decoder_state.h"

qb_status qb_reserve_experts(qb_decoder *d, size_t n_tokens, unsigned n_threads)
{
    size_t n_experts = 0;
    const size_t n_chosen = n_tokens * d->spec.n_active_experts;
    for (size_t i = 0; i < d->spec.n_layers; i++) {
        const qb_layer *l = &d->layers[i];
        n_experts = QB_MAX(n_experts, l->n_experts);
        for (size_t e = 0; e < l->n_experts; e++) {
            QB_TRY(qb_act_buffers_reserve(&d->acts, l->experts[e].up, n_tokens, n_threads));
            QB_TRY(qb_act_buffers_reserve(&d->acts, l->experts[e].down, n_tokens, n_threads));
        }
    }
    if (n_experts == 0)
        return QB_OK;
    d->stride.router = qb_row_stride(n_experts);
    QB_TRY(qb_buffer_reserve(&d->router, n_tokens * d->stride.router, sizeof(float)));
    QB_TRY(qb_buffer_reserve(&d->shared_gate, n_tokens * qb_row_stride(1), sizeof(float)));
    QB_TRY(qb_buffer_reserve(&d->expert_out, n_tokens * d->stride.hidden, sizeof(float)));
    QB_TRY(qb_buffer_reserve(&d->chosen, n_chosen, sizeof(uint32_t)));
    QB_TRY(qb_buffer_reserve(&d->chosen_weight, n_chosen, sizeof(float)));
    QB_TRY(qb_buffer_reserve(&d->expert_end, n_experts + 1, sizeof(size_t)));
    QB_TRY(qb_buffer_reserve(&d->expert_tokens, n_chosen, sizeof(uint32_t)));
    return qb_buffer_reserve(&d->expert_weights, n_chosen, sizeof(float));
}

static void softmax(float *x, size_t n)
{
    float max = x[0], sum = 0.0f;
    for (size_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++)
        sum += x[i] = expf(x[i] - max);
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
}

/* The lowest index of the largest value that is not marked by -1; one of them even if all are NaN. */
static size_t largest(const float *x, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (x[i] != -1.0f && (best == n || x[i] > x[best]))
            best = i;
    return best;
}

/* Probabilities of all groups but the best become zero; a group counts as its best expert. */
static void keep_groups(float *p, size_t n_experts, size_t n_groups, size_t n_kept)
{
    const size_t size = n_experts / n_groups;
    for (size_t dropped = 0; dropped < n_groups - n_kept; dropped++) {
        size_t worst = n_groups;
        float least = INFINITY;
        for (size_t g = n_groups; g-- > 0;) { /* of equal groups the last goes first */
            const float top = p[g * size + largest(p + g * size, size)];
            if (top > 0.0f && top < least) {
                least = top;
                worst = g;
            }
        }
        if (worst == n_groups)
            return;
        memset(p + worst * size, 0, size * sizeof(float));
    }
}

/* Which experts the token takes, ascending, and their weights. */
static void choose(const qb_decoder_spec *s, float *p, size_t n_experts, uint32_t *chosen,
                   float *weights)
{
    const size_t n = s->n_active_experts;
    float sum = 0.0f;
    softmax(p, n_experts);
    keep_groups(p, n_experts, s->n_expert_groups, s->n_active_groups);
    for (size_t k = 0; k < n; k++) {
        const size_t best = largest(p, n_experts);
        size_t at = k;
        for (; at > 0 && chosen[at - 1] > best; at--) {
            chosen[at] = chosen[at - 1];
            weights[at] = weights[at - 1];
        }
        chosen[at] = (uint32_t)best;
        weights[at] = p[best];
        sum += p[best];
        p[best] = -1.0f;
    }
    for (size_t k = 0; k < n; k++)
        weights[k] *= s->expert_scale / (s->normalize_experts ? sum : 1.0f);
}

/* The tokens of every expert, ascending, by counting. */
static void sort_tokens(qb_decoder *d, size_t n_tokens, size_t n_experts)
{
    const size_t n = n_tokens * d->spec.n_active_experts;
    const uint32_t *chosen = d->chosen.data;
    const float *weight = d->chosen_weight.data;
    size_t *end = d->expert_end.data;
    memset(end, 0, (n_experts + 1) * sizeof *end);
    for (size_t i = 0; i < n; i++)
        end[chosen[i] + 1]++;
    for (size_t e = 0; e < n_experts; e++)
        end[e + 1] += end[e];
    for (size_t i = 0; i < n; i++) { /* end[e]: where the expert's next one goes, at last its end */
        const size_t at = end[chosen[i]]++;
        ((uint32_t *)d->expert_tokens.data)[at] = (uint32_t)(i / d->spec.n_active_experts);
        ((float *)d->expert_weights.data)[at] = weight[i];
    }
}

/* Scores of all experts, then each worker's tokens choose, then the first worker sorts them. */
static void route(qb_worker worker, const qb_forward_call *c, const qb_layer *l, qb_rows normed)
{
    qb_decoder *d = c->d;
    const size_t n = c->batch->n_tokens, active = d->spec.n_active_experts;
    const qb_weights *shared = l->m[QB_M_SHARED_GATE];
    const qb_product products[] = {{l->m[QB_M_ROUTER], d->router.data, d->stride.router},
                                   {shared, d->shared_gate.data, qb_row_stride(1)}};
    float *out = d->out.data;
    size_t begin, end;
    qb_worker_range(worker, n, &begin, &end);
    qb_matmul(worker, &d->kernels, d->spec.mode, products, shared == NULL ? 1 : 2, normed, n,
              &d->acts);
    for (size_t t = begin; t < end; t++) { /* cancelled or not: the lists must be of this batch */
        choose(&d->spec, (float *)d->router.data + t * d->stride.router, l->n_experts,
               (uint32_t *)d->chosen.data + t * active,
               (float *)d->chosen_weight.data + t * active);
        float *row = out + t * d->stride.hidden;
        if (l->m[QB_M_UP] == NULL)
            memset(row, 0, d->stride.hidden * sizeof(float));
        if (shared != NULL) {
            const float gate = ((float *)d->shared_gate.data)[t * qb_row_stride(1)];
            const float open = 1.0f / (1.0f + expf(-gate));
            for (size_t i = 0; i < d->spec.hidden; i++)
                row[i] *= open;
        }
    }
    qb_team_barrier(worker);
    if (worker.index == 0)
        sort_tokens(d, n, l->n_experts);
    qb_team_barrier(worker);
}

void qb_run_experts(qb_worker worker, const qb_forward_call *c, size_t layer)
{
    qb_decoder *d = c->d;
    const qb_layer *l = &d->layers[layer];
    qb_norm_source source = {.call = c,
                             .weight = l->v[QB_V_MLP_NORM],
                             .bias = l->v[QB_V_MLP_NORM_BIAS],
                             .layer = (int32_t)layer};
    const qb_rows normed = {.make = qb_make_normed, .context = &source};
    route(worker, c, l, normed);
    source.layer = -1;
    const size_t *ends = d->expert_end.data;
    for (size_t e = 0, first = 0; e < l->n_experts; first = ends[e++]) {
        const qb_expert *expert = &l->experts[e];
        const size_t n = ends[e] - first;
        if (n == 0)
            continue;
        source.tokens = (const uint32_t *)d->expert_tokens.data + first;
        const float *weights = (const float *)d->expert_weights.data + first;
        const qb_product up_gate[] = {{expert->up, d->up.data, d->stride.wide},
                                      {expert->gate, d->gate.data, d->stride.wide}};
        const bool gated = expert->gate != NULL;
        qb_matmul(worker, &d->kernels, d->spec.mode, up_gate, gated ? 2 : 1, normed, n, &d->acts);
        const qb_gate_source inner = {d, expert->up->n_rows, gated};
        const qb_product down = {expert->down, d->expert_out.data, d->stride.hidden};
        qb_matmul(worker, &d->kernels, d->spec.mode, &down, 1,
                  (qb_rows){.make = qb_make_gated, .context = &inner}, n, &d->acts);
        size_t begin, end;
        qb_worker_range(worker, n, &begin, &end);
        for (size_t i = begin; i < end; i++) {
            float *row = (float *)d->out.data + source.tokens[i] * d->stride.hidden;
            const float *given = (const float *)d->expert_out.data + i * d->stride.hidden;
            for (size_t j = 0; j < d->spec.hidden; j++)
                row[j] += weights[i] * given[j];
        }
        qb_team_barrier(worker); /* the next expert's tokens are shared out otherwise */
    }
}
