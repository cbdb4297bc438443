/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link.h - one connection to a driver: a small state machine between its socket and the schedule.
 *
 *     CONNECTING -> WANT_INIT -> READY -> FILLING -> BUSY -> HAVE_DATA -> READY ...        any -> CLOSED
 *
 * The first STATUS is answered NEEDINIT, because only then do drivers send INIT (parameters, batch_size); structures
 * may come without one. In BUSY, STATUS and GETFORCE wait for the result; what comes after a second POSDATA stays
 * unread until the request is back and its reply is out.
 *
 * Who called whom is forgotten once a link is open: connect.c makes links that call a driver and links that a client
 * has called. A closed link is freed when its handles and its request have come back.
 */
#ifndef NF_SERVER_LINK_H
#define NF_SERVER_LINK_H

#include <uv.h>

#include "server/meter.h"
#include "server/replicas.h"
#include "server/request.h"

struct nf_server;
struct nf_place;

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

enum { NF_LINK_BUFFER = 1 << 16 };

typedef struct nf_link {
    struct nf_server *server;
    struct nf_place *place;
    struct nf_link *next; /* of the server's */
    int number;           /* in messages, from 1 */
    bool extra;           /* opened in the hope that the driver takes it: its failure is none */
    bool accepted;        /* the peer has called us */
    nf_link_state state;
    int nhandles;     /* of libuv, that are not closed yet */
    bool open;        /* the socket's handle is initialised and not closing */
    bool away;        /* the request is with the compute side */
    bool heard;       /* the driver has sent something */
    bool ipi;         /* it sent an INIT as i-PI does: it takes more links */
    bool used;        /* it has sent a structure */
    bool judged;      /* a structure with these species has been */
    bool errors;      /* the peer wants to be told why its link is closed */
    bool opened;      /* there was a connection */
    bool finishing;   /* we are leaving: closes once the answer that is owed has left */
    bool exited;      /* the driver has said EXIT behind GETFORCE: nothing more comes, and its forces are owed */
    bool asked_twice; /* GETFORCE came twice for one structure: an error, once the first is answered */
    nf_link_options *options; /* of what comes next */
    nf_replicas replicas;
    bool force_wanted, writing, paused;
    size_t init_atoms;        /* named by INIT since the last answer */
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
    uint64_t deadline; /* for the connection, ms of the loop's clock; UINT64_MAX: none */
    bool said_options;
    int attempts; /* to connect */
    nf_meter meter;
    double energy, energy_std; /* eV, of the structure answered last */
    long nextrapolated;
    ipi_dec decoder;
    nf_request request;
    nf_shm shm;
    size_t begin, end; /* of what was read and not yet decoded */
    unsigned char buffer[NF_LINK_BUFFER];
} nf_link;

/** The socket is connected: begins to listen to the driver. */
void nf_link_opened(nf_link *link);
/** The request is back from the schedule. */
void nf_link_result(nf_link *link);
/** Closes without an error. */
void nf_link_close(nf_link *link);
/** Closes with one. */
void nf_link_fail(nf_link *link, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** Closes as soon as no answer is owed: now, or when the one being made has left. */
void nf_link_finish(nf_link *link);
/** For people: "computing". */
const char *nf_link_state_name(nf_link_state state);
/** Frees what a link holds, and itself. */
void nf_link_free(nf_link *link);

#endif
