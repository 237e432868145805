/* The weights of a decoder by name: the lists that C and Python share.
 *
 * Matrices are packed (out, in) and borrowed; vectors are float32 and copied. What an architecture
 * does not have is NULL. Here stands what fits together, not what is done with it (layer.c). */
#ifndef QB_MODEL_WEIGHTS_H
#define QB_MODEL_WEIGHTS_H

#include "kernels/kernels.h"

/* Of a layer. router, shared_gate: of a mixture of experts; kv_a, kv_b: keys and values through a latent
 * vector (DeepSeek's multi-head latent attention), in place of k and v. */
#define QB_LAYER_MATRICES(X) \
    X(Q, q)                  \
    X(K, k)                  \
    X(V, v)                  \
    X(KV_A, kv_a)            \
    X(KV_B, kv_b)            \
    X(O, o) X(GATE, gate) X(UP, up) X(DOWN, down) X(ROUTER, router) X(SHARED_GATE, shared_gate)

#define QB_LAYER_VECTORS(X)           \
    X(ATTN_NORM, attn_norm)           \
    X(ATTN_NORM_BIAS, attn_norm_bias) \
    X(Q_BIAS, q_bias)                 \
    X(K_BIAS, k_bias)                 \
    X(V_BIAS, v_bias)                 \
    X(Q_NORM, q_norm)                 \
    X(K_NORM, k_norm)                 \
    X(KV_NORM, kv_norm)               \
    X(O_BIAS, o_bias)                 \
    X(ATTN_POST_NORM, attn_post_norm) \
    X(MLP_NORM, mlp_norm)             \
    X(MLP_NORM_BIAS, mlp_norm_bias)   \
    X(GATE_BIAS, gate_bias)           \
    X(UP_BIAS, up_bias) X(DOWN_BIAS, down_bias) X(MLP_POST_NORM, mlp_post_norm)

/* Of the whole model. positions: learned, (context + offset, hidden); slopes: of ALiBi, (n_heads,). */
#define QB_MODEL_MATRICES(X) X(EMBEDDING, embedding) X(POSITIONS, positions) X(HEAD, head)

#define QB_MODEL_VECTORS(X)                     \
    X(EMBEDDING_NORM, embedding_norm)           \
    X(EMBEDDING_NORM_BIAS, embedding_norm_bias) \
    X(FINAL_NORM, final_norm)                   \
    X(FINAL_NORM_BIAS, final_norm_bias) X(HEAD_BIAS, head_bias) X(SLOPES, slopes)

#define QB_M(NAME, name) QB_M_##NAME,
#define QB_V(NAME, name) QB_V_##NAME,
typedef enum { QB_LAYER_MATRICES(QB_M) QB_LAYER_MATRIX_COUNT } qb_layer_matrix;
typedef enum { QB_LAYER_VECTORS(QB_V) QB_LAYER_VECTOR_COUNT } qb_layer_vector;
typedef enum { QB_MODEL_MATRICES(QB_M) QB_MODEL_MATRIX_COUNT } qb_model_matrix;
typedef enum { QB_MODEL_VECTORS(QB_V) QB_MODEL_VECTOR_COUNT } qb_model_vector;
#undef QB_M
#undef QB_V

/* One of a mixture. */
typedef struct {
    const qb_weights *gate, *up, *down;
} qb_expert;

enum { QB_NO_ROTATION = -1 };

typedef struct {
    const qb_weights *m[QB_LAYER_MATRIX_COUNT];
    const float *v[QB_LAYER_VECTOR_COUNT];
    const qb_expert *experts; /* (n_experts,) */
    size_t n_experts;
    size_t window; /* of attention; 0: none */
    int rotation;  /* which of the rotations of a set, or QB_NO_ROTATION */
} qb_layer;

typedef struct {
    const qb_weights *m[QB_MODEL_MATRIX_COUNT];
    const float *v[QB_MODEL_VECTOR_COUNT];
    const qb_layer *layers;
} qb_decoder_weights;

typedef enum { QB_NORM_RMS, QB_NORM_LAYER } qb_norm;

/* What the layers of a decoder have in common. */
typedef struct {
    size_t n_layers, hidden, n_heads, n_kv_heads, dim, value_dim, n_vocab, context;
    qb_norm norm;
    float norm_eps;
    bool norm_each_head; /* q_norm and k_norm: over one head, or over all of them */
    qb_activation activation;
    bool parallel; /* attention and feed-forward read the same residual */
    qb_mode mode;
    /* Rotary positions: which part of a head, and how it is paired. */
    size_t rotary_begin, rotary_dim;
    bool interleaved;
    size_t position_offset;     /* of learned positions */
    double score_scale;         /* of q k */
    float score_cap, logit_cap; /* cap * tanh(x / cap); 0: none */
    float slope_scale;          /* of ALiBi */
    bool slopes_in_bf16;
    float logit_scale, embedding_scale, residual_scale;
    float clip;             /* bounds q, k and v; 0: does not */
    size_t log_scaled_from; /* queries from this position on grow by its logarithm; 0: none */
    size_t latent;          /* size of the vector behind keys and values; 0: none */
    /* Mixture of experts: how many a token takes, from how many of how many groups. */
    size_t n_active_experts, n_expert_groups, n_active_groups;
    bool normalize_experts; /* weights of the chosen ones add up to 1 */
    float expert_scale;
} qb_decoder_spec;

/* Elements that a vector must have. */
size_t qb_layer_vector_length(const qb_decoder_spec *spec, const qb_layer *layer,
                              qb_layer_vector which);
size_t qb_model_vector_length(const qb_decoder_spec *spec, qb_model_vector which);

/* Every size, and what goes with what. Errors: RANGE, SHAPE, FORMAT. */
qb_status qb_check_weights(const qb_decoder_spec *spec, const qb_decoder_weights *weights);

/* Rows of the feed-forward layer's widest matrix. */
size_t qb_widest(const qb_decoder_weights *weights, size_t n_layers);

#endif
