/* SPDX-License-Identifier: BSD-3-Clause
 *
 * peer.h - the other end of a socket whose server runs in a loop of the same thread: each call turns the loop.
 */
#ifndef NF_TEST_PEER_H
#define NF_TEST_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

typedef struct {
    uv_loop_t *loop;
    int fd;
    size_t n; /* of what was heard, which has a zero behind it */
    bool ended;
    char *heard;
} peer;

/** Some turns of the loop, without waiting for long. */
void peer_turn(uv_loop_t *loop);
void peer_connect_unix(peer *p, uv_loop_t *loop, const char *path);
/** To 127.0.0.1. */
void peer_connect_tcp(peer *p, uv_loop_t *loop, int port);
/** As much as the server takes, at once. */
void peer_say_bytes(peer *p, const char *bytes, size_t n);
void peer_say(peer *p, const char *text);
/** Hears until `text` has come, or the end (`text` NULL), for up to five seconds; false: it did not come. */
bool peer_hear(peer *p, const char *text);
void peer_forget(peer *p);
void peer_close(peer *p);

#endif
