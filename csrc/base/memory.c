#define _DEFAULT_SOURCE
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define HUGE_PAGE ((size_t)2 << 20)

/* Not zeroed; *bytes becomes the size in whole units of the alignment. */
static qb_status allocate(void **out, size_t *bytes, size_t count, size_t size, size_t alignment)
{
    *out = NULL;
    QB_TRY(qb_mul(bytes, count, size));
    QB_REQUIRE(*bytes <= SIZE_MAX / 2, QB_ERR_NOMEM);
    *bytes = qb_round_up(QB_MAX(*bytes, (size_t)1), alignment);
    *out = aligned_alloc(alignment, *bytes);
    return *out == NULL ? QB_ERR_NOMEM : QB_OK;
}

qb_status qb_alloc(void **out, size_t count, size_t size)
{
    size_t bytes;
    QB_TRY(allocate(out, &bytes, count, size, QB_ALIGN));
    memset(*out, 0, bytes);
    return QB_OK;
}

qb_status qb_alloc_stream(void **out, size_t count, size_t size)
{
    size_t bytes;
    QB_TRY(qb_mul(&bytes, count, size));
    const bool huge = bytes >= 2 * HUGE_PAGE;
    QB_TRY(allocate(out, &bytes, count, size, huge ? HUGE_PAGE : QB_ALIGN));
#if defined(__linux__)
    if (huge) /* a wish: without them everything is the same, but slower */
        (void)madvise(*out, bytes, MADV_HUGEPAGE);
#endif
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
