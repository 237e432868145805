/* The output head of scored positions only: vocabulary chunks times rows, reduced on the fly to
 * log-probabilities of given targets and the most likely token. Logits are written only if asked. */
#ifndef QB_HEAD_H
#define QB_HEAD_H

#include "ops/matmul.h"

/* Rows of the vocabulary reduced together, and merged in ascending order: part of the numerical
 * definition (kernels.h). */
enum { QB_HEAD_CHUNK = 1024, QB_HEAD_ROWS = 32 };

typedef struct {
    size_t n_rows;               /* scored rows */
    const int32_t *first_target; /* (n_rows + 1,): row r has targets first_target[r] .. */
    const int32_t *targets;      /* token ids */
    double *logprobs;            /* one per target, NaN where a logit of the row is not finite */
    int32_t *best; /* (n_rows,): most likely id, the lowest of equals; -1 if not finite */
    float *logits; /* (n_rows, n_vocab) or NULL */
} qb_scored;

typedef struct {
    qb_act_buffers acts;
    qb_buffer partial; /* (n_chunks, n_rows) */
} qb_head_buffers;

qb_status qb_head_reserve(qb_head_buffers *buffers, const qb_weights *w, size_t n_rows);
/* Scratch for one worker. */
qb_status qb_head_reserve_worker(qb_buffer *scratch);
void qb_head_buffers_destroy(qb_head_buffers *buffers);

/* x (n_rows, x_stride) normed hidden states; each worker has written the rows of its own range.
 * Complete after its last barrier. */
void qb_head(qb_worker worker, const qb_kernels *kernels, qb_mode mode, const qb_weights *w,
             const float *x, size_t x_stride, const qb_scored *scored, qb_head_buffers *buffers,
             qb_buffer *scratch);

#endif
