/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/link.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/link_inside.h"
#include "server/server.h"
#include "server/traffic.h"

enum {
    WIDE_BUFFER = 1 << 20,
    READ_MOST = 1 << 30,
    TAIL = 64 /* bytes of the next message that are read with the last positions */
};

static void end(nf_link *link, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void process(nf_link *link);
static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    nf_link *link = handle->data;
    link->nhandles--;
    nf_server_settle(link->server, link);
}

/* Why the link closes, for a peer that asked to be told; if it does not read, it is not told. */
static void send_error(nf_link *link, const char *text)
{
    unsigned char out[IPI_ERROR_MOST];
    size_t n = ipi_error(out, text, strlen(text));
    uv_buf_t buf = uv_buf_init((char *)out, (unsigned)n);
    if (!link->errors || link->writing)
        return;
    nf_traffic_sent(link, out, n);
    uv_try_write(&link->socket.stream, &buf, 1);
}

/* Closes the link; text NULL is a regular end. */
static void close_with(nf_link *link, int code, const char *text)
{
    if (link->state == NF_LINK_CLOSED)
        return;
    if (text != NULL && link->open && link->state != NF_LINK_CONNECTING)
        send_error(link, text);
    nf_traffic_closed(link->server, link, code, text);
    link->state = NF_LINK_CLOSED;
    nf_request_abandon(&link->request);
    if (link->open)
        uv_close(&link->socket.handle, on_closed);
    uv_close((uv_handle_t *)&link->retry, on_closed);
    link->open = false;
    nf_shm_close(&link->shm);
    nf_server_closed(link->server, link, code, text);
}

static void close_with_list(nf_link *link, int code, const char *fmt, va_list ap)
{
    char text[240];
    vsnprintf(text, sizeof text, fmt, ap);
    close_with(link, code, text);
}

/* Closes the link; fmt NULL is a regular end. */
static void end(nf_link *link, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (fmt == NULL)
        close_with(link, 0, NULL);
    else
        close_with_list(link, code, fmt, ap);
    va_end(ap);
}

void nf_link_fail(nf_link *link, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    close_with_list(link, code, fmt, ap);
    va_end(ap);
}

void nf_link_close(nf_link *link)
{
    close_with(link, 0, NULL);
}

void nf_link_finish(nf_link *link)
{
    if (link->state == NF_LINK_BUSY || link->state == NF_LINK_HAVE_DATA || link->writing)
        link->finishing = true;
    else
        nf_link_close(link);
}

const char *nf_link_state_name(nf_link_state state)
{
    static const char *const names[NF_LINK_NSTATES] = {"connecting", "idle",      "idle",  "receiving",
                                                       "computing",  "have data", "closed"};
    return names[state];
}

void nf_link_free(nf_link *link)
{
    if (link == NULL)
        return;
    nf_request_free(&link->request);
    nf_link_options_free(link->options);
    nf_free(link);
}

/* ---- sending ---- */

void nf_link_say(nf_link *link, ipi_word word)
{
    unsigned char bytes[IPI_HEADER];
    ipi_status(bytes, word);
    uv_buf_t buf = uv_buf_init((char *)bytes, sizeof bytes);
    nf_traffic_sent(link, bytes, sizeof bytes);
    if (uv_try_write(&link->socket.stream, &buf, 1) != (int)sizeof bytes)
        end(link, NF_EIO, "the driver does not read what it asks for");
}

/* The forces have left. */
static void sent(nf_link *link)
{
    link->writing = false;
    nf_meter_answered(&link->meter, nf_server_clock(), link->request.nstructures);
    for (; link->ready_owed > 0 && link->state != NF_LINK_CLOSED; link->ready_owed--)
        nf_link_say(link, IPI_READY);
    link->init_atoms = 0;
    if (link->finishing || link->exited)
        nf_link_close(link);
    else if (link->asked_twice)
        end(link, NF_EFORMAT, "the driver sent GETFORCE before any positions");
}

