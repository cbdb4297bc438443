/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/run.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/link.h"
#include "server/schedule.h"

static const int signal_numbers[2] = {SIGINT, SIGTERM};

enum { MOST_LINKS = 256, MOST_UNKNOWN = 16 };

struct nf_server {
    const nf_run_options *options;
    uv_loop_t loop;
    uv_check_t check;     /* after each poll: what became ready goes out as one list; */
    uv_prepare_t prepare; /* before it: what became ready since */
    uv_async_t wake;      /* the compute thread has something */
    uv_signal_t signals[2];
    nf_schedule *schedule;
    nf_request *ready; /* in this turn of the loop */
    int nlinks, nopen;
    unsigned long long nstructures; /* evaluated */
    nf_link *links[MOST_LINKS];
    bool full[NF_RUN_ADDRESSES];  /* the driver there took no further link, or is done */
    int useful[NF_RUN_ADDRESSES]; /* links that the driver there certainly has work for */
    nf_link_options *defaults;    /* of links, from the command line */
    int nunknown;                 /* keys of INIT that were warned of */
    char unknown[MOST_UNKNOWN][40];
    bool leaving; /* a signal said so */
    int code;     /* the first failure */
    nf_error *err;
};

typedef struct nf_server server;

/* ---- what links ask for ---- */

