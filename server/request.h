/* SPDX-License-Identifier: BSD-3-Clause
 *
 * request.h - the structures of one POSDATA message, their evaluation and the reply in bytes.
 *
 * The one place where Bohr and Hartree become Angstrom and eV and back.
 */
#ifndef NF_SERVER_REQUEST_H
#define NF_SERVER_REQUEST_H

#include "protocol/ipi.h"
#include "server/extras.h"

typedef struct nf_request {
    struct nf_link *link;    /* whose it is */
    struct nf_request *next; /* in a queue */
    size_t natoms, nstructures;
    double *pos;         /* [nstructures][natoms][3] Angstrom */
    double (*forces)[3]; /* the same, eV/Angstrom; atomic units once encoded */
    double *member_energy, (*member_forces)[3], (*member_virial)[9]; /* [nstructures][members ...] */
    nf_frame *frames;
    nf_result *results;
    nf_job *jobs;
    size_t njobs; /* structures that differ: a batch is filled up with copies of its last one */
    size_t ndone;
    int code; /* of the first job that failed */
    nf_error err;
    unsigned char *reply; /* the whole FORCEREADY message */
    size_t nreply;
    nf_extras_buffer extras; /* of all structures, one behind the other ... */
    size_t *extras_begin;    /* [nstructures + 1] ... from here on */
    ipi_reply *wire;         /* [nstructures] */
    size_t cap_pos, cap_forces, cap_member_energy, cap_member_forces, cap_member_virial, cap_frames, cap_results,
        cap_jobs, cap_reply, cap_extras_begin, cap_wire;
} nf_request;

/* Memory grows with what has arrived: the announcement of a batch reserves nothing. */

/** Begins nstructures structures. */
void nf_request_begin(nf_request *r, const nf_run_options *options, size_t nstructures);
/** Takes the cell of structure k from the wire, in order. NF_ENOMEM. */
int nf_request_cell(nf_request *r, size_t k, const double h[9], nf_error *err);
/** Takes `count` doubles of positions from the wire, from number `first` on, in order. NF_ENOMEM. */
int nf_request_positions(nf_request *r, size_t first, size_t count, const unsigned char *payload, nf_error *err);
/** All have come: makes the jobs, with room for what options want. NF_ENOMEM. */
int nf_request_complete(nf_request *r, const nf_run_options *options, nf_calc *calc, nf_error *err);
/** Writes the reply of a finished request. NF_ENOMEM, NF_ELIMIT. */
int nf_request_encode(nf_request *r, const nf_run_options *options, nf_error *err);
void nf_request_free(nf_request *r);

#endif
