/* Several decoding steps in one call: forward, head, choose, repeat. */
#ifndef QB_GENERATE_H
#define QB_GENERATE_H

#include "model/decoder.h"
#include "ops/sampling.h"

typedef struct {
    uint32_t sequence;
    int32_t last_token; /* not yet in the cache */
    uint64_t key;       /* names the request: draws depend on key and step alone */
    uint32_t step;      /* number of tokens that the request has generated so far */
    uint32_t n_left;    /* tokens it may still generate */
} qb_request;

/* Marks in the output where no token stands. */
enum { QB_NO_TOKEN = -1, QB_NOT_FINITE = -2 };

/* tokens (n_requests, n_steps): what each request generated, then QB_NO_TOKEN; a request ends after
 * one of end_ids, after n_left tokens, at the end of the context, or with QB_NOT_FINITE. */
qb_status qb_generate(qb_decoder *decoder, qb_kv_cache *cache, const qb_request *requests,
                      size_t n_requests, size_t n_steps, qb_sampling how, const int32_t *end_ids,
                      size_t n_end_ids, int32_t *tokens, unsigned n_threads, qb_poll_fn poll,
                      void *poll_context);

#endif
