/* One transformer layer: attention and feed-forward, as the spec says what they consist of. */
#include <math.h>
#include <string.h>

#include "model/decoder_state.h"
#include "ops/layers.h"

float qb_norm_row(const qb_decoder *d, float *out, const float *x, const float *weight,
                  const float *bias, size_t n)
{
    const size_t padded = qb_round_up(n, 16);
    if (d->spec.norm == QB_NORM_LAYER)
        return d->kernels.vec.layernorm(out, x, weight, bias, padded, n, d->spec.norm_eps);
    return d->kernels.vec.rmsnorm(out, x, weight, padded, n, d->spec.norm_eps);
}

void qb_make_normed(const void *context, float *out, size_t index)
{
    const qb_norm_source *source = context;
    qb_decoder *d = source->call->d;
    const size_t token = source->tokens == NULL ? index : source->tokens[index];
    const float *x = (const float *)d->x.data + token * d->stride.hidden;
    int32_t *bad = d->first_bad.data;
    float sum = 0.0f;
    if (source->weight != NULL) {
        sum = qb_norm_row(d, out, x, source->weight, source->bias, d->spec.hidden);
    } else {
        memcpy(out, x, qb_round_up(d->spec.hidden, 16) * sizeof(float));
        for (size_t i = 0; i < d->spec.hidden; i++)
            sum += x[i] - x[i];
    }
    if (source->layer >= 0 && bad[token] < 0 && !isfinite(sum))
        bad[token] = source->layer;
}

void qb_make_gated(const void *context, float *out, size_t index)
{
    const qb_gate_source *source = context;
    const qb_decoder *d = source->d;
    const float *gate = (const float *)d->gate.data + index * d->stride.wide;
    const float *up = (const float *)d->up.data + index * d->stride.wide;
    d->kernels.vec.activate[d->spec.activation](
        out, source->gated ? gate : up, source->gated ? up : NULL, qb_round_up(source->n, 16));
}

/* The norm of the latent vector behind keys and values. */
static void make_latent(const void *context, float *out, size_t token)
{
    const qb_norm_source *source = context;
    const qb_decoder *d = source->call->d;
    float *latent = (float *)d->kv_a.data + token * d->stride.kv_a;
    const size_t n = d->spec.latent, padded = qb_round_up(n, 16);
    memcpy(out, latent, n * sizeof(float)); /* what follows it there is a key */
    memset(out + n, 0, (padded - n) * sizeof(float));
    (void)qb_norm_row(d, out, out, source->weight, NULL, n);
}

void qb_add_bias(const qb_decoder *d, float *rows, size_t stride, const float *bias, size_t n,
                 size_t begin, size_t end)
{
    if (bias != NULL)
        for (size_t t = begin; t < end; t++)
            d->kernels.vec.add(rows + t * stride, bias, qb_round_up(n, 16));
}

/* Keys and values of tokens [begin, end): of every head a key without position and a value from kv_b,
 * and the one rotated key of all heads from kv_a. */
static void expand_latent(const qb_decoder *d, size_t begin, size_t end)
{
    const qb_decoder_spec *s = &d->spec;
    const size_t plain = s->dim - s->rotary_dim;
    for (size_t t = begin; t < end; t++) {
        const float *shared = (const float *)d->kv_a.data + t * d->stride.kv_a + s->latent;
        const float *own = (const float *)d->kv_b.data + t * d->stride.kv_b;
        float *k = (float *)d->k.data + t * d->stride.k, *v = (float *)d->v.data + t * d->stride.v;
        for (size_t h = 0; h < s->n_heads; h++, own += plain + s->value_dim) {
            memcpy(k + h * s->dim, own, plain * sizeof(float));
            memcpy(k + h * s->dim + plain, shared, s->rotary_dim * sizeof(float));
            memcpy(v + h * s->value_dim, own + plain, s->value_dim * sizeof(float));
        }
    }
}

static void clip(float *x, size_t n, float bound)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] > bound ? bound : x[i] < -bound ? -bound : x[i]; /* NaN stays */
}

/* The norm of queries or keys, over each head or over all of them. */
static void norm_heads(const qb_decoder *d, float *x, const float *weight, size_t n_heads)
{
    const size_t dim = d->spec.norm_each_head ? d->spec.dim : n_heads * d->spec.dim;
    const size_t n = n_heads * d->spec.dim;
    _Alignas(QB_ALIGN) float head[QB_MAX_HEAD_DIM] = {0}, own[QB_MAX_HEAD_DIM] = {0};
    if (weight == NULL)
        return;
    if (dim == n || dim % 16 == 0) {
        for (size_t at = 0; at < n; at += dim)
            (void)qb_norm_row(d, x + at, x + at, weight + at, NULL, dim);
        return;
    }
    for (size_t at = 0; at < n; at += dim) { /* a head is not padded where it lies */
        memcpy(head, x + at, dim * sizeof(float));
        memcpy(own, weight + at, dim * sizeof(float));
        (void)qb_norm_row(d, head, head, own, NULL, dim);
        memcpy(x + at, head, dim * sizeof(float));
        memset(head + dim, 0, (qb_round_up(dim, 16) - dim) * sizeof(float));
    }
}

