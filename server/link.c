/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/link.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RETRY_MS = 100 };

static void end(nf_link *link, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void try_connect(nf_link *link);
static void process(nf_link *link);
static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* ---- the end ---- */

static void close_timer(nf_link *link)
{
    if (!uv_is_closing((uv_handle_t *)&link->retry))
        uv_close((uv_handle_t *)&link->retry, NULL);
}

static void on_closed(uv_handle_t *handle)
{
    close_timer(handle->data);
}

/* Closes the link; fmt NULL is a regular end. */
static void end(nf_link *link, int code, const char *fmt, ...)
{
    char text[240];
    if (link->state == NF_LINK_CLOSED)
        return;
    if (fmt != NULL) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
    }
    link->state = NF_LINK_CLOSED;
    if (link->open)
        uv_close(&link->socket.handle, on_closed);
    else
        close_timer(link);
    link->open = false;
    nf_shm_close(&link->shm);
    nf_server_closed(link->server, link, code, fmt == NULL ? NULL : text);
}

void nf_link_close(nf_link *link)
{
    end(link, 0, NULL);
}

/* ---- sending ---- */

static void send_word(nf_link *link, ipi_word word)
{
    unsigned char bytes[IPI_HEADER];
    ipi_status(bytes, word);
    uv_buf_t buf = uv_buf_init((char *)bytes, sizeof bytes);
    if (uv_try_write(&link->socket.stream, &buf, 1) != (int)sizeof bytes)
        end(link, NF_EIO, "the driver does not read what it asks for");
}

static void on_written(uv_write_t *write, int status)
{
    nf_link *link = write->data;
    link->writing = false;
    if (link->state == NF_LINK_CLOSED)
        return;
    if (status < 0) {
        end(link, NF_EIO, "cannot send the forces: %s", uv_strerror(status));
        return;
    }
    for (; link->ready_owed > 0 && link->state != NF_LINK_CLOSED; link->ready_owed--)
        send_word(link, IPI_READY);
    process(link);
}

static void send_forces(nf_link *link)
{
    nf_error err;
    int bad = link->request.shared ? nf_request_write(&link->request, &link->shm, &err) : 0;
    if (bad != 0) {
        end(link, bad, "%s", err.msg);
        return;
    }
    uv_buf_t buf = {.base = (char *)link->request.reply, .len = link->request.nreply};
    link->write.data = link;
    link->writing = true;
    link->force_wanted = false;
    link->state = NF_LINK_READY;
    int rc = uv_write(&link->write, &link->socket.stream, &buf, 1, on_written);
    if (rc < 0) {
        link->writing = false;
        end(link, NF_EIO, "cannot send the forces: %s", uv_strerror(rc));
    }
}

void nf_link_result(nf_link *link)
{
    if (link->state == NF_LINK_CLOSED)
        return;
    if (link->request.code != 0) {
        end(link, link->request.code, "%s", link->request.err.msg);
        return;
    }
    link->state = NF_LINK_HAVE_DATA;
    for (; link->status_held > 0 && link->state != NF_LINK_CLOSED; link->status_held--)
        send_word(link, IPI_HAVEDATA);
    if (link->state == NF_LINK_HAVE_DATA && link->force_wanted)
        send_forces(link);
    process(link);
}

/* ---- what a driver says, by state ---- */

static void say_needinit(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    send_word(link, IPI_NEEDINIT);
}

static void say_ready(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    if (link->writing)
        link->ready_owed++;
    else
        send_word(link, IPI_READY);
}

static void say_havedata(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    send_word(link, IPI_HAVEDATA);
}

static void hold_status(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    if (link->force_wanted)
        link->ready_owed++;
    else
        link->status_held++;
}

static void on_unknown_key(void *ctx, const char *key, const char *meant)
{
    nf_link *link = ctx;
    nf_server_unknown_key(link->server, key, meant);
}

static bool same_species(const nf_link_options *a, const nf_link_options *b)
{
    return a->natoms == b->natoms &&
           (a->natoms == 0 || memcmp(a->species, b->species, a->natoms * sizeof *a->species) == 0);
}

static bool have_species(nf_link *link)
{
    if (link->options->natoms == 0)
        end(link, NF_EINVAL,
            "the elements are not known: give --species FILE|LIST to nearfar, or <parameters> { species : O H H * 64 } "
            "to <ffsocket>, with your own list");
    return link->state != NF_LINK_CLOSED;
}

