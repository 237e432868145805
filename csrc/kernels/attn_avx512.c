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

#include "kernels/attn_body.h"
QB_ISA_END
#else
typedef int qb_empty_attn_avx512;
#endif
