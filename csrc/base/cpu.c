#define _DEFAULT_SOURCE
#include "base/cpu.h"

#include <string.h>
#if QB_ARCH_X86 && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Tiles are 8 KB of state that Linux saves only for a process that asked once (threads and forked
 * children have it too); it refuses where the processor or a signal stack has no room for them. */
static bool amx_is_usable(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };     /* asm/prctl.h, since Linux 5.16 */
    const uint32_t features = 1u << 22 | 1u << 24 | 1u << 25; /* amx-bf16, amx-tile, amx-int8 */
    const uint32_t saved = 3u << 17;
    uint32_t a, b, c, d, enabled, upper;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & 1u << 27) == 0) /* no xgetbv */
        return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & features) != features)
        return false;
    __asm__ volatile("xgetbv" : "=a"(enabled), "=d"(upper) : "c"(0));
    return (enabled & saved) == saved &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#else
QB_INLINE bool amx_is_usable(void) { return false; }
#endif

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
    if ((mask & (1u << QB_ISA_AVX512BF16)) && amx_is_usable())
        mask |= 1u << QB_ISA_AMX;
#if defined(QB_EMULATE_AVX512) /* a build for tests: kernels/emulate_avx512.h */
    if (mask & (1u << QB_ISA_AVX2))
        mask |=
            1u << QB_ISA_AVXVNNI | 1u << QB_ISA_AVX512 | 1u << QB_ISA_AVX512BF16 | 1u << QB_ISA_AMX;
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
