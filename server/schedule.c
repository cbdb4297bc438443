/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/schedule.h"

#include <uv.h>

#include "base/mem.h"

struct nf_schedule {
    const nf_run_options *options;
    void (*wake)(void *ctx);
    void *ctx;
    nf_team *team;
    nf_calc *calc;
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t more;
    /* guarded by lock */
    nf_request *waiting, *done;
    bool stop;
    /* the thread's own */
    nf_job **jobs;
    size_t cap_jobs;
};

static void push(nf_request **list, nf_request *r)
{
    r->next = *list;
    *list = r;
}

/* The last structure of a request completes it. Called for one job at a time. */
static void job_done(void *ctx, nf_job *job)
{
    nf_schedule *s = ctx;
    nf_request *r = job->user;
    if (job->code != 0 && r->code == 0) {
        r->code = job->code;
        r->err = job->err;
    }
    if (++r->ndone < r->njobs)
        return;
    if (r->code == 0)
        r->code = nf_request_encode(r, &r->err);
    uv_mutex_lock(&s->lock);
    push(&s->done, r);
    s->wake(s->ctx); /* with the lock held: once the loop has the last request it may close what wake uses */
    uv_mutex_unlock(&s->lock);
}

static size_t count_jobs(const nf_request *list)
{
    size_t n = 0;
    for (; list != NULL; list = list->next)
        n += list->njobs;
    return n;
}

static void fail_list(nf_schedule *s, nf_request *list)
{
    uv_mutex_lock(&s->lock);
    while (list != NULL) {
        nf_request *r = list;
        list = r->next;
        r->code = nf_fail_memory(&r->err, "an evaluation");
        push(&s->done, r);
    }
    s->wake(s->ctx);
    uv_mutex_unlock(&s->lock);
}

static void evaluate(nf_schedule *s, nf_request *list)
{
    size_t n = 0;
    if (NF_GROW(s->jobs, s->cap_jobs, count_jobs(list))) {
        fail_list(s, list);
        return;
    }
    for (nf_request *r = list; r != NULL; r = r->next)
        for (size_t k = 0; k < r->njobs; k++)
            s->jobs[n++] = &r->jobs[k];
    nf_eval(s->team, n, s->jobs, job_done, s);
}

static void work(void *arg)
{
    nf_schedule *s = arg;
    uv_mutex_lock(&s->lock);
    for (;;) {
        while (!s->stop && s->waiting == NULL)
            uv_cond_wait(&s->more, &s->lock);
        if (s->stop)
            break;
        nf_request *list = s->waiting;
        s->waiting = NULL;
        uv_mutex_unlock(&s->lock);
        evaluate(s, list);
        uv_mutex_lock(&s->lock);
    }
    uv_mutex_unlock(&s->lock);
}

static int start(nf_schedule *s, nf_error *err)
{
    const nf_run_options *o = s->options;
    nf_calc_opts opts = NF_CALC_OPTS_INIT;
    opts.skin = o->skin;
    opts.log = o->log;
    opts.log_ctx = o->log_ctx;
    TRY(nf_team_new(&s->team, o->threads, err));
    TRY(nf_calc_new(&s->calc, o->model, &opts, err));
    if (uv_mutex_init(&s->lock) != 0)
        return nf_fail_memory(err, "the compute thread");
    if (uv_cond_init(&s->more) != 0 || uv_thread_create(&s->thread, work, s) != 0) {
        uv_mutex_destroy(&s->lock);
        return nf_fail(err, NF_ENOMEM, "cannot start the compute thread");
    }
    return 0;
}

static void free_memory(nf_schedule *s)
{
    nf_calc_free(s->calc);
    nf_team_free(s->team);
    nf_free(s->jobs);
    nf_free(s);
}

int nf_schedule_new(nf_schedule **out, const nf_run_options *options, void (*wake)(void *ctx), void *ctx, nf_error *err)
{
    *out = NULL;
    nf_schedule *s = nf_calloc(1, sizeof *s);
    if (s == NULL)
        return nf_fail_memory(err, "the compute thread");
    s->options = options;
    s->wake = wake;
    s->ctx = ctx;
    int rc = start(s, err);
    if (rc == 0)
        *out = s;
    else
        free_memory(s);
    return rc;
}

void nf_schedule_free(nf_schedule *s)
{
    if (s == NULL)
        return;
    uv_mutex_lock(&s->lock);
    s->stop = true;
    uv_cond_signal(&s->more);
    uv_mutex_unlock(&s->lock);
    uv_thread_join(&s->thread);
    uv_cond_destroy(&s->more);
    uv_mutex_destroy(&s->lock);
    free_memory(s);
}

nf_calc *nf_schedule_calc(nf_schedule *s)
{
    return s->calc;
}

int nf_schedule_threads(const nf_schedule *s)
{
    return nf_team_size(s->team);
}

void nf_schedule_put(nf_schedule *s, nf_request *list)
{
    uv_mutex_lock(&s->lock);
    while (list != NULL) {
        nf_request *r = list;
        list = r->next;
        push(&s->waiting, r);
    }
    uv_cond_signal(&s->more);
    uv_mutex_unlock(&s->lock);
}

nf_request *nf_schedule_take_done(nf_schedule *s)
{
    uv_mutex_lock(&s->lock);
    nf_request *list = s->done;
    s->done = NULL;
    uv_mutex_unlock(&s->lock);
    return list;
}
