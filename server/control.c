/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sockets are polled and read here, without libuv's streams: a write that waits for a peer would keep the loop running.
 */
#define _GNU_SOURCE /* struct ucred, accept4 */
#include "server/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/command.h"
#include "server/runtime_dir.h"
#include "server/writer.h"

enum { RETRY_MS = 100 };

typedef struct connection connection;

/* Ends on its own account: the connection, or all of the control socket, may be gone before. */
typedef struct {
    connection *asker;
} reload;

struct connection {
    nf_control *control;
    int fd;
    uv_poll_t poll;
    uint64_t heard; /* number of the last event of it */
    reload *reload; /* under way: nothing is read until it ends */
    bool obeying;   /* a line of it, at this moment */
    bool ended;     /* nothing more will come from it, or be taken */
    nf_writer out;
    size_t nsent;
    size_t nin;
    char in[NF_COMMAND_MOST + 1];
};

struct nf_control {
    uv_loop_t *loop;
    nf_outside outside;
    char path[NF_SOCKET_PATH];
    struct stat made; /* the socket that is ours to remove */
    int fd;
    uv_poll_t poll;
    uv_timer_t retry; /* to take callers again */
    int nhandles;     /* that the loop has not let go */
    uint64_t nevents;
    connection *connections[NF_CONTROL_MOST];
};

static void on_ready(uv_poll_t *poll, int status, int events);

/* ---- the end ---- */

static void release(nf_control *c)
{
    if (--c->nhandles == 0)
        nf_free(c);
}

static void on_connection_closed(uv_handle_t *handle)
{
    connection *peer = handle->data;
    release(peer->control);
    nf_writer_free(&peer->out);
    nf_free(peer);
}

static void close_connection(connection *peer)
{
    nf_control *c = peer->control;
    for (int i = 0; i < NF_CONTROL_MOST; i++)
        if (c->connections[i] == peer)
            c->connections[i] = NULL;
    if (peer->reload != NULL)
        peer->reload->asker = NULL;
    uv_close((uv_handle_t *)&peer->poll, on_connection_closed);
    close(peer->fd);
}

/* The listener's, or the timer's. */
static void on_listener_closed(uv_handle_t *handle)
{
    release(handle->data);
}

/* Another server may have taken the name since. */
static void remove_socket(const nf_control *c)
{
    struct stat now;
    if (lstat(c->path, &now) == 0 && now.st_dev == c->made.st_dev && now.st_ino == c->made.st_ino)
        unlink(c->path);
}

void nf_control_close(nf_control *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < NF_CONTROL_MOST; i++)
        if (c->connections[i] != NULL)
            close_connection(c->connections[i]);
    remove_socket(c);
    uv_close((uv_handle_t *)&c->poll, on_listener_closed);
    uv_close((uv_handle_t *)&c->retry, on_listener_closed);
    close(c->fd);
}

/* ---- answers ---- */

static void answer_json(connection *peer, json_t *value)
{
    if (value == NULL)
        nf_writer_print(&peer->out, "{\"ok\":false,\"error\":\"out of memory\"}");
    else
        nf_writer_json(&peer->out, value);
    nf_writer_add(&peer->out, "\n", 1);
    json_decref(value);
}

static void answer(connection *peer, bool ok, const char *text)
{
    answer_json(peer, json_pack("{sbso}", "ok", ok, ok ? "text" : "error", nf_json_text(text)));
}

