/* The output head of scored positions only: vocabulary chunks times rows, reduced on the fly to
 * log-probabilities of given targets and the most likely token. Logits are written only if asked. */
#ifndef QB_HEAD_H
#define QB_HEAD_H

#include "ops/matmul.h"

/* Rows of the vocabulary reduced together, and merged in ascending order: part of the numerical
 * definition (kernels.h). */
enum { QB_HEAD_CHUNK = 1024 };

typedef struct {
    size_t n_rows;               /* scored rows */
    const int32_t *first_target; /* (n_rows + 1,): row r has targets first_target[r] .. */
    const int32_t *targets;      /* token ids */
    double *logprobs;            /* one per target, NaN where a logit of the row is not finite */
    int32_t *best; /* (n_rows,): most likely id, the lowest of equals; -1 if not finite */
    float *logits; /* (n_rows, n_vocab) or NULL */
    size_t n_top;  /* most likely ids wanted of each row, at most QB_MAX_TOP and the vocabulary */
    int32_t *top;  /* (n_rows, n_top), descending, lower ids first; -1 where a row is not finite */
    double *top_logprobs;
    const float *base;  /* (n_rows, n_vocab) log-probabilities of another model, or NULL */
    double *divergence; /* (n_rows,) of this model from that one, in nats */
} qb_scored;

enum { QB_MAX_TOP = 1024 };

/* From products to logits: cap * tanh((scale * x + bias) / cap); bias (n_vocab,) or NULL, cap 0: none. */
typedef struct {
    const float *bias;
    float scale, cap;
} qb_logit_rule;

typedef struct {
    qb_act_buffers acts;
    qb_buffer sums, tops, divergences; /* (n_chunks, n_rows) */
} qb_head_buffers;

qb_status qb_head_reserve(qb_head_buffers *buffers, const qb_weights *w, const qb_scored *scored,
                          unsigned n_threads);
/* Scratch for one worker. */
qb_status qb_head_reserve_worker(qb_buffer *scratch);
void qb_head_buffers_destroy(qb_head_buffers *buffers);

/* Complete after its last barrier; the rows are made as those of a product (matmul.h). */
void qb_head(qb_worker worker, const qb_kernels *kernels, qb_mode mode, const qb_weights *w,
             qb_rows rows, const qb_logit_rule *rule, const qb_scored *scored,
             qb_head_buffers *buffers, qb_buffer *scratch);

#endif
