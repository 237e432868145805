/* Keys and values of many sequences in reference-counted pages of 32 tokens.
 *
 * A page holds, for each layer and KV head, keys (dim, 32) and then values (32, value_dim padded to
 * 16): the order in which the attention kernels read them. A fork shares its parent's pages; a page that
 * is shared and only partly filled is copied before the first append. Pages are allocated on demand
 * up to the capacity and reused. Not thread safe: one call at a time, like the decoder. */
#ifndef QB_KV_CACHE_H
#define QB_KV_CACHE_H

#include "kernels/kernels.h"
#include "ops/attention.h"

typedef struct qb_kv_cache qb_kv_cache;

/* Sizes of what a token leaves in the cache: a key of dim and a value of value_dim for each head. */
typedef struct {
    size_t n_layers, n_kv_heads, dim, value_dim;
} qb_kv_sizes;

qb_status qb_kv_cache_create(qb_kv_cache **out, qb_kv_format format, qb_kv_sizes sizes,
                             size_t capacity_pages);
void qb_kv_cache_free(qb_kv_cache *cache);

/* An empty sequence; its number is reused after release. `rotation` says how its keys will be rotated
 * (decoder.h); a fork has its parent's. */
qb_status qb_kv_sequence_new(qb_kv_cache *cache, uint32_t *out, uint32_t rotation);
/* A sequence that begins with the first n_tokens of another. */
qb_status qb_kv_sequence_fork(qb_kv_cache *cache, uint32_t *out, uint32_t parent, size_t n_tokens);
qb_status qb_kv_sequence_release(qb_kv_cache *cache, uint32_t sequence);
qb_status qb_kv_sequence_truncate(qb_kv_cache *cache, uint32_t sequence, size_t n_tokens);
qb_status qb_kv_sequence_length(const qb_kv_cache *cache, uint32_t sequence, size_t *out);
/* Whether a sequence that is there names that rotation. */
bool qb_kv_rotation_used(const qb_kv_cache *cache, uint32_t rotation);
/* Of a sequence that is there. */
uint32_t qb_kv_sequence_rotation(const qb_kv_cache *cache, uint32_t sequence);

/* Makes room for n_new tokens (owned pages); the length grows only by qb_kv_commit, so that a
 * forward that fails leaves the sequence as it was. QB_ERR_CAPACITY when pages run out. */
qb_status qb_kv_reserve(qb_kv_cache *cache, uint32_t sequence, size_t n_new);
/* Ends a reservation: n_new tokens are there now (0: none), and pages beyond them are given back. */
void qb_kv_commit(qb_kv_cache *cache, uint32_t sequence, size_t n_new);

/* The sequence's pages; valid until the next call that changes it. */
const uint8_t *const *qb_kv_pages(const qb_kv_cache *cache, uint32_t sequence);

/* Writes one token's keys (n_kv_heads, dim) and values (n_kv_heads, value_dim) at a reserved
 * position. */
void qb_kv_store(const qb_kv_cache *cache, uint32_t sequence, size_t position, size_t layer,
                 const float *key, const float *value);

/* Where attention finds a layer, for plain attention; what else a layer wants is the caller's. */
qb_attention_shape qb_kv_shape(const qb_kv_cache *cache, size_t layer, size_t n_heads);

qb_kv_format qb_kv_cache_format(const qb_kv_cache *cache);
/* True if the cache fits a model of these dimensions. */
bool qb_kv_cache_fits(const qb_kv_cache *cache, qb_kv_sizes sizes);
size_t qb_kv_pages_used(const qb_kv_cache *cache);
size_t qb_kv_page_bytes(const qb_kv_cache *cache);

#endif
