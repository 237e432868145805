#include "model/decoder.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "ops/layers.h"

enum { MAX_THREADS = 256 };

/* Far above any model, and small enough that no product of two sizes wraps. */
enum { MAX_LAYERS = 4096, MAX_HEADS = 1 << 16, MAX_CONTEXT = 1 << 24 };

struct qb_decoder {
    qb_decoder_spec spec;
    qb_decoder_weights weights;
    qb_kernels kernels;
    qb_layer *layers;
    float *norms;         /* (2 * n_layers + 1, hidden padded) */
    float *cosine, *sine; /* (context, dim / 2) */
    /* Reused from call to call. Strides are padded so that a row may be read in whole vectors. */
    qb_buffer x, q, k, v, attn, gate, up, out, first_bad, runs;
    qb_act_buffers acts;
    qb_head_buffers head;
    qb_buffer attn_scratch[MAX_THREADS], head_scratch[MAX_THREADS];
};

static bool has_shape(const qb_weights *w, size_t n_rows, size_t n_cols)
{
    return w->n_rows == n_rows && w->n_cols == n_cols;
}

static qb_status check_shapes(const qb_decoder_spec *s, const qb_decoder_weights *w)
{
    const size_t q_size = s->n_heads * s->dim, kv_size = s->n_kv_heads * s->dim;
    QB_REQUIRE(s->n_layers >= 1 && s->n_layers <= MAX_LAYERS && s->n_kv_heads >= 1 &&
                   s->n_heads >= 1 && s->n_heads <= MAX_HEADS && s->n_heads % s->n_kv_heads == 0 &&
                   s->dim >= 2 && s->dim % 2 == 0 && s->dim <= QB_MAX_HEAD_DIM && s->context >= 1 &&
                   s->context <= MAX_CONTEXT,
               QB_ERR_RANGE);
    QB_REQUIRE(qb_format_is_float(w->embedding->format), QB_ERR_FORMAT);
    QB_REQUIRE(has_shape(w->embedding, s->n_vocab, s->hidden) &&
                   has_shape(w->head, s->n_vocab, s->hidden),
               QB_ERR_SHAPE);
    for (size_t i = 0; i < s->n_layers; i++) {
        const qb_layer *l = &w->layers[i];
        QB_REQUIRE(has_shape(l->q, q_size, s->hidden) && has_shape(l->k, kv_size, s->hidden) &&
                       has_shape(l->v, kv_size, s->hidden) && has_shape(l->o, s->hidden, q_size) &&
                       has_shape(l->gate, s->intermediate, s->hidden) &&
                       has_shape(l->up, s->intermediate, s->hidden) &&
                       has_shape(l->down, s->hidden, s->intermediate),
                   QB_ERR_SHAPE);
    }
    return QB_OK;
}

static qb_status fill(qb_decoder *d)
{
    const qb_decoder_spec *s = &d->spec;
    const size_t stride = qb_row_stride(s->hidden), half = s->dim / 2;
    void *block;
    QB_TRY(qb_alloc(&block, s->n_layers, sizeof(qb_layer)));
    d->layers = block;
    QB_TRY(qb_alloc(&block, (2 * s->n_layers + 1) * stride, sizeof(float)));
    d->norms = block;
    QB_TRY(qb_alloc(&block, 2 * s->context * half, sizeof(float)));
    d->cosine = block;
    d->sine = d->cosine + s->context * half;
    for (size_t i = 0; i < s->n_layers; i++) {
        float *attn_norm = d->norms + 2 * i * stride, *mlp_norm = attn_norm + stride;
        memcpy(attn_norm, d->weights.layers[i].attn_norm, s->hidden * sizeof(float));
        memcpy(mlp_norm, d->weights.layers[i].mlp_norm, s->hidden * sizeof(float));
        d->layers[i] = d->weights.layers[i];
        d->layers[i].attn_norm = attn_norm;
        d->layers[i].mlp_norm = mlp_norm;
    }
    memcpy(d->norms + 2 * s->n_layers * stride, d->weights.final_norm, s->hidden * sizeof(float));
    d->weights.final_norm = d->norms + 2 * s->n_layers * stride;
    d->weights.layers = d->layers;
    qb_rope_table(d->cosine, d->sine, s->inverse_frequency, half, s->context);
    d->spec.inverse_frequency = NULL; /* borrowed, and used up */
    return QB_OK;
}

