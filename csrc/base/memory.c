#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

qb_status qb_alloc_unset(void **out, size_t count, size_t size)
{
    size_t bytes;
    *out = NULL;
    QB_TRY(qb_mul(&bytes, count, size));
    QB_REQUIRE(bytes <= SIZE_MAX / 2, QB_ERR_NOMEM);
    bytes = qb_round_up(QB_MAX(bytes, (size_t)1), QB_ALIGN);
    void *block = aligned_alloc(QB_ALIGN, bytes);
    QB_REQUIRE(block != NULL, QB_ERR_NOMEM);
    *out = block;
    return QB_OK;
}

qb_status qb_alloc(void **out, size_t count, size_t size)
{
    QB_TRY(qb_alloc_unset(out, count, size));
    memset(*out, 0, qb_round_up(QB_MAX(count * size, (size_t)1), QB_ALIGN));
    return QB_OK;
}

void qb_free(void *block) { free(block); }

qb_status qb_buffer_reserve(qb_buffer *buffer, size_t count, size_t size)
{
    size_t bytes;
    QB_TRY(qb_mul(&bytes, count, size));
    if (bytes <= buffer->size)
        return QB_OK;
    void *block;
    QB_TRY(qb_alloc(&block, bytes, 1));
    qb_free(buffer->data);
    buffer->data = block;
    buffer->size = bytes;
    return QB_OK;
}

void qb_buffer_destroy(qb_buffer *buffer)
{
    qb_free(buffer->data);
    buffer->data = NULL;
    buffer->size = 0;
}
