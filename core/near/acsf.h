/* SPDX-License-Identifier: BSD-3-Clause
 *
 * acsf.h - atom-centred symmetry functions, prepared for the kernels. Internal to acsf.c and acsf_create.c.
 *
 * Functions of a centre are sorted out by what they share: radial factors phi(r) = exp(-eta (r-rs)^2) fc(r) once per
 * (centre element, neighbour element), and angular functions in groups over one pair of elements.
 */
#ifndef NF_NEAR_ACSF_H
#define NF_NEAR_ACSF_H

#include "near/descriptor.h"

/* One function as the file gives it. */
typedef struct {
    int feature;      /* index in its element's list */
    int type;         /* 2, 3, 9: n2p2's numbers */
    int neighbour[2]; /* elements, ascending; [1] unused for type 2 */
    struct k_radial radial;
    double lambda, zeta;
} acsf_function;

/* Type 2: g[feature] = sum over neighbours of an element of row q. */
typedef struct {
    int feature, element, row;
} acsf_sum;

typedef struct {
    int a, b; /* neighbour elements */
    int nterm;
    int *feature; /* [nterm] */
    int *term_radial, *term_angle;
    double *norm;
    struct k_angular par[2]; /* rows of element a; rows of element b: the shorter list makes the rows */
} acsf_group;

/* Everything of one centre element. */
typedef struct {
    size_t nfeatures, nsums, ngroups;
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

int acsf_create(const json_t *tree, const nf_elements *elements, const nf_kern *kern, nf_descriptor **out,
                nf_error *err);
void acsf_destroy(nf_descriptor *self);
json_t *acsf_example(const nf_elements *elements, unsigned seed);

#endif
