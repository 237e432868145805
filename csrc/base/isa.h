/* The instruction-set tiers: bundles of features, ascending, one list. A tier is a value that is
 * passed around (see kernels/kernels.h), never global state.
 *
 * A file <family>_<tier>.c includes every plain header first, then opens its region, includes the
 * family's body (*_body.h: static functions only, named with the tier's suffix), and closes it. */
#ifndef QB_ISA_H
#define QB_ISA_H

#include "base/base.h"

/* name, bit, text. avx2 includes FMA and F16C; avxvnni adds byte products to it; avx512 is F, BW, DQ,
 * VL and VNNI (not necessarily avxvnni); avx512bf16 adds products of bf16, amx
 * products of tiles (16 rows of 64 bytes) of bytes and of bf16. */
#define QB_ISA_LIST(X)             \
    X(SCALAR, 0, "scalar")         \
    X(AVX2, 1, "avx2")             \
    X(AVXVNNI, 2, "avxvnni")       \
    X(AVX512, 3, "avx512")         \
    X(AVX512BF16, 4, "avx512bf16") \
    X(AMX, 5, "amx")

typedef enum {
#define QB_ISA_ENUM(name, bit, text) QB_ISA_##name = bit,
    QB_ISA_LIST(QB_ISA_ENUM)
#undef QB_ISA_ENUM
        QB_ISA_COUNT
} qb_isa;

#define QB_PRAGMA(text) _Pragma(#text)
#define QB_UNROLL(n) QB_PRAGMA(GCC unroll n)
#if defined(__clang__)
#define QB_ISA_BEGIN(target_text) \
    QB_PRAGMA(clang attribute push(__attribute__((target(target_text))), apply_to = function))
#define QB_ISA_END _Pragma("clang attribute pop")
#else
#define QB_ISA_BEGIN(target_text) _Pragma("GCC push_options") QB_PRAGMA(GCC target(target_text))
#define QB_ISA_END _Pragma("GCC pop_options")
#endif

#define QB_TARGET_AVX2 "avx2,fma,f16c,bmi2"
#define QB_TARGET_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,bmi2"
#define QB_TARGET_AVX512BF16 QB_TARGET_AVX512 ",avx512bf16"
#define QB_TARGET_AMX QB_TARGET_AVX512BF16 ",amx-tile,amx-int8,amx-bf16"

#endif
