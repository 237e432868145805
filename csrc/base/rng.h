/* Counter-based uniform draws: a pure function of (key, counter), so that a sampled token depends
 * on the request and the step alone and never on what else shares the batch.
 * Philox-2x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). */
#ifndef QB_RNG_H
#define QB_RNG_H

#include "base/base.h"

QB_INLINE uint64_t qb_philox2x32(uint64_t counter, uint32_t key)
{
    uint32_t left = (uint32_t)counter, right = (uint32_t)(counter >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t product = (uint64_t)0xD256D193u * left;
        uint32_t high = (uint32_t)(product >> 32), low = (uint32_t)product;
        left = high ^ key ^ right;
        right = low;
        key += 0x9E3779B9u;
    }
    return ((uint64_t)right << 32) | left;
}

/* Uniform in [0, 1) with 53 random bits; key: 64 bits that name the request, counter: the step. */
QB_INLINE double qb_uniform(uint64_t key, uint32_t counter)
{
    uint64_t mixed =
        qb_philox2x32(((uint64_t)counter << 32) | (uint32_t)key, (uint32_t)(key >> 32));
    return (double)(mixed >> 11) * 0x1p-53;
}

#endif
