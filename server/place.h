/* SPDX-License-Identifier: BSD-3-Clause
 *
 * place.h - an address: who serves there, whether somebody is there, and when to call again.
 *
 * Either a driver listens and we call it, with as many links as it has work for, or we listen and clients call us.
 *
 *     calling     waiting -> connected -> done             with --reconnect: waiting again, more and more slowly
 *     listening   listening -> done
 */
#ifndef NF_SERVER_PLACE_H
#define NF_SERVER_PLACE_H

#include "server/link.h"

typedef struct nf_place {
    struct nf_server *server;
    const nf_place_options *options;
    nf_link_options *defaults; /* of its links */
    int nopen;                 /* links that are not closed */
    bool said_waiting;         /* since the last connection */
    bool reached;              /* a driver was there once */
    bool full;                 /* the driver took no further link, or is done */
    bool done;                 /* nobody is called any more */
    int useful;                /* links that the driver certainly has work for */
    int later;                 /* links to open one by one, when the one before has its shared memory */
    uint64_t backoff_ms;       /* before the driver is called again */
    uint64_t since;            /* ms of the loop's clock: the present state */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } listener;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } refused;          /* takes a connection that cannot be served */
    bool refusing;      /* it is in use, ... */
    bool refuses_again; /* ... and wanted once more */
} nf_place;

/** Opens its first links, or begins to listen. NF_EIO, NF_ENOMEM, NF_ELIMIT. */
int nf_place_start(nf_place *place, nf_error *err);
/** Stops listening and calling; links are left alone. */
void nf_place_stop(nf_place *place);
/** One line, once, about a driver that is not there. */
void nf_place_waits(nf_place *place);
/** A driver took a link. */
void nf_place_reached(nf_place *place);
/** A link of the place was closed: calls the driver again, or is done. */
void nf_place_lost(nf_place *place, const nf_link *link);
/** A structure has come: what does it say about the number of links that are of use? */
void nf_place_watch(nf_place *place, nf_link *link);
/** Opens one more link if all are busy and there are replicas for one more. */
void nf_place_add_extra(nf_place *place);
/** The last link has its shared memory: opens the next one. */
void nf_place_next(nf_place *place);
/** Lets i-PI end in order: its next look finds a file EXIT. */
void nf_place_stop_driver(nf_place *place);
/** "waiting", "connected", "listening", "done". */
const char *nf_place_state(const nf_place *place);

#endif