/* Who has said EXIT, or was asked to stop as we were, may be gone before his last answer. */
static void not_sent(nf_link *link, int status)
{
    link->writing = false;
    if (link->finishing || link->exited)
        end(link, 0, NULL);
    else
        end(link, NF_EIO, "cannot send the forces: %s", uv_strerror(status));
}

static void on_written(uv_write_t *write, int status)
{
    nf_link *link = write->data;
    if (link->state == NF_LINK_CLOSED)
        return;
    if (status < 0) {
        not_sent(link, status);
        return;
    }
    sent(link);
    process(link);
}

/* At once what the socket takes, the rest when it takes more. */
void nf_link_send_forces(nf_link *link)
{
    nf_error err;
    int bad = link->request.shared ? nf_request_write(&link->request, &link->shm, &err) : 0;
    if (bad != 0) {
        end(link, bad, "%s", err.msg);
        return;
    }
    uv_buf_t buf = {.base = (char *)link->request.reply, .len = link->request.nreply};
    link->force_wanted = false;
    link->state = NF_LINK_READY;
    nf_traffic_sent(link, buf.base, buf.len);
    int n = uv_try_write(&link->socket.stream, &buf, 1);
    if (n >= 0 && (size_t)n == buf.len) {
        sent(link);
        return;
    }
    if (n > 0) {
        buf.base += n;
        buf.len -= (size_t)n;
    }
    link->write.data = link;
    link->writing = true;
    int rc = n < 0 && n != UV_EAGAIN ? n : uv_write(&link->write, &link->socket.stream, &buf, 1, on_written);
    if (rc < 0)
        not_sent(link, rc);
}

/* What people see of the last answer. */
static void note_result(nf_link *link)
{
    const nf_request *r = &link->request;
    const nf_result *last = &r->results[r->njobs - 1];
    link->energy = last->energy;
    link->energy_std = last->energy_std;
    link->nextrapolated = last->nextrapolated;
}

void nf_link_take_result(nf_link *link)
{
    nf_request_release(&link->request);
    link->server->nstructures += link->request.njobs;
    if (link->request.code != 0) {
        nf_place_stop_driver(link->place);
        end(link, link->request.code, "%s", link->request.err.msg);
        return;
    }
    note_result(link);
    link->state = NF_LINK_HAVE_DATA;
    for (; link->status_held > 0 && link->state != NF_LINK_CLOSED; link->status_held--)
        nf_link_say(link, IPI_HAVEDATA);
    if (link->state == NF_LINK_HAVE_DATA && link->force_wanted)
        nf_link_send_forces(link);
}

void nf_link_result(nf_link *link)
{
    if (link->state == NF_LINK_CLOSED) {
        nf_request_release(&link->request);
        return;
    }
    nf_link_take_result(link);
    process(link);
}

/* Decodes what was read, as far as the state allows. */
static void process(nf_link *link)
{
    ipi_event ev;
    if (link->paused && link->state != NF_LINK_BUSY && link->state != NF_LINK_CLOSED && !link->writing) {
        link->paused = false;
        nf_link_begin(link, link->next_structures);
        uv_read_start(&link->socket.stream, allocate, on_read);
    }
    while (!link->paused && !link->exited && link->state != NF_LINK_CLOSED) {
        size_t used = 0;
        int rc = ipi_feed(&link->decoder, link->buffer + link->begin, link->end - link->begin, &used, &ev);
        link->begin += used;
        if (rc < 0)
            end(link, NF_EFORMAT, "%s", ipi_dec_error(&link->decoder));
        if (rc <= 0)
            return;
        nf_link_act(link, &ev);
    }
}

/* ---- reading ---- */

