/* SPDX-License-Identifier: BSD-3-Clause
 *
 * acsf.h - atom-centred symmetry functions, prepared for the kernels. Internal to acsf*.c.
 *
 * Functions of a centre are sorted out by what they share: radial factors phi(r) once per (centre element, neighbour
 * element), and angular functions in groups over one pair of elements. A function over all elements is a sum of
 * contributions, one of each element or pair of elements, with their atomic numbers as weights.
 */
#ifndef NF_NEAR_ACSF_H
#define NF_NEAR_ACSF_H

#include "near/descriptor.h"

/** What distinguishes the types: the rest is parameters. */
typedef struct {
    int number; /* n2p2's, 0 if it has none */
    const char *name;
    int angular, compact, weighted; /* weighted: over all elements, by atomic number */
    int between;                    /* enum k_between, of angular ones */
} acsf_type;

/** Type i of the table of types, NULL past the last. */
const acsf_type *acsf_type_at(size_t i);

/* One function as the spec gives it. */
typedef struct {
    const acsf_type *type;
    int feature;      /* index in its element's list */
    int neighbour[2]; /* elements, ascending; unused if weighted, [1] also if radial */
    struct k_radial radial;
    double lambda, zeta;    /* angular */
    struct k_window window; /* angular and compact */
} acsf_function;

/* A contribution: weight times the sum over neighbours of an element of row q. */
typedef struct {
    int feature, element, row;
    double weight;
} acsf_sum;

typedef struct {
    int a, b; /* neighbour elements */
    int nterm;
    int *feature; /* [nterm] that the term contributes to */
    int *term_radial, *term_angle;
    double *norm;
    struct k_angular par[2]; /* rows of element a; rows of element b: the shorter list makes the rows */
} acsf_group;

/* Everything of one centre element. */
typedef struct {
    size_t nfeatures, nsums, ngroups, cap_sums, cap_groups;
    acsf_function *functions; /* [nfeatures] */
    acsf_sum *sums;
    acsf_group *groups;
    int *nrows;             /* [elements] radial factors with that neighbour element */
    struct k_radial **rows; /* [elements][nrows] */
    int max_rows, max_terms;
} acsf_centre;

typedef struct {
    nf_descriptor base;
    const nf_kern *kern;
    int nelements;
    double cutoff;
    acsf_centre *centres; /* [nelements] */
} acsf;

/* acsf_read.c: one object of "functions", checked; `element` is that of its centre. */
int acsf_read_element(const json_t *tree, const nf_elements *elements, int *element, nf_error *err);
int acsf_read_function(const json_t *tree, const nf_elements *elements, acsf_function *out, nf_error *err);

int acsf_create(const json_t *tree, const nf_elements *elements, const nf_kern *kern, nf_descriptor **out,
                nf_error *err);
void acsf_destroy(nf_descriptor *self);
json_t *acsf_example(const nf_elements *elements, unsigned seed);

#endif
