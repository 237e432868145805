#include "model/decoder.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "model/decoder_state.h"
#include "ops/layers.h"

static size_t padded_length(size_t n) { return qb_round_up(n, 16); }

/* Floats of all vectors, padded. */
static size_t count_vectors(const qb_decoder_spec *s, const qb_decoder_weights *w)
{
    size_t n = 0;
    for (int i = 0; i < QB_MODEL_VECTOR_COUNT; i++)
        if (w->v[i] != NULL)
            n += padded_length(qb_model_vector_length(s, (qb_model_vector)i));
    for (size_t layer = 0; layer < s->n_layers; layer++)
        for (int i = 0; i < QB_LAYER_VECTOR_COUNT; i++)
            if (w->layers[layer].v[i] != NULL)
                n +=
                    padded_length(qb_layer_vector_length(s, &w->layers[layer], (qb_layer_vector)i));
    return n;
}

static const float *copy_vector(float **free, const float *vector, size_t n)
{
    float *own = *free;
    if (vector == NULL)
        return NULL;
    memcpy(own, vector, n * sizeof(float));
    *free += padded_length(n);
    return own;
}

/* Layers, with their experts behind them, and all vectors become the decoder's own. */
static qb_status copy_weights(qb_decoder *d)
{
    const qb_decoder_spec *s = &d->spec;
    const qb_layer *given = d->weights.layers;
    size_t n_experts = 0;
    void *block;
    for (size_t i = 0; i < s->n_layers; i++)
        n_experts += given[i].n_experts;
    QB_TRY(qb_alloc(&block, s->n_layers * sizeof(qb_layer) + n_experts * sizeof(qb_expert), 1));
    d->layers = block;
    qb_expert *experts = (qb_expert *)(void *)(d->layers + s->n_layers);
    QB_TRY(qb_alloc(&block, count_vectors(s, &d->weights), sizeof(float)));
    d->vectors = block;
    float *free = d->vectors;
    for (int i = 0; i < QB_MODEL_VECTOR_COUNT; i++)
        d->weights.v[i] =
            copy_vector(&free, d->weights.v[i], qb_model_vector_length(s, (qb_model_vector)i));
    for (size_t layer = 0; layer < s->n_layers; layer++) {
        qb_layer *own = &d->layers[layer];
        *own = given[layer];
        for (int i = 0; i < QB_LAYER_VECTOR_COUNT; i++)
            own->v[i] =
                copy_vector(&free, own->v[i], qb_layer_vector_length(s, own, (qb_layer_vector)i));
        if (own->n_experts > 0)
            memcpy(experts, own->experts, own->n_experts * sizeof(qb_expert));
        own->experts = experts;
        experts += own->n_experts;
    }
    d->weights.layers = d->layers;
    return QB_OK;
}

static void set_strides(qb_decoder *d)
{
    const qb_decoder_spec *s = &d->spec;
    const size_t values = s->n_heads * s->value_dim;
    d->stride = (qb_strides){
        .hidden = qb_row_stride(s->hidden),
        .q = qb_row_stride(s->n_heads * s->dim),
        .k = qb_row_stride(s->n_kv_heads * s->dim),
        .v = qb_row_stride(s->n_kv_heads * s->value_dim),
        .attn = qb_row_stride(values),
        .wide = qb_row_stride(qb_widest(&d->weights, s->n_layers)),
        .kv_a = qb_row_stride(s->latent + s->rotary_dim),
        .kv_b = qb_row_stride(s->n_heads * (s->dim - s->rotary_dim) + values),
    };
}

static qb_status make_room(qb_decoder *d)
{
    void *block;
    const size_t used = d->n_sets * d->n_rotations;
    QB_TRY(qb_alloc(&block, used + d->n_rotations, sizeof(qb_rotary)));
    if (used > 0)
        memcpy(block, d->rotaries, used * sizeof(qb_rotary));
    qb_free(d->rotaries);
    d->rotaries = block;
    d->n_sets++;
    return QB_OK;
}

qb_status qb_decoder_set_rotations(qb_decoder *d, uint32_t set, const qb_rotation *rotations)
{
    QB_REQUIRE(set <= d->n_sets && set < UINT32_MAX, QB_ERR_RANGE);
    if (set == d->n_sets)
        QB_TRY(make_room(d));
    for (size_t i = 0; i < d->n_rotations; i++) {
        qb_rotary *own = &d->rotaries[set * d->n_rotations + i], fresh;
        QB_TRY(qb_rotary_init(&fresh, rotations[i].inverse_frequency, d->spec.rotary_dim / 2,
                              rotations[i].factor));
        qb_rotary_destroy(own);
        *own = fresh;
    }
    return QB_OK;
}

static qb_status check_rotations(const qb_decoder_spec *s, const qb_decoder_weights *w,
                                 size_t n_rotations)
{
    QB_REQUIRE(n_rotations <= 16 && (n_rotations == 0 || s->rotary_dim >= 2), QB_ERR_RANGE);
    for (size_t i = 0; i < s->n_layers; i++)
        QB_REQUIRE(w->layers[i].rotation == QB_NO_ROTATION ||
                       (w->layers[i].rotation >= 0 && (size_t)w->layers[i].rotation < n_rotations),
                   QB_ERR_RANGE);
    return QB_OK;
}

