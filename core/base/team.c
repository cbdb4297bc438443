/* SPDX-License-Identifier: BSD-3-Clause */
#if defined __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "base/team.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"

enum { MOST_THREADS = 1024 };

struct nf_team {
    int nthreads, nstarted;
    pthread_t *threads; /* [nthreads - 1] */
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    /* guarded by lock */
    unsigned long round;
    int busy, stop;
    /* of the round */
    size_t ntasks;
    atomic_size_t next;
    void (*task)(void *ctx, size_t index, int thread);
    void *ctx;
    nf_team_memory memory;
};

typedef struct {
    nf_team *team;
    int thread;
} starter;

static void take_tasks(nf_team *team, int thread)
{
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed);
        if (index >= team->ntasks)
            return;
        team->task(team->ctx, index, thread);
    }
}

static void *work(void *arg)
{
    starter mine = *(starter *)arg;
    nf_team *team = mine.team;
    unsigned long done = 0;
    nf_free(arg);
    pthread_mutex_lock(&team->lock);
    for (;;) {
        while (!team->stop && team->round == done)
            pthread_cond_wait(&team->work, &team->lock);
        if (team->stop)
            break;
        done = team->round;
        pthread_mutex_unlock(&team->lock);
        take_tasks(team, mine.thread);
        pthread_mutex_lock(&team->lock);
        if (--team->busy == 0)
            pthread_cond_signal(&team->idle);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

void nf_team_run(nf_team *team, size_t ntasks, void (*task)(void *ctx, size_t index, int thread), void *ctx)
{
    bool alone = team->nstarted == 0 || ntasks < 2;
    pthread_mutex_lock(&team->lock);
    team->ntasks = ntasks;
    team->task = task;
    team->ctx = ctx;
    atomic_store(&team->next, 0);
    if (!alone) {
        team->busy = team->nstarted;
        team->round++;
        pthread_cond_broadcast(&team->work);
    }
    pthread_mutex_unlock(&team->lock);
    take_tasks(team, 0);
    pthread_mutex_lock(&team->lock);
    while (team->busy > 0)
        pthread_cond_wait(&team->idle, &team->lock);
    pthread_mutex_unlock(&team->lock);
}

/* The processors this process may run on: what Slurm, cgroup cpusets and taskset left of the machine. */
static int allowed_processors(void)
{
#if defined __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

static int default_threads(void)
{
    int n = allowed_processors();
    return n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n;
}

static int start_one(nf_team *team, int thread)
{
    starter *arg = nf_calloc(1, sizeof *arg);
    if (arg == NULL)
        return ENOMEM;
    *arg = (starter){team, thread};
    int rc = pthread_create(&team->threads[thread - 1], NULL, work, arg);
    if (rc != 0)
        nf_free(arg);
    else
        team->nstarted++;
    return rc;
}

int nf_team_new(nf_team **out, int nthreads, nf_error *err)
{
    *out = NULL;
    if (nthreads < 0 || nthreads > MOST_THREADS)
        return nf_fail(err, NF_EINVAL, "%d threads: choose 1 to %d, or 0 for all processors", nthreads, MOST_THREADS);
    nf_team *team = nf_calloc(1, sizeof *team);
    if (team == NULL)
        return nf_fail_memory(err, "the threads");
    team->nthreads = nthreads > 0 ? nthreads : default_threads();
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->work, NULL);
    pthread_cond_init(&team->idle, NULL);
    team->threads = nf_calloc((size_t)team->nthreads, sizeof *team->threads);
    int rc = team->threads == NULL ? ENOMEM : 0;
    for (int t = 1; rc == 0 && t < team->nthreads; t++)
        rc = start_one(team, t);
    if (rc != 0) {
        nf_fail(err, NF_ENOMEM, "cannot start %d threads", team->nthreads);
        nf_team_free(team);
        return NF_ENOMEM;
    }
    *out = team;
    return 0;
}

void nf_team_free(nf_team *team)
{
    if (team == NULL)
        return;
    pthread_mutex_lock(&team->lock);
    team->stop = 1;
    pthread_cond_broadcast(&team->work);
    pthread_mutex_unlock(&team->lock);
    for (int t = 0; t < team->nstarted; t++)
        pthread_join(team->threads[t], NULL);
    pthread_mutex_destroy(&team->lock);
    pthread_cond_destroy(&team->work);
    pthread_cond_destroy(&team->idle);
    if (team->memory.data != NULL)
        team->memory.destroy(team->memory.data);
    nf_free(team->threads);
    nf_free(team);
}

int nf_team_size(const nf_team *team)
{
    return team->nthreads;
}

nf_team_memory *nf_team_own_memory(nf_team *team)
{
    return &team->memory;
}
