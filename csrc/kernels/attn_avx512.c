/* Attention with 512-bit registers. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AVX512)
#include "kernels/simd_avx512.h"

/* 8 rows x 2 registers, 4 rows x 4 registers: 16 sums of 32 registers. */
/* clang-format off */
#define QB_QUERIES 8
#define QB_HALVES 2
#define QB_VALUE_ROWS 4
#define QB_VALUE_VECS 4
#define QB_QUERY_CASES \
    QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4) QB_CASE(5) QB_CASE(6) QB_CASE(7) QB_CASE(8)
#define QB_VALUE_CASES QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4)
/* clang-format on */

#define QB_NARROW_ROWS QB_VALUE_ROWS
#define QB_NARROW_CASES QB_VALUE_CASES
#include "kernels/attn_body.h"

void qb_attn_pick_avx512(qb_attn_kernels *kernels) { pick_attn_avx512(kernels); }
QB_ISA_END
#else
typedef int qb_empty_attn_avx512;
#endif
