/* SPDX-License-Identifier: BSD-3-Clause
 *
 * n2p2.h - one n2p2/RuNNer directory as its files say it. Internal to the reader.
 *
 * Formats: n2p2's documentation (Singraber, Behler, Dellago, J. Chem. Theory Comput. 15, 1827 (2019)) and RuNNer's
 * (Behler, Int. J. Quantum Chem. 115, 1032 (2015)).
 */
#ifndef NF_IO_N2P2_H
#define NF_IO_N2P2_H

#include "base/spec.h"

enum { N2P2_MAX_LAYERS = 32 };

/* One line "symfunction_short", in the units of the file. */
typedef struct {
    long line;
    int element, type; /* element: atomic number */
    int neighbour[2];  /* atomic numbers, ascending; unused: 0 */
    double eta, rs, rc, lambda, zeta;
} n2p2_function;

typedef struct {
    double low, high, mean, sigma;
    bool seen, has_sigma;
} n2p2_scaling;

/* What belongs to one element, functions in n2p2's sorted order. */
typedef struct {
    size_t nfunctions, cap_functions;
    n2p2_function *functions;
    n2p2_scaling *scaling; /* [nfunctions] */
    double *weights;       /* layer by layer: w[out][in], biases */
    size_t nweights;
    double atom_energy;
    bool has_atom_energy;
} n2p2_element;

typedef struct {
    const char *folder;
    nf_elements elements;
    n2p2_element of[118]; /* by element index */
    int cutoff_type;
    double alpha;
    bool scale, center, sigma;
    double scale_min, scale_max;
    double mean_energy, conv_energy, conv_length;
    int nhidden;
    int nodes[N2P2_MAX_LAYERS];
    char activations[N2P2_MAX_LAYERS + 2]; /* hidden layers and output */
    nf_log log;
} n2p2_potential;

/** input.nn */
int n2p2_read_settings(n2p2_potential *p, nf_error *err);
/** scaling.data */
int n2p2_read_scaling(n2p2_potential *p, nf_error *err);
/** weights.ZZZ.data of all elements */
int n2p2_read_weights(n2p2_potential *p, nf_error *err);
void n2p2_free(n2p2_potential *p);

#endif