/* Once a link: a peer may send INIT as often as it likes. */
static void say_options(nf_link *link)
{
    const nf_link_options *o = link->options, *before = nf_server_defaults(link->server);
    if (link->extra || link->said_options)
        return;
    link->said_options = true;
    if (o->own != NULL)
        nf_server_log(link->server, NF_LOG_INFO, "link %d: INIT names %zu atoms", link->number, o->natoms);
    if (o->extras != before->extras)
        nf_server_log(link->server, NF_LOG_INFO, "link %d: INIT asks for extras %s", link->number,
                      nf_extras_name(o->extras));
    if (o->batch > 1)
        nf_server_log(link->server, NF_LOG_INFO, "link %d: batches of %d structures", link->number, o->batch);
}

static void take_options(nf_link *link, nf_link_options *options)
{
    link->judged = link->judged && same_species(link->options, options);
    nf_link_options_free(link->options);
    link->options = options;
    say_options(link);
    if (ipi_dec_set_batch(&link->decoder, options->batch) < 0)
        end(link, NF_EFORMAT, "%s", ipi_dec_error(&link->decoder));
}

static void take_init(nf_link *link, const ipi_event *ev)
{
    nf_link_origin origin = {.model = nf_server_options(link->server)->model,
                             .local = link->address->local,
                             .unknown = on_unknown_key,
                             .ctx = link};
    nf_link_options *options;
    nf_error err;
    int rc = nf_link_options_read(&options, nf_server_defaults(link->server), ev->init.text, &origin, &err);
    if (rc < 0) {
        end(link, rc, "%s", err.msg);
        return;
    }
    take_options(link, options);
    link->ipi = ev->init.ntext > 0 && ev->init.text[0] != '\0' && ev->init.text[0] != '{'; /* ASE sends one NUL */
    if (have_species(link) && link->state == NF_LINK_WANT_INIT)
        link->state = NF_LINK_READY;
}

static void begin_structures(nf_link *link, uint32_t nstructures)
{
    bool judge = !link->judged && !nf_server_options(link->server)->trust_species;
    nf_request_begin(&link->request, link->options, nstructures, judge);
    link->judged = true;
    link->state = NF_LINK_FILLING;
}

static void take_posdata(nf_link *link, const ipi_event *ev)
{
    const nf_link_options *o = link->options;
    if (!have_species(link))
        return;
    if (ev->posdata.natoms != o->natoms) {
        end(link, NF_EINVAL, "the driver sends %u atoms, %s %zu", ev->posdata.natoms,
            o->own != NULL ? "species in its INIT has" : "--species has", o->natoms);
        return;
    }
    if (link->state == NF_LINK_BUSY || link->writing) {
        link->paused = true;
        link->next_structures = ev->posdata.nstructures;
        uv_read_stop(&link->socket.stream);
    } else {
        begin_structures(link, ev->posdata.nstructures);
    }
}

static void take_cell(nf_link *link, const ipi_event *ev)
{
    nf_error err;
    int rc = nf_request_cell(&link->request, ev->cell.structure, ev->cell.h, &err);
    if (rc != 0)
        end(link, rc, "%s", err.msg);
}

static void take_positions(nf_link *link, const ipi_event *ev)
{
    nf_error err;
    int rc =
        nf_request_positions(&link->request, ev->positions.first, ev->positions.count, ev->positions.payload, &err);
    if (rc != 0)
        end(link, rc, "%s", err.msg);
}

static void take_segment(nf_link *link, const ipi_event *ev)
{
    nf_error err;
    uv_os_fd_t fd;
    uid_t owner = uv_fileno(&link->socket.handle, &fd) == 0 ? nf_shm_peer(fd) : (uid_t)-1;
    if (ev->segment.which == 0)
        nf_shm_begin(&link->shm, link->request.natoms, link->request.nstructures);
    int rc = nf_shm_open(&link->shm, ev->segment.which, ev->segment.name, ev->segment.nname, owner, &err);
    if (rc != 0)
        end(link, rc, "%s", err.msg);
}

static void queue_job(nf_link *link, const ipi_event *ev)
{
    nf_error err;
    (void)ev;
    int rc = link->address->shared ? nf_request_read(&link->request, &link->shm, &err) : 0;
    if (rc == 0)
        rc = nf_request_complete(&link->request, nf_server_options(link->server), nf_server_calc(link->server), &err);
    if (rc != 0) {
        end(link, rc, "%s", err.msg);
        return;
    }
    link->state = NF_LINK_BUSY;
    nf_server_ready(link->server, link);
}