qb_status qb_decoder_create(qb_decoder **out, const qb_decoder_spec *spec,
                            const qb_decoder_weights *weights, const qb_kernels *kernels)
{
    void *block;
    *out = NULL;
    QB_TRY(check_shapes(spec, weights));
    QB_TRY(qb_alloc(&block, 1, sizeof(qb_decoder)));
    qb_decoder *d = block;
    d->spec = *spec;
    d->weights = *weights;
    d->kernels = *kernels;
    qb_status status = fill(d);
    if (status != QB_OK) {
        qb_decoder_free(d);
        return status;
    }
    *out = d;
    return QB_OK;
}

void qb_decoder_free(qb_decoder *d)
{
    if (d == NULL)
        return;
    qb_buffer *buffers[] = {&d->x,    &d->q,  &d->k,   &d->v,         &d->attn,
                            &d->gate, &d->up, &d->out, &d->first_bad, &d->runs};
    for (size_t i = 0; i < QB_ARRAY_LEN(buffers); i++)
        qb_buffer_destroy(buffers[i]);
    for (size_t i = 0; i < MAX_THREADS; i++) {
        qb_buffer_destroy(&d->attn_scratch[i]);
        qb_buffer_destroy(&d->head_scratch[i]);
    }
    qb_act_buffers_destroy(&d->acts);
    qb_head_buffers_destroy(&d->head);
    qb_free(d->layers);
    qb_free(d->norms);
    qb_free(d->cosine);
    qb_free(d);
}

const qb_decoder_spec *qb_decoder_get_spec(const qb_decoder *d) { return &d->spec; }

/* Everything that a forward allocates, before its region starts. */
static qb_status reserve(qb_decoder *d, const qb_kv_cache *cache, const qb_batch *b,
                         unsigned n_threads)
{
    const qb_decoder_spec *s = &d->spec;
    const size_t n = b->n_tokens, f = sizeof(float);
    const size_t hidden = qb_row_stride(s->hidden), wide = qb_row_stride(s->intermediate);
    const size_t q_size = qb_row_stride(s->n_heads * s->dim),
                 kv_size = qb_row_stride(s->n_kv_heads * s->dim);
    QB_TRY(qb_buffer_reserve(&d->x, n * hidden, f));
    QB_TRY(qb_buffer_reserve(&d->out, n * hidden, f));
    QB_TRY(qb_buffer_reserve(&d->q, n * q_size, f));
    QB_TRY(qb_buffer_reserve(&d->k, n * kv_size, f));
    QB_TRY(qb_buffer_reserve(&d->v, n * kv_size, f));
    QB_TRY(qb_buffer_reserve(&d->attn, n * q_size, f));
    QB_TRY(qb_buffer_reserve(&d->gate, n * wide, f));
    QB_TRY(qb_buffer_reserve(&d->up, n * wide, f));
    QB_TRY(qb_buffer_reserve(&d->first_bad, n, sizeof(int32_t)));
    QB_TRY(qb_buffer_reserve(&d->runs, b->n_runs, sizeof(qb_run)));
    for (size_t i = 0; i < s->n_layers; i++) {
        const qb_weights *each[] = {d->layers[i].q,   d->layers[i].k,    d->layers[i].v,
                                    d->layers[i].o,   d->layers[i].gate, d->layers[i].up,
                                    d->layers[i].down};
        for (size_t j = 0; j < QB_ARRAY_LEN(each); j++)
            QB_TRY(qb_act_buffers_reserve(&d->acts, each[j], n, n_threads));
    }
    QB_TRY(qb_head_reserve(&d->head, d->weights.head, &b->scored, n_threads));
    const qb_attention_shape shape = qb_kv_shape(cache, 0, s->n_heads);
    for (unsigned t = 0; t < n_threads; t++) {
        QB_TRY(qb_attention_reserve(&d->attn_scratch[t], &shape));
        QB_TRY(qb_head_reserve_worker(&d->head_scratch[t]));
    }
    return QB_OK;
}