qb_status qb_decoder_create(qb_decoder **out, const qb_decoder_spec *spec,
                            const qb_decoder_weights *weights, const qb_rotation *rotations,
                            size_t n_rotations, const qb_kernels *kernels)
{
    void *block;
    *out = NULL;
    QB_TRY(qb_check_weights(spec, weights));
    QB_TRY(check_rotations(spec, weights, n_rotations));
    QB_TRY(qb_alloc(&block, 1, sizeof(qb_decoder)));
    qb_decoder *d = block;
    d->spec = *spec;
    d->weights = *weights;
    d->kernels = *kernels;
    d->n_rotations = n_rotations;
    qb_status status = copy_weights(d);
    if (status == QB_OK)
        status = qb_decoder_set_rotations(d, 0, rotations);
    if (status != QB_OK) {
        qb_decoder_free(d);
        return status;
    }
    set_strides(d);
    *out = d;
    return QB_OK;
}

void qb_decoder_free(qb_decoder *d)
{
    if (d == NULL)
        return;
    qb_buffer *buffers[] = {&d->x,
                            &d->q,
                            &d->k,
                            &d->v,
                            &d->attn,
                            &d->gate,
                            &d->up,
                            &d->out,
                            &d->kv_a,
                            &d->kv_b,
                            &d->first_bad,
                            &d->runs,
                            &d->attn_out,
                            &d->router,
                            &d->shared_gate,
                            &d->expert_out,
                            &d->chosen,
                            &d->chosen_weight,
                            &d->expert_end,
                            &d->expert_tokens,
                            &d->expert_weights};
    for (size_t i = 0; i < QB_ARRAY_LEN(buffers); i++)
        qb_buffer_destroy(buffers[i]);
    for (size_t i = 0; i < QB_MAX_THREADS; i++) {
        qb_buffer_destroy(&d->attn_scratch[i]);
        qb_buffer_destroy(&d->head_scratch[i]);
    }
    for (size_t i = 0; i < d->n_sets * d->n_rotations; i++)
        qb_rotary_destroy(&d->rotaries[i]);
    qb_act_buffers_destroy(&d->acts);
    qb_head_buffers_destroy(&d->head);
    qb_free(d->rotaries);
    qb_free(d->layers);
    qb_free(d->vectors);
    qb_free(d);
}

const qb_decoder_spec *qb_decoder_get_spec(const qb_decoder *d) { return &d->spec; }
size_t qb_decoder_n_rotations(const qb_decoder *d) { return d->n_rotations; }

static qb_status reserve_rows(qb_decoder *d, size_t n)
{
    const qb_strides *s = &d->stride;
    const bool latent = d->spec.latent > 0;
    const struct {
        qb_buffer *buffer;
        size_t stride;
    } rows[] = {{&d->x, s->hidden},
                {&d->out, s->hidden},
                {&d->attn_out, d->spec.parallel ? s->hidden : 0},
                {&d->q, s->q},
                {&d->k, s->k},
                {&d->v, s->v},
                {&d->kv_a, latent ? s->kv_a : 0},
                {&d->kv_b, latent ? s->kv_b : 0},
                {&d->attn, s->attn},
                {&d->gate, s->wide},
                {&d->up, s->wide}};
    for (size_t i = 0; i < QB_ARRAY_LEN(rows); i++)
        QB_TRY(qb_buffer_reserve(rows[i].buffer, n * rows[i].stride, sizeof(float)));
    return QB_OK;
}

/* Everything that a forward allocates, before its region starts. */
static qb_status reserve(qb_decoder *d, const qb_kv_cache *cache, const qb_batch *b,
                         unsigned n_threads)
{
    const qb_decoder_spec *s = &d->spec;
    QB_TRY(reserve_rows(d, b->n_tokens));
    QB_TRY(qb_buffer_reserve(&d->first_bad, b->n_tokens, sizeof(int32_t)));
    QB_TRY(qb_buffer_reserve(&d->runs, b->n_runs, sizeof(qb_run)));
    for (size_t i = 0; i < s->n_layers; i++)
        for (int j = 0; j < QB_LAYER_MATRIX_COUNT; j++)
            if (d->layers[i].m[j] != NULL)
                QB_TRY(qb_act_buffers_reserve(&d->acts, d->layers[i].m[j], b->n_tokens, n_threads));
    QB_TRY(qb_reserve_experts(d, b->n_tokens, n_threads));
    QB_TRY(qb_head_reserve(&d->head, d->weights.m[QB_M_HEAD], &b->scored, n_threads));
    const qb_attention_shape shape = qb_kv_shape(cache, 0, s->n_heads);
    for (unsigned t = 0; t < n_threads; t++) {
        QB_TRY(qb_attention_reserve(&d->attn_scratch[t], &shape));
        QB_TRY(qb_head_reserve_worker(&d->head_scratch[t]));
    }
    return QB_OK;
}

