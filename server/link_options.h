/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link_options.h - what the text of INIT may ask for its link. It wins over the command line.
 *
 *     species : O H H * 64 , extras : summary , , batch_size:8     <parameters> of i-PI and what i-PI appends
 *     {"species": ["O", "H", "H"], "extras": "summary"}            a JSON object, from drivers that can choose
 *
 * The keys are a table in link_options.c: one text feeds parsing, help and the list in a warning. Each INIT counts on
 * its own: what it does not name is as on the command line.
 */
#ifndef NF_SERVER_LINK_OPTIONS_H
#define NF_SERVER_LINK_OPTIONS_H

#include "server/run.h"

enum {
    NF_LINK_BATCH_MOST = 65536,   /* structures in a POSDATA */
    NF_LINK_ATOMS_MOST = 10000000 /* in the species of an INIT, whose 30 bytes could ask for gigabytes */
};

/** Immutable once made, so that links share it and a request keeps it while an INIT changes its link. */
typedef struct nf_link_options {
    int owners;
    nf_service *service; /* the model */
    nf_extras extras;
    size_t natoms;      /* 0: not known */
    const int *species; /* [natoms] atomic numbers: the command line's, or own */
    int *own;
    bool any; /* own is made up: any element will do */
    bool pbc[3];
    double charge;      /* of the whole system, elementary charges */
    int batch;          /* structures in each POSDATA */
    bool trust_species; /* first structures are not judged */
} nf_link_options;

/** Where an INIT comes from. */
typedef struct {
    size_t nservices; /* that it may ask for */
    nf_service *services;
    bool local; /* over a unix socket: it may name files */
    /** A key that is not in the table, printable; `meant` is NULL or what it looks like. */
    void (*unknown)(void *ctx, const char *key, const char *meant);
    void *ctx;
} nf_link_origin;

/** As the command line says for a place, with its model. NF_ENOMEM. */
int nf_link_options_new(nf_link_options **out, const nf_place_options *place, nf_service *service, nf_error *err);
/** The same options for a system of natoms atoms whose elements make no difference. NF_ENOMEM. */
int nf_link_options_any(nf_link_options **out, const nf_link_options *options, size_t natoms, nf_error *err);
/** Defaults, and over them what `text` asks for. NF_EFORMAT, NF_EINVAL, NF_EUNSUPPORTED, NF_EIO, NF_ELIMIT, NF_ENOMEM:
 *  err names key and value in printable ASCII, and *out is NULL. */
int nf_link_options_read(nf_link_options **out, nf_link_options *defaults, const char *text,
                         const nf_link_origin *origin, nf_error *err);
/** Does the text of an INIT ask for ERROR messages, whatever else it says? */
bool nf_link_wants_errors(const char *text);
/** One more owner, one owner less (NULL is fine). Both on one thread only. */
nf_link_options *nf_link_options_ref(nf_link_options *options);
void nf_link_options_free(nf_link_options *options);

/** Key number i of the table and its help; NULL behind the last. */
const char *nf_link_options_key(size_t i, const char **help);

#endif
