/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/run.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/control.h"
#include "server/host.h"
#include "server/http.h"
#include "server/replay.h"
#include "server/server.h"
#include "server/status.h"
#include "server/traffic.h"

static const int signal_numbers[2] = {SIGINT, SIGTERM};

enum {
    GRACE_MS = 2000
}; /* for drivers that do not fetch what they asked for; twice that for an answer being computed */

/* ---- what links ask for ---- */

void nf_server_log(nf_server *s, int level, const char *fmt, ...)
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

uint64_t nf_server_clock(void)
{
    return uv_hrtime();
}

static void list_keys(char *out, size_t size)
{
    const char *help, *key;
    size_t n = 0;
    for (size_t i = 0; (key = nf_link_options_key(i, &help)) != NULL && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i == 0 ? "" : ", ", key);
}

/* Every link gets the same INIT: each key is worth one line. */
void nf_server_unknown_key(nf_server *s, const char *key, const char *meant)
{
    char known[160];
    for (int i = 0; i < s->nunknown; i++)
        if (strcmp(s->unknown[i], key) == 0)
            return;
    if (s->nunknown == NF_SERVER_UNKNOWN)
        return;
    snprintf(s->unknown[s->nunknown++], sizeof s->unknown[0], "%s", key);
    list_keys(known, sizeof known);
    nf_server_log(s, NF_LOG_WARNING, "'%s' in the driver's INIT is not known%s%s%s; it is left aside (known: %s)", key,
                  meant == NULL ? "" : ", did you mean '", meant == NULL ? "" : meant, meant == NULL ? "" : "'?",
                  known);
}

void nf_server_ready(nf_server *s, nf_link *link)
{
    nf_place_watch(link->place, link);
    link->away = true;
    link->request.link = link;
    link->request.next = s->ready;
    s->ready = &link->request;
}

/* ---- links come and go ---- */

nf_link *nf_server_add_link(nf_server *s, nf_place *place, bool extra)
{
    nf_link *link = s->nlive < NF_SERVER_LINKS ? nf_calloc(1, sizeof *link) : NULL;
    if (link == NULL)
        return NULL;
    link->server = s;
    link->place = place;
    link->number = ++s->nlinks;
    link->extra = extra;
    link->state = NF_LINK_CONNECTING;
    link->options = nf_link_options_ref(place->defaults);
    nf_shm_init(&link->shm);
    uv_timer_init(&s->loop, &link->retry);
    link->retry.data = link;
    link->nhandles = 1;
    link->next = s->links;
    s->links = link;
    s->nlive++;
    s->nopen++;
    return link;
}

static void remember(nf_server *s, const nf_meter *meter)
{
    s->nsteps += meter->steps;
    s->waiting += meter->waiting;
    s->computing += meter->computing;
}

void nf_server_settle(nf_server *s, nf_link *link)
{
    nf_link **at = &s->links;
    if (link->state != NF_LINK_CLOSED || link->nhandles > 0 || link->away)
        return;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    s->nlive--;
    remember(s, &link->meter);
    nf_link_free(link);
}

/* The first failure that nothing makes good is what nf_run returns, and its caller says it. */
static void note_failure(nf_server *s, const nf_link *link, int code, const char *text)
{
    bool made_good = s->options->listen || s->playing || (s->options->reconnect && link->opened);
    bool first = s->code == 0 && !made_good;
    s->nfailures++;
    if (first)
        s->code = nf_fail(s->err, code, "link %d: %s", link->number, text);
    if (!first || s->nopen > 0)
        nf_server_log(s, NF_LOG_WARNING, "link %d closed: %s", link->number, text);
}

void nf_server_closed(nf_server *s, nf_link *link, int code, const char *text)
{
    s->nopen--;
    if (code == 0 && !s->leaving && !link->accepted && !link->heard && !link->extra) {
        code = NF_EIO;
        text = "the driver closed the connection before it said anything";
    }
    if (code != 0 && !(link->extra && !link->heard))
        note_failure(s, link, code, text);
    else if (link->heard && !link->extra && !s->leaving)
        nf_server_log(s, NF_LOG_INFO, "link %d: the %s is done", link->number, link->accepted ? "client" : "driver");
    nf_place_lost(link->place, link);
    nf_server_end_if_idle(s);
}

/* ---- the end ---- */

