/* SPDX-License-Identifier: BSD-3-Clause
 *
 * placement.h - which model serves at which address, from the words of a command line.
 *
 *     run      WATER unix:a,species=w.xyz SLAB1 SLAB2 tcp:localhost:31415,species=s.xyz,extras=none
 *              an address is served by the models named since the last address (several are a committee), or, if there
 *              are none, by the ones before
 *     listen   unix:a WATER slab=SLAB1,SLAB2
 *              clients choose among the models by name
 *
 * A model may be given a name, NAME=PATH; else it is called by the last part of its path.
 */
#ifndef NF_CLI_PLACEMENT_H
#define NF_CLI_PLACEMENT_H

#include <jansson.h>

#include "server/run.h"

enum { PLACEMENT_MODELS = 64, PLACEMENT_PATHS = 1024, PLACEMENT_NAME = 64 };

typedef struct {
    size_t nservices, nplaces, npaths;
    nf_service_options services[PLACEMENT_MODELS];
    char names[PLACEMENT_MODELS][PLACEMENT_NAME];
    const char *paths[PLACEMENT_PATHS]; /* of all models, one after another */
    nf_place_options places[NF_RUN_PLACES];
    int *species[NF_RUN_PLACES]; /* own, of places that have their own */
} placement;

/** What holds where an address says nothing. */
typedef struct {
    const char *species; /* FILE|LIST, NULL: none */
    const char *pbc;     /* "TTF" */
    const char *links;   /* "auto" or a number */
    const char *driver_dir;
    nf_extras extras;
    bool trust_species;
} placement_defaults;

/** Reads n words, which are changed and must live as long as *out. NF_EINVAL and others. */
int placement_read(placement *out, int n, char **words, bool listen, const placement_defaults *defaults, nf_error *err);
/** The places of a recording's header (server/traffic.c), which lives as long as *out; words: paths of the models, where
 *  others than the recorded ones are to be tried: one for each, or the members of the only one. */
int placement_of_recording(placement *out, const json_t *header, int n, char **words, nf_error *err);
/** Loads all models, with warnings on stderr, and checks the elements of every place. */
int placement_load(placement *p, nf_error *err);
/** Units of model files that carry none. */
void placement_set_units(placement *p, int units);
void placement_free(placement *p);

/** Keys that may hang on an address, for the help: number i, NULL behind the last. */
const char *placement_key(size_t i, const char **help);

#endif
