/* SPDX-License-Identifier: BSD-3-Clause
 *
 * run.h - the force server: connects to drivers, takes structures, answers energies, forces, virials.
 *
 *     loop thread      sockets, codec, states, time; never computes, never blocks
 *     compute side     the team's threads, patch after patch of all requests under way
 *
 * A link (link.h) hands a request over when its structures are complete; the compute side hands it back with
 * the reply encoded. Between these two moments the request belongs to the compute side alone.
 */
#ifndef NF_SERVER_RUN_H
#define NF_SERVER_RUN_H

#include "nearfar/nearfar.h"
#include "server/address.h"

enum { NF_RUN_ADDRESSES = 16 };

typedef enum { NF_EXTRAS_NONE, NF_EXTRAS_SUMMARY, NF_EXTRAS_COMMITTEE } nf_extras;

typedef struct {
    nf_model *model;
    size_t naddresses; /* at most NF_RUN_ADDRESSES */
    const nf_address *addresses;
    size_t natoms;      /* 0: only the INIT of each link says which elements */
    const int *species; /* [natoms] */
    bool trust_species; /* first frames are not judged */
    bool pbc[3];
    int links;   /* to each address; 0: as many as the driver uses */
    double wait; /* seconds to wait for a driver */
    nf_extras extras;
    int threads;
    double skin;
    nf_log_fn *log;
    void *log_ctx;
} nf_run_options;

/** Serves until all links are closed. 0: every driver said EXIT or closed between steps. NF_EIO: a driver did not
 *  come or vanished; NF_EFORMAT: it broke the protocol; other codes: an evaluation failed. err has the first cause. */
int nf_run(const nf_run_options *options, nf_error *err);

#endif
