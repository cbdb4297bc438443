/* SPDX-License-Identifier: BSD-3-Clause
 *
 * potential.h - random HDNNP potentials as n2p2 directories. Lengths and energies of the files are Angstrom and eV
 * (load them with NF_UNITS_ANGSTROM_EV).
 */
#ifndef NF_TEST_POTENTIAL_H
#define NF_TEST_POTENTIAL_H

#include "nearfar/nearfar.h"

enum { POTENTIAL_TYPE_2 = 1, POTENTIAL_TYPE_3 = 2, POTENTIAL_TYPE_9 = 4, POTENTIAL_ALL_TYPES = 7 };

typedef struct {
    unsigned seed;
    size_t nelements;
    int elements[3]; /* atomic numbers, any order */
    int nfunctions;  /* of each element */
    int types;       /* POTENTIAL_TYPE_2 | ... */
    bool shifted;    /* some rs other than 0 */
    double rc[2];    /* cutoff radii that occur */
    int cutoff_type; /* 0 .. 8 */
    double alpha;
    bool scale, center, sigma;
    double scale_min, scale_max; /* both 0: not in the file */
    bool normalised;             /* mean_energy, conv_energy, conv_length */
    bool offsets;                /* atom_energy */
    int nhidden, nodes[3];
    const char *activations; /* letters, hidden layers and output */
} potential_recipe;

/** Two elements, all types, cutoff type 6, scaled and centred, two hidden layers of tanh. */
extern const potential_recipe potential_plain;

/** Everything by chance, but smooth: no HARD cutoff, no ReLU. */
potential_recipe potential_random(unsigned seed);

/** Writes input.nn, weights.ZZZ.data and scaling.data; the latter with the statistics of random structures. */
void potential_write(const potential_recipe *p, const char *folder);
/** Written to a temporary folder, loaded, removed. */
nf_model *potential_load(const potential_recipe *p);
/** A committee whose members differ in weights and scaling. */
nf_model *potential_committee(const potential_recipe *p, int nmembers);

#endif
