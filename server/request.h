/* SPDX-License-Identifier: BSD-3-Clause
 *
 * request.h - the structures of one POSDATA message, their evaluation and the reply in bytes.
 *
 * The one place where Bohr and Hartree become Angstrom and eV and back.
 */
#ifndef NF_SERVER_REQUEST_H
#define NF_SERVER_REQUEST_H

#include "kern/kern.h"
#include "protocol/ipi.h"
#include "server/extras.h"
#include "server/link_options.h"
#include "server/shm.h"

typedef struct nf_request {
    struct nf_link *link;    /* whose it is */
    struct nf_request *next; /* in a queue */
    const nf_kern *kern;
    nf_link_options *options; /* as they were when it began */
    nf_generation *with;      /* the model that evaluates it; NULL between requests */
    nf_extras kind;           /* of its extras */
    int abandoned;            /* its link is closed: the compute side need not go on */
    bool judge;               /* the first structure, by nf_job.judge */
    bool shared;              /* it came through shared memory, and goes back there */
    size_t natoms, nstructures;
    double *pos;      /* [nstructures][natoms][3] Angstrom */
    double farthest;  /* no coordinate is beyond it */
    nf_frame *frames; /* [nstructures] */
    size_t njobs;     /* structures that differ: i-PI fills a batch up with copies of its last one */
    size_t *job_of;   /* [nstructures] the job that evaluates it */
    nf_job *jobs;
    nf_result *results;  /* [njobs], as the rest */
    double (*forces)[3]; /* [nstructures][natoms], of structures with a job: in the reply, where they belong, or, to be
                            shared, in shared_forces. eV/Angstrom; atomic units once encoded */
    double *member_energy, (*member_forces)[3], (*member_virial)[9]; /* [members ...] each */
    size_t ndone;
    int code;             /* of the first job that failed, ... */
    const nf_job *failed; /* ... which is this one */
    nf_error err;
    unsigned char *reply; /* the whole FORCEREADY message; shared: without the numbers */
    size_t nreply;
    nf_extras_buffer extras; /* of all jobs, one behind the other ... */
    size_t *extras_begin;    /* [njobs + 1] ... from here on */
    ipi_reply *wire;         /* [nstructures] */
    double (*shared_forces)[3];
    const void *zeros; /* forces that are known to be nzeros zeros */
    size_t nzeros;
    double *shared_small; /* shared: [nstructures] energies, [nstructures][9] virials; while it comes, cells */
    size_t cap_shared_small, cap_shared_forces, cap_pos, cap_member_energy, cap_member_forces, cap_member_virial,
        cap_frames, cap_results, cap_jobs, cap_job_of, cap_reply, cap_extras_begin, cap_wire;
} nf_request;

/* Memory grows with what has arrived: the announcement of a batch reserves nothing. */

/** Begins nstructures structures of a link with these options, and shares them. */
void nf_request_begin(nf_request *r, nf_link_options *options, size_t nstructures, bool judge);
/** Takes the cell of structure k from the wire, in order. NF_ENOMEM. */
int nf_request_cell(nf_request *r, size_t k, const double h[9], nf_error *err);
/** Where positions may be put without nf_request_positions' copy: the array, with room for its first nbytes bytes, which
 *  keep what they have. Good until the next call for r. NULL: NF_ENOMEM. */
double *nf_request_room(nf_request *r, size_t nbytes, nf_error *err);
/** Takes `count` doubles of positions from the wire, from number `first` on, in order; payload NULL: they are in
 *  nf_request_room already. NF_ENOMEM. */
int nf_request_positions(nf_request *r, size_t first, size_t count, const unsigned char *payload, nf_error *err);
/** All have come: makes the jobs, one for each run of equal structures, with room for what the link wants. The model that
 *  serves now will evaluate them, until nf_request_release. NF_ENOMEM. */
int nf_request_complete(nf_request *r, nf_error *err);
/** Evaluates and encodes a complete request right here if its model needs no neighbours; else false, and nothing is done. */
bool nf_request_evaluate_now(nf_request *r);
/** Nobody waits for it any more. */
void nf_request_abandon(nf_request *r);
/** Lets go of the model, on the loop thread. */
void nf_request_release(nf_request *r);
/** Numbers in the members' forces of its extras. */
size_t nf_request_member_numbers(const nf_request *r);
/** Takes cells and positions of all structures from shared memory, instead of the two above. NF_EIO, NF_ENOMEM. */
int nf_request_read(nf_request *r, const nf_shm *shm, nf_error *err);
/** Writes energies, forces and virials of an encoded request to shared memory: before its reply is sent. NF_EIO. */
int nf_request_write(const nf_request *r, const nf_shm *shm, nf_error *err);
/** Writes the reply of a finished request: every structure has its entry. NF_ENOMEM, NF_ELIMIT. */
int nf_request_encode(nf_request *r, nf_error *err);
void nf_request_free(nf_request *r);

#endif
