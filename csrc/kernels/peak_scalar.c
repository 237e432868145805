/* The peak of plain C: what the compiler makes of independent sums with the baseline's registers. */
#include <string.h>

#include "kernels/kernels.h"

static uint32_t int_products_scalar(size_t n_iterations, size_t *n_products)
{
    int32_t acc[64];
    int16_t a[64], b[64];
    for (int i = 0; i < 64; i++)
        acc[i] = i, a[i] = (int16_t)(i + 1), b[i] = (int16_t)(3 * i);
    for (size_t n = 0; n < n_iterations; n++) {
        for (int i = 0; i < 64; i++)
            acc[i] += a[i] * b[i];
        __asm__ volatile("" ::"r"(acc), "r"(a), "r"(b) : "memory");
    }
    uint32_t all = 0;
    for (int i = 0; i < 64; i++)
        all ^= (uint32_t)acc[i];
    *n_products = 64 * n_iterations;
    return all;
}

static float float_products_scalar(size_t n_iterations, size_t *n_products)
{
    float acc[64], a[64];
    for (int i = 0; i < 64; i++)
        acc[i] = (float)i, a[i] = 1.0f + (float)i;
    for (size_t n = 0; n < n_iterations; n++) {
        for (int i = 0; i < 64; i++)
            acc[i] = acc[i] * 0.5f + a[i];
        __asm__ volatile("" ::"r"(acc), "r"(a) : "memory");
    }
    float all = 0.0f;
    for (int i = 0; i < 64; i++)
        all += acc[i];
    *n_products = 64 * n_iterations;
    return all;
}

static uint32_t read_scalar(const uint8_t *lines, size_t n_lines)
{
    uint64_t sums[8] = {0};
    for (size_t line = 0; line < n_lines; line++)
        for (size_t i = 0; i < 8; i++) {
            uint64_t word;
            memcpy(&word, lines + 64 * line + 8 * i, 8);
            sums[i] ^= word;
        }
    for (size_t i = 1; i < 8; i++)
        sums[0] ^= sums[i];
    return (uint32_t)sums[0];
}

void qb_peak_pick_scalar(qb_peak_kernels *kernels)
{
    *kernels = (qb_peak_kernels){int_products_scalar, float_products_scalar, NULL, read_scalar};
}