/* 0: all is sent; 1: the peer has to read first; -1: it is gone. */
static int send_answer(connection *peer)
{
    if (peer->out.failed)
        return -1;
    while (peer->nsent < peer->out.n) {
        ssize_t n = send(peer->fd, peer->out.bytes + peer->nsent, peer->out.n - peer->nsent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 1 : -1;
        peer->nsent += (size_t)n;
    }
    nf_writer_free(&peer->out);
    peer->nsent = 0;
    return 0;
}

/* ---- commands ---- */

static bool has_line(const connection *peer)
{
    return memchr(peer->in, '\n', peer->nin) != NULL;
}

/* What the peer may do next is what is waited for. */
static void wait_for_peer(connection *peer)
{
    bool busy = peer->out.n > 0 || has_line(peer);
    bool unanswered = peer->out.failed; /* without memory: the peer sees the end instead */
    if (unanswered || (peer->ended && !busy && peer->reload == NULL))
        close_connection(peer);
    else if (peer->reload != NULL)
        uv_poll_stop(&peer->poll);
    else if (uv_poll_start(&peer->poll, busy ? UV_WRITABLE : UV_READABLE, on_ready) != 0)
        close_connection(peer);
}

static void on_reloaded(void *ctx, int code, const char *text)
{
    reload *r = ctx;
    connection *peer = r->asker;
    nf_free(r);
    if (peer == NULL)
        return;
    peer->reload = NULL;
    answer(peer, code == 0, text);
    if (!peer->obeying)
        wait_for_peer(peer);
}

static void begin_reload(connection *peer, const nf_command *command)
{
    const nf_outside *outside = &peer->control->outside;
    reload *r = nf_calloc(1, sizeof *r);
    if (r == NULL) {
        answer_json(peer, NULL);
        return;
    }
    r->asker = peer;
    peer->reload = r;
    outside->reload(outside->ctx, command->model, command->path, on_reloaded, r);
}

static void obey(connection *peer, const char *line, size_t n)
{
    const nf_outside *outside = &peer->control->outside;
    nf_command command;
    nf_error err;
    if (nf_command_read(&command, line, n, &err) != 0)
        answer(peer, false, err.msg);
    else if (command.kind == NF_COMMAND_RELOAD)
        begin_reload(peer, &command);
    else
        answer_json(peer, outside->status(outside->ctx));
    nf_command_free(&command);
}

static bool is_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

static void obey_first_line(connection *peer)
{
    const char *end = memchr(peer->in, '\n', peer->nin);
    if (end == NULL)
        return;
    size_t n = (size_t)(end - peer->in);
    peer->obeying = true;
    if (!is_blank(peer->in, n))
        obey(peer, peer->in, n);
    peer->obeying = false;
    peer->nin -= n + 1;
    memmove(peer->in, end + 1, peer->nin);
}

/* ---- bytes ---- */

static void refuse_long_line(connection *peer)
{
    nf_error err;
    nf_fail(&err, NF_ELIMIT, "a command has at most %d bytes", NF_COMMAND_MOST);
    answer(peer, false, err.msg);
    peer->nin = 0;
    peer->ended = true;
}

/* -1: it is gone. The last line needs no end. */
static int receive(connection *peer)
{
    ssize_t n = recv(peer->fd, peer->in + peer->nin, NF_COMMAND_MOST - peer->nin, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    peer->nin += (size_t)n;
    if (n == 0) {
        peer->ended = true;
        if (peer->nin > 0)
            peer->in[peer->nin++] = '\n';
    } else if (peer->nin == NF_COMMAND_MOST && !has_line(peer)) {
        refuse_long_line(peer);
    }
    return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    connection *peer = poll->data;
    int rc = status < 0 ? -1 : 0;
    peer->heard = ++peer->control->nevents;
    if (rc == 0 && (events & UV_READABLE) != 0)
        rc = receive(peer);
    if (rc == 0)
        rc = send_answer(peer);
    if (rc == 0 && peer->reload == NULL) {
        obey_first_line(peer);
        rc = send_answer(peer);
    }
    if (rc < 0)
        close_connection(peer);
    else
        wait_for_peer(peer);
}

/* ---- who comes ---- */

static bool same_user(int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.uid == geteuid();
}

/* A free place, or that of whoever has been silent longest and waits for nothing; NULL: all wait. */
static connection **make_room(nf_control *c)
{
    connection **oldest = NULL;
    for (int i = 0; i < NF_CONTROL_MOST; i++) {
        connection **at = &c->connections[i];
        if (*at == NULL)
            return at;
        if ((*at)->reload == NULL && (oldest == NULL || (*at)->heard < (*oldest)->heard))
            oldest = at;
    }
    if (oldest != NULL)
        close_connection(*oldest);
    return oldest;
}

static int start_connection(nf_control *c, int fd, connection *peer)
{
    peer->control = c;
    peer->fd = fd;
    peer->heard = ++c->nevents;
    if (uv_poll_init(c->loop, &peer->poll, fd) != 0)
        return -1;
    peer->poll.data = peer;
    c->nhandles++;
    uv_unref((uv_handle_t *)&peer->poll);
    return 0;
}

static void take_in(nf_control *c, int fd)
{
    connection **at = same_user(fd) ? make_room(c) : NULL;
    connection *peer = at == NULL ? NULL : nf_calloc(1, sizeof *peer);
    if (peer == NULL || start_connection(c, fd, peer) != 0) {
        nf_free(peer);
        close(fd);
        return;
    }
    *at = peer;
    wait_for_peer(peer);
}

static void on_caller(uv_poll_t *poll, int status, int events);

static void on_retry(uv_timer_t *retry)
{
    nf_control *c = retry->data;
    uv_poll_start(&c->poll, UV_READABLE, on_caller);
}

/* Without descriptors callers wait, and would be reported all the time. */
static void on_caller(uv_poll_t *poll, int status, int events)
{
    nf_control *c = poll->data;
    (void)events;
    int fd = status < 0 ? -1 : accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        take_in(c, fd);
    } else if (status < 0 || (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)) {
        uv_poll_stop(poll);
        uv_timer_start(&c->retry, on_retry, RETRY_MS, 0);
    }
}

/* ---- the beginning ---- */

/* Nobody can connect before listen, and by then the socket has the mode it keeps. */
static int listen_there(nf_control *c)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, c->path, strlen(c->path) + 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || fchmod(c->fd, 0600) != 0 || bind(c->fd, (const struct sockaddr *)&at, sizeof at) != 0)
        return errno;
    if (chmod(c->path, 0600) != 0 || lstat(c->path, &c->made) != 0 || listen(c->fd, NF_CONTROL_MOST) != 0)
        return errno;
    return 0;
}

