#include "base/cpu.h"

#include <string.h>

uint32_t qb_cpu_isa_mask(void)
{
    uint32_t mask = 1u << QB_ISA_SCALAR;
#if QB_ARCH_X86
    /* The built-in checks XCR0 as well: a feature whose registers the system does not save is absent. */
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2"))
        mask |= 1u << QB_ISA_AVX2;
    if ((mask & (1u << QB_ISA_AVX2)) && __builtin_cpu_supports("avxvnni"))
        mask |= 1u << QB_ISA_AVXVNNI;
    if ((mask & (1u << QB_ISA_AVX2)) && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        mask |= 1u << QB_ISA_AVX512;
    if ((mask & (1u << QB_ISA_AVX512)) && __builtin_cpu_supports("avx512bf16"))
        mask |= 1u << QB_ISA_AVX512BF16;
#if defined(QB_EMULATE_AVX512) /* a build for tests: kernels/emulate_avx512.h */
    if (mask & (1u << QB_ISA_AVX2))
        mask |= 1u << QB_ISA_AVXVNNI | 1u << QB_ISA_AVX512 | 1u << QB_ISA_AVX512BF16;
#endif
#endif
    return mask;
}

qb_isa qb_isa_best(uint32_t mask)
{
    qb_isa best = QB_ISA_SCALAR;
    for (int isa = 0; isa < QB_ISA_COUNT; isa++)
        if (mask & (1u << isa))
            best = (qb_isa)isa;
    return best;
}

static const char *const isa_names[QB_ISA_COUNT] = {
#define QB_ISA_NAME(name, bit, text) [bit] = text,
    QB_ISA_LIST(QB_ISA_NAME)
#undef QB_ISA_NAME
};

const char *qb_isa_name(qb_isa isa)
{
    return (unsigned)isa < QB_ISA_COUNT ? isa_names[isa] : "unknown";
}

qb_status qb_isa_by_name(qb_isa *out, const char *name)
{
    for (int isa = 0; isa < QB_ISA_COUNT; isa++)
        if (strcmp(name, isa_names[isa]) == 0) {
            *out = (qb_isa)isa;
            return QB_OK;
        }
    return QB_ERR_RANGE;
}
