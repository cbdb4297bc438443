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
    pthread_cond_t work; /* threads 1 .. sleep here, */
    pthread_cond_t lead; /* thread 0 here */
    /* guarded by lock */
    void (*body)(void *ctx, int thread); /* NULL: nobody is at work */
    void *ctx;
    int calls;  /* not yet answered; at most one for each thread */
    int inside; /* threads 1 .. in body */
    bool lead_sleeps, dismissed, stop;
    nf_team_memory memory;
};

typedef struct {
    nf_team *team;
    int thread;
} starter;

/* ---- threads 1 .. ---- */

static bool called(const nf_team *team)
{
    return team->body != NULL && !team->dismissed && team->calls > 0;
}

static void *work(void *arg)
{
    starter mine = *(starter *)arg;
    nf_team *team = mine.team;
    nf_free(arg);
    pthread_mutex_lock(&team->lock);
    for (;;) {
        while (!team->stop && !called(team))
            pthread_cond_wait(&team->work, &team->lock);
        if (team->stop)
            break;
        team->calls--;
        team->inside++;
        pthread_mutex_unlock(&team->lock);
        team->body(team->ctx, mine.thread);
        pthread_mutex_lock(&team->lock);
        if (--team->inside == 0 && team->dismissed)
            pthread_cond_signal(&team->lead);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

/* ---- thread 0, and whoever calls ---- */

static void sleep_until_called(nf_team *team)
{
    while (!team->dismissed && team->calls == 0) {
        team->lead_sleeps = true;
        pthread_cond_wait(&team->lead, &team->lock);
    }
    team->lead_sleeps = false;
    if (!team->dismissed)
        team->calls--;
}

void nf_team_work(nf_team *team, void (*body)(void *ctx, int thread), void *ctx)
{
    pthread_mutex_lock(&team->lock);
    team->body = body;
    team->ctx = ctx;
    team->calls = 0;
    while (!team->dismissed) {
        pthread_mutex_unlock(&team->lock);
        body(ctx, 0);
        pthread_mutex_lock(&team->lock);
        sleep_until_called(team);
    }
    while (team->inside > 0)
        pthread_cond_wait(&team->lead, &team->lock);
    team->body = NULL;
    team->dismissed = false;
    pthread_mutex_unlock(&team->lock);
}

void nf_team_call(nf_team *team, size_t n)
{
    if (n == 0)
        return;
    pthread_mutex_lock(&team->lock);
    size_t room = (size_t)(team->nthreads - team->calls);
    n = n < room ? n : room;
    team->calls += (int)n;
    if (n > 0 && team->lead_sleeps) {
        team->lead_sleeps = false; /* the next call is for another thread */
        pthread_cond_signal(&team->lead);
        n--;
    }
    for (; n > 0; n--)
        pthread_cond_signal(&team->work);
    pthread_mutex_unlock(&team->lock);
}

void nf_team_dismiss(nf_team *team)
{
    pthread_mutex_lock(&team->lock);
    team->dismissed = true;
    if (team->inside == 0) /* else the last to leave wakes thread 0 */
        pthread_cond_signal(&team->lead);
    pthread_mutex_unlock(&team->lock);
}

/* ---- a given number of tasks ---- */

typedef struct {
    nf_team *team;
    size_t ntasks;
    atomic_size_t next;
    void (*task)(void *ctx, size_t index, int thread);
    void *ctx;
} run;

static void take_tasks(void *ctx, int thread)
{
    run *r = ctx;
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed);
        if (index >= r->ntasks)
            break;
        if (index == 0)
            nf_team_call(r->team, r->ntasks - 1);
        r->task(r->ctx, index, thread);
    }
    nf_team_dismiss(r->team);
}

void nf_team_run(nf_team *team, size_t ntasks, void (*task)(void *ctx, size_t index, int thread), void *ctx)
{
    run r = {team, ntasks, 0, task, ctx};
    nf_team_work(team, take_tasks, &r);
}

/* ---- making one ---- */

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
    pthread_cond_init(&team->lead, NULL);
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
    pthread_cond_destroy(&team->lead);
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
