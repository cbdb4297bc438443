/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/schedule.h"

#include <uv.h>

#include "base/mem.h"
#include "model/stream.h"

/* Numbers of members' forces whose text takes longer than a patch. */
enum { LONG_TEXT = 10000 };

struct nf_schedule {
    void (*wake)(void *ctx);
    void *ctx;
    nf_team *team;
    nf_stream *stream;
    uv_thread_t thread, writer;
    uv_mutex_t lock;
    uv_cond_t more; /* for the writer */
    /* guarded by lock, as are the results of requests under way */
    nf_request *unwritten, *done;
    bool stopped;
    /* the loop's own */
    nf_job **jobs;
    size_t cap_jobs;
};

static void hand_back(nf_schedule *s, nf_request *r)
{
    uv_mutex_lock(&s->lock);
    if (!s->stopped) {
        r->next = s->done;
        s->done = r;
        s->wake(s->ctx); /* with the lock held: once it is stopped the loop may close what wake uses */
    }
    uv_mutex_unlock(&s->lock);
}

/* Of several structures that fail the first one is named, whatever thread fails first. */
static bool completes(nf_schedule *s, nf_request *r, const nf_job *job)
{
    uv_mutex_lock(&s->lock);
    if (job->code != 0 && (r->code == 0 || job < r->failed)) {
        r->failed = job;
        r->code = job->code;
        r->err = job->err;
    }
    bool complete = ++r->ndone == r->njobs;
    uv_mutex_unlock(&s->lock);
    return complete;
}

static void write_reply(nf_schedule *s, nf_request *r)
{
    if (r->code == 0)
        r->code = nf_request_encode(r, &r->err);
    hand_back(s, r);
}

/* The last structure of a request completes it. Long replies are left to the writer: no patch waits for them. */
static void job_done(void *ctx, nf_job *job)
{
    nf_schedule *s = ctx;
    nf_request *r = job->user;
    if (!completes(s, r, job))
        return;
    if (nf_request_member_numbers(r) <= LONG_TEXT) {
        write_reply(s, r);
        return;
    }
    uv_mutex_lock(&s->lock);
    nf_request **last = &s->unwritten;
    while (*last != NULL)
        last = &(*last)->next;
    r->next = NULL;
    *last = r;
    uv_cond_signal(&s->more);
    uv_mutex_unlock(&s->lock);
}

static void write_long_replies(void *arg)
{
    nf_schedule *s = arg;
    uv_mutex_lock(&s->lock);
    while (!s->stopped) {
        nf_request *r = s->unwritten;
        if (r == NULL) {
            uv_cond_wait(&s->more, &s->lock);
            continue;
        }
        s->unwritten = r->next;
        uv_mutex_unlock(&s->lock);
        write_reply(s, r);
        uv_mutex_lock(&s->lock);
    }
    uv_mutex_unlock(&s->lock);
}

static void put(nf_schedule *s, nf_request *r)
{
    int rc = NF_GROW(s->jobs, s->cap_jobs, r->njobs);
    for (size_t k = 0; rc == 0 && k < r->njobs; k++)
        s->jobs[k] = &r->jobs[k];
    if (rc == 0)
        rc = nf_stream_put(s->stream, r->njobs, s->jobs);
    if (rc == 0)
        return;
    r->code = nf_fail_memory(&r->err, "an evaluation");
    hand_back(s, r);
}

static void work(void *arg)
{
    nf_schedule *s = arg;
    nf_stream_run(s->stream);
}

void nf_schedule_stop(nf_schedule *s)
{
    uv_mutex_lock(&s->lock);
    bool before = s->stopped;
    s->stopped = true;
    uv_cond_signal(&s->more);
    uv_mutex_unlock(&s->lock);
    if (!before)
        nf_stream_stop(s->stream);
}

static int start_threads(nf_schedule *s, nf_error *err)
{
    if (uv_mutex_init(&s->lock) != 0)
        return nf_fail_memory(err, "the compute thread");
    if (uv_cond_init(&s->more) != 0)
        goto no_condition;
    if (uv_thread_create(&s->writer, write_long_replies, s) != 0)
        goto no_writer;
    if (uv_thread_create(&s->thread, work, s) == 0)
        return 0;
    nf_schedule_stop(s);
    uv_thread_join(&s->writer);
no_writer:
    uv_cond_destroy(&s->more);
no_condition:
    uv_mutex_destroy(&s->lock);
    return nf_fail(err, NF_ENOMEM, "cannot start the compute thread");
}

static int start(nf_schedule *s, int threads, nf_error *err)
{
    TRY(nf_team_new(&s->team, threads, err));
    s->stream = nf_stream_of(s->team);
    if (s->stream == NULL)
        return nf_fail_memory(err, "the compute thread");
    nf_stream_open(s->stream, job_done, s);
    return start_threads(s, err);
}

static void free_memory(nf_schedule *s)
{
    nf_team_free(s->team);
    nf_free(s->jobs);
    nf_free(s);
}

int nf_schedule_new(nf_schedule **out, int threads, void (*wake)(void *ctx), void *ctx, nf_error *err)
{
    *out = NULL;
    nf_schedule *s = nf_calloc(1, sizeof *s);
    if (s == NULL)
        return nf_fail_memory(err, "the compute thread");
    s->wake = wake;
    s->ctx = ctx;
    int rc = start(s, threads, err);
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
    nf_schedule_stop(s);
    uv_thread_join(&s->thread);
    uv_thread_join(&s->writer);
    uv_cond_destroy(&s->more);
    uv_mutex_destroy(&s->lock);
    free_memory(s);
}

int nf_schedule_threads(const nf_schedule *s)
{
    return nf_team_size(s->team);
}

void nf_schedule_put(nf_schedule *s, nf_request *list)
{
    while (list != NULL) {
        nf_request *r = list;
        list = r->next; /* put, it is no longer ours */
        put(s, r);
    }
}

nf_request *nf_schedule_take_done(nf_schedule *s)
{
    uv_mutex_lock(&s->lock);
    nf_request *list = s->done;
    s->done = NULL;
    uv_mutex_unlock(&s->lock);
    return list;
}
