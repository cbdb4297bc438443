/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* SOCK_NONBLOCK */
#include "server/http.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/metrics.h"
#include "server/page.h"
#include "server/writer.h"

enum {
    MOST_CONNECTIONS = 64,
    IDLE_SECONDS = 20,
    CONNECTION_BYTES = 16384, /* of a request's head */
    HOST_BYTES = 256,
    RETRY_MS = 100,
    FRESH_MS = 50, /* askers in the same moment get the same snapshot: any number of them costs the loop no more */
    NRESOURCES = 3
};

typedef struct MHD_Response response;

struct nf_http {
    uv_loop_t *loop;
    nf_outside outside;
    struct MHD_Daemon *daemon;
    uv_poll_t poll; /* libmicrohttpd's own epoll descriptor, which is ready when one of its sockets is */
    uv_timer_t timer;
    int nhandles; /* that the loop has not let go */
    bool allow_remote;
    int port;
    char host[HOST_BYTES], url[HOST_BYTES + 32];
    response *made[NRESOURCES]; /* the last of each; NULL: none */
    uint64_t made_at[NRESOURCES];
};

/* ---- what there is to see ---- */

static void put_status(nf_http *h, nf_writer *out)
{
    json_t *snapshot = h->outside.status(h->outside.ctx);
    if (snapshot == NULL)
        out->failed = true;
    else
        nf_writer_json(out, snapshot);
    json_decref(snapshot);
}

static void put_metrics(nf_http *h, nf_writer *out)
{
    json_t *snapshot = h->outside.status(h->outside.ctx);
    if (snapshot == NULL)
        out->failed = true;
    else
        nf_metrics(out, snapshot);
    json_decref(snapshot);
}

static void put_page(nf_http *h, nf_writer *out)
{
    (void)h;
    nf_writer_add(out, (const char *)nf_page, nf_page_size);
}

static const struct {
    const char *path, *type;
    void (*put)(nf_http *h, nf_writer *out);
} resources[NRESOURCES] = {
    {"/", "text/html; charset=utf-8", put_page},
    {"/status.json", "application/json", put_status},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", put_metrics},
};

/* ---- responses ---- */

/* Exactly what is in page.html may run or style, by its mark; nothing is loaded from elsewhere. */
static const char policy_format[] =
    "default-src 'none'; style-src 'nonce-%s'; script-src 'nonce-%s'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

enum { MARK = 32 }; /* characters; the page has as many @ in their place */

static int make_mark(char mark[MARK + 1])
{
    unsigned char random[MARK / 2];
    if (getrandom(random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        return -1;
    for (int i = 0; i < MARK / 2; i++)
        snprintf(mark + 2 * i, 3, "%02x", random[i]);
    return 0;
}

static void put_mark(char *page, const char mark[MARK + 1])
{
    char place[MARK + 1];
    memset(place, '@', MARK);
    place[MARK] = '\0';
    for (char *p = page; (p = strstr(p, place)) != NULL; p += MARK)
        memcpy(p, mark, MARK);
}

static void add_headers(response *r, const char *type, const char *mark)
{
    char policy[sizeof policy_format + 2 * (MARK + 1)];
    snprintf(policy, sizeof policy, policy_format, mark, mark);
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Content-Security-Policy", policy);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(r, "Cache-Control", "no-store");
}

/* Takes the text; NULL without memory. */
static response *make_response(nf_writer *body, const char *type)
{
    char mark[MARK + 1];
    response *r = NULL;
    if (!body->failed && make_mark(mark) == 0)
        r = MHD_create_response_from_buffer_with_free_callback(body->n, body->bytes, nf_free);
    if (r == NULL) {
        nf_writer_free(body);
        return NULL;
    }
    if (body->bytes[0] == '<')
        put_mark(body->bytes, mark);
    add_headers(r, type, mark);
    return r;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned code, const char *sentence)
{
    nf_writer body = {0};
    nf_writer_print(&body, "%s\n", sentence);
    response *r = make_response(&body, "text/plain; charset=utf-8");
    if (r == NULL)
        return MHD_NO;
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, "Allow", "GET, HEAD");
    enum MHD_Result rc = MHD_queue_response(c, code, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result show(nf_http *h, struct MHD_Connection *c, int which)
{
    if (h->made[which] == NULL || uv_now(h->loop) - h->made_at[which] > FRESH_MS) {
        nf_writer body = {0};
        if (h->made[which] != NULL)
            MHD_destroy_response(h->made[which]);
        resources[which].put(h, &body);
        h->made[which] = make_response(&body, resources[which].type);
        h->made_at[which] = uv_now(h->loop);
    }
    if (h->made[which] == NULL)
        return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    return MHD_queue_response(c, MHD_HTTP_OK, h->made[which]);
}

/* ---- who may ask ---- */

/* Without the port, which differs where a port is forwarded. */
static bool host_name(const char *header, char out[HOST_BYTES])
{
    const char *end = header[0] == '[' ? strchr(header, ']') : header + strcspn(header, ":");
    if (end == NULL || end - header >= HOST_BYTES)
        return false;
    size_t n = (size_t)(end - header), skip = header[0] == '[';
    memcpy(out, header + skip, n - skip);
    out[n - skip] = '\0';
    return true;
}

/* 0: no address; 1: this machine's own; 2: one that others may reach. */
static int kind_of_address(const char *name)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *found = NULL;
    if (name[0] == '\0' || getaddrinfo(name, NULL, &hints, &found) != 0)
        return 0;
    int kind = 2;
    if (found->ai_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)found->ai_addr;
        kind = ntohl(a->sin_addr.s_addr) >> 24 == 127 ? 1 : 2;
    } else if (found->ai_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)found->ai_addr;
        kind = IN6_IS_ADDR_LOOPBACK(&a->sin6_addr) ? 1 : 2;
    }
    freeaddrinfo(found);
    return kind;
}

