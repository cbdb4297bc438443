/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stream.c - performs the tasks of the queue on a team.
 *
 *   prepare   a job: check the frame, find or begin a list, a workspace
 *   search    a patch of a list that was begun; every job that shares the list waits for its last patch
 *   sweep     a patch of a job: descriptor -> readouts -> pull back -> point forces; whoever finishes a job's last patch
 *             sums up and reports it
 */
#include "model/stream.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/team.h"
#include "model/queue.h"

typedef struct {
    nf_arena arena;
    nf_list_scratch search;
} worker;

struct nf_stream {
    nf_team *team;
    int nworkers;
    worker *workers; /* [nworkers] */
    nf_done *done;   /* may be NULL */
    void *ctx;
    bool once;              /* nf_eval: ends when it is empty, reports one job at a time */
    pthread_mutex_t report; /* held while something is said */
    pthread_mutex_t lock;   /* guards the rest, and the progress of searches and sweeps */
    nf_queue queue;
    nf_group *spare;
    bool stop;
};

/* ---- memory: groups, arenas and scratch stay for the next jobs ---- */

static void free_stream(void *data)
{
    nf_stream *s = data;
    for (int t = 0; t < s->nworkers; t++) {
        nf_arena_free(&s->workers[t].arena);
        nf_list_scratch_free(&s->workers[t].search);
    }
    while (s->spare != NULL) {
        nf_group *g = s->spare;
        s->spare = g->newer;
        nf_free(g->entries);
        nf_free(g);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->report);
    nf_free(s->workers);
    nf_free(s);
}

nf_stream *nf_stream_of(nf_team *team)
{
    nf_team_memory *memory = nf_team_own_memory(team);
    if (memory->data != NULL)
        return memory->data;
    nf_stream *s = nf_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->workers = nf_calloc((size_t)nf_team_size(team), sizeof *s->workers);
    if (s->workers == NULL) {
        nf_free(s);
        return NULL;
    }
    s->nworkers = nf_team_size(team);
    s->team = team;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->report, NULL);
    memory->data = s;
    memory->destroy = free_stream;
    return s;
}

static nf_group *take_group(nf_stream *s)
{
    pthread_mutex_lock(&s->lock);
    nf_group *g = s->spare;
    if (g != NULL)
        s->spare = g->newer;
    pthread_mutex_unlock(&s->lock);
    return g != NULL ? g : nf_calloc(1, sizeof *g);
}

static void give_back(nf_stream *s, nf_group *g)
{
    g->newer = s->spare;
    s->spare = g;
}

static void release(evaluation *e)
{
    nf_calc_release(e->calc, e->slot, e->space);
    e->slot = NULL;
    e->space = NULL;
}

/* ---- the end of a job ---- */

/* Of several errors of a job the one with the lowest rank stays, whatever thread finds it first. */
static void fail_job(nf_stream *s, evaluation *e, int code, const nf_error *err, size_t rank)
{
    pthread_mutex_lock(&s->lock);
    if (rank < atomic_load(&e->failed)) {
        e->job->code = code;
        e->job->err = *err;
        e->job->err.code = code;
        atomic_store(&e->failed, rank);
    }
    pthread_mutex_unlock(&s->lock);
}

static void report(nf_stream *s, evaluation *e)
{
    if (s->once)
        pthread_mutex_lock(&s->report);
    if (s->done != NULL)
        s->done(s->ctx, e->job);
    if (s->once)
        pthread_mutex_unlock(&s->report);
}

/* nf_eval says it on its caller's thread. */
static void log_first_frame(nf_stream *s, nf_calc *calc)
{
    if (s->once || !atomic_load(&calc->greets))
        return;
    pthread_mutex_lock(&s->report);
    nf_judge_log(calc);
    pthread_mutex_unlock(&s->report);
}

static void close_entry(nf_stream *s, nf_entry *entry)
{
    nf_group *g = entry->group;
    pthread_mutex_lock(&s->lock);
    nf_queue_drop(entry);
    bool last = --g->nopen == 0;
    if (last) {
        nf_queue_remove(&s->queue, g);
        give_back(s, g);
    }
    bool over = last && s->once && s->queue.oldest == NULL;
    pthread_mutex_unlock(&s->lock);
    if (over)
        nf_team_dismiss(s->team);
}

/* After the report the frame, the result and, if it has no other jobs, the calc are the caller's again. */
static void hand_back(nf_stream *s, nf_entry *entry)
{
    release(&entry->e);
    log_first_frame(s, entry->e.calc);
    report(s, &entry->e);
    close_entry(s, entry);
}

