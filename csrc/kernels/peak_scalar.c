/* The peak of plain C: what the compiler makes of independent sums with the baseline's registers. */
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

void qb_peak_pick_scalar(qb_peak_kernels *kernels)
{
    *kernels = (qb_peak_kernels){int_products_scalar, float_products_scalar};
}
