/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/link.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/server.h"
#include "server/traffic.h"

enum { STATUS_MOST = 100000, INIT_ATOMS_MOST = 2 * NF_LINK_ATOMS_MOST };
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

static void send_word(nf_link *link, ipi_word word)
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
        send_word(link, IPI_READY);
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
static void send_forces(nf_link *link)
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

static void take_result(nf_link *link)
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
        send_word(link, IPI_HAVEDATA);
    if (link->state == NF_LINK_HAVE_DATA && link->force_wanted)
        send_forces(link);
}

void nf_link_result(nf_link *link)
{
    if (link->state == NF_LINK_CLOSED) {
        nf_request_release(&link->request);
        return;
    }
    take_result(link);
    process(link);
}

/* ---- what a driver says, by state ---- */

static void say_needinit(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    send_word(link, IPI_NEEDINIT);
}

/* Nobody needs to ask so often while one answer is made. */
static void count_owed(nf_link *link, int *owed)
{
    if (++*owed > STATUS_MOST)
        end(link, NF_EFORMAT, "the driver sent STATUS %d times without waiting for an answer", *owed);
}

static void say_ready(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    if (link->writing)
        count_owed(link, &link->ready_owed);
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
    count_owed(link, link->force_wanted ? &link->ready_owed : &link->status_held);
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
    if (link->options->natoms == 0 && !nf_service_any_species(link->options->service))
        end(link, NF_EINVAL,
            "the elements are not known: give --species FILE|LIST to nearfar, or name them in INIT, in i-PI by "
            "<parameters> "
            "{ species : O H H * 64 } in <ffsocket>");
    return link->state != NF_LINK_CLOSED;
}

/* Once a link: a peer may send INIT as often as it likes. */
static void say_options(nf_link *link)
{
    const nf_link_options *o = link->options, *before = link->place->defaults;
    if (link->extra || link->said_options)
        return;
    link->said_options = true;
    if (o->service != before->service)
        nf_server_log(link->server, NF_LOG_INFO, "link %d: INIT asks for model %s", link->number,
                      o->service->options->name);
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
    link->judged = link->judged && same_species(link->options, options) && link->options->service == options->service;
    nf_link_options_free(link->options);
    link->options = options;
    say_options(link);
    if (ipi_dec_set_batch(&link->decoder, options->batch) < 0)
        end(link, NF_EFORMAT, "%s", ipi_dec_error(&link->decoder));
}

static void take_init(nf_link *link, const ipi_event *ev)
{
    nf_link_origin origin = {.nservices = link->server->options->nservices,
                             .services = link->server->services,
                             .local = link->place->options->address.local,
                             .unknown = on_unknown_key,
                             .ctx = link};
    nf_link_options *options;
    nf_error err;
    link->errors = nf_link_wants_errors(ev->init.text);
    int rc = nf_link_options_read(&options, link->place->defaults, ev->init.text, &origin, &err);
    if (rc < 0) {
        end(link, rc, "%s", err.msg);
        return;
    }
    if (options->own != NULL && (link->init_atoms += options->natoms) > INIT_ATOMS_MOST) {
        nf_link_options_free(options);
        end(link, NF_ELIMIT, "the driver's INIT texts name more than %d atoms before it asks for anything",
            INIT_ATOMS_MOST);
        return;
    }
    take_options(link, options);
    link->ipi = ev->init.ntext > 0 && ev->init.text[0] != '\0' && ev->init.text[0] != '{'; /* ASE sends one NUL */
    if (have_species(link) && link->state == NF_LINK_WANT_INIT)
        link->state = NF_LINK_READY;
}

/* A link that joins others in the middle of a run may begin with a structure as wild as the run is: that the driver's list
 * of species is right is known from the answers that the others gave. */
static bool known_from_others(const nf_link *link)
{
    if (link->server->options->listen) /* clients are strangers to each other */
        return false;
    for (const nf_link *other = link->server->links; other != NULL; other = other->next)
        if (other != link && other->place == link->place && other->state != NF_LINK_CLOSED && other->judged &&
            other->meter.steps > 0 && other->options->service == link->options->service &&
            same_species(other->options, link->options))
            return true;
    return false;
}

