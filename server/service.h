/* SPDX-License-Identifier: BSD-3-Clause
 *
 * service.h - a model that is served under a name, and its exchange for another one while structures are under way.
 *
 *     service -> generation 1 {model, calculator} <- requests that began with it
 *             -> generation 2                       once loaded, tried and swapped in, between two requests
 *
 * A generation lives until the last request that began with it is back. All of it belongs to the loop thread, but for
 * the loading, which has a thread of its own.
 */
#ifndef NF_SERVER_SERVICE_H
#define NF_SERVER_SERVICE_H

#include <uv.h>

#include "base/status.h"

/** A model as the command line names it. */
typedef struct {
    const char *name;
    size_t npaths;
    const char *const *paths; /* members of a committee */
    nf_units units;           /* of files without units */
    nf_model *model;          /* loaded; the service takes a reference */
} nf_service_options;

typedef struct nf_generation {
    int owners, number; /* number: from 1 */
    nf_model *model;
    nf_calc *calc;
    char *source; /* the path it was loaded from by a reload; NULL: those of the options */
} nf_generation;

typedef struct nf_service {
    const nf_service_options *options;
    const nf_calc_opts *calc_options;
    /** Marks the atomic numbers that links use with this model. */
    void (*elements_in_use)(const struct nf_service *service, bool element[128]);
    void *ctx; /* of elements_in_use */
    nf_generation *now;
    long nbuilds;            /* neighbour lists of generations that are gone */
    struct nf_reload *under; /* a load is under way */
} nf_service;

/** Makes the calculator of a loaded model. All arguments are borrowed. NF_ENOMEM. */
int nf_service_open(nf_service *service, const nf_service_options *options, const nf_calc_opts *calc_options,
                    nf_error *err);
/** No request may be under way, and no reload. All zero is fine. */
void nf_service_close(nf_service *service);

/** One more owner of what serves now. */
nf_generation *nf_service_current(nf_service *service);
/** One owner less; NULL is fine. */
void nf_service_release(nf_service *service, nf_generation *generation);
/** Neighbour lists built so far, over all generations. */
long nf_service_nbuilds(const nf_service *service);
/** Are all elements one to the model, so that nobody needs to name them? */
bool nf_service_any_species(const nf_service *service);
/** NF_EINVAL names the first atom whose element the model does not know. */
int nf_service_check_species(const nf_model *model, size_t natoms, const int *species, nf_error *err);

/** What a new model is tried on before it serves. */
typedef struct {
    bool element[128]; /* atomic numbers that links use: the model has to know them */
    size_t natoms;     /* 0: no structure was seen */
    double (*pos)[3];  /* own, by nf_calloc: the reload frees them */
    int *species;
    double cell[3][3];
    bool pbc[3];
} nf_trial;

/** Loads `path` (NULL: the files it came from) on a thread of its own, and swaps it in if it does for the trial, which
 *  the call takes over. done is called once, on the loop thread: code 0 and what serves now, or the reason why nothing
 *  has changed. One reload at a time. */
void nf_service_reload(nf_service *service, uv_loop_t *loop, const char *path, nf_trial *trial,
                       void (*done)(void *ctx, int code, const char *text), void *ctx);
/** A reload under way is forgotten: done is called with NF_EINVAL, now. */
void nf_service_forget_reload(nf_service *service);

#endif
