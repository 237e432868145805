#include "kernels/kernels.h"

#include "base/cpu.h"

#define PICK_TIER(tier)                      \
    do {                                     \
        qb_gemm_pick_##tier(&kernels->gemm); \
        qb_act_pick_##tier(&kernels->act);   \
        qb_vec_pick_##tier(&kernels->vec);   \
        qb_attn_pick_##tier(&kernels->attn); \
        qb_peak_pick_##tier(&kernels->peak); \
    } while (0)

qb_status qb_kernels_init(qb_kernels *kernels, qb_isa isa)
{
    QB_REQUIRE((unsigned)isa < QB_ISA_COUNT, QB_ERR_RANGE);
    QB_REQUIRE(qb_cpu_isa_mask() & (1u << isa), QB_ERR_ISA);
    kernels->isa = isa;
    PICK_TIER(scalar);
#if QB_ARCH_X86
    if (isa >= QB_ISA_AVX2)
        PICK_TIER(avx2);
    if (isa >= QB_ISA_AVXVNNI)
        qb_gemm_pick_avxvnni(&kernels->gemm);
    if (isa >= QB_ISA_AVX512)
        PICK_TIER(avx512);
    if (isa >= QB_ISA_AVX512BF16) {
        qb_gemm_pick_avx512bf16(&kernels->gemm);
        qb_attn_pick_avx512bf16(&kernels->attn);
        qb_peak_pick_avx512bf16(&kernels->peak);
    }
    if (isa >= QB_ISA_AMX) {
        qb_gemm_pick_amx(&kernels->gemm);
        qb_attn_pick_amx(&kernels->attn);
        qb_peak_pick_amx(&kernels->peak);
    }
#endif
    return QB_OK;
}