typedef struct {
    qb_decoder *d;
    qb_kv_cache *cache;
    const qb_batch *batch;
} forward_call;

/* The rows that a product reads are made from the residual stream and this. */
typedef struct {
    const forward_call *call;
    const float *weight; /* of the norm */
    int32_t layer;
} row_source;

/* out = norm of x; remembers where a row first was not finite. */
static void make_normed(const void *context, float *out, size_t token)
{
    const row_source *source = context;
    qb_decoder *d = source->call->d;
    const float *x = d->x.data;
    int32_t *bad = d->first_bad.data;
    const float sum =
        d->kernels.vec.rmsnorm(out, x + token * qb_row_stride(d->spec.hidden), source->weight,
                               qb_round_up(d->spec.hidden, 16), d->spec.hidden, d->spec.norm_eps);
    if (bad[token] < 0 && !isfinite(sum))
        bad[token] = source->layer;
}

/* The same of the row that is scored as `index`. */
static void make_scored(const void *context, float *out, size_t index)
{
    const row_source *source = context;
    const qb_batch *b = source->call->batch;
    qb_decoder *d = source->call->d;
    const size_t row = (size_t)b->rows[index];
    const float *x = d->x.data;
    const int32_t *bad = d->first_bad.data;
    const float sum =
        d->kernels.vec.rmsnorm(out, x + row * qb_row_stride(d->spec.hidden), source->weight,
                               qb_round_up(d->spec.hidden, 16), d->spec.hidden, d->spec.norm_eps);
    if (b->bad_layer != NULL)
        b->bad_layer[index] = bad[row] >= 0 || isfinite(sum) ? bad[row] : source->layer;
}

static void make_gated(const void *context, float *out, size_t token)
{
    const row_source *source = context;
    qb_decoder *d = source->call->d;
    const size_t wide = qb_row_stride(d->spec.intermediate);
    const float *gate = d->gate.data, *up = d->up.data;
    d->kernels.vec.silu_mul(out, gate + token * wide, up + token * wide,
                            qb_round_up(d->spec.intermediate, 16));
}

/* Rotates the queries and keys of this worker's tokens and appends keys and values to the cache. */
static void rotate_and_store(const forward_call *c, size_t layer, size_t begin, size_t end)
{
    qb_decoder *d = c->d;
    const qb_decoder_spec *s = &d->spec;
    const size_t q_size = qb_row_stride(s->n_heads * s->dim),
                 kv_size = qb_row_stride(s->n_kv_heads * s->dim);
    const qb_run *runs = d->runs.data;
    float *q = d->q.data, *k = d->k.data, *v = d->v.data;
    for (size_t r = 0; r < c->batch->n_runs; r++)
        for (size_t t = QB_MAX(begin, runs[r].row); t < QB_MIN(end, runs[r].row + runs[r].n_tokens);
             t++) {
            const size_t position = runs[r].start + t - runs[r].row;
            const float *cosine = d->cosine + position * (s->dim / 2);
            const float *sine = d->sine + position * (s->dim / 2);
            qb_rope(q + t * q_size, s->n_heads, s->dim, cosine, sine);
            qb_rope(k + t * kv_size, s->n_kv_heads, s->dim, cosine, sine);
            qb_kv_store(c->cache, c->batch->runs[r].sequence, position, layer, k + t * kv_size,
                        v + t * kv_size);
        }
}

