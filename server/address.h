/* SPDX-License-Identifier: BSD-3-Clause
 *
 * address.h - where a driver listens: unix:NAME, unix:/path, tcp:HOST:PORT; shm:NAME and shm:/path are unix sockets too,
 * beside which the numbers go through shared memory.
 */
#ifndef NF_SERVER_ADDRESS_H
#define NF_SERVER_ADDRESS_H

#include <netdb.h>
#include <sys/socket.h>

#include "base/status.h"

enum { NF_ADDRESS_MOST = 8 };

typedef struct {
    const char *text;                            /* as given; borrowed */
    bool local;                                  /* unix socket */
    bool shared;                                 /* local, with i-PI's mode='shm' */
    char path[108];                              /* local: of the socket */
    char host[256], port[16];                    /* else */
    int nto;                                     /* else: what the host resolves to, */
    struct sockaddr_storage to[NF_ADDRESS_MOST]; /* as localhost to ::1 and 127.0.0.1: tried in turn */
} nf_address;

/** Is the argument meant as an address? */
bool nf_address_looks(const char *text);
/** Parses, and resolves a host. NF_EINVAL says what is wrong. */
int nf_address_parse(nf_address *out, const char *text, nf_error *err);
/** Writes the <ffsocket> block for i-PI's input to `out` (size bytes); `exits`: i-PI ends when a link is closed. */
void nf_address_ffsocket(const nf_address *address, bool exits, char *out, size_t size);

#endif
