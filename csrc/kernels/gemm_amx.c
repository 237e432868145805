/* Integer panels times many tokens with AMX: 16 tokens times 16 outputs times up to 64 inputs in one
 * instruction of 16 cycles, however many inputs. */
#include "base/isa.h"
#if QB_ARCH_X86
#include <immintrin.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

#include "kernels/emulate_avx512.h"

QB_ISA_BEGIN(QB_TARGET_AMX)
#define QB_NAME(name) name##_amx
#include "kernels/simd_avx512.h"
#include "kernels/gemm_codes.h"
#include "kernels/tiles_amx.h"

#include "kernels/gemm_amx_float.h"
#include "kernels/gemm_amx_int.h"

void qb_gemm_pick_amx(qb_gemm_kernels *kernels)
{
    qb_gemm_pick_amx_one(kernels);
    pick_int_amx(kernels);
    pick_float_amx(kernels);
}
QB_ISA_END
#else
typedef int qb_empty_gemm_amx;
#endif