/* A handle that was initialised has its server in data. */
static void close_handle(uv_handle_t *handle)
{
    if (handle->data != NULL && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_helpers(nf_server *s)
{
    close_handle((uv_handle_t *)&s->check);
    close_handle((uv_handle_t *)&s->prepare);
    close_handle((uv_handle_t *)&s->wake);
    close_handle((uv_handle_t *)&s->grace);
}

/* Last of all, so that a signal on the way out finds us: who asks us to leave then has what he wants. */
static void close_signals(nf_server *s)
{
    for (int i = 0; i < 2; i++) {
        close_handle((uv_handle_t *)&s->signals[i]);
        signal(signal_numbers[i], SIG_IGN);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
}

static bool somebody_may_come(const nf_server *s)
{
    if (nf_traffic_playing(s))
        return true;
    for (size_t p = 0; p < s->options->nplaces; p++)
        if (!s->places[p].done)
            return true;
    return s->nopen > 0;
}

/* Without links nobody wants what is under way. */
void nf_server_end_if_idle(nf_server *s)
{
    if (s->abandoned || somebody_may_come(s))
        return;
    s->abandoned = true;
    s->ready = NULL;
    for (size_t i = 0; i < s->options->nservices; i++)
        nf_service_forget_reload(&s->services[i]);
    if (s->schedule != NULL)
        nf_schedule_stop(s->schedule);
    nf_control_close(s->control);
    nf_http_close(s->http);
    close_helpers(s);
}

static void for_each_link(nf_server *s, void (*what)(nf_link *link))
{
    for (nf_link *link = s->links, *next; link != NULL; link = next) {
        next = link->next;
        what(link);
    }
}

static void close_idle(nf_link *link)
{
    if (link->state != NF_LINK_BUSY || !link->force_wanted)
        nf_link_close(link);
}

static void on_grace(uv_timer_t *grace)
{
    nf_server *s = grace->data;
    for_each_link(s, ++s->ngrace == 1 ? close_idle : nf_link_close);
}

static void leave(nf_server *s)
{
    s->leaving = true;
    for (size_t p = 0; p < s->options->nplaces; p++)
        nf_place_stop(&s->places[p]);
    if (s->playing)
        nf_replay_stop(s->options->replay);
    for_each_link(s, nf_link_finish);
    nf_server_end_if_idle(s);
    if (!s->abandoned)
        uv_timer_start(&s->grace, on_grace, GRACE_MS, GRACE_MS);
}

static void on_signal(uv_signal_t *handle, int number)
{
    nf_server *s = handle->data;
    if (s->leaving) { /* asked twice: an evaluation under way is not waited for */
        signal(number, SIG_DFL);
        raise(number);
    }
    nf_server_log(s, NF_LOG_INFO, "%s: leaving", number == SIGINT ? "interrupted" : "asked to stop");
    leave(s);
}

/* ---- work out, results in ---- */

static void hand_over(nf_server *s)
{
    if (s->ready == NULL)
        return;
    nf_schedule_put(s->schedule, s->ready);
    s->ready = NULL;
    for (size_t p = 0; p < s->options->nplaces; p++)
        nf_place_add_extra(&s->places[p]);
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
    nf_server *s = wake->data;
    nf_request *list = nf_schedule_take_done(s->schedule);
    while (list != NULL) {
        nf_link *link = list->link;
        list = list->next;
        link->away = false;
        nf_link_result(link);
        nf_server_settle(s, link);
    }
    nf_server_end_if_idle(s);
}

/* On the compute side. */
static void wake_up(void *ctx)
{
    nf_server *s = ctx;
    uv_async_send(&s->wake);
}

/* ---- the whole ---- */

static int start_signal(nf_server *s, int i)
{
    int rc = uv_signal_init(&s->loop, &s->signals[i]);
    if (rc != 0)
        return rc;
    s->signals[i].data = s;
    uv_unref((uv_handle_t *)&s->signals[i]); /* waiting for signals keeps no loop running */
    return uv_signal_start(&s->signals[i], on_signal, signal_numbers[i]);
}

static int start_helpers(nf_server *s, nf_error *err)
{
    int rc = uv_check_init(&s->loop, &s->check);
    s->check.data = s;
    if (rc == 0 && (rc = uv_prepare_init(&s->loop, &s->prepare)) == 0)
        s->prepare.data = s;
    if (rc == 0 && (rc = uv_timer_init(&s->loop, &s->grace)) == 0)
        s->grace.data = s;
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

static int open_services(nf_server *s, nf_error *err)
{
    const nf_run_options *o = s->options;
    s->calc_options = (nf_calc_opts)NF_CALC_OPTS_INIT;
    s->calc_options.skin = o->skin;
    s->calc_options.log = o->log;
    s->calc_options.log_ctx = o->log_ctx;
    for (size_t i = 0; i < o->nservices; i++) {
        TRY(nf_service_open(&s->services[i], &o->services[i], &s->calc_options, err));
        s->services[i].elements_in_use = nf_status_elements;
        s->services[i].ctx = s;
    }
    return 0;
}

static int open_places(nf_server *s, nf_error *err)
{
    const nf_run_options *o = s->options;
    for (size_t p = 0; p < o->nplaces; p++) {
        nf_place *place = &s->places[p];
        TRY(nf_link_options_new(&place->defaults, place->options, &s->services[place->options->service], err));
    }
    return 0;
}

/* Who looks at the server from outside. Without being asked for, a place that cannot be used is no reason to give up. */
static int open_windows(nf_server *s, nf_error *err)
{
    const nf_run_options *o = s->options;
    const nf_outside outside = nf_status_outside(s);
    nf_error why;
    bool wanted = o->control == NULL || o->control[0] != '\0';
    int rc = wanted ? nf_control_open(&s->control, &s->loop, o->control, &outside, &why) : 0;
    if (rc != 0 && o->control != NULL)
        return nf_fail(err, rc, "%s", why.msg);
    if (rc != 0)
        nf_server_log(s, NF_LOG_WARNING, "%s; nearfar status will not find this server", why.msg);
    else if (wanted)
        nf_server_log(s, NF_LOG_INFO, "nearfar status unix:%s", nf_control_path(s->control));
    if (o->http == NULL)
        return 0;
    TRY(nf_http_open(&s->http, &s->loop, o->http, o->allow_remote, &outside, err));
    nf_server_log(s, NF_LOG_INFO, "page and metrics at %s", nf_http_url(s->http));
    return 0;
}

static int start_places(nf_server *s, nf_error *err)
{
    TRY(open_windows(s, err));
    TRY(nf_traffic_start(s, err));
    if (s->options->replay != NULL)
        return 0;
    for (size_t p = 0; p < s->options->nplaces; p++)
        TRY(nf_place_start(&s->places[p], err));
    return 0;
}

static int start(nf_server *s, nf_error *err)
{
    char cpus[128];
    TRY(start_helpers(s, err));
    TRY(open_services(s, err));
    TRY(open_places(s, err));
    TRY(nf_schedule_new(&s->schedule, s->options->threads, wake_up, s, err));
    int n = nf_schedule_threads(s->schedule);
    nf_host_cpus(cpus, sizeof cpus);
    nf_server_log(s, NF_LOG_INFO, "%d thread%s, processors %s, kernels %s, lists %g Angstrom beyond the cutoff", n,
                  n == 1 ? "" : "s", cpus, nf_host_isa(), s->options->skin);
    return start_places(s, err);
}

static long count_lists(const nf_server *s)
{
    long n = 0;
    for (size_t i = 0; i < s->options->nservices; i++)
        n += nf_service_nbuilds(&s->services[i]);
    return n;
}

static int serve(nf_server *s, nf_error *err)
{
    int rc = start(s, err);
    if (rc != 0) {
        s->leaving = true;
        for (size_t p = 0; p < s->options->nplaces; p++)
            nf_place_stop(&s->places[p]);
        for_each_link(s, nf_link_close);
        nf_server_end_if_idle(s);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
    nf_traffic_end(s);
    if (s->nstructures > 0)
        nf_server_log(s, NF_LOG_INFO, "%llu structures evaluated over %d link%s, %ld neighbour lists",
                      (unsigned long long)s->nstructures, s->nlinks, s->nlinks == 1 ? "" : "s", count_lists(s));
    return rc != 0 ? rc : s->code;
}

static void free_server(nf_server *s)
{
    if (s == NULL)
        return;
    for (nf_link *link = s->links, *next; link != NULL; link = next) {
        next = link->next;
        nf_link_free(link);
    }
    for (size_t p = 0; s->places != NULL && p < s->options->nplaces; p++)
        nf_link_options_free(s->places[p].defaults);
    for (size_t i = 0; s->services != NULL && i < s->options->nservices; i++)
        nf_service_close(&s->services[i]);
    nf_free(s->places);
    nf_free(s->services);
    nf_free(s);
}

static nf_server *new_server(const nf_run_options *options, nf_error *err)
{
    nf_server *s = nf_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->options = options;
    s->err = err;
    s->started = time(NULL);
    s->started_ns = nf_server_clock();
    s->places = nf_calloc(options->nplaces, sizeof *s->places);
    s->services = nf_calloc(options->nservices, sizeof *s->services);
    for (size_t p = 0; s->places != NULL && p < options->nplaces; p++)
        s->places[p] = (nf_place){.server = s, .options = &options->places[p]};
    if (s->places != NULL && s->services != NULL)
        return s;
    free_server(s);
    return NULL;
}

int nf_run(const nf_run_options *options, nf_error *err)
{
    nf_server *s = new_server(options, err);
    if (s == NULL)
        return nf_fail_memory(err, "the server");
    signal(SIGPIPE, SIG_IGN);
    int rc = uv_loop_init(&s->loop);
    if (rc != 0) {
        free_server(s);
        return nf_fail(err, NF_EIO, "cannot start the event loop: %s", uv_strerror(rc));
    }
    rc = serve(s, err);
    nf_schedule_free(s->schedule);
    close_signals(s);
    uv_loop_close(&s->loop);
    free_server(s);
    return rc;
}
