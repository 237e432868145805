/* Attention with 256-bit registers. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

QB_ISA_BEGIN(QB_TARGET_AVX2)
#include "kernels/simd_avx2.h"

#include "kernels/attn_body.h"
QB_ISA_END
#else
typedef int qb_empty_attn_avx2;
#endif
