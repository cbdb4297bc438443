/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/place.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/connect.h"
#include "server/runtime_dir.h"
#include "server/server.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MOST_MS = 5000, BACKLOG = 128 };

static void enter(nf_place *place)
{
    place->since = uv_now(&place->server->loop);
}

const char *nf_place_state(const nf_place *place)
{
    if (place->done && place->nopen == 0)
        return "done";
    if (place->listener.handle.data != NULL && !place->done)
        return "listening";
    return place->said_waiting || !place->reached ? "waiting" : "connected";
}

/* ---- calling a driver ---- */

static uint64_t deadline(const nf_server *s, uint64_t delay_ms)
{
    double wait = s->options->wait;
    return wait < 0 ? UINT64_MAX : uv_now(&s->loop) + delay_ms + (uint64_t)(1000 * wait);
}

static int call(nf_place *place, bool extra, uint64_t delay_ms)
{
    nf_link *link = nf_server_add_link(place->server, place, extra);
    if (link == NULL)
        return NF_ENOMEM;
    place->nopen++;
    nf_connect_start(link, delay_ms, deadline(place->server, delay_ms));
    return 0;
}

void nf_place_waits(nf_place *place)
{
    nf_server *s = place->server;
    const char *where = place->options->address.text;
    if (place->said_waiting)
        return;
    place->said_waiting = true;
    enter(place);
    if (place->reached)
        nf_server_log(s, NF_LOG_INFO, "the driver at %s is gone; waiting for it to come back", where);
    else if (s->options->wait < 0)
        nf_server_log(s, NF_LOG_INFO, "waiting for a driver at %s", where);
    else
        nf_server_log(s, NF_LOG_INFO, "waiting up to %g s for a driver at %s", s->options->wait, where);
}

void nf_place_reached(nf_place *place)
{
    if (place->said_waiting || !place->reached)
        enter(place);
    place->said_waiting = false;
    place->reached = true;
}

static bool heard_from(const nf_place *place)
{
    for (const nf_link *link = place->server->links; link != NULL; link = link->next)
        if (link->place == place && link->heard && link->state != NF_LINK_CLOSED)
            return true;
    return false;
}

/* Extra links that a driver never noticed go with the last one it used. */
static void close_unheard(nf_place *place)
{
    if (heard_from(place))
        return;
    for (nf_link *link = place->server->links; link != NULL; link = link->next)
        if (link->place == place && link->extra)
            nf_link_close(link);
}

/* More slowly as long as nothing was answered: a driver that drops us at once is not called all the time. */
static void call_again(nf_place *place, const nf_link *link)
{
    if (link->meter.steps > 0 || place->backoff_ms == 0)
        place->backoff_ms = BACKOFF_FIRST_MS;
    else if ((place->backoff_ms *= 2) > BACKOFF_MOST_MS)
        place->backoff_ms = BACKOFF_MOST_MS;
    if (place->nopen == 0) {
        place->full = false;
        place->useful = 0;
    }
    if (call(place, false, place->backoff_ms) == 0)
        return;
    place->done = place->nopen == 0;
    nf_server_log(place->server, NF_LOG_WARNING, "no memory to call the driver at %s again",
                  place->options->address.text);
}

void nf_place_lost(nf_place *place, const nf_link *link)
{
    nf_server *s = place->server;
    bool again = s->options->reconnect && !s->leaving && !place->done && !link->extra && link->opened;
    if (link->accepted) {
        place->nopen--;
        return;
    }
    place->full = true;
    close_unheard(place); /* while this one counts: theirs is not the end of the place */
    place->nopen--;
    if (again)
        call_again(place, link);
    else if (place->nopen == 0 && !place->done) {
        place->done = true;
        enter(place);
    }
}

/* ---- how many links a driver has work for ---- */

static void forget_replicas(nf_place *place)
{
    for (nf_link *link = place->server->links; link != NULL; link = link->next)
        if (link->place == place)
            link->replicas = (nf_replicas){0};
}

/* A link that carries several replicas proves that one more link would be of use. Two such links may share a replica
 * that goes to whichever is free first: they prove no more. */
static void count_useful(nf_place *place)
{
    int n = 0;
    bool several = false;
    for (const nf_link *link = place->server->links; link != NULL; link = link->next) {
        if (link->place != place || !link->used || link->state == NF_LINK_CLOSED)
            continue;
        n++;
        several = several || link->replicas.several;
    }
    n += several;
    if (n > place->useful)
        place->useful = n;
}

/* The driver deals its replicas out anew where a link is new: what was seen before says nothing then. */
void nf_place_watch(nf_place *place, nf_link *link)
{
    const nf_request *r = &link->request;
    if (place->options->links != 0 || link->accepted)
        return;
    if (!link->used)
        forget_replicas(place);
    link->used = true;
    nf_replicas_see(&link->replicas, r->natoms, (const double(*)[3])r->pos);
    count_useful(place);
}

/* All links of the place are busy at once, and there are replicas for one more. */
static bool wants_more(const nf_place *place)
{
    int busy = 0;
    if (place->full || place->done || place->options->links != 0)
        return false;
    for (const nf_link *link = place->server->links; link != NULL; link = link->next) {
        if (link->place != place || link->state == NF_LINK_CLOSED)
            continue;
        if (link->state != NF_LINK_BUSY || !link->ipi)
            return false;
        busy++;
    }
    return busy > 0 && busy < place->useful;
}