static void reply_when_done(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    link->force_wanted = true;
}

static void reply_now(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    send_forces(link);
}

static void no_structure(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    end(link, NF_EFORMAT, "the driver sent GETFORCE before any positions");
}

static void leave(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    end(link, 0, NULL);
}

typedef void action(nf_link *link, const ipi_event *ev);

/* Every state has an answer to every word. While a message is FILLING only its own pieces can come. */
static action *const rules[NF_LINK_NSTATES][IPI_EXIT + 1] = {
    [NF_LINK_WANT_INIT] = {[IPI_STATUS] = say_needinit,
                           [IPI_INIT] = take_init,
                           [IPI_POSDATA] = take_posdata,
                           [IPI_GETFORCE] = no_structure,
                           [IPI_EXIT] = leave},
    [NF_LINK_READY] = {[IPI_STATUS] = say_ready,
                       [IPI_INIT] = take_init,
                       [IPI_POSDATA] = take_posdata,
                       [IPI_GETFORCE] = no_structure,
                       [IPI_EXIT] = leave},
    [NF_LINK_FILLING] = {[IPI_CELL] = take_cell,
                         [IPI_POSITIONS] = take_positions,
                         [IPI_SEGMENT] = take_segment,
                         [IPI_POSDATA_END] = queue_job},
    [NF_LINK_BUSY] = {[IPI_STATUS] = hold_status,
                      [IPI_INIT] = take_init,
                      [IPI_POSDATA] = take_posdata,
                      [IPI_GETFORCE] = reply_when_done,
                      [IPI_EXIT] = leave},
    [NF_LINK_HAVE_DATA] = {[IPI_STATUS] = say_havedata,
                           [IPI_INIT] = take_init,
                           [IPI_POSDATA] = take_posdata,
                           [IPI_GETFORCE] = reply_now,
                           [IPI_EXIT] = leave},
};

static void act(nf_link *link, const ipi_event *ev)
{
    action *what = rules[link->state][ev->kind];
    if (what == NULL)
        end(link, NF_EFORMAT, "the driver sent a message out of turn");
    else
        what(link, ev);
}

/* Decodes what was read, as far as the state allows. */
static void process(nf_link *link)
{
    ipi_event ev;
    if (link->paused && link->state != NF_LINK_BUSY && link->state != NF_LINK_CLOSED && !link->writing) {
        link->paused = false;
        begin_structures(link, link->next_structures);
        uv_read_start(&link->socket.stream, allocate, on_read);
    }
    while (!link->paused && link->state != NF_LINK_CLOSED) {
        size_t used = 0;
        int rc = ipi_feed(&link->decoder, link->buffer + link->begin, link->end - link->begin, &used, &ev);
        link->begin += used;
        if (rc < 0)
            end(link, NF_EFORMAT, "%s", ipi_dec_error(&link->decoder));
        if (rc <= 0)
            return;
        act(link, &ev);
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
        size_t room = direct < offset + NF_LINK_BUFFER ? direct : offset + NF_LINK_BUFFER; /* twice what came */
        char *array = (char *)nf_request_room(&link->request, offset + room, NULL);
        *buf = array == NULL ? uv_buf_init(NULL, 0) : uv_buf_init(array + offset, (unsigned)room);
        return;
    }
    *buf = uv_buf_init((char *)link->buffer, NF_LINK_BUFFER);
}

