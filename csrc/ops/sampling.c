#include "ops/sampling.h"

#include <math.h>
#include <stdlib.h>

static int by_logit_then_id(const void *left, const void *right)
{
    const qb_candidate *a = left, *b = right;
    if (a->logit != b->logit)
        return a->logit < b->logit ? 1 : -1;
    return a->id < b->id ? -1 : 1;
}

static int32_t most_likely(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(logits[i]))
            return -1;
        if (logits[i] > logits[best])
            best = i;
    }
    return isfinite(logits[best]) ? (int32_t)best : -1;
}

int32_t qb_sample(const float *logits, size_t n, qb_sampling how, double u,
                  qb_candidate *candidates)
{
    const int32_t best = most_likely(logits, n);
    if (best < 0 || how.temperature <= 0.0f)
        return best;
    for (size_t i = 0; i < n; i++)
        candidates[i] = (qb_candidate){logits[i], (uint32_t)i};
    qsort(candidates, n, sizeof *candidates, by_logit_then_id);

    const double top = (double)candidates[0].logit, heat = (double)how.temperature;
    size_t kept = how.top_k > 0 && how.top_k < n ? how.top_k : n;
    double total = 0.0;
    for (size_t i = 0; i < kept; i++)
        total += exp(((double)candidates[i].logit - top) / heat);
    if (how.top_p < 1.0f) {
        double reached = 0.0;
        size_t i = 0;
        while (i < kept && reached < (double)how.top_p * total)
            reached += exp(((double)candidates[i++].logit - top) / heat);
        kept = QB_MAX(i, (size_t)1);
        total = i > 0 ? reached : 1.0;
    }
    double passed = 0.0;
    int32_t chosen = best;
    for (size_t i = 0; i < kept && u * total >= passed; i++) {
        const double weight = exp(((double)candidates[i].logit - top) / heat);
        passed += weight;
        if (weight > 0.0) /* u * total may round up to total: never end on an impossible id */
            chosen = (int32_t)candidates[i].id;
    }
    return chosen;
}