void nf_server_log(server *s, int level, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    if (s->options->log == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s->options->log(s->options->log_ctx, level, text);
}

const nf_run_options *nf_server_options(server *s)
{
    return s->options;
}

uv_loop_t *nf_server_loop(server *s)
{
    return &s->loop;
}

nf_calc *nf_server_calc(server *s)
{
    return nf_schedule_calc(s->schedule);
}

nf_link_options *nf_server_defaults(server *s)
{
    return s->defaults;
}

static void list_keys(char *out, size_t size)
{
    const char *help, *key;
    size_t n = 0;
    for (size_t i = 0; (key = nf_link_options_key(i, &help)) != NULL && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i == 0 ? "" : ", ", key);
}

/* Every link gets the same INIT: each key is worth one line. */
void nf_server_unknown_key(server *s, const char *key, const char *meant)
{
    char known[160];
    for (int i = 0; i < s->nunknown; i++)
        if (strcmp(s->unknown[i], key) == 0)
            return;
    if (s->nunknown == MOST_UNKNOWN)
        return;
    snprintf(s->unknown[s->nunknown++], sizeof s->unknown[0], "%s", key);
    list_keys(known, sizeof known);
    nf_server_log(s, NF_LOG_WARNING, "'%s' in the driver's INIT is not known%s%s%s; it is left aside (known: %s)", key,
                  meant == NULL ? "" : ", did you mean '", meant == NULL ? "" : meant, meant == NULL ? "" : "'?",
                  known);
}

/* ---- how many links a driver has work for ---- */

static void forget_replicas(server *s, const nf_address *address)
{
    for (int i = 0; i < s->nlinks; i++)
        if (s->links[i]->address == address)
            s->links[i]->replicas = (nf_replicas){0};
}

/* A link that carries several replicas proves that one more link would be of use. Two such links may share a replica
 * that goes to whichever is free first: they prove no more. */
static void count_useful(server *s, const nf_address *address)
{
    int n = 0, *useful = &s->useful[address - s->options->addresses];
    bool several = false;
    for (int i = 0; i < s->nlinks; i++) {
        const nf_link *link = s->links[i];
        if (link->address != address || !link->used || link->state == NF_LINK_CLOSED)
            continue;
        n++;
        several = several || link->replicas.several;
    }
    n += several;
    if (n > *useful)
        *useful = n;
}

/* The driver deals its replicas out anew where a link is new: what was seen before says nothing then. */
static void watch_replicas(server *s, nf_link *link)
{
    const nf_request *r = &link->request;
    if (!link->used)
        forget_replicas(s, link->address);
    link->used = true;
    nf_replicas_see(&link->replicas, r->natoms, (const double(*)[3])r->pos);
    count_useful(s, link->address);
}

void nf_server_ready(server *s, nf_link *link)
{
    if (s->options->links == 0)
        watch_replicas(s, link);
    link->request.link = link;
    link->request.next = s->ready;
    s->ready = &link->request;
}

/* ---- the end ---- */

/* A handle that was initialised has its server in data. */
static void close_handle(uv_handle_t *handle)
{
    if (handle->data != NULL && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_helpers(server *s)
{
    close_handle((uv_handle_t *)&s->check);
    close_handle((uv_handle_t *)&s->prepare);
    close_handle((uv_handle_t *)&s->wake);
}

/* Last of all, so that a signal on the way out finds us: who asks us to leave then has what he wants. */
static void close_signals(server *s)
{
    for (int i = 0; i < 2; i++) {
        close_handle((uv_handle_t *)&s->signals[i]);
        signal(signal_numbers[i], SIG_IGN);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
}

/* Without links nobody wants what is under way. */
static void end_if_idle(server *s)
{
    if (s->nopen > 0)
        return;
    s->ready = NULL;
    if (s->schedule != NULL)
        nf_schedule_stop(s->schedule);
    close_helpers(s);
}

/* Extra links that a driver never noticed go with the last one it used. */
static void close_unheard(server *s, const nf_address *address)
{
    for (int i = 0; i < s->nlinks; i++)
        if (s->links[i]->address == address && s->links[i]->heard && s->links[i]->state != NF_LINK_CLOSED)
            return;
    for (int i = 0; i < s->nlinks; i++)
        if (s->links[i]->address == address && s->links[i]->extra)
            nf_link_close(s->links[i]);
}

static bool heard_from(const server *s, const nf_address *address)
{
    for (int i = 0; i < s->nlinks; i++)
        if (s->links[i]->address == address && s->links[i]->heard)
            return true;
    return false;
}

/* The first failure is what nf_run returns; its caller says it. */
static void note_failure(server *s, const nf_link *link, int code, const char *text)
{
    if (s->code == 0)
        s->code = nf_fail(s->err, code, "link %d: %s", link->number, text);
    else
        nf_server_log(s, NF_LOG_WARNING, "link %d closed: %s", link->number, text);
}

void nf_server_closed(server *s, nf_link *link, int code, const char *text)
{
    s->nopen--;
    s->full[link->address - s->options->addresses] = true;
    if (code == 0 && !s->leaving && !heard_from(s, link->address)) {
        code = NF_EIO;
        text = "the driver closed the connection before it said anything";
    }
    if (code != 0 && !(link->extra && !link->heard))
        note_failure(s, link, code, text);
    else if (link->heard && !link->extra && !s->leaving)
        nf_server_log(s, NF_LOG_INFO, "link %d: the driver is done", link->number);
    close_unheard(s, link->address);
    end_if_idle(s);
}

static void close_links(server *s)
{
    for (int i = 0; i < s->nlinks; i++)
        nf_link_close(s->links[i]);
}

static void on_signal(uv_signal_t *handle, int number)
{
    server *s = handle->data;
    if (s->leaving) { /* asked twice: an evaluation under way is not waited for */
        signal(number, SIG_DFL);
        raise(number);
    }
    s->leaving = true;
    nf_server_log(s, NF_LOG_INFO, "%s: leaving", number == SIGINT ? "interrupted" : "asked to stop");
    close_links(s);
    end_if_idle(s);
}

/* ---- links ---- */

static int add_link(server *s, const nf_address *address, bool extra)
{
    nf_link *link = nf_calloc(1, sizeof *link);
    if (link == NULL)
        return NF_ENOMEM;
    s->links[s->nlinks++] = link;
    s->nopen++;
    link->server = s;
    link->address = address;
    link->number = s->nlinks;
    link->extra = extra;
    nf_link_start(link, uv_now(&s->loop) + (uint64_t)(1000 * s->options->wait));
    return 0;
}

/* All links of the address are busy at once, and there are replicas for one more. */
static bool wants_more(const server *s, const nf_address *address)
{
    int busy = 0;
    if (s->full[address - s->options->addresses])
        return false;
    for (int i = 0; i < s->nlinks; i++) {
        const nf_link *link = s->links[i];
        if (link->address != address || link->state == NF_LINK_CLOSED)
            continue;
        if (link->state != NF_LINK_BUSY || !link->ipi)
            return false;
        busy++;
    }
    return busy > 0 && busy < s->useful[address - s->options->addresses];
}

static void add_extra_links(server *s)
{
    for (size_t a = 0; a < s->options->naddresses; a++)
        if (s->nlinks < MOST_LINKS && wants_more(s, &s->options->addresses[a]))
            add_link(s, &s->options->addresses[a], true); /* without memory: we stay with what we have */
}

/* ---- work out, results in ---- */

static void hand_over(server *s)
{
    if (s->ready == NULL)
        return;
    nf_schedule_put(s->schedule, s->ready);
    s->ready = NULL;
    if (s->options->links == 0)
        add_extra_links(s);
}

static void on_check(uv_check_t *check)
{
    hand_over(check->data);
}

/* What write callbacks completed, which some versions of libuv run before the poll. */
static void on_prepare(uv_prepare_t *before)
{
    hand_over(before->data);
}

static void on_wake(uv_async_t *wake)
{
    server *s = wake->data;
    nf_request *list = nf_schedule_take_done(s->schedule);
    while (list != NULL) {
        nf_request *r = list;
        list = r->next;
        s->nstructures += r->njobs;
        nf_link_result(r->link);
    }
    end_if_idle(s);
}

/* On the compute thread. */
static void wake_up(void *ctx)
{
    server *s = ctx;
    uv_async_send(&s->wake);
}

/* ---- the whole ---- */

static int start_signal(server *s, int i)
{
    int rc = uv_signal_init(&s->loop, &s->signals[i]);
    if (rc != 0)
        return rc;
    s->signals[i].data = s;
    uv_unref((uv_handle_t *)&s->signals[i]); /* waiting for signals keeps no loop running */
    return uv_signal_start(&s->signals[i], on_signal, signal_numbers[i]);
}

static int start_helpers(server *s, nf_error *err)
{
    int rc = uv_check_init(&s->loop, &s->check);
    s->check.data = s;
    if (rc == 0 && (rc = uv_prepare_init(&s->loop, &s->prepare)) == 0)
        s->prepare.data = s;
    if (rc == 0 && (rc = uv_async_init(&s->loop, &s->wake, on_wake)) == 0)
        s->wake.data = s;
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = start_signal(s, i);
    if (rc != 0)
        return nf_fail(err, NF_EIO, "cannot start the event loop: %s", uv_strerror(rc));
    uv_check_start(&s->check, on_check);
    uv_prepare_start(&s->prepare, on_prepare);
    return 0;
}

static int start_links(server *s, nf_error *err)
{
    int each = s->options->links > 0 ? s->options->links : 1;
    for (size_t a = 0; a < s->options->naddresses; a++)
        for (int k = 0; k < each; k++) {
            if (s->nlinks == MOST_LINKS)
                return nf_fail(err, NF_ELIMIT, "more than %d links", MOST_LINKS);
            if (add_link(s, &s->options->addresses[a], false))
                return nf_fail_memory(err, "a link");
        }
    return 0;
}

static void free_server(server *s)
{
    for (int i = 0; i < s->nlinks; i++) {
        nf_request_free(&s->links[i]->request);
        nf_link_options_free(s->links[i]->options);
        nf_free(s->links[i]);
    }
    nf_link_options_free(s->defaults);
    nf_free(s);
}

static int serve(server *s, nf_error *err)
{
    int rc = start_helpers(s, err);
    if (rc == 0)
        rc = nf_link_options_new(&s->defaults, s->options, err);
    if (rc == 0)
        rc = nf_schedule_new(&s->schedule, s->options, wake_up, s, err);
    if (rc == 0) {
        nf_server_log(s, NF_LOG_INFO, "%d thread%s", nf_schedule_threads(s->schedule),
                      nf_schedule_threads(s->schedule) == 1 ? "" : "s");
        rc = start_links(s, err);
    }
    if (rc != 0) {
        s->leaving = true;
        close_links(s);
        close_helpers(s);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
    if (s->nstructures > 0)
        nf_server_log(s, NF_LOG_INFO, "%llu structures evaluated over %d link%s, %ld neighbour lists", s->nstructures,
                      s->nlinks, s->nlinks == 1 ? "" : "s", nf_calc_nbuilds(nf_schedule_calc(s->schedule)));
    return rc != 0 ? rc : s->code;
}

int nf_run(const nf_run_options *options, nf_error *err)
{
    server *s = nf_calloc(1, sizeof *s);
    if (s == NULL)
        return nf_fail_memory(err, "the server");
    s->options = options;
    s->err = err;
    signal(SIGPIPE, SIG_IGN);
    int rc = uv_loop_init(&s->loop);
    if (rc != 0) {
        nf_free(s);
        return nf_fail(err, NF_EIO, "cannot start the event loop: %s", uv_strerror(rc));
    }
    rc = serve(s, err);
    nf_schedule_free(s->schedule);
    close_signals(s);
    uv_loop_close(&s->loop);
    free_server(s);
    return rc;
}