/* Whatever was read has been decoded, or reading is stopped: the buffer is empty here. */
static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    nf_link *link = handle->data;
    (void)suggested;
    assert(link->begin == link->end);
    link->begin = link->end = 0;
    size_t offset, direct = ipi_dec_direct(&link->decoder, &offset);
    if (link->state == NF_LINK_FILLING && direct > 0) {
        size_t most = offset + NF_LINK_BUFFER, have = link->request.cap_pos * sizeof *link->request.pos;
        if (most < have)
            most = have; /* twice what came, or what is there from the step before */
        size_t room = direct <= most ? direct + TAIL : most;
        room = room < READ_MOST ? room : READ_MOST;
        char *array = (char *)nf_request_room(&link->request, offset + room, NULL);
        *buf = array == NULL ? uv_buf_init(NULL, 0) : uv_buf_init(array + offset, (unsigned)room);
        return;
    }
    *buf = uv_buf_init((char *)link->buffer, NF_LINK_BUFFER);
}

/* ASE's five sends a step wait for an acknowledgement each unless it comes at once. Where a message comes in one piece it
 * goes with the answer. */
static void acknowledge_at_once(nf_link *link)
{
#if defined TCP_QUICKACK
    uv_os_fd_t fd;
    int on = 1;
    if (link->socket.handle.type == UV_TCP && uv_fileno(&link->socket.handle, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
#else
    (void)link;
#endif
}

static void on_hangup(nf_link *link, int status)
{
    if (link->finishing) {
        end(link, 0, NULL);
        return;
    }
    bool between = (link->state == NF_LINK_WANT_INIT || link->state == NF_LINK_READY) && ipi_dec_idle(&link->decoder);
    if (between && !link->writing && (status == UV_EOF || status == UV_ECONNRESET))
        end(link, 0, NULL);
    else
        end(link, NF_EIO, "the driver closed the connection in the middle of a step%s%s", status == UV_EOF ? "" : ": ",
            status == UV_EOF ? "" : uv_strerror(status));
}

/* Positions are where they belong; what came behind them is decoded as ever. */
static void take_direct(nf_link *link, const char *bytes, size_t n)
{
    ipi_event ev;
    size_t offset, direct = ipi_dec_direct(&link->decoder, &offset);
    size_t nbytes = n < direct ? n : direct;
    memcpy(link->buffer, bytes + nbytes, n - nbytes);
    link->end = n - nbytes;
    if (ipi_dec_took(&link->decoder, link->request.pos, nbytes, &ev) > 0)
        nf_link_act(link, &ev);
}

static void no_room(nf_link *link)
{
    nf_error err;
    int rc = nf_fail_memory(&err, "the positions");
    end(link, rc, "%s", err.msg);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    nf_link *link = stream->data;
    if (n < 0) {
        nf_traffic_received(link, NULL, 0);
        if (n == UV_ENOBUFS)
            no_room(link);
        else
            on_hangup(link, (int)n);
        return;
    }
    if (n > 0)
        nf_traffic_received(link, buf->base, (size_t)n);
    link->heard = link->heard || n > 0;
    if (n > 0 && buf->base != (char *)link->buffer)
        take_direct(link, buf->base, (size_t)n);
    else
        link->end += (size_t)n;
    process(link);
    if (link->state != NF_LINK_CLOSED && !ipi_dec_idle(&link->decoder))
        acknowledge_at_once(link);
}

/* A large reply leaves in one piece, while the driver reads it. TCP finds the size of its buffers itself. */
static void widen(nf_link *link)
{
    uv_os_fd_t fd;
    int size = WIDE_BUFFER;
    if (link->socket.handle.type == UV_NAMED_PIPE && uv_fileno(&link->socket.handle, &fd) == 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

void nf_link_opened(nf_link *link)
{
    static const ipi_limits limits = {INT32_MAX, NF_LINK_BATCH_MOST, IPI_INIT_MAX};
    ipi_dec_init(&link->decoder, &limits);
    if (link->place->options->address.shared)
        ipi_dec_set_shared(&link->decoder);
    link->state = NF_LINK_WANT_INIT;
    link->opened = true;
    nf_traffic_link(link);
    widen(link);
    int rc = uv_read_start(&link->socket.stream, allocate, on_read);
    if (rc < 0)
        end(link, NF_EIO, "cannot read from %s: %s", link->place->options->address.text, uv_strerror(rc));
}
