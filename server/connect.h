/* SPDX-License-Identifier: BSD-3-Clause
 *
 * connect.h - how a link gets its socket: by calling a driver until it is there, or from a client that has called.
 */
#ifndef NF_SERVER_CONNECT_H
#define NF_SERVER_CONNECT_H

#include "server/link.h"

/** Calls the driver at the link's place after delay_ms, again and again until it listens or the deadline is over. */
void nf_connect_start(nf_link *link, uint64_t delay_ms, uint64_t deadline_ms);
/** Takes the connection that a listening handle has to give. */
void nf_connect_accept(nf_link *link, uv_stream_t *listener);
/** Takes a connected socket, which is the link's from here on. */
void nf_connect_adopt(nf_link *link, int fd);

#endif