static int start(nf_control *c, nf_error *err)
{
    TRY(nf_runtime_clear(c->path, err));
    int rc = listen_there(c);
    if (rc != 0)
        return nf_fail(err, NF_EIO, "cannot listen at %.150s: %s", c->path, strerror(rc));
    rc = uv_poll_init(c->loop, &c->poll, c->fd);
    if (rc != 0)
        return nf_fail(err, NF_EIO, "cannot listen at %.150s: %s", c->path, uv_strerror(rc));
    uv_timer_init(c->loop, &c->retry);
    c->poll.data = c->retry.data = c;
    c->nhandles = 2;
    uv_poll_start(&c->poll, UV_READABLE, on_caller);
    uv_unref((uv_handle_t *)&c->poll);
    uv_unref((uv_handle_t *)&c->retry);
    return 0;
}

static int choose_path(char out[NF_SOCKET_PATH], const char *path, nf_error *err)
{
    if (path == NULL)
        return nf_runtime_path(out, err);
    if (path[0] == '\0' || strlen(path) >= NF_SOCKET_PATH)
        return nf_fail(err, NF_EINVAL, "the path of a socket has 1 to %d bytes, not '%.120s'", NF_SOCKET_PATH - 1,
                       path);
    memcpy(out, path, strlen(path) + 1);
    return 0;
}

int nf_control_open(nf_control **out, uv_loop_t *loop, const char *path, const nf_outside *outside, nf_error *err)
{
    *out = NULL;
    nf_control *c = nf_calloc(1, sizeof *c);
    if (c == NULL)
        return nf_fail_memory(err, "the control socket");
    c->loop = loop;
    c->outside = *outside;
    c->fd = -1;
    int rc = choose_path(c->path, path, err);
    if (rc == 0)
        rc = start(c, err);
    if (rc == 0) {
        *out = c;
        return 0;
    }
    if (c->made.st_ino != 0)
        remove_socket(c);
    if (c->fd >= 0)
        close(c->fd);
    nf_free(c);
    return rc;
}

const char *nf_control_path(const nf_control *c)
{
    return c->path;
}
