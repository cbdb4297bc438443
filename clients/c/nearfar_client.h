/* SPDX-License-Identifier: BSD-3-Clause
 *
 * nearfar_client.h - energies, forces and virials from a `nearfar listen`, for programs in C and C++.
 *
 * Copy nearfar_client.h and nearfar_client.c into your program; they are C99 with POSIX sockets and nothing else.
 *
 *     nf_client c;
 *     int numbers[] = {8, 1, 1};
 *     int rc = nf_client_open(&c, "unix:water", NULL);
 *     if (rc == 0)
 *         rc = nf_client_set_atoms(&c, 3, numbers);
 *     if (rc == 0)
 *         rc = nf_client_evaluate(&c, 1, 3, positions, NULL, &energy, forces, virial);
 *     if (rc != 0)
 *         fprintf(stderr, "%s\n", c.error);
 *     nf_client_close(&c);
 *
 * Lengths are in Angstrom and energies in eV. Functions return 0 or a negative nf_client_code, and then c.error is one
 * sentence. No call takes longer than the timeout, none raises a signal. One client is for one thread at a time; several
 * clients are independent. After a failure, after a restart of the server and after fork() the next call connects anew.
 */
#ifndef NEARFAR_CLIENT_H
#define NEARFAR_CLIENT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    NF_CLIENT_EINVAL = -1,  /* what was asked makes no sense */
    NF_CLIENT_ENOMEM = -2,  /* no memory */
    NF_CLIENT_EIO = -3,     /* nobody listens there, or the connection broke */
    NF_CLIENT_ETIME = -4,   /* no answer within the timeout */
    NF_CLIENT_EPEER = -5,   /* who listens there is no `nearfar listen` */
    NF_CLIENT_EREFUSED = -6 /* the server refused, and c.error is what it said */
} nf_client_code;

/** Zeros and NULL are the defaults. Texts are copied. */
typedef struct {
    const char *model;  /* name of one of the models that are served; NULL: the first */
    const char *extras; /* "none", "summary" or "committee"; NULL: as the server was told */
    double timeout;     /* seconds for one call, all of it but the resolution of a host's name; 0: 60 */
    double wait;        /* seconds to wait, when connecting, for a server that is not there yet */
} nf_client_options;

typedef struct {
    char error[600]; /* of the last call: one sentence, or "" */
    struct nf_client_state *state;
} nf_client;

/** Takes note of where the server is and does not call it yet. address: unix:NAME (the socket /tmp/ipi_NAME), unix:/path
 *  or tcp:HOST:PORT, with an IPv6 address in brackets. options may be NULL. Also after a failure nf_client_close may be
 *  called. NF_CLIENT_EINVAL, NF_CLIENT_ENOMEM. */
int nf_client_open(nf_client *c, const char *address, const nf_client_options *options);

/** The elements of the atoms in the order of their positions, as atomic numbers; at any time, for the calls that follow.
 *  NF_CLIENT_EINVAL, NF_CLIENT_ENOMEM. */
int nf_client_set_atoms(nf_client *c, size_t natoms, const int atomic_numbers[]);

/** The same as a list, "O H H * 64"; NULL: as the server was told by --species. */
int nf_client_set_species(nf_client *c, const char *list);

/** Connects, so that what is wrong is known before the first structure. Not needed: nf_client_evaluate does it. */
int nf_client_connect(nf_client *c);

/** Energies, forces and virials of n structures of the same natoms atoms; the server computes them side by side.
 *
 *  positions[n][natoms][3]  in   Angstrom
 *  cells[n][3][3]           in   Angstrom, lattice vectors are rows; a vector of zeros: not periodic there. NULL: no cells
 *  energies[n]              out  eV
 *  forces[n][natoms][3]     out  eV/Angstrom; may be NULL
 *  virials[n][3][3]         out  eV, -dE/dstrain, not divided by the volume, symmetric; may be NULL
 *
 *  After a failure what was to be filled is undefined, and the connection is closed. All codes. */
int nf_client_evaluate(nf_client *c, size_t n, size_t natoms, const double *positions, const double *cells,
                       double *energies, double *forces, double *virials);

/** What the server said of one structure of the last call besides: JSON in atomic units (`energy_std` in Hartree), or one
 *  blank; "" where there is no such structure. Good until the next call. length may be NULL. */
const char *nf_client_extras(const nf_client *c, size_t structure, size_t *length);

/** Says goodbye and frees everything. A client that is all zeros or closed may be closed too. */
void nf_client_close(nf_client *c);

#ifdef __cplusplus
}
#endif

#endif
