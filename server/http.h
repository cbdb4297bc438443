/* SPDX-License-Identifier: BSD-3-Clause
 *
 * http.h - a running server in a browser, and for Prometheus. Read only.
 *
 *     /              a page that draws itself anew each second (page.html)
 *     /status.json   the snapshot
 *     /metrics       the same for Prometheus
 *
 * The protocol is libmicrohttpd's, polled by our loop: no thread is started and nothing here keeps the loop running.
 * Only this machine is answered unless remote ones are allowed, and only under a name that is its own, so that no page
 * of somebody else's can have a browser read ours (DNS rebinding).
 */
#ifndef NF_SERVER_HTTP_H
#define NF_SERVER_HTTP_H

#include <stdbool.h>
#include <uv.h>

#include "base/status.h"
#include "server/outside.h"

typedef struct nf_http nf_http;

/** Listens at `where`, HOST:PORT or [IPv6]:PORT; port 0 is any that is free. `outside` is copied. NF_EINVAL: no such
 *  address, or one that others can reach and allow_remote is false; NF_EIO: it is taken; *out is NULL then. */
int nf_http_open(nf_http **out, uv_loop_t *loop, const char *where, bool allow_remote, const nf_outside *outside,
                 nf_error *err);
int nf_http_port(const nf_http *h);
/** "http://127.0.0.1:9090/" */
const char *nf_http_url(const nf_http *h);
/** Closes all; h is freed by the loop in its next turn. NULL is fine. */
void nf_http_close(nf_http *h);

#endif
