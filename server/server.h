/* SPDX-License-Identifier: BSD-3-Clause
 *
 * server.h - what the parts of a running server share. All of it belongs to the loop thread.
 */
#ifndef NF_SERVER_SERVER_H
#define NF_SERVER_SERVER_H

#include <time.h>

#include "server/place.h"
#include "server/schedule.h"

enum { NF_SERVER_LINKS = 1024, NF_SERVER_UNKNOWN = 16 };

typedef struct nf_server {
    const nf_run_options *options;
    nf_calc_opts calc_options;
    uv_loop_t loop;
    uv_check_t check;     /* after each poll: what became ready goes out as one list; */
    uv_prepare_t prepare; /* before it: what became ready since */
    uv_async_t wake;      /* the compute side has something */
    uv_timer_t grace;     /* who is leaving does not wait for ever */
    int ngrace;           /* times it has rung */
    uv_signal_t signals[2];
    nf_schedule *schedule;
    nf_service *services;
    nf_place *places;
    struct nf_record *record;
    struct nf_control *control;
    struct nf_http *http;
    bool playing;      /* a replay is under way */
    nf_request *ready; /* in this turn of the loop */
    nf_link *links;    /* that are not freed */
    int nlinks, nopen; /* since the start, and now */
    int nlive;         /* that are not freed: closed ones may have structures under way */
    int nfailures;
    uint64_t nsteps, nstructures; /* of links that are gone; structures are those that were evaluated */
    uint64_t waiting, computing;  /* ns, the same */
    int nunknown;                 /* keys of INIT that were warned of */
    char unknown[NF_SERVER_UNKNOWN][40];
    time_t started;
    uint64_t started_ns;
    bool leaving;   /* a signal said so */
    bool abandoned; /* nobody is left: the loop is being closed */
    int code;       /* the first failure */
    nf_error *err;
} nf_server;

void nf_server_log(nf_server *server, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** A new link of a place; NULL without memory or beyond NF_SERVER_LINKS. */
nf_link *nf_server_add_link(nf_server *server, nf_place *place, bool extra);
/** INIT has a key that nobody knows; `meant`: NULL or what it looks like. */
void nf_server_unknown_key(nf_server *server, const char *key, const char *meant);
/** The structures of link->request are complete. */
void nf_server_ready(nf_server *server, nf_link *link);
/** The link is closed; code and text are 0 and NULL after a regular end. */
void nf_server_closed(nf_server *server, nf_link *link, int code, const char *text);
/** Frees a closed link if nothing of it is away. */
void nf_server_settle(nf_server *server, nf_link *link);
/** Ends the loop if no link is open and no place will open one. */
void nf_server_end_if_idle(nf_server *server);
/** Nanoseconds of a clock that only goes forward. */
uint64_t nf_server_clock(void);

#endif
