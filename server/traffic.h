/* SPDX-License-Identifier: BSD-3-Clause
 *
 * traffic.h - recordings of a running server, and a server that is played one: what record.h and replay.h have to know
 * about it.
 */
#ifndef NF_SERVER_TRAFFIC_H
#define NF_SERVER_TRAFFIC_H

#include "server/server.h"

/** Begins a recording, or a replay, as the options say. NF_EIO, NF_EINVAL, NF_ENOMEM. */
int nf_traffic_start(nf_server *server, nf_error *err);
/** Ends both; a recording is written to its end. */
void nf_traffic_end(nf_server *server);
/** Is a replay under way, so that more links may come? */
bool nf_traffic_playing(const nf_server *server);
/** A link of a replay was closed. */
void nf_traffic_closed(nf_server *server, const nf_link *link, int code, const char *text);

/* What a link tells the recording, if there is one. */
void nf_traffic_link(const nf_link *link);
void nf_traffic_received(const nf_link *link, const void *bytes, size_t n);
void nf_traffic_sent(const nf_link *link, const void *bytes, size_t n);

#endif
