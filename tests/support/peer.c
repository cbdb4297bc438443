/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* usleep */
#include "peer.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TURNS = 5000, PIECE = 65536 };

void peer_turn(uv_loop_t *loop)
{
    for (int i = 0; i < 4; i++)
        uv_run(loop, UV_RUN_NOWAIT);
}

static void connect_to(peer *p, uv_loop_t *loop, const struct sockaddr *to, socklen_t n)
{
    *p = (peer){.loop = loop, .fd = socket(to->sa_family, SOCK_STREAM, 0), .heard = calloc(1, 1)};
    ck_assert_msg(connect(p->fd, to, n) == 0, "%s", strerror(errno));
    fcntl(p->fd, F_SETFL, O_NONBLOCK);
    peer_turn(loop);
}

void peer_connect_unix(peer *p, uv_loop_t *loop, const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, path, strlen(path) + 1);
    connect_to(p, loop, (const struct sockaddr *)&to, sizeof to);
}

void peer_connect_tcp(peer *p, uv_loop_t *loop, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect_to(p, loop, (const struct sockaddr *)&to, sizeof to);
}

void peer_say_bytes(peer *p, const char *bytes, size_t n)
{
    (void)!send(p->fd, bytes, n, MSG_NOSIGNAL);
    peer_turn(p->loop);
}

void peer_say(peer *p, const char *text)
{
    peer_say_bytes(p, text, strlen(text));
}

static void hear_once(peer *p)
{
    char *bigger = realloc(p->heard, p->n + PIECE + 1);
    ck_assert_ptr_nonnull(bigger);
    p->heard = bigger;
    ssize_t n = recv(p->fd, p->heard + p->n, PIECE, 0);
    p->ended = n == 0 || (n < 0 && errno != EAGAIN);
    p->n += n > 0 ? (size_t)n : 0;
    p->heard[p->n] = '\0';
    if (n < 0 && !p->ended)
        usleep(1000);
}

bool peer_hear(peer *p, const char *text)
{
    for (int i = 0; i < TURNS; i++) {
        peer_turn(p->loop);
        hear_once(p);
        if (text != NULL && strstr(p->heard, text) != NULL)
            return true;
        if (p->ended)
            return text == NULL;
    }
    return false;
}

void peer_forget(peer *p)
{
    p->n = 0;
    p->heard[0] = '\0';
}

void peer_close(peer *p)
{
    close(p->fd);
    free(p->heard);
    peer_turn(p->loop);
}
