#define _POSIX_C_SOURCE 199309L
#include "ops/peak.h"

#include <string.h>
#include <time.h>

#include "base/memory.h"

enum { ROUNDS = 5, MAX_WORKERS = 256 };
#define READ_BYTES ((size_t)256 << 20)

typedef enum { WHAT_INT, WHAT_FLOAT, WHAT_BF16, WHAT_READ } what;

typedef struct {
    const qb_kernels *kernels;
    what kind;
    size_t n_iterations;
    const uint8_t *data;
    double work;                /* of thread 0 */
    uint64_t sink[MAX_WORKERS]; /* so that nothing can be left out */
} measurement;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void work(qb_worker worker, void *context)
{
    measurement *m = context;
    size_t done = 0, begin, end;
    uint64_t sink = 0;
    if (m->kind == WHAT_INT) {
        sink = m->kernels->peak.int_products(m->n_iterations, &done);
    } else if (m->kind == WHAT_FLOAT) {
        sink = (uint64_t)m->kernels->peak.float_products(m->n_iterations, &done);
    } else if (m->kind == WHAT_BF16) {
        sink = (uint64_t)m->kernels->peak.bf16_products(m->n_iterations, &done);
    } else {
        qb_worker_range(worker, READ_BYTES / 64, &begin, &end);
        sink = m->kernels->peak.read(m->data + 64 * begin, end - begin);
        done = READ_BYTES / worker.count;
    }
    m->sink[worker.index % MAX_WORKERS] = sink;
    if (worker.index == 0)
        m->work = (double)done * worker.count;
}

static double best_rate(measurement *m, unsigned n_threads)
{
    double best = 0.0;
    for (int round = 0; round < ROUNDS; round++) {
        const double start = seconds();
        if (qb_team_run(n_threads, work, m, NULL, NULL) != QB_OK)
            return 0.0;
        const double rate = m->work / (seconds() - start) * 1e-9;
        best = QB_MAX(best, rate);
    }
    return best;
}

qb_status qb_measure_peaks(qb_peaks *out, const qb_kernels *kernels, unsigned n_threads)
{
    void *data;
    QB_TRY(qb_alloc_stream(&data, READ_BYTES, 1)); /* as weights lie */
    memset(data, 1, READ_BYTES);
    measurement m = {.kernels = kernels, .n_iterations = 2000000, .data = data};
    m.kind = WHAT_INT;
    out->int_gmacs = best_rate(&m, n_threads);
    m.kind = WHAT_FLOAT;
    out->float_gmacs = best_rate(&m, n_threads);
    m.kind = WHAT_BF16;
    out->bf16_gmacs = kernels->peak.bf16_products == NULL ? 0.0 : best_rate(&m, n_threads);
    m.kind = WHAT_READ;
    out->read_gbs = best_rate(&m, n_threads);
    qb_free(data);
    return QB_OK;
}