static bool is_this_machine(const nf_http *h, const char *name)
{
    char own[HOST_BYTES] = "";
    if (strcasecmp(name, "localhost") == 0 || kind_of_address(name) == 1)
        return true;
    if (!h->allow_remote)
        return false;
    gethostname(own, sizeof own - 1);
    return kind_of_address(name) == 2 || strcasecmp(name, h->host) == 0 || strcasecmp(name, own) == 0;
}

static bool welcome(const nf_http *h, struct MHD_Connection *c)
{
    char name[HOST_BYTES];
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
    return host != NULL && host_name(host, name) && is_this_machine(h, name);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path, const char *method,
                                  const char *version, const char *upload, size_t *nupload, void **state)
{
    nf_http *h = ctx;
    (void)version;
    (void)upload;
    bool first = *state == NULL, harmless = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    *state = h;
    if (harmless &&
        (first || *nupload > 0)) { /* answered when all has come: an answer before that ends the connection */
        *nupload = 0;
        return MHD_YES;
    }
    if (!welcome(h, c))
        return say(c, MHD_HTTP_FORBIDDEN, "the Host of this request is no name of this machine");
    if (!harmless)
        return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
    for (int i = 0; i < NRESOURCES; i++)
        if (strcmp(path, resources[i].path) == 0)
            return show(h, c, i);
    return say(c, MHD_HTTP_NOT_FOUND, "there are /, /status.json and /metrics");
}

/* ---- with the loop ---- */

static void on_timer(uv_timer_t *timer);
static void on_ready(uv_poll_t *poll, int status, int events);

static bool has_descriptors(void)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0), why = errno;
    if (fd >= 0)
        close(fd);
    return fd >= 0 || why != EMFILE;
}

/* Without descriptors callers cannot be taken, and would be reported all the time. */
static void turn(nf_http *h)
{
    MHD_UNSIGNED_LONG_LONG ms;
    MHD_run(h->daemon);
    if (!has_descriptors()) {
        uv_poll_stop(&h->poll);
        uv_timer_start(&h->timer, on_timer, RETRY_MS, 0);
    } else if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
        uv_timer_start(&h->timer, on_timer, ms, 0);
    else
        uv_timer_stop(&h->timer);
}

static void on_timer(uv_timer_t *timer)
{
    nf_http *h = timer->data;
    uv_poll_start(&h->poll, UV_READABLE, on_ready);
    turn(h);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    turn(poll->data);
}

static void on_closed(uv_handle_t *handle)
{
    nf_http *h = handle->data;
    if (--h->nhandles == 0)
        nf_free(h);
}

static int start_handles(nf_http *h, nf_error *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int rc = info == NULL ? UV_EBADF : uv_poll_init(h->loop, &h->poll, info->epoll_fd);
    if (rc != 0)
        return nf_fail(err, NF_EIO, "cannot listen at %.120s: %s", h->url, uv_strerror(rc));
    uv_timer_init(h->loop, &h->timer);
    h->poll.data = h->timer.data = h;
    h->nhandles = 2;
    uv_poll_start(&h->poll, UV_READABLE, on_ready);
    uv_unref((uv_handle_t *)&h->poll);
    uv_unref((uv_handle_t *)&h->timer);
    return 0;
}

