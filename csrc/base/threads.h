/* The only door to parallelism. One region per forward: the threads of a team all run the same
 * function, split work by contiguous static ranges and meet at barriers. No reduction crosses
 * threads: an output element is computed by one thread in a fixed order. */
#ifndef QB_THREADS_H
#define QB_THREADS_H

#include "base/base.h"
#include "base/status.h"

/* Called by thread 0 between pieces of work, so that a signal can be answered; non-zero: stop. It is
 * called often, and says itself how seldom it does something expensive. */
typedef int (*qb_poll_fn)(void *context);

typedef struct qb_team qb_team;

/* What a thread knows of its team. */
typedef struct {
    qb_team *team;
    unsigned index, count;
} qb_worker;

typedef void (*qb_team_fn)(qb_worker worker, void *context);

/* Runs fn on n_threads threads (fewer if the runtime gives fewer) and returns when all are done.
 * With one thread fn is called directly and the OpenMP runtime is never entered.
 * Returns QB_ERR_CANCELLED if poll asked to stop. poll may be NULL. */
qb_status qb_team_run(unsigned n_threads, qb_team_fn fn, void *context, qb_poll_fn poll,
                      void *poll_context);

/* Waits for all threads of the team: a short spin, then sleep. */
void qb_team_barrier(qb_worker worker);

/* Thread 0 asks poll; everybody learns the answer. True: leave early. The
 * answer may differ between threads until the next barrier, so skip work, never a barrier. */
bool qb_team_cancelled(qb_worker worker);

/* A failure inside the region (first one wins); the region then ends early and returns it. */
void qb_team_fail(qb_worker worker, qb_status status);

/* The contiguous part [*begin, *end) of n units that belongs to this worker. */
QB_INLINE void qb_worker_range(qb_worker worker, size_t n, size_t *begin, size_t *end)
{
    size_t share = n / worker.count, rest = n % worker.count;
    *begin = share * worker.index + QB_MIN(worker.index, rest);
    *end = *begin + share + (worker.index < rest ? 1 : 0);
}

/* True if built with OpenMP. */
bool qb_threads_available(void);

#endif