/* The norm of the row that is scored as `index`. */
static void make_scored(const void *context, float *out, size_t index)
{
    const qb_norm_source *source = context;
    const qb_batch *b = source->call->batch;
    qb_decoder *d = source->call->d;
    const size_t row = (size_t)b->rows[index];
    const int32_t *bad = d->first_bad.data;
    const float sum = qb_norm_row(d, out, (const float *)d->x.data + row * d->stride.hidden,
                                  source->weight, source->bias, d->spec.hidden);
    if (b->bad_layer != NULL)
        b->bad_layer[index] = bad[row] >= 0 || isfinite(sum) ? bad[row] : source->layer;
}

/* The residual of a token at a position of its sequence, before the first layer. */
static void embed(qb_decoder *d, size_t row, size_t token, size_t position)
{
    const qb_decoder_spec *s = &d->spec;
    const qb_weights *positions = d->weights.m[QB_M_POSITIONS];
    float *x = (float *)d->x.data + row * d->stride.hidden;
    memset(x, 0, d->stride.hidden * sizeof(float));
    qb_embedding_row(x, d->weights.m[QB_M_EMBEDDING], token);
    if (s->embedding_scale != 1.0f)
        for (size_t i = 0; i < s->hidden; i++)
            x[i] *= s->embedding_scale;
    if (positions != NULL) {
        float *learned = (float *)d->out.data + row * d->stride.hidden;
        memset(learned, 0, d->stride.hidden * sizeof(float));
        qb_embedding_row(learned, positions, position + s->position_offset);
        d->kernels.vec.add(x, learned, d->stride.hidden);
    }
    if (d->weights.v[QB_V_EMBEDDING_NORM] != NULL)
        (void)qb_norm_row(d, x, x, d->weights.v[QB_V_EMBEDDING_NORM],
                          d->weights.v[QB_V_EMBEDDING_NORM_BIAS], s->hidden);
    ((int32_t *)d->first_bad.data)[row] = -1;
}

static void forward_worker(qb_worker worker, void *context)
{
    const qb_forward_call *c = context;
    const qb_batch *b = c->batch;
    qb_decoder *d = c->d;
    const qb_run *runs = d->runs.data;
    size_t begin, end;
    qb_worker_range(worker, b->n_tokens, &begin, &end);
    for (size_t r = 0; r < b->n_runs; r++)
        for (size_t t = QB_MAX(begin, runs[r].row); t < QB_MIN(end, runs[r].row + runs[r].n_tokens);
             t++)
            embed(d, t, (size_t)b->tokens[t], runs[r].start + t - runs[r].row);
    for (size_t layer = 0; layer < d->spec.n_layers; layer++)
        qb_run_layer(worker, c, layer);
    if (b->scored.n_rows > 0) {
        qb_team_barrier(worker); /* scored rows are split otherwise than tokens */
        const qb_norm_source last = {.call = c,
                                     .weight = d->weights.v[QB_V_FINAL_NORM],
                                     .bias = d->weights.v[QB_V_FINAL_NORM_BIAS],
                                     .layer = (int32_t)d->spec.n_layers};
        const qb_logit_rule rule = {d->weights.v[QB_V_HEAD_BIAS], d->spec.logit_scale,
                                    d->spec.logit_cap};
        qb_head(worker, &d->kernels, d->spec.mode, d->weights.m[QB_M_HEAD],
                (qb_rows){.make = make_scored, .context = &last}, &rule, &b->scored, &d->head,
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
                       b->runs[r].n_tokens <= d->spec.context - QB_MIN(length, d->spec.context) &&
                       qb_kv_sequence_rotation(cache, b->runs[r].sequence) < d->n_sets,
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

/* Angles of positions below n. */
static qb_status reserve_rotations(qb_decoder *d, uint32_t set, size_t n)
{
    for (size_t i = 0; i < d->n_rotations; i++)
        QB_TRY(qb_rotary_reserve(&d->rotaries[set * d->n_rotations + i], n, d->spec.context));
    return QB_OK;
}

qb_status qb_decoder_forward(qb_decoder *d, qb_kv_cache *cache, const qb_batch *b,
                             unsigned n_threads, qb_poll_fn poll, void *poll_context)
{
    const qb_kv_sizes sizes = {d->spec.n_layers, d->spec.n_kv_heads, d->spec.dim,
                               d->spec.value_dim};
    QB_REQUIRE(n_threads >= 1 && n_threads <= QB_MAX_THREADS, QB_ERR_RANGE);
    QB_REQUIRE(qb_kv_cache_fits(cache, sizes), QB_ERR_SHAPE);
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
        if (status == QB_OK)
            status = reserve_rotations(d, qb_kv_sequence_rotation(cache, b->runs[r].sequence),
                                       runs[r].start + runs[r].n_tokens);
    }
    qb_forward_call call = {d, cache, b};
    if (status == QB_OK)
        status = qb_team_run(n_threads, forward_worker, &call, poll, poll_context);
    for (size_t r = 0; r < b->n_runs; r++)
        qb_kv_commit(cache, b->runs[r].sequence, status == QB_OK ? b->runs[r].n_tokens : 0);
    return status;
}