/* Queries and keys of one token, from products to what attention reads. */
static void finish_token(const qb_forward_call *c, const qb_layer *l, const qb_rotary *rotary,
                         size_t token, size_t position)
{
    const qb_decoder *d = c->d;
    const qb_decoder_spec *s = &d->spec;
    float *q = (float *)d->q.data + token * d->stride.q;
    float *k = (float *)d->k.data + token * d->stride.k;
    if (s->clip > 0.0f) {
        clip(q, s->n_heads * s->dim, s->clip);
        clip(k, s->n_kv_heads * s->dim, s->clip);
        clip((float *)d->v.data + token * d->stride.v, s->n_kv_heads * s->value_dim, s->clip);
    }
    norm_heads(d, q, l->v[QB_V_Q_NORM], s->n_heads);
    norm_heads(d, k, l->v[QB_V_K_NORM], s->n_kv_heads);
    if (rotary != NULL) {
        const qb_rotary_layout layout = {s->dim, s->rotary_begin, s->interleaved};
        qb_rotate(q, s->n_heads, rotary, layout, position);
        qb_rotate(k, s->n_kv_heads, rotary, layout, position);
    }
    if (s->log_scaled_from > 0 && position >= s->log_scaled_from) {
        const float scale = (float)(log((double)(position + 1)) / log((double)s->log_scaled_from));
        for (size_t i = 0; i < s->n_heads * s->dim; i++)
            q[i] *= scale;
    }
}

/* What stands between the products and attention, for this worker's tokens; keys and values go into the
 * cache. */
static void finish_and_store(const qb_forward_call *c, size_t layer, size_t begin, size_t end)
{
    qb_decoder *d = c->d;
    const qb_decoder_spec *s = &d->spec;
    const qb_layer *l = &d->layers[layer];
    const qb_run *runs = d->runs.data;
    qb_add_bias(d, d->q.data, d->stride.q, l->v[QB_V_Q_BIAS], s->n_heads * s->dim, begin, end);
    qb_add_bias(d, d->k.data, d->stride.k, l->v[QB_V_K_BIAS], s->n_kv_heads * s->dim, begin, end);
    qb_add_bias(d, d->v.data, d->stride.v, l->v[QB_V_V_BIAS], s->n_kv_heads * s->value_dim, begin,
                end);
    for (size_t r = 0; r < c->batch->n_runs; r++) {
        const uint32_t sequence = c->batch->runs[r].sequence;
        const size_t set = qb_kv_sequence_rotation(c->cache, sequence);
        const qb_rotary *rotary =
            l->rotation < 0 ? NULL : &d->rotaries[set * d->n_rotations + (size_t)l->rotation];
        for (size_t t = QB_MAX(begin, runs[r].row); t < QB_MIN(end, runs[r].row + runs[r].n_tokens);
             t++) {
            const size_t position = runs[r].start + t - runs[r].row;
            finish_token(c, l, rotary, t, position);
            qb_kv_store(c->cache, sequence, position, layer,
                        (const float *)d->k.data + t * d->stride.k,
                        (const float *)d->v.data + t * d->stride.v);
        }
    }
}

/* Queries, keys and values of the whole batch, in the buffers and the cache. */
static void project(qb_worker worker, const qb_forward_call *c, size_t layer, size_t begin,
                    size_t end)
{
    qb_decoder *d = c->d;
    const qb_layer *l = &d->layers[layer];
    const size_t n = c->batch->n_tokens;
    const qb_norm_source before = {.call = c,
                                   .weight = l->v[QB_V_ATTN_NORM],
                                   .bias = l->v[QB_V_ATTN_NORM_BIAS],
                                   .layer = (int32_t)layer};
    const qb_rows normed = {.make = qb_make_normed, .context = &before};
    const qb_product q = {l->m[QB_M_Q], d->q.data, d->stride.q};
    if (d->spec.latent == 0) {
        const qb_product qkv[] = {
            q, {l->m[QB_M_K], d->k.data, d->stride.k}, {l->m[QB_M_V], d->v.data, d->stride.v}};
        qb_matmul(worker, &d->kernels, d->spec.mode, qkv, 3, normed, n, &d->acts);
    } else {
        const qb_product down[] = {q, {l->m[QB_M_KV_A], d->kv_a.data, d->stride.kv_a}};
        qb_matmul(worker, &d->kernels, d->spec.mode, down, 2, normed, n, &d->acts);
        const qb_norm_source latent = {.call = c, .weight = l->v[QB_V_KV_NORM]};
        const qb_product up = {l->m[QB_M_KV_B], d->kv_b.data, d->stride.kv_b};
        qb_matmul(worker, &d->kernels, d->spec.mode, &up, 1,
                  (qb_rows){.make = make_latent, .context = &latent}, n, &d->acts);
        expand_latent(d, begin, end);
    }
    finish_and_store(c, layer, begin, end);
}

