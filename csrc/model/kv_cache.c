#include "model/kv_cache.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/memory.h"

typedef struct {
    bool live;
    uint32_t rotation;
    size_t n_tokens, n_pages, page_capacity;
    uint8_t **pages;
} sequence;

struct qb_kv_cache {
    qb_kv_format format;
    qb_kv_sizes sizes;
    size_t width; /* of a value, padded */
    size_t element_bytes, key_bytes, head_bytes, page_bytes;
    size_t capacity_pages, n_used, n_made, n_free;
    uint8_t **made, **free_list; /* (n_made,) every page ever allocated; (n_free,) unused ones */
    size_t made_capacity, free_capacity;
    sequence *sequences;
    size_t n_sequences;
};

/* The reference count stands in front of a page's data, on its own cache line. */
static uint32_t *count_of(uint8_t *page) { return (uint32_t *)(void *)(page - QB_ALIGN); }

qb_status qb_kv_cache_create(qb_kv_cache **out, qb_kv_format format, qb_kv_sizes sizes,
                             size_t capacity_pages)
{
    void *block;
    *out = NULL;
    QB_REQUIRE((unsigned)format < QB_KV_COUNT, QB_ERR_FORMAT);
    QB_REQUIRE(sizes.n_layers >= 1 && sizes.n_layers <= 4096 && sizes.n_kv_heads >= 1 &&
                   sizes.n_kv_heads <= 4096 && sizes.dim >= 2 && sizes.dim % 2 == 0 &&
                   sizes.dim <= QB_MAX_HEAD_DIM && sizes.value_dim >= 1 &&
                   sizes.value_dim <= QB_MAX_HEAD_DIM && capacity_pages >= 1,
               QB_ERR_RANGE);
    QB_TRY(qb_alloc(&block, 1, sizeof(qb_kv_cache)));
    qb_kv_cache *cache = block;
    cache->format = format;
    cache->sizes = sizes;
    cache->width = qb_round_up(sizes.value_dim, 16);
    cache->element_bytes = format == QB_KV_F32 ? 4 : 2;
    cache->key_bytes = sizes.dim * QB_KEY_BLOCK * cache->element_bytes;
    cache->head_bytes = cache->key_bytes + cache->width * QB_KEY_BLOCK * cache->element_bytes;
    cache->page_bytes = sizes.n_layers * sizes.n_kv_heads * cache->head_bytes;
    cache->capacity_pages = capacity_pages;
    *out = cache;
    return QB_OK;
}

void qb_kv_cache_free(qb_kv_cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < cache->n_made; i++)
        qb_free(cache->made[i] - QB_ALIGN);
    for (size_t i = 0; i < cache->n_sequences; i++)
        qb_free(cache->sequences[i].pages);
    qb_free(cache->sequences);
    qb_free(cache->made);
    qb_free(cache->free_list);
    qb_free(cache);
}

static qb_status grow_array(void **array, size_t *capacity, size_t need, size_t size)
{
    void *bigger;
    if (need <= *capacity)
        return QB_OK;
    const size_t wanted = QB_MAX(need, *capacity * 2);
    QB_TRY(qb_alloc(&bigger, wanted, size));
    if (*array != NULL)
        memcpy(bigger, *array, *capacity * size);
    qb_free(*array);
    *array = bigger;
    *capacity = wanted;
    return QB_OK;
}

static qb_status grow_pages(uint8_t ***list, size_t *capacity, size_t need)
{
    void *array = *list;
    const qb_status status = grow_array(&array, capacity, need, sizeof(uint8_t *));
    *list = array;
    return status;
}

/* Both lists have room for every page ever made, so that giving one back cannot fail. */
static qb_status make_page(qb_kv_cache *cache, uint8_t **out)
{
    void *block;
    QB_REQUIRE(cache->n_made < cache->capacity_pages, QB_ERR_CAPACITY);
    QB_TRY(grow_pages(&cache->made, &cache->made_capacity, cache->n_made + 1));
    QB_TRY(grow_pages(&cache->free_list, &cache->free_capacity, cache->n_made + 1));
    QB_TRY(qb_alloc(&block, cache->page_bytes + QB_ALIGN, 1));
    *out = (uint8_t *)block + QB_ALIGN;
    cache->made[cache->n_made++] = *out;
    return QB_OK;
}