static void add_rows(qb_decoder *d, size_t begin, size_t end)
{
    const size_t hidden = qb_row_stride(d->spec.hidden);
    float *x = d->x.data, *out = d->out.data;
    for (size_t t = begin; t < end; t++)
        d->kernels.vec.add(x + t * hidden, out + t * hidden, hidden);
}

static void run_layer(qb_worker worker, const forward_call *c, size_t layer)
{
    qb_decoder *d = c->d;
    const qb_decoder_spec *s = &d->spec;
    const qb_layer *l = &d->layers[layer];
    const size_t n = c->batch->n_tokens, hidden = qb_row_stride(s->hidden),
                 wide = qb_row_stride(s->intermediate);
    const size_t q_size = qb_row_stride(s->n_heads * s->dim),
                 kv_size = qb_row_stride(s->n_kv_heads * s->dim);
    float *q = d->q.data, *k = d->k.data, *v = d->v.data, *attn = d->attn.data;
    float *gate = d->gate.data, *up = d->up.data;
    size_t begin, end;
    qb_worker_range(worker, n, &begin, &end);
    if (qb_team_cancelled(worker)) /* nothing below is wanted but its barriers */
        end = begin;

    const row_source before = {c, l->attn_norm, (int32_t)layer};
    const qb_product qkv[] = {{l->q, q, q_size}, {l->k, k, kv_size}, {l->v, v, kv_size}};
    qb_matmul(worker, &d->kernels, s->mode, qkv, 3,
              (qb_rows){.make = make_normed, .context = &before}, n, &d->acts);
    rotate_and_store(c, layer, begin, end);
    qb_team_barrier(worker);
    const qb_attention_shape shape = qb_kv_shape(c->cache, layer, s->n_heads);
    qb_attention(worker, &d->kernels.attn.of[s->mode][shape.kv_format], &shape, attn, q_size, q,
                 q_size, d->runs.data, c->batch->n_runs, &d->attn_scratch[worker.index]);
    qb_team_barrier(worker);
    const qb_product o = {l->o, d->out.data, hidden};
    qb_matmul(worker, &d->kernels, s->mode, &o, 1, (qb_rows){.x = attn, .x_stride = q_size}, n,
              &d->acts);
    add_rows(d, begin, end);

    const row_source between = {c, l->mlp_norm, (int32_t)layer};
    const qb_product gate_up[] = {{l->gate, gate, wide}, {l->up, up, wide}};
    qb_matmul(worker, &d->kernels, s->mode, gate_up, 2,
              (qb_rows){.make = make_normed, .context = &between}, n, &d->acts);
    const qb_product down = {l->down, d->out.data, hidden};
    qb_matmul(worker, &d->kernels, s->mode, &down, 1,
              (qb_rows){.make = make_gated, .context = &between}, n, &d->acts);
    add_rows(d, begin, end);
}

static void forward_worker(qb_worker worker, void *context)
{
    const forward_call *c = context;
    qb_decoder *d = c->d;
    const size_t hidden = qb_row_stride(d->spec.hidden);
    float *x = d->x.data;
    int32_t *bad = d->first_bad.data;
    size_t begin, end;
    qb_worker_range(worker, c->batch->n_tokens, &begin, &end);
    for (size_t t = begin; t < end; t++) {
        memset(x + t * hidden, 0, hidden * sizeof(float));
        qb_embedding_row(x + t * hidden, d->weights.embedding, (size_t)c->batch->tokens[t]);
        bad[t] = -1;
    }
    for (size_t layer = 0; layer < d->spec.n_layers; layer++)
        run_layer(worker, c, layer);
    if (c->batch->scored.n_rows > 0) {
        qb_team_barrier(worker); /* scored rows are split otherwise than tokens */
        const row_source last = {c, d->weights.final_norm, (int32_t)d->spec.n_layers};
        qb_head(worker, &d->kernels, d->spec.mode, d->weights.head,
                (qb_rows){.make = make_scored, .context = &last}, &c->batch->scored, &d->head,
                &d->head_scratch[worker.index]);
    }
}

