#define _GNU_SOURCE
#include "base/threads.h"

#include <stdatomic.h>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <sched.h>
#endif

/* A barrier of 2 us is common, one of more than 50 us means that a partner has lost its processor:
 * spinning on would only keep it away (two spinning jobs of two threads on two cores were measured
 * fifty times slower than one; engines.md 5.4), so sleep then. About 50 us of pauses. */
#define SPIN_LIMIT 1500

struct qb_team {
    _Atomic uint32_t generation; /* also the futex word */
    _Atomic uint32_t arrived, sleepers;
    unsigned count;
    _Atomic int status; /* first failure, as qb_status */
    qb_poll_fn poll;
    void *poll_context;
};

static void wait_for_change(qb_team *team, uint32_t seen)
{
#if defined(__linux__)
    atomic_fetch_add(&team->sleepers, 1);
    syscall(SYS_futex, &team->generation, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&team->sleepers, 1);
#else
    (void)team, (void)seen;
    sched_yield();
#endif
}

static void wake_all(qb_team *team)
{
#if defined(__linux__)
    if (atomic_load(&team->sleepers) > 0)
        syscall(SYS_futex, &team->generation, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
#else
    (void)team;
#endif
}

static void pause_cpu(void)
{
#if QB_ARCH_X86
    __builtin_ia32_pause();
#endif
}

void qb_team_barrier(qb_worker worker)
{
    qb_team *team = worker.team;
    if (team->count == 1)
        return;
    uint32_t seen = atomic_load(&team->generation);
    if (atomic_fetch_add(&team->arrived, 1) + 1 == team->count) {
        atomic_store(&team->arrived, 0);
        atomic_store(&team->generation, seen + 1);
        wake_all(team);
        return;
    }
    for (int spin = 0; spin < SPIN_LIMIT; spin++) {
        if (atomic_load_explicit(&team->generation, memory_order_acquire) != seen)
            return;
        pause_cpu();
    }
    while (atomic_load(&team->generation) == seen)
        wait_for_change(team, seen);
}

bool qb_team_cancelled(qb_worker worker)
{
    qb_team *team = worker.team;
    if (worker.index == 0 && team->poll != NULL && team->poll(team->poll_context) != 0)
        qb_team_fail(worker, QB_ERR_CANCELLED);
    return atomic_load_explicit(&team->status, memory_order_relaxed) != QB_OK;
}

void qb_team_fail(qb_worker worker, qb_status status)
{
    int expected = QB_OK;
    atomic_compare_exchange_strong(&worker.team->status, &expected, (int)status);
}

qb_status qb_team_run(unsigned n_threads, qb_team_fn fn, void *context, qb_poll_fn poll,
                      void *poll_context)
{
    qb_team team = {.count = 1, .poll = poll, .poll_context = poll_context};
#if defined(_OPENMP)
    if (n_threads > 1) {
#pragma omp parallel num_threads((int)n_threads)
        {
            /* The runtime may give fewer threads than asked; `single` ends with its barrier. */
#pragma omp single
            team.count = (unsigned)omp_get_num_threads();
            fn((qb_worker){&team, (unsigned)omp_get_thread_num(), team.count}, context);
        }
        return (qb_status)atomic_load(&team.status);
    }
#else
    (void)n_threads;
#endif
    fn((qb_worker){&team, 0, 1}, context);
    return (qb_status)atomic_load(&team.status);
}

bool qb_threads_available(void)
{
#if defined(_OPENMP)
    return true;
#else
    return false;
#endif
}
