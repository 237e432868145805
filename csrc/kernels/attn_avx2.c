/* Attention with 256-bit registers. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

QB_ISA_BEGIN(QB_TARGET_AVX2)
#include "kernels/simd_avx2.h"

/* 6 rows x 2 registers = 12 sums of 16 registers. */
#define QB_QUERIES 6
#define QB_HALVES 1
#define QB_VALUE_ROWS 6
#define QB_VALUE_VECS 1
#define QB_QUERY_CASES QB_CASE(1) QB_CASE(2) QB_CASE(3) QB_CASE(4) QB_CASE(5) QB_CASE(6)
#define QB_VALUE_CASES QB_QUERY_CASES

#define QB_NARROW_ROWS QB_VALUE_ROWS
#define QB_NARROW_CASES QB_VALUE_CASES
#include "kernels/attn_body.h"

void qb_attn_pick_avx2(qb_attn_kernels *kernels) { pick_attn_avx2(kernels); }
QB_ISA_END
#else
typedef int qb_empty_attn_avx2;
#endif