static qb_status check_batch(const qb_decoder *d, const qb_kv_cache *cache, const qb_batch *b)
{
    size_t n_tokens = 0;
    for (size_t r = 0; r < b->n_runs; r++) {
        size_t length;
        QB_TRY(qb_kv_sequence_length(cache, b->runs[r].sequence, &length));
        QB_REQUIRE(b->runs[r].n_tokens >= 1 &&
                       b->runs[r].n_tokens <= d->spec.context - QB_MIN(length, d->spec.context),
                   QB_ERR_RANGE);
        for (size_t other = 0; other < r; other++) /* a sequence appears once */
            QB_REQUIRE(b->runs[other].sequence != b->runs[r].sequence, QB_ERR_RANGE);
        n_tokens += b->runs[r].n_tokens;
    }
    QB_REQUIRE(n_tokens == b->n_tokens && n_tokens >= 1, QB_ERR_SHAPE);
    for (size_t t = 0; t < n_tokens; t++)
        QB_REQUIRE(b->tokens[t] >= 0 && (size_t)b->tokens[t] < d->spec.n_vocab, QB_ERR_RANGE);
    const int32_t *first_target = b->scored.first_target;
    for (size_t i = 0; i < b->scored.n_rows; i++)
        QB_REQUIRE(b->rows[i] >= 0 && (size_t)b->rows[i] < n_tokens && first_target[i] >= 0 &&
                       first_target[i] <= first_target[i + 1],
                   QB_ERR_RANGE);
    QB_REQUIRE(b->scored.n_top <= QB_MIN((size_t)QB_MAX_TOP, d->spec.n_vocab), QB_ERR_RANGE);
    /* Ascending, so that the last one bounds them all. */
    for (int32_t t = 0; b->scored.n_rows > 0 && t < first_target[b->scored.n_rows]; t++)
        QB_REQUIRE(b->scored.targets[t] >= 0 && (size_t)b->scored.targets[t] < d->spec.n_vocab,
                   QB_ERR_RANGE);
    return QB_OK;
}

qb_status qb_decoder_forward(qb_decoder *d, qb_kv_cache *cache, const qb_batch *b,
                             unsigned n_threads, qb_poll_fn poll, void *poll_context)
{
    QB_REQUIRE(n_threads >= 1 && n_threads <= MAX_THREADS, QB_ERR_RANGE);
    QB_REQUIRE(qb_kv_cache_fits(cache, d->spec.n_layers, d->spec.n_kv_heads, d->spec.dim),
               QB_ERR_SHAPE);
    QB_TRY(check_batch(d, cache, b));
    QB_TRY(reserve(d, cache, b, n_threads));
    qb_status status = QB_OK;
    qb_run *runs = d->runs.data;
    for (size_t r = 0, row = 0; r < b->n_runs && status == QB_OK; row += b->runs[r].n_tokens, r++) {
        status = qb_kv_reserve(cache, b->runs[r].sequence, b->runs[r].n_tokens);
        if (status != QB_OK)
            break;
        runs[r] = (qb_run){.row = row,
                           .n_tokens = b->runs[r].n_tokens,
                           .pages = qb_kv_pages(cache, b->runs[r].sequence)};
        status = qb_kv_sequence_length(cache, b->runs[r].sequence, &runs[r].start);
    }
    forward_call call = {d, cache, b};
    if (status == QB_OK)
        status = qb_team_run(n_threads, forward_worker, &call, poll, poll_context);
    for (size_t r = 0; r < b->n_runs; r++)
        qb_kv_commit(cache, b->runs[r].sequence, status == QB_OK ? b->runs[r].n_tokens : 0);
    return status;
}
