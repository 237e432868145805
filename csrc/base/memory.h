/* The only place that allocates. Sizes are products checked for overflow; blocks are aligned to a
 * cache line and padded to whole lines, so that a kernel may read a full vector at the end. */
#ifndef QB_MEMORY_H
#define QB_MEMORY_H

#include "base/base.h"
#include "base/status.h"

/* Zeroed block of count * size bytes, 64-byte aligned; freed by qb_free. */
qb_status qb_alloc(void **out, size_t count, size_t size);
/* The same for weights, not zeroed: every byte is then written once, by the threads of a team, and
 * read many times. Large blocks ask for huge pages, which are read faster (two threads, interleaved:
 * 48 -> 63 GB/s, and 33 -> 36 while the host is busy) but may take long to get: not for buffers that a
 * forward waits for. */
qb_status qb_alloc_stream(void **out, size_t count, size_t size);
void qb_free(void *block);

/* out = a * b, or QB_ERR_RANGE on overflow. */
QB_INLINE qb_status qb_mul(size_t *out, size_t a, size_t b)
{
    return __builtin_mul_overflow(a, b, out) ? QB_ERR_RANGE : QB_OK;
}

/* A buffer that grows and is reused from call to call, so that a warm forward allocates nothing.
 * The contents are not kept when it grows. */
typedef struct {
    void *data;
    size_t size;
} qb_buffer;

qb_status qb_buffer_reserve(qb_buffer *buffer, size_t count, size_t size);
void qb_buffer_destroy(qb_buffer *buffer);

#endif