/* ASE's five sends a step wait for an acknowledgement each unless it comes at once. */
static void acknowledge_at_once(nf_link *link)
{
#if defined TCP_QUICKACK
    uv_os_fd_t fd;
    int on = 1;
    if (!link->address->local && uv_fileno(&link->socket.handle, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
#else
    (void)link;
#endif
}

static void on_hangup(nf_link *link, int status)
{
    bool between = (link->state == NF_LINK_WANT_INIT || link->state == NF_LINK_READY) && ipi_dec_idle(&link->decoder);
    if (between && !link->writing && (status == UV_EOF || status == UV_ECONNRESET))
        end(link, 0, NULL);
    else
        end(link, NF_EIO, "the driver closed the connection in the middle of a step%s%s", status == UV_EOF ? "" : ": ",
            status == UV_EOF ? "" : uv_strerror(status));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    nf_link *link = stream->data;
    if (n < 0) {
        on_hangup(link, (int)n);
        return;
    }
    acknowledge_at_once(link);
    link->heard = link->heard || n > 0;
    if (n > 0 && buf->base != (char *)link->buffer) {
        ipi_event ev;
        int rc = ipi_dec_took(&link->decoder, link->request.pos, (size_t)n, &ev);
        if (rc > 0)
            act(link, &ev);
    } else {
        link->end += (size_t)n;
    }
    process(link);
}

/* ---- connecting ---- */

static void on_retry(uv_timer_t *timer)
{
    try_connect(timer->data);
}

static void on_closed_retry(uv_handle_t *handle)
{
    nf_link *link = handle->data;
    if (link->state != NF_LINK_CLOSED)
        uv_timer_start(&link->retry, on_retry, RETRY_MS, 0);
    else
        close_timer(link);
}

/* Not there yet, or reachable by another of the addresses that the host resolves to. */
static bool comes_later(const nf_link *link, int status)
{
    bool elsewhere = status == UV_EADDRNOTAVAIL || status == UV_ENETUNREACH || status == UV_EHOSTUNREACH ||
                     status == UV_EAFNOSUPPORT;
    return status == UV_ENOENT || status == UV_ECONNREFUSED || status == UV_EAGAIN || status == UV_ETIMEDOUT ||
           (elsewhere && link->address->nto > 1);
}

static void not_connected(nf_link *link, int status)
{
    uint64_t now = uv_now(nf_server_loop(link->server));
    const nf_run_options *o = nf_server_options(link->server);
    if (!comes_later(link, status))
        end(link, NF_EIO, "cannot connect to %s: %s", link->address->text, uv_strerror(status));
    else if (now >= link->deadline || (link->extra && link->attempts >= link->address->nto))
        end(link, NF_EIO, "no driver listened at %s within %g s (%s): start it, or wait longer with --wait",
            link->address->text, o->wait, uv_strerror(status));
    if (link->state == NF_LINK_CLOSED)
        return;
    if (!link->said_waiting)
        nf_server_log(link->server, NF_LOG_INFO, "waiting up to %g s for a driver at %s", o->wait, link->address->text);
    link->said_waiting = true;
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
    if (!link->address->local)
        uv_tcp_nodelay(&link->socket.tcp, 1);
    if (!link->extra)
        nf_server_log(link->server, NF_LOG_INFO, "link %d: connected to %s", link->number, link->address->text);
    link->state = NF_LINK_WANT_INIT;
    int rc = uv_read_start(&link->socket.stream, allocate, on_read);
    if (rc < 0)
        end(link, NF_EIO, "cannot read from %s: %s", link->address->text, uv_strerror(rc));
}

static const struct sockaddr *next_resolved(nf_link *link)
{
    return (const struct sockaddr *)&link->address->to[link->attempts++ % link->address->nto];
}

static void try_connect(nf_link *link)
{
    uv_loop_t *loop = nf_server_loop(link->server);
    int rc = link->address->local ? uv_pipe_init(loop, &link->socket.pipe, 0) : uv_tcp_init(loop, &link->socket.tcp);
    if (rc < 0) {
        end(link, NF_EIO, "cannot make a socket: %s", uv_strerror(rc));
        return;
    }
    link->open = true;
    link->socket.handle.data = link;
    link->connect.data = link;
    if (link->address->local)
        uv_pipe_connect(&link->connect, &link->socket.pipe, link->address->path, on_connected);
    else if ((rc = uv_tcp_connect(&link->connect, &link->socket.tcp, next_resolved(link), on_connected)) < 0)
        not_connected(link, rc);
}

void nf_link_start(nf_link *link, uint64_t deadline_ms)
{
    static const ipi_limits limits = {INT32_MAX, NF_LINK_BATCH_MOST, IPI_INIT_MAX};
    link->options = nf_link_options_ref(nf_server_defaults(link->server));
    ipi_dec_init(&link->decoder, &limits);
    if (link->address->shared)
        ipi_dec_set_shared(&link->decoder);
    nf_shm_init(&link->shm);
    link->state = NF_LINK_CONNECTING;
    link->deadline = deadline_ms;
    uv_timer_init(nf_server_loop(link->server), &link->retry);
    link->retry.data = link;
    try_connect(link);
}