static void begin_structures(nf_link *link, uint32_t nstructures)
{
    bool judge = !link->judged && !link->options->trust_species && !known_from_others(link);
    nf_request_begin(&link->request, link->options, nstructures, judge);
    link->judged = true;
    link->state = NF_LINK_FILLING;
}

/* A model to which all elements are one takes as many atoms as come first. */
static bool have_number(nf_link *link, size_t natoms)
{
    nf_error err;
    nf_link_options *any;
    if (link->options->natoms != 0)
        return true;
    int rc = natoms > NF_LINK_ATOMS_MOST
                 ? nf_fail(&err, NF_ELIMIT, "more than %d atoms, which only --species gives", NF_LINK_ATOMS_MOST)
                 : nf_link_options_any(&any, link->options, natoms, &err);
    if (rc != 0) {
        end(link, rc, "%s", err.msg);
        return false;
    }
    nf_link_options_free(link->options);
    link->options = any;
    return true;
}

/* Where the number of atoms comes from that a structure must have. */
static const char *who_says(const nf_link_options *o)
{
    return o->any ? "the first structure had" : o->own != NULL ? "species in its INIT has" : "--species has";
}

static void take_posdata(nf_link *link, const ipi_event *ev)
{
    if (link->finishing) {
        end(link, 0, NULL);
        return;
    }
    if (!have_species(link) || !have_number(link, ev->posdata.natoms))
        return;
    const nf_link_options *o = link->options;
    if (ev->posdata.natoms != o->natoms) {
        end(link, NF_EINVAL, "the driver sends %u atoms, %s %zu", ev->posdata.natoms, who_says(o), o->natoms);
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

/* i-PI can give the same names to two links that it takes up one after the other, and both would have wrong numbers. */
static void refuse_shared_twice(nf_link *link)
{
    for (nf_link *other = link->server->links; other != NULL; other = other->next)
        if (other != link && other->state != NF_LINK_CLOSED && nf_shm_same(&other->shm, &link->shm)) {
            const char *const why =
                "the driver gave the same shared memory to two links: use --links 1, or mode='unix'";
            end(other, NF_EIO, "%s", why);
            end(link, NF_EIO, "%s", why);
            return;
        }
}

static void take_segment(nf_link *link, const ipi_event *ev)
{
    nf_error err;
    uv_os_fd_t fd;
    uid_t owner = uv_fileno(&link->socket.handle, &fd) == 0 ? nf_shm_peer(fd) : (uid_t)-1;
    if (ev->segment.which == 0)
        nf_shm_begin(&link->shm, link->request.natoms, link->request.nstructures);
    int rc = nf_shm_open(&link->shm, ev->segment.which, ev->segment.name, ev->segment.nname, owner, &err);
    if (rc != 0) {
        end(link, rc, "%s", err.msg);
    } else if (ev->segment.which == IPI_SEGMENTS - 1) {
        refuse_shared_twice(link);
        nf_place_next(link->place);
    }
}

static void queue_job(nf_link *link, const ipi_event *ev)
{
    nf_error err;
    (void)ev;
    int rc = link->place->options->address.shared ? nf_request_read(&link->request, &link->shm, &err) : 0;
    if (rc == 0)
        rc = nf_request_complete(&link->request, &err);
    if (rc != 0) {
        end(link, rc, "%s", err.msg);
        return;
    }
    nf_meter_begin(&link->meter, nf_server_clock());
    link->state = NF_LINK_BUSY;
    if (nf_request_evaluate_now(&link->request))
        take_result(link);
    else
        nf_server_ready(link->server, link);
}

static void reply_when_done(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    link->asked_twice = link->force_wanted;
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

/* The forces that were asked for before EXIT are still sent. */
static void leave(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    if (!link->writing && !(link->state == NF_LINK_BUSY && link->force_wanted)) {
        end(link, 0, NULL);
        return;
    }
    link->exited = true;
    uv_read_stop(&link->socket.stream);
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
    while (!link->paused && !link->exited && link->state != NF_LINK_CLOSED) {
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

static void no_room(nf_link *link)
{
    nf_error err;
    int rc = nf_fail_memory(&err, "the positions");
    end(link, rc, "%s", err.msg);
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
        act(link, &ev);
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
