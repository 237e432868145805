/* What this machine gives at this moment: the yardstick for every claim about speed. */
#ifndef QB_PEAK_H
#define QB_PEAK_H

#include "base/threads.h"
#include "kernels/kernels.h"

typedef struct {
    double int_gmacs;   /* 1e9 integer products with accumulation per second, all threads */
    double float_gmacs; /* the same in float32 */
    double bf16_gmacs;  /* of bf16 products; 0 without an instruction for them */
    double read_gbs;    /* 1e9 bytes per second read from memory, all threads */
} qb_peaks;

/* Takes about half a second and 256 MiB. */
qb_status qb_measure_peaks(qb_peaks *out, const qb_kernels *kernels, unsigned n_threads);

#endif