static void finish(nf_stream *s, nf_entry *entry)
{
    nf_error err;
    evaluation *e = &entry->e;
    if (atomic_load(&e->failed) == SIZE_MAX && e->visit == NULL) {
        int rc = nf_reduce(e, &err);
        if (rc == 0)
            rc = nf_judge(e, &err);
        if (rc != 0)
            fail_job(s, e, rc, &err, 0);
    }
    hand_back(s, entry);
}

/* ---- tasks ---- */

/* Of n tasks this thread takes one itself. */
static size_t but_one(size_t n)
{
    return n > 0 ? n - 1 : 0;
}

static bool search_failed(const nf_slot *slot)
{
    return slot->left == 0 && !slot->ready;
}

/* Prepared again, because the list that it waited for cannot be had: made for another frame, it is not this one's
 * failure. */
static void requeue(nf_entry *entry)
{
    release(&entry->e);
    nf_queue_wait(entry);
}

/* Takes no list and no patches: others may prepare meanwhile. */
static void evaluate_now(nf_stream *s, nf_entry *entry)
{
    pthread_mutex_lock(&s->lock);
    s->queue.preparing = false;
    size_t work = nf_queue_has_waiting(&s->queue);
    pthread_mutex_unlock(&s->lock);
    nf_team_call(s->team, work);
    nf_job_evaluate_now(entry->e.job, HUGE_VAL);
    hand_back(s, entry);
}

static bool is_abandoned(const nf_job *job)
{
    return job->abandoned != NULL && __atomic_load_n(job->abandoned, __ATOMIC_RELAXED) != 0;
}

static int fail_abandoned(nf_error *err)
{
    return nf_fail(err, NF_EINVAL, "nobody waits for the result any more");
}

static void prepare(nf_stream *s, nf_entry *entry)
{
    nf_error err;
    size_t work = 0;
    int rc = is_abandoned(entry->e.job) ? fail_abandoned(&err) : nf_prepare(&entry->e, &err);
    pthread_mutex_lock(&s->lock);
    s->queue.preparing = false;
    if (rc == 0 && search_failed(entry->e.slot))
        requeue(entry);
    else if (rc == 0)
        work = but_one(nf_queue_activate(entry));
    work += nf_queue_has_waiting(&s->queue);
    pthread_mutex_unlock(&s->lock);
    nf_team_call(s->team, work);
    if (rc == 0)
        return;
    fail_job(s, &entry->e, rc, &err, 0);
    finish(s, entry);
}

/* The job that the list was made for has failed; the others go back. Returns that job. */
static nf_entry *end_failed_search(nf_stream *s, nf_slot *slot)
{
    nf_entry *builder = NULL, *entry = nf_queue_take_failed(&s->queue, slot);
    while (entry != NULL) {
        nf_entry *next = entry->next;
        if (entry->e.fresh)
            builder = entry;
        else
            requeue(entry);
        entry = next;
    }
    nf_calc_spoil(builder->e.calc, slot);
    return builder;
}

static void end_search(nf_stream *s, nf_slot *slot)
{
    nf_entry *failed = NULL;
    size_t work = 1;
    pthread_mutex_lock(&s->lock);
    if (atomic_load(&slot->failed) == SIZE_MAX) {
        slot->ready = true;
        work = but_one(nf_queue_count(&s->queue, slot));
    } else {
        failed = end_failed_search(s, slot);
    }
    pthread_mutex_unlock(&s->lock);
    nf_team_call(s->team, work);
    if (failed == NULL)
        return;
    fail_job(s, &failed->e, slot->err.code, &slot->err, 0);
    finish(s, failed);
}

static void search(nf_stream *s, const nf_task *task, nf_list_scratch *scratch)
{
    nf_error err;
    nf_slot *slot = task->of->e.slot;
    int rc = 0, nelements = task->of->e.calc->model->elements.n;
    if (task->patch < atomic_load(&slot->failed))
        rc = nf_list_patch(&slot->list, task->patch, nelements, scratch, &err);
    pthread_mutex_lock(&s->lock);
    if (rc != 0 && task->patch < atomic_load(&slot->failed)) {
        slot->err = err;
        atomic_store(&slot->failed, task->patch);
    }
    bool last = --slot->left == 0;
    pthread_mutex_unlock(&s->lock);
    if (last)
        end_search(s, slot);
}

