/* Fixed-width types and the few macros that everything shares. Knows nothing of tensors. */
#ifndef QB_BASE_H
#define QB_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define QB_ARCH_X86 1
#else
#define QB_ARCH_X86 0
#endif

#define QB_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define QB_MIN(a, b) ((a) < (b) ? (a) : (b))
#define QB_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Every buffer that a kernel streams starts on a cache line, and every vector fits one. */
#define QB_ALIGN 64

#define QB_INLINE static inline __attribute__((always_inline))
#define QB_NOINLINE __attribute__((noinline))

QB_INLINE size_t qb_ceil_div(size_t n, size_t d) { return (n + d - 1) / d; }
QB_INLINE size_t qb_round_up(size_t n, size_t d) { return qb_ceil_div(n, d) * d; }

#endif