/* Biases and norms of a sub-layer's output, and its way into the residual. */
static void settle(const qb_decoder *d, float *out, const float *bias, const float *norm, bool add,
                   size_t begin, size_t end)
{
    const size_t stride = d->stride.hidden, n = d->spec.hidden;
    float *x = d->x.data;
    qb_add_bias(d, out, stride, bias, n, begin, end);
    for (size_t t = begin; t < end; t++) {
        float *row = out + t * stride;
        if (norm != NULL)
            (void)qb_norm_row(d, row, row, norm, NULL, n);
        if (d->spec.residual_scale != 1.0f)
            for (size_t i = 0; i < n; i++)
                row[i] *= d->spec.residual_scale;
        if (add)
            d->kernels.vec.add(x + t * stride, row, stride);
    }
}

static void attend(qb_worker worker, const qb_forward_call *c, size_t layer, size_t begin,
                   size_t end)
{
    qb_decoder *d = c->d;
    const qb_decoder_spec *s = &d->spec;
    const qb_layer *l = &d->layers[layer];
    project(worker, c, layer, begin, end);
    qb_team_barrier(worker);
    qb_attention_shape shape = qb_kv_shape(c->cache, layer, s->n_heads);
    shape.scale = s->score_scale;
    shape.cap = s->score_cap;
    shape.window = l->window;
    shape.slopes = d->weights.v[QB_V_SLOPES];
    shape.slope_scale = s->slope_scale;
    shape.slopes_in_bf16 = s->slopes_in_bf16;
    qb_attention(worker, &d->kernels.attn.of[s->mode][shape.kv_format], &shape, d->attn.data,
                 d->stride.attn, d->q.data, d->stride.q, d->runs.data, c->batch->n_runs,
                 &d->attn_scratch[worker.index]);
    qb_team_barrier(worker);
    float *out = s->parallel ? d->attn_out.data : d->out.data;
    const qb_product o = {l->m[QB_M_O], out, d->stride.hidden};
    qb_matmul(worker, &d->kernels, s->mode, &o, 1,
              (qb_rows){.x = d->attn.data, .x_stride = d->stride.attn}, c->batch->n_tokens,
              &d->acts);
    settle(d, out, l->v[QB_V_O_BIAS], l->v[QB_V_ATTN_POST_NORM], !s->parallel, begin, end);
}

static void feed_forward(qb_worker worker, const qb_forward_call *c, size_t layer, size_t begin,
                         size_t end)
{
    qb_decoder *d = c->d;
    const qb_layer *l = &d->layers[layer];
    const qb_weights *matrix = l->m[QB_M_UP];
    const size_t n = c->batch->n_tokens, wide = d->stride.wide;
    const bool gated = l->m[QB_M_GATE] != NULL;
    const qb_norm_source between = {.call = c,
                                    .weight = l->v[QB_V_MLP_NORM],
                                    .bias = l->v[QB_V_MLP_NORM_BIAS],
                                    .layer = (int32_t)layer};
    const qb_rows normed = {.make = qb_make_normed, .context = &between};
    if (matrix != NULL) {
        const qb_product up_gate[] = {{matrix, d->up.data, wide},
                                      {l->m[QB_M_GATE], d->gate.data, wide}};
        qb_matmul(worker, &d->kernels, d->spec.mode, up_gate, gated ? 2 : 1, normed, n, &d->acts);
        qb_add_bias(d, d->up.data, wide, l->v[QB_V_UP_BIAS], matrix->n_rows, begin, end);
        qb_add_bias(d, d->gate.data, wide, l->v[QB_V_GATE_BIAS], matrix->n_rows, begin, end);
        const qb_gate_source inner = {d, matrix->n_rows, gated};
        const qb_product down = {l->m[QB_M_DOWN], d->out.data, d->stride.hidden};
        qb_matmul(worker, &d->kernels, d->spec.mode, &down, 1,
                  (qb_rows){.make = qb_make_gated, .context = &inner}, n, &d->acts);
    }
    if (l->m[QB_M_ROUTER] != NULL)
        qb_run_experts(worker, c, layer);
    settle(d, d->out.data, l->v[QB_V_DOWN_BIAS], l->v[QB_V_MLP_POST_NORM], true, begin, end);
}

void qb_run_layer(qb_worker worker, const qb_forward_call *c, size_t layer)
{
    qb_decoder *d = c->d;
    size_t begin, end;
    qb_worker_range(worker, c->batch->n_tokens, &begin, &end);
    if (qb_team_cancelled(worker)) /* nothing below is wanted but its barriers */
        end = begin;
    attend(worker, c, layer, begin, end);
    feed_forward(worker, c, layer, begin, end);
    if (d->spec.parallel)
        for (size_t t = begin; t < end; t++)
            d->kernels.vec.add((float *)d->x.data + t * d->stride.hidden,
                               (const float *)d->attn_out.data + t * d->stride.hidden,
                               d->stride.hidden);
}