static qb_status take_page(qb_kv_cache *cache, uint8_t **out)
{
    if (cache->n_free > 0)
        *out = cache->free_list[--cache->n_free];
    else
        QB_TRY(make_page(cache, out));
    *count_of(*out) = 1;
    cache->n_used++;
    return QB_OK;
}

static void drop_page(qb_kv_cache *cache, uint8_t *page)
{
    if (--*count_of(page) == 0) {
        cache->free_list[cache->n_free++] = page;
        cache->n_used--;
    }
}

static sequence *find(const qb_kv_cache *cache, uint32_t id)
{
    return id < cache->n_sequences && cache->sequences[id].live ? &cache->sequences[id] : NULL;
}

qb_status qb_kv_sequence_new(qb_kv_cache *cache, uint32_t *out, uint32_t rotation)
{
    uint32_t id = 0;
    while (id < cache->n_sequences && cache->sequences[id].live)
        id++;
    if (id == cache->n_sequences) {
        void *array = cache->sequences;
        QB_TRY(grow_array(&array, &cache->n_sequences, QB_MAX((size_t)id + 1, (size_t)16),
                          sizeof(sequence)));
        cache->sequences = array;
    }
    cache->sequences[id].live = true;
    cache->sequences[id].rotation = rotation;
    cache->sequences[id].n_tokens = cache->sequences[id].n_pages = 0;
    *out = id;
    return QB_OK;
}

qb_status qb_kv_sequence_fork(qb_kv_cache *cache, uint32_t *out, uint32_t parent, size_t n_tokens)
{
    uint32_t id;
    QB_REQUIRE(find(cache, parent) != NULL && n_tokens <= find(cache, parent)->n_tokens,
               QB_ERR_RANGE);
    QB_TRY(qb_kv_sequence_new(cache, &id, find(cache, parent)->rotation));
    sequence *child = &cache->sequences[id], *from = &cache->sequences[parent];
    const size_t n_pages = qb_ceil_div(n_tokens, QB_KEY_BLOCK);
    const qb_status status = grow_pages(&child->pages, &child->page_capacity, n_pages);
    if (status != QB_OK) {
        child->live = false;
        return status;
    }
    for (size_t i = 0; i < n_pages; i++) {
        child->pages[i] = from->pages[i];
        ++*count_of(child->pages[i]);
    }
    child->n_pages = n_pages;
    child->n_tokens = n_tokens;
    *out = id;
    return QB_OK;
}

qb_status qb_kv_sequence_truncate(qb_kv_cache *cache, uint32_t id, size_t n_tokens)
{
    sequence *s = find(cache, id);
    QB_REQUIRE(s != NULL && n_tokens <= s->n_tokens, QB_ERR_RANGE);
    while (s->n_pages > qb_ceil_div(n_tokens, QB_KEY_BLOCK))
        drop_page(cache, s->pages[--s->n_pages]);
    s->n_tokens = n_tokens;
    return QB_OK;
}

qb_status qb_kv_sequence_release(qb_kv_cache *cache, uint32_t id)
{
    QB_TRY(qb_kv_sequence_truncate(cache, id, 0));
    cache->sequences[id].live = false;
    return QB_OK;
}

qb_status qb_kv_sequence_length(const qb_kv_cache *cache, uint32_t id, size_t *out)
{
    const sequence *s = find(cache, id);
    QB_REQUIRE(s != NULL, QB_ERR_RANGE);
    *out = s->n_tokens;
    return QB_OK;
}

bool qb_kv_rotation_used(const qb_kv_cache *cache, uint32_t rotation)
{
    for (size_t i = 0; i < cache->n_sequences; i++)
        if (cache->sequences[i].live && cache->sequences[i].rotation == rotation)
            return true;
    return false;
}

uint32_t qb_kv_sequence_rotation(const qb_kv_cache *cache, uint32_t id)
{
    return cache->sequences[id].rotation;
}

