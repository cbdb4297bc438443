/* SPDX-License-Identifier: BSD-3-Clause
 *
 * run.h - the force server: takes structures from drivers, answers energies, forces, virials.
 *
 *     loop thread      sockets, codec, states, time; never computes, never blocks
 *     compute side     the team's threads, patch after patch of all requests under way
 *
 * A place (place.h) is an address with the model that serves there; a link (link.h) is one connection. A link hands a
 * request over when its structures are complete; the compute side hands it back with the reply encoded. Between these
 * two moments the request belongs to the compute side alone.
 */
#ifndef NF_SERVER_RUN_H
#define NF_SERVER_RUN_H

#include "nearfar/nearfar.h"
#include "server/address.h"
#include "server/service.h"

enum { NF_RUN_PLACES = 64 };

typedef enum {
    NF_EXTRAS_BY_MODEL = -1, /* the summary for a committee, none for a single model */
    NF_EXTRAS_NONE,
    NF_EXTRAS_SUMMARY,
    NF_EXTRAS_COMMITTEE
} nf_extras;

/** An address and what holds there unless an INIT says otherwise. */
typedef struct {
    nf_address address;
    size_t service;     /* number of the model */
    size_t natoms;      /* 0: only the INIT of each link says which elements */
    const int *species; /* [natoms] */
    bool trust_species; /* first frames are not judged */
    bool pbc[3];
    int links; /* 0: as many as the driver uses */
    nf_extras extras;
    const char *driver_dir; /* where i-PI looks for the file EXIT that stops it; NULL: not known */
} nf_place_options;

typedef struct {
    const char *command; /* for people: "run", "listen" */
    size_t nservices;
    const nf_service_options *services;
    size_t nplaces; /* at most NF_RUN_PLACES */
    const nf_place_options *places;
    bool listen;    /* the places are ours: drivers connect */
    bool reconnect; /* a driver that is gone may come again */
    double wait;    /* seconds to wait for a driver; negative: for ever */
    int threads;
    double skin;
    const char *control;      /* path of the control socket; NULL: the default place; "": none */
    const char *http;         /* HOST:PORT; NULL: none */
    bool allow_remote;        /* http and listen may be reached from other machines */
    const char *record;       /* file for the traffic; NULL: none */
    struct nf_replay *replay; /* opened: its drivers are played instead of connecting to any; NULL: none */
    nf_log_fn *log;
    void *log_ctx;
} nf_run_options;

/** Serves until all links are closed and none can come any more. 0: every driver said EXIT or closed between steps, or
 *  a signal asked us to leave. NF_EIO: a driver did not come or vanished; NF_EFORMAT: it broke the protocol; other codes:
 *  an evaluation failed. err has the first cause. */
int nf_run(const nf_run_options *options, nf_error *err);

#endif
