/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link.h - one connection to a driver: a small state machine between its socket and the schedule.
 *
 *     CONNECTING -> WANT_INIT -> READY -> FILLING -> BUSY -> HAVE_DATA -> READY ...        any -> CLOSED
 *
 * The first STATUS is answered NEEDINIT, because only then do drivers send INIT (parameters, batch_size); structures
 * may come without one. In BUSY, STATUS and GETFORCE wait for the result; what comes after a second POSDATA stays
 * unread until the request is back and its reply is out.
 */
#ifndef NF_SERVER_LINK_H
#define NF_SERVER_LINK_H

#include <uv.h>

#include "server/replicas.h"
#include "server/request.h"

struct nf_server;

typedef enum {
    NF_LINK_CONNECTING,
    NF_LINK_WANT_INIT,
    NF_LINK_READY,
    NF_LINK_FILLING,
    NF_LINK_BUSY,
    NF_LINK_HAVE_DATA,
    NF_LINK_CLOSED,
    NF_LINK_NSTATES
} nf_link_state;

enum { NF_LINK_BUFFER = 1 << 18 };

typedef struct nf_link {
    struct nf_server *server;
    const nf_address *address;
    int number; /* in messages, from 1 */
    bool extra; /* opened in the hope that the driver takes it: its failure is none */
    nf_link_state state;
    bool open;                /* the handle is initialised and not closing */
    bool heard;               /* the driver has sent something */
    bool ipi;                 /* it sent an INIT as i-PI does: it takes more links */
    bool used;                /* it has sent a structure */
    bool judged;              /* a structure with these species has been */
    nf_link_options *options; /* of what comes next */
    nf_replicas replicas;
    bool force_wanted, writing, paused;
    int status_held;          /* STATUS that wait for the result */
    int ready_owed;           /* STATUS that came after GETFORCE: answered behind the forces */
    uint32_t next_structures; /* of the POSDATA that waits while paused */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } socket;
    uv_timer_t retry;
    uv_connect_t connect;
    uv_write_t write;
    uint64_t deadline; /* for the connection, ms of the loop's clock */
    bool said_waiting, said_options;
    int attempts; /* to connect */
    ipi_dec decoder;
    nf_request request;
    nf_shm shm;
    size_t begin, end; /* of what was read and not yet decoded */
    unsigned char buffer[NF_LINK_BUFFER];
} nf_link;

/** Begins to connect, until deadline_ms if the driver is not there yet. */
void nf_link_start(nf_link *link, uint64_t deadline_ms);
/** The request is back from the schedule. */
void nf_link_result(nf_link *link);
/** Closes without an error. */
void nf_link_close(nf_link *link);

/* What a link tells its server (run.c). */
void nf_server_log(struct nf_server *server, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const nf_run_options *nf_server_options(struct nf_server *server);
uv_loop_t *nf_server_loop(struct nf_server *server);
nf_calc *nf_server_calc(struct nf_server *server);
/** What holds where no INIT says otherwise. */
nf_link_options *nf_server_defaults(struct nf_server *server);
/** INIT has a key that nobody knows; `meant`: NULL or what it looks like. */
void nf_server_unknown_key(struct nf_server *server, const char *key, const char *meant);
/** The structures of link->request are complete. */
void nf_server_ready(struct nf_server *server, nf_link *link);
/** The link is closed; code and text are 0 and NULL after a regular end. */
void nf_server_closed(struct nf_server *server, nf_link *link, int code, const char *text);

#endif
