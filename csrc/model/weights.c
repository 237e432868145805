#include "model/weights.h"

/* Far above any model, and small enough that no product of two sizes wraps. */
enum {
    MAX_LAYERS = 4096,
    MAX_HEADS = 1 << 16,
    MAX_CONTEXT = 1 << 24,
    MAX_SIZE = 1 << 24,
    MAX_EXPERTS = 1 << 16
};

size_t qb_layer_vector_length(const qb_decoder_spec *s, const qb_layer *l, qb_layer_vector which)
{
    switch (which) {
    case QB_V_Q_BIAS:
    case QB_V_Q_NORM:
        return s->n_heads * s->dim;
    case QB_V_K_BIAS:
    case QB_V_K_NORM:
        return s->n_kv_heads * s->dim;
    case QB_V_V_BIAS:
        return s->n_kv_heads * s->value_dim;
    case QB_V_KV_NORM:
        return s->latent;
    case QB_V_GATE_BIAS:
    case QB_V_UP_BIAS:
        return l->m[QB_M_UP] == NULL ? 0 : l->m[QB_M_UP]->n_rows;
    default:
        return s->hidden;
    }
}

size_t qb_model_vector_length(const qb_decoder_spec *s, qb_model_vector which)
{
    return which == QB_V_HEAD_BIAS ? s->n_vocab : which == QB_V_SLOPES ? s->n_heads : s->hidden;
}

static bool has_shape(const qb_weights *w, size_t n_rows, size_t n_cols)
{
    return w->n_rows == n_rows && w->n_cols == n_cols;
}

static bool is_mlp(const qb_weights *gate, const qb_weights *up, const qb_weights *down,
                   size_t hidden)
{
    return up != NULL && down != NULL && has_shape(up, up->n_rows, hidden) &&
           has_shape(down, hidden, up->n_rows) &&
           (gate == NULL || has_shape(gate, up->n_rows, hidden));
}

static qb_status check_attention(const qb_decoder_spec *s, const qb_layer *l)
{
    const size_t values = s->n_heads * s->value_dim, keys = s->n_kv_heads * s->dim;
    QB_REQUIRE(l->m[QB_M_Q] != NULL && l->m[QB_M_O] != NULL &&
                   has_shape(l->m[QB_M_Q], s->n_heads * s->dim, s->hidden) &&
                   has_shape(l->m[QB_M_O], s->hidden, values),
               QB_ERR_SHAPE);
    if (s->latent > 0) {
        const size_t plain = s->dim - s->rotary_dim; /* of a key: what is not rotated */
        QB_REQUIRE(l->m[QB_M_KV_A] != NULL && l->m[QB_M_KV_B] != NULL &&
                       l->v[QB_V_KV_NORM] != NULL && s->n_kv_heads == s->n_heads &&
                       has_shape(l->m[QB_M_KV_A], s->latent + s->rotary_dim, s->hidden) &&
                       has_shape(l->m[QB_M_KV_B], s->n_heads * (plain + s->value_dim), s->latent),
                   QB_ERR_SHAPE);
        return QB_OK;
    }
    QB_REQUIRE(l->m[QB_M_K] != NULL && l->m[QB_M_V] != NULL &&
                   has_shape(l->m[QB_M_K], keys, s->hidden) &&
                   has_shape(l->m[QB_M_V], s->n_kv_heads * s->value_dim, s->hidden),
               QB_ERR_SHAPE);
    return QB_OK;
}

static qb_status check_experts(const qb_decoder_spec *s, const qb_layer *l)
{
    const qb_weights *router = l->m[QB_M_ROUTER], *shared = l->m[QB_M_SHARED_GATE];
    QB_REQUIRE(has_shape(router, l->n_experts, s->hidden) &&
                   (shared == NULL || has_shape(shared, 1, s->hidden)),
               QB_ERR_SHAPE);
    QB_REQUIRE(l->n_experts >= 1 && l->n_experts <= MAX_EXPERTS && s->n_expert_groups >= 1 &&
                   l->n_experts % s->n_expert_groups == 0 && s->n_active_groups >= 1 &&
                   s->n_active_groups <= s->n_expert_groups && s->n_active_experts >= 1 &&
                   s->n_active_experts <= s->n_active_groups * (l->n_experts / s->n_expert_groups),
               QB_ERR_RANGE);
    for (size_t i = 0; i < l->n_experts; i++)
        QB_REQUIRE(is_mlp(l->experts[i].gate, l->experts[i].up, l->experts[i].down, s->hidden),
                   QB_ERR_SHAPE);
    return QB_OK;
}

static qb_status check_layer(const qb_decoder_spec *s, const qb_layer *l)
{
    const bool dense = l->m[QB_M_UP] != NULL;
    QB_TRY(check_attention(s, l));
    QB_REQUIRE(dense || l->m[QB_M_ROUTER] != NULL, QB_ERR_SHAPE);
    QB_REQUIRE(!dense || is_mlp(l->m[QB_M_GATE], l->m[QB_M_UP], l->m[QB_M_DOWN], s->hidden),
               QB_ERR_SHAPE);
    if (l->m[QB_M_ROUTER] != NULL)
        QB_TRY(check_experts(s, l));
    return QB_OK;
}

qb_status qb_check_weights(const qb_decoder_spec *s, const qb_decoder_weights *w)
{
    const qb_weights *embedding = w->m[QB_M_EMBEDDING], *positions = w->m[QB_M_POSITIONS];
    QB_REQUIRE(s->n_layers >= 1 && s->n_layers <= MAX_LAYERS && s->n_kv_heads >= 1 &&
                   s->n_heads >= 1 && s->n_heads <= MAX_HEADS && s->n_heads % s->n_kv_heads == 0 &&
                   s->dim >= 2 && s->dim % 2 == 0 && s->dim <= QB_MAX_HEAD_DIM &&
                   s->value_dim >= 1 && s->value_dim <= QB_MAX_HEAD_DIM && s->context >= 1 &&
                   s->context <= MAX_CONTEXT && s->latent <= MAX_SIZE && s->rotary_dim % 2 == 0 &&
                   s->rotary_dim <= s->dim && s->rotary_begin <= s->dim - s->rotary_dim &&
                   s->position_offset <= MAX_CONTEXT,
               QB_ERR_RANGE);
    QB_REQUIRE(embedding != NULL && w->m[QB_M_HEAD] != NULL && w->v[QB_V_FINAL_NORM] != NULL,
               QB_ERR_SHAPE);
    QB_REQUIRE(qb_format_is_float(embedding->format) &&
                   (positions == NULL || qb_format_is_float(positions->format)),
               QB_ERR_FORMAT);
    QB_REQUIRE(has_shape(embedding, s->n_vocab, s->hidden) &&
                   has_shape(w->m[QB_M_HEAD], s->n_vocab, s->hidden) &&
                   (positions == NULL || (positions->n_cols == s->hidden &&
                                          positions->n_rows >= s->context + s->position_offset)),
               QB_ERR_SHAPE);
    for (size_t i = 0; i < s->n_layers; i++)
        QB_TRY(check_layer(s, &w->layers[i]));
    return QB_OK;
}

size_t qb_widest(const qb_decoder_weights *w, size_t n_layers)
{
    size_t widest = 0;
    for (size_t i = 0; i < n_layers; i++) {
        const qb_layer *l = &w->layers[i];
        if (l->m[QB_M_UP] != NULL)
            widest = QB_MAX(widest, l->m[QB_M_UP]->n_rows);
        for (size_t e = 0; e < l->n_experts; e++)
            widest = QB_MAX(widest, l->experts[e].up->n_rows);
    }
    return widest;
}