/* ---- the beginning ---- */

/* HOST:PORT, or [IPv6]:PORT. */
static int split(const char *where, char host[HOST_BYTES], const char **port, nf_error *err)
{
    const char *colon = strrchr(where, ':');
    char *end = NULL;
    long number = colon == NULL ? -1 : strtol(colon + 1, &end, 10);
    bool good = colon != NULL && colon > where && colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && number <= 65535;
    if (!good || !host_name(where, host) || host[0] == '\0' ||
        (where[0] == '[' ? colon[-1] != ']' : strchr(where, ':') != colon))
        return nf_fail(err, NF_EINVAL, "the address '%.100s' of the page is not HOST:PORT, such as 127.0.0.1:9090",
                       where);
    *port = colon + 1;
    return 0;
}

static int resolve(nf_http *h, const char *where, struct addrinfo **to, nf_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char numeric[HOST_BYTES];
    const char *port = NULL;
    TRY(split(where, h->host, &port, err));
    int rc = getaddrinfo(h->host, port, &hints, to);
    if (rc == 0)
        rc = getnameinfo((*to)->ai_addr, (*to)->ai_addrlen, numeric, sizeof numeric, NULL, 0, NI_NUMERICHOST);
    if (rc != 0)
        return nf_fail(err, NF_EINVAL, "cannot resolve the address '%.100s': %s", where, gai_strerror(rc));
    if (!h->allow_remote && kind_of_address(numeric) != 1)
        return nf_fail(err, NF_EINVAL,
                       "'%.100s' can be reached from elsewhere, and whoever reaches it sees the page: "
                       "take 127.0.0.1:PORT and look through ssh -L",
                       where);
    return 0;
}

static int listen_at(const struct addrinfo *to)
{
    int yes = 1, fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, to->ai_addr, to->ai_addrlen) == 0 && listen(fd, MOST_CONNECTIONS) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static void note_place(nf_http *h, int fd)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    char host[64] = "?", port[8] = "0";
    if (getsockname(fd, (struct sockaddr *)&at, &n) == 0)
        getnameinfo((struct sockaddr *)&at, n, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    h->port = atoi(port);
    bool six = strchr(host, ':') != NULL;
    snprintf(h->url, sizeof h->url, "http://%s%s%s:%s/", six ? "[" : "", host, six ? "]" : "", port);
}

/* The daemon closes fd. */
static int start_daemon(nf_http *h, int fd, nf_error *err)
{
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)MOST_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
                                 MHD_OPTION_END);
    if (h->daemon != NULL)
        return 0;
    close(fd);
    return nf_fail(err, NF_EIO, "cannot start the HTTP server at %.120s", h->url);
}

static int start(nf_http *h, const char *where, nf_error *err)
{
    struct addrinfo *to = NULL;
    int rc = resolve(h, where, &to, err);
    if (rc == 0) {
        int fd = listen_at(to);
        if (fd < 0)
            rc = nf_fail(err, NF_EIO, "cannot listen at %.120s: %s", where, strerror(-fd));
        else
            note_place(h, fd);
        if (rc == 0)
            rc = start_daemon(h, fd, err);
    }
    if (to != NULL)
        freeaddrinfo(to);
    return rc == 0 ? start_handles(h, err) : rc;
}

int nf_http_open(nf_http **out, uv_loop_t *loop, const char *where, bool allow_remote, const nf_outside *outside,
                 nf_error *err)
{
    *out = NULL;
    nf_http *h = nf_calloc(1, sizeof *h);
    if (h == NULL)
        return nf_fail_memory(err, "the page");
    h->loop = loop;
    h->outside = *outside;
    h->allow_remote = allow_remote;
    int rc = start(h, where, err);
    if (rc == 0) {
        *out = h;
        return 0;
    }
    if (h->daemon != NULL)
        MHD_stop_daemon(h->daemon);
    nf_free(h);
    return rc;
}

int nf_http_port(const nf_http *h)
{
    return h->port;
}

const char *nf_http_url(const nf_http *h)
{
    return h->url;
}

void nf_http_close(nf_http *h)
{
    if (h == NULL)
        return;
    uv_close((uv_handle_t *)&h->poll, on_closed);
    uv_close((uv_handle_t *)&h->timer, on_closed);
    MHD_stop_daemon(h->daemon);
    for (int i = 0; i < NRESOURCES; i++)
        if (h->made[i] != NULL)
            MHD_destroy_response(h->made[i]);
}