static void sweep(nf_stream *s, const nf_task *task, nf_arena *arena)
{
    nf_error err;
    nf_entry *entry = task->of;
    evaluation *e = &entry->e;
    if (is_abandoned(e->job)) {
        fail_job(s, e, fail_abandoned(&err), &err, 0);
    } else if (task->patch < atomic_load(&e->failed)) { /* else nothing that it finds would be said */
        int rc = nf_sweep_patch(e, task->patch, arena, &err);
        if (rc == NF_VAGUE)
            fail_job(s, e, NF_EDIVERGED, &err, task->patch + e->slot->list.npatches);
        else if (rc != 0)
            fail_job(s, e, rc, &err, task->patch);
    }
    pthread_mutex_lock(&s->lock);
    bool last = --entry->left == 0;
    pthread_mutex_unlock(&s->lock);
    if (last)
        finish(s, entry);
}

/* ---- threads ---- */

static bool next_task(nf_stream *s, nf_task *task)
{
    pthread_mutex_lock(&s->lock);
    bool found = !s->stop && nf_queue_next(&s->queue, task);
    pthread_mutex_unlock(&s->lock);
    return found;
}

static void work(void *ctx, int thread)
{
    nf_stream *s = ctx;
    nf_task task;
    while (next_task(s, &task)) {
        if (task.kind == NF_TASK_PREPARE && task.of->e.visit == NULL && nf_job_is_immediate(task.of->e.job))
            evaluate_now(s, task.of);
        else if (task.kind == NF_TASK_PREPARE)
            prepare(s, task.of);
        else if (task.kind == NF_TASK_SEARCH)
            search(s, &task, &s->workers[thread].search);
        else
            sweep(s, &task, &s->workers[thread].arena);
    }
}

/* ---- jobs in ---- */

static int put(nf_stream *s, size_t n, nf_job *const job[], nf_visit *visit, void *visit_ctx)
{
    nf_group *g = take_group(s);
    if (g == NULL)
        return NF_ENOMEM;
    int rc = NF_GROW(g->entries, g->cap_entries, n);
    g->n = rc == 0 ? n : 0;
    for (size_t i = 0; i < g->n; i++) {
        evaluation *e = &g->entries[i].e;
        memset(e, 0, sizeof *e);
        e->job = job[i];
        e->calc = job[i]->calc;
        e->visit = visit;
        e->visit_ctx = visit_ctx;
        atomic_init(&e->failed, SIZE_MAX);
        job[i]->code = 0;
        job[i]->err = (nf_error){0};
    }
    pthread_mutex_lock(&s->lock);
    if (rc == 0)
        nf_queue_add(&s->queue, g);
    else
        give_back(s, g);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int nf_stream_once(nf_stream *s, size_t n, nf_job *const job[], nf_visit *visit, void *visit_ctx, nf_done *done,
                   void *ctx)
{
    if (n == 0)
        return 0;
    s->done = done;
    s->ctx = ctx;
    s->once = true;
    s->stop = false;
    TRY(put(s, n, job, visit, visit_ctx));
    nf_team_work(s->team, work, s);
    return 0;
}

void nf_stream_open(nf_stream *s, nf_done *done, void *ctx)
{
    s->done = done;
    s->ctx = ctx;
    s->once = s->stop = false;
}

int nf_stream_put(nf_stream *s, size_t n, nf_job *const job[])
{
    TRY(put(s, n, job, NULL, NULL));
    nf_team_call(s->team, 1);
    return 0;
}

void nf_stream_stop(nf_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_mutex_unlock(&s->lock);
    nf_team_dismiss(s->team);
}

/* Nobody works any more. */
static void forget_group(nf_stream *s, nf_group *g)
{
    for (size_t i = 0; i < g->n; i++) {
        evaluation *e = &g->entries[i].e;
        if (e->slot != NULL && !e->slot->ready)
            nf_calc_spoil(e->calc, e->slot);
        if (e->slot != NULL || e->space != NULL)
            release(e);
    }
    give_back(s, g);
}

void nf_stream_run(nf_stream *s)
{
    nf_team_work(s->team, work, s);
    pthread_mutex_lock(&s->lock);
    while (s->queue.oldest != NULL) {
        nf_group *g = s->queue.oldest;
        s->queue.oldest = g->newer;
        forget_group(s, g);
    }
    s->queue = (nf_queue){0};
    pthread_mutex_unlock(&s->lock);
}
