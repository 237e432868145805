#define _GNU_SOURCE
#include "base/threads.h"

#include <stdatomic.h>
#include <time.h>

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

/* How long a thread spins at a barrier before it sleeps, in pauses of some 20 ns. A barrier of 2 us
 * is common; a wait of more than 100 us means that a partner has lost its processor, and spinning
 * would only keep it away (engines.md 5.4): then patience halves; after a shorter wait it doubles.
 * Two processes of two threads on two cores, 770 barriers a token, against one alone: 9-13 times
 * the time with a fixed spin of 1500. */
enum { SPIN_MOST = 1500, SPIN_LEAST = 50, LONG_WAIT_NS = 100000 };

struct qb_team {
    _Atomic uint32_t generation; /* also the futex word */
    _Atomic uint32_t arrived, sleepers;
    _Atomic int patience;
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

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Sleeps until the generation is no longer `seen`; learns from how long that took. */
static void sleep_and_learn(qb_team *team, uint32_t seen, int patience)
{
    const int64_t start = now_ns();
    while (atomic_load(&team->generation) == seen)
        wait_for_change(team, seen);
    const bool was_long = now_ns() - start > LONG_WAIT_NS;
    const int next =
        was_long ? QB_MAX(patience / 2, (int)SPIN_LEAST) : QB_MIN(patience * 2, (int)SPIN_MOST);
    atomic_store_explicit(&team->patience, next, memory_order_relaxed);
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
    const int patience = atomic_load_explicit(&team->patience, memory_order_relaxed);
    for (int spin = 0; spin < patience; spin++) {
        if (atomic_load_explicit(&team->generation, memory_order_acquire) != seen)
            return;
        pause_cpu();
    }
    sleep_and_learn(team, seen, patience);
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
    qb_team team = {.count = 1, .patience = SPIN_MOST, .poll = poll, .poll_context = poll_context};
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
