/* Choosing a token from logits: temperature, then top-k, then top-p, as transformers orders them. */
#ifndef QB_SAMPLING_H
#define QB_SAMPLING_H

#include "base/memory.h"

typedef struct {
    float temperature; /* 0: the most likely id, the lowest of equals */
    uint32_t top_k;    /* 0: all */
    float top_p;       /* the smallest set of most likely ids whose probabilities reach top_p */
} qb_sampling;

/* An id and its logit, for sorting. */
typedef struct {
    float logit;
    uint32_t id;
} qb_candidate;

/* The id drawn with the uniform draw u in [0, 1) from logits (n,); candidates (n,) is scratch.
 * Equal logits are ordered by id. Returns -1 if a logit is NaN or +infinity, or all are -infinity. */
int32_t qb_sample(const float *logits, size_t n, qb_sampling how, double u,
                  qb_candidate *candidates);

#endif
