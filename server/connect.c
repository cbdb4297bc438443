/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/connect.h"

#include <unistd.h>

#include "server/place.h"
#include "server/server.h"

enum { RETRY_MS = 100 };

static void try_connect(nf_link *link);

static void on_retry(uv_timer_t *timer)
{
    try_connect(timer->data);
}

/* The socket of an attempt that failed is closed: the next one is made in a while. */
static void on_closed_retry(uv_handle_t *handle)
{
    nf_link *link = handle->data;
    link->nhandles--;
    if (link->state != NF_LINK_CLOSED)
        uv_timer_start(&link->retry, on_retry, RETRY_MS, 0);
    else
        nf_server_settle(link->server, link);
}

/* Not there yet, or reachable by another of the addresses that the host resolves to. */
static bool comes_later(const nf_link *link, int status)
{
    bool elsewhere = status == UV_EADDRNOTAVAIL || status == UV_ENETUNREACH || status == UV_EHOSTUNREACH ||
                     status == UV_EAFNOSUPPORT;
    return status == UV_ENOENT || status == UV_ECONNREFUSED || status == UV_EAGAIN || status == UV_ETIMEDOUT ||
           status == UV_ECONNRESET || status == UV_EMFILE || status == UV_ENFILE ||
           (elsewhere && (link->place->options->address.nto > 1 || link->place->reached));
}

static void not_connected(nf_link *link, int status)
{
    const nf_address *address = &link->place->options->address;
    const nf_run_options *o = link->server->options;
    if (!comes_later(link, status))
        nf_link_fail(link, NF_EIO, "cannot connect to %s: %s", address->text, uv_strerror(status));
    else if (uv_now(&link->server->loop) >= link->deadline || (link->extra && link->attempts >= address->nto))
        nf_link_fail(link, NF_EIO, "no driver listened at %s within %g s (%s): start it, or wait longer with --wait",
                     address->text, o->wait, uv_strerror(status));
    if (link->state == NF_LINK_CLOSED)
        return;
    nf_place_waits(link->place);
    link->open = false;
    uv_close(&link->socket.handle, on_closed_retry);
}

static void on_connected(uv_connect_t *connect, int status)
{
    nf_link *link = connect->data;
    if (link->state == NF_LINK_CLOSED)
        return;
    if (status < 0) {
        not_connected(link, status);
        return;
    }
    if (!link->place->options->address.local)
        uv_tcp_nodelay(&link->socket.tcp, 1);
    nf_place_reached(link->place);
    if (!link->extra)
        nf_server_log(link->server, NF_LOG_INFO, "link %d: connected to %s", link->number,
                      link->place->options->address.text);
    nf_link_opened(link);
}

static const struct sockaddr *next_resolved(nf_link *link)
{
    const nf_address *address = &link->place->options->address;
    return (const struct sockaddr *)&address->to[link->attempts++ % address->nto];
}

static bool make_socket(nf_link *link, bool local)
{
    uv_loop_t *loop = &link->server->loop;
    int rc = local ? uv_pipe_init(loop, &link->socket.pipe, 0) : uv_tcp_init(loop, &link->socket.tcp);
    if (rc < 0) {
        nf_link_fail(link, NF_EIO, "cannot make a socket: %s", uv_strerror(rc));
        return false;
    }
    link->nhandles++;
    link->open = true;
    link->socket.handle.data = link;
    link->connect.data = link;
    return true;
}

static void try_connect(nf_link *link)
{
    const nf_address *address = &link->place->options->address;
    int rc;
    if (!make_socket(link, address->local))
        return;
    if (address->local)
        uv_pipe_connect(&link->connect, &link->socket.pipe, address->path, on_connected);
    else if ((rc = uv_tcp_connect(&link->connect, &link->socket.tcp, next_resolved(link), on_connected)) < 0)
        not_connected(link, rc);
}

void nf_connect_start(nf_link *link, uint64_t delay_ms, uint64_t deadline_ms)
{
    link->deadline = deadline_ms;
    if (delay_ms > 0)
        uv_timer_start(&link->retry, on_retry, delay_ms, 0);
    else
        try_connect(link);
}

static void accepted(nf_link *link, int rc)
{
    link->accepted = true;
    if (rc < 0) {
        nf_link_fail(link, NF_EIO, "cannot take a connection: %s", uv_strerror(rc));
        return;
    }
    if (!link->place->options->address.local && link->socket.handle.type == UV_TCP)
        uv_tcp_nodelay(&link->socket.tcp, 1);
    nf_link_opened(link);
}

void nf_connect_accept(nf_link *link, uv_stream_t *listener)
{
    if (make_socket(link, link->place->options->address.local))
        accepted(link, uv_accept(listener, &link->socket.stream));
}

void nf_connect_adopt(nf_link *link, int fd)
{
    if (!make_socket(link, true)) {
        close(fd);
        return;
    }
    int rc = uv_pipe_open(&link->socket.pipe, fd);
    if (rc < 0)
        close(fd);
    accepted(link, rc);
}