void nf_place_add_extra(nf_place *place)
{
    if (wants_more(place))
        call(place, true, 0); /* without memory: we stay with what we have */
}

/* ---- listening ---- */

static void refuse(nf_place *place);

static void on_refused(uv_handle_t *handle)
{
    nf_place *place = handle->data;
    bool again = place->refuses_again && !place->done;
    place->refusing = place->refuses_again = false;
    if (again)
        refuse(place);
}

/* A connection that cannot be served has to be taken all the same, even without memory: until it is, no other is
 * reported. */
static void refuse(nf_place *place)
{
    uv_loop_t *loop = &place->server->loop;
    place->refuses_again = place->refusing;
    if (place->refusing)
        return;
    nf_server_log(place->server, NF_LOG_WARNING, "a client at %s is turned away: more than %d links, or no memory",
                  place->options->address.text, NF_SERVER_LINKS);
    int rc = place->options->address.local ? uv_pipe_init(loop, &place->refused.pipe, 0)
                                           : uv_tcp_init(loop, &place->refused.tcp);
    if (rc != 0)
        return;
    place->refusing = true;
    place->refused.handle.data = place;
    uv_accept(&place->listener.stream, &place->refused.stream);
    uv_close(&place->refused.handle, on_refused);
}

static void on_connection(uv_stream_t *listener, int status)
{
    nf_place *place = listener->data;
    if (status < 0) {
        nf_server_log(place->server, NF_LOG_WARNING, "cannot take a connection at %s: %s", place->options->address.text,
                      uv_strerror(status));
        return;
    }
    nf_link *link = nf_server_add_link(place->server, place, false);
    if (link == NULL) {
        refuse(place);
        return;
    }
    place->nopen++;
    nf_connect_accept(link, listener);
}

static bool loopback(const struct sockaddr_storage *to)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)to;
    const struct sockaddr_in *four = (const struct sockaddr_in *)to;
    return to->ss_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&six->sin6_addr)
                                     : (ntohl(four->sin_addr.s_addr) >> 24) == 127;
}

static int bind_tcp(nf_place *place, nf_error *err)
{
    const nf_address *address = &place->options->address;
    if (!loopback(&address->to[0]) && !place->server->options->allow_remote)
        return nf_fail(
            err, NF_EINVAL,
            "%s can be reached from other machines, and anybody there may use it: listen at 127.0.0.1 and come "
            "through ssh -L, or give --allow-remote",
            address->text);
    return uv_tcp_bind(&place->listener.tcp, (const struct sockaddr *)&address->to[0], 0);
}

/* At no moment may others connect. */
static int bind_local(nf_place *place, nf_error *err)
{
    TRY(nf_runtime_clear(place->options->address.path, err));
    mode_t before = umask(0177);
    int rc = uv_pipe_bind(&place->listener.pipe, place->options->address.path);
    umask(before);
    return rc;
}

static int listen_at(nf_place *place, nf_error *err)
{
    const nf_address *address = &place->options->address;
    uv_loop_t *loop = &place->server->loop;
    if (address->shared)
        return nf_fail(err, NF_EINVAL, "%s: clients connect to unix:NAME, unix:/path or tcp:HOST:PORT", address->text);
    int rc = address->local ? uv_pipe_init(loop, &place->listener.pipe, 0) : uv_tcp_init(loop, &place->listener.tcp);
    if (rc == 0) {
        place->listener.handle.data = place;
        err->code = 0;
        rc = address->local ? bind_local(place, err) : bind_tcp(place, err);
        if (err->code != 0)
            return rc;
    }
    if (rc == 0)
        rc = uv_listen(&place->listener.stream, BACKLOG, on_connection);
    if (rc != 0)
        return nf_fail(err, NF_EIO, "cannot listen at %s: %s", address->text, uv_strerror(rc));
    nf_server_log(place->server, NF_LOG_INFO, "listening at %s", address->text);
    return 0;
}

/* ---- the whole ---- */

int nf_place_start(nf_place *place, nf_error *err)
{
    int n = place->options->links > 0 ? place->options->links : 1;
    enter(place);
    if (place->server->options->listen)
        return listen_at(place, err);
    if (place->options->address.shared) { /* or i-PI could give the same names to two of them */
        place->later = n - 1;
        n = 1;
    }
    for (int k = 0; k < n; k++)
        if (call(place, false, 0) != 0)
            return nf_fail(err, NF_ENOMEM, "more than %d links, or no memory for one", NF_SERVER_LINKS);
    return 0;
}

void nf_place_next(nf_place *place)
{
    if (place->later > 0 && !place->done && call(place, false, 0) == 0)
        place->later--;
}

void nf_place_stop(nf_place *place)
{
    if (place->listener.handle.data != NULL && !uv_is_closing(&place->listener.handle))
        uv_close(&place->listener.handle, NULL);
    if (!place->done)
        enter(place);
    place->done = true;
}

void nf_place_stop_driver(nf_place *place)
{
    char path[4096];
    if (place->options->driver_dir == NULL)
        return;
    snprintf(path, sizeof path, "%s/EXIT", place->options->driver_dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        nf_server_log(place->server, NF_LOG_WARNING, "cannot ask the driver to end: %s: %s", path, strerror(errno));
        return;
    }
    close(fd);
    nf_server_log(place->server, NF_LOG_INFO, "the driver is asked to end: %s", path);
}