qb_status qb_kv_reserve(qb_kv_cache *cache, uint32_t id, size_t n_new)
{
    sequence *s = find(cache, id);
    QB_REQUIRE(s != NULL, QB_ERR_RANGE);
    const size_t need = qb_ceil_div(s->n_tokens + n_new, QB_KEY_BLOCK);
    QB_TRY(grow_pages(&s->pages, &s->page_capacity, need));
    const size_t partial = s->n_tokens / QB_KEY_BLOCK;
    if (s->n_tokens % QB_KEY_BLOCK != 0 && *count_of(s->pages[partial]) > 1) {
        uint8_t *copy;
        QB_TRY(take_page(cache, &copy));
        memcpy(copy, s->pages[partial], cache->page_bytes);
        drop_page(cache, s->pages[partial]);
        s->pages[partial] = copy;
    }
    while (s->n_pages < need) {
        QB_TRY(take_page(cache, &s->pages[s->n_pages]));
        s->n_pages++;
    }
    return QB_OK;
}

void qb_kv_commit(qb_kv_cache *cache, uint32_t id, size_t n_new)
{
    cache->sequences[id].n_tokens += n_new;
    (void)qb_kv_sequence_truncate(cache, id, cache->sequences[id].n_tokens);
}

const uint8_t *const *qb_kv_pages(const qb_kv_cache *cache, uint32_t id)
{
    return (const uint8_t *const *)cache->sequences[id].pages;
}

void qb_kv_store(const qb_kv_cache *cache, uint32_t id, size_t position, size_t layer,
                 const float *key, const float *value)
{
    const size_t dim = cache->sizes.dim, value_dim = cache->sizes.value_dim;
    uint8_t *page = cache->sequences[id].pages[position / QB_KEY_BLOCK];
    const size_t slot = position % QB_KEY_BLOCK;
    for (size_t h = 0; h < cache->sizes.n_kv_heads; h++, key += dim, value += value_dim) {
        uint8_t *k = page + (layer * cache->sizes.n_kv_heads + h) * cache->head_bytes;
        uint8_t *v = k + cache->key_bytes;
        if (cache->format == QB_KV_F32) {
            for (size_t d = 0; d < dim; d++)
                ((float *)(void *)k)[d * QB_KEY_BLOCK + slot] = key[d];
            for (size_t d = 0; d < value_dim; d++)
                ((float *)(void *)v)[slot * cache->width + d] = value[d];
        } else { /* pairs of dimensions, pairs of tokens: kernels.h */
            uint16_t *k2 = (uint16_t *)(void *)k + 2 * slot;
            uint16_t *v2 = (uint16_t *)(void *)v + slot / 2 * 2 * cache->width + slot % 2;
            for (size_t d = 0; d < dim; d++)
                k2[d / 2 * 2 * QB_KEY_BLOCK + d % 2] = qb_f32_to_bf16(key[d]);
            for (size_t d = 0; d < value_dim; d++)
                v2[2 * d] = qb_f32_to_bf16(value[d]);
        }
    }
}

qb_attention_shape qb_kv_shape(const qb_kv_cache *cache, size_t layer, size_t n_heads)
{
    const qb_kv_sizes *s = &cache->sizes;
    return (qb_attention_shape){.n_heads = n_heads,
                                .n_kv_heads = s->n_kv_heads,
                                .dim = s->dim,
                                .value_dim = s->value_dim,
                                .kv_format = cache->format,
                                .layer_offset = layer * s->n_kv_heads * cache->head_bytes,
                                .head_bytes = cache->head_bytes,
                                .key_bytes = cache->key_bytes,
                                .scale = 1.0 / sqrt((double)s->dim)};
}

qb_kv_format qb_kv_cache_format(const qb_kv_cache *cache) { return cache->format; }

bool qb_kv_cache_fits(const qb_kv_cache *cache, qb_kv_sizes sizes)
{
    return cache->sizes.n_layers == sizes.n_layers && cache->sizes.n_kv_heads == sizes.n_kv_heads &&
           cache->sizes.dim == sizes.dim && cache->sizes.value_dim == sizes.value_dim;
}

size_t qb_kv_pages_used(const qb_kv_cache *cache) { return cache->n_used; }
size_t qb_kv_page_bytes(const qb_kv_cache *cache) { return cache->page_bytes; }
