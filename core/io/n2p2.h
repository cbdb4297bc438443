/* SPDX-License-Identifier: BSD-3-Clause
 *
 * n2p2.h - one n2p2/RuNNer directory as its files say it. Internal to the reader.
 *
 * Formats: n2p2's documentation (Singraber, Behler, Dellago, J. Chem. Theory Comput. 15, 1827 (2019); compact functions:
 * Bircher, Singraber, Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021)) and RuNNer's (Behler, Int. J. Quantum
 * Chem. 115, 1032 (2015)).
 */
#ifndef NF_IO_N2P2_H
#define NF_IO_N2P2_H

#include "base/spec.h"
#include "io/text.h"

enum { N2P2_MAX_LAYERS = 32 };

/* One line "symfunction_short", in the units of the file, angles in degrees. What the type has not is 0. */
typedef struct {
    long line;
    int element, type;                /* element: atomic number */
    int neighbour[2];                 /* atomic numbers, ascending */
    double eta, rs, rc, lambda, zeta; /* exponential: 2, 3, 9, 12, 13 */
    double rl, angle_left, angle_right;
    char subtype[4]; /* compact, 20 to 25: "p2", "p2a", "e" */
} n2p2_function;

typedef struct {
    double low, high, mean, sigma;
    bool seen, has_sigma;
} n2p2_scaling;

typedef struct {
    int nhidden;
    int nodes[N2P2_MAX_LAYERS];            /* of the hidden layers, 0: not given */
    char activations[N2P2_MAX_LAYERS + 2]; /* hidden layers and output, '\0': not given */
} n2p2_network;

/* A line "element_nodes_short", whose meaning the number of weights decides. */
typedef struct {
    long line;
    int n, value[N2P2_MAX_LAYERS];
} n2p2_nodes_line;

/* RuNNer's "element_activation_short El layer node letter", counted from 1. */
typedef struct {
    long line;
    int layer, node;
    char letter;
} n2p2_node_activation;

/* What input.nn says about the network of one element in its own lines. */
typedef struct {
    int nhidden; /* 0: as global */
    size_t nlines, cap_lines;
    n2p2_nodes_line *lines;
    long letters_line; /* 0: none */
    char letters[N2P2_MAX_LAYERS + 2];
    size_t nsingle, cap_single;
    n2p2_node_activation *single;
} n2p2_own_network;

/* What belongs to one element, functions in n2p2's sorted order. */
typedef struct {
    size_t nfunctions, cap_functions;
    n2p2_function *functions;
    n2p2_scaling *scaling; /* [nfunctions] */
    n2p2_own_network own;
    n2p2_network network;
    double *weights; /* layer by layer: w[out][in], biases */
    size_t nweights;
    double atom_energy;
    bool has_atom_energy;
} n2p2_element;

typedef struct {
    const char *folder;
    nf_elements elements;
    n2p2_element of[118]; /* by element index */
    int cutoff_type;      /* of the exponential functions; -1: not given */
    double alpha;
    bool scale, center, sigma, normalize_nodes;
    double scale_min, scale_max;
    double mean_energy, conv_energy, conv_length;
    n2p2_network global;
    nf_log log;
    nf_hash *hash; /* of all that is read */
} n2p2_potential;

bool n2p2_is_compact(int type);
bool n2p2_is_angular(int type);

/** input.nn */
int n2p2_read_settings(n2p2_potential *p, nf_error *err);
/** scaling.data */
int n2p2_read_scaling(n2p2_potential *p, nf_error *err);
/** weights.ZZZ.data of all elements: decides the architecture of each as well. */
int n2p2_read_weights(n2p2_potential *p, nf_error *err);
void n2p2_free(n2p2_potential *p);

/* ---- lines of input.nn (n2p2_functions.c, n2p2_networks.c), the current one in `text` ---- */

/** Word i as an element of the potential: its index. */
int n2p2_element_word(const n2p2_potential *p, const nf_text *text, int i, int *index, nf_error *err);
/** NF_EFORMAT: "file:line: keyword: what". */
int n2p2_wrong(const nf_text *text, const char *what, nf_error *err);

/** "symfunction_short El type ...". NF_EUNSUPPORTED: a type that n2p2 does not have. */
int n2p2_take_function(n2p2_potential *p, const nf_text *text, nf_error *err);
/** n2p2's order of inputs. Fails if an element has no functions. */
int n2p2_sort_functions(n2p2_potential *p, const char *path, nf_error *err);

int n2p2_take_global_layers(n2p2_potential *p, const nf_text *text, nf_error *err);
int n2p2_take_global_nodes(n2p2_potential *p, const nf_text *text, nf_error *err);
int n2p2_take_global_activations(n2p2_potential *p, const nf_text *text, nf_error *err);
int n2p2_take_element_layers(n2p2_potential *p, const nf_text *text, nf_error *err);
int n2p2_take_element_nodes(n2p2_potential *p, const nf_text *text, nf_error *err);
int n2p2_take_element_activations(n2p2_potential *p, const nf_text *text, nf_error *err);
/** Is there an architecture for every element? `path`: of input.nn. */
int n2p2_check_networks(const n2p2_potential *p, const char *path, nf_error *err);

/* ---- the architecture of an element: lines of its own can be read in several ways ---- */

enum { N2P2_NREADINGS = 3 };

/** Different networks that the lines of element e allow, the best reading first, without activations. Returns their
 *  number. how: what to call each reading in a sentence. */
int n2p2_readings(const n2p2_potential *p, int e, n2p2_network out[N2P2_NREADINGS], const char *how[N2P2_NREADINGS]);
/** Weights and biases of a network with that many inputs. */
size_t n2p2_count_weights(const n2p2_network *network, size_t ninputs);
/** Settles on one of the readings, says so where that is a guess, and sets the activations of element e. */
int n2p2_settle_network(n2p2_potential *p, int e, size_t nweights, nf_error *err);

#endif
