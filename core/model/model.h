/* SPDX-License-Identifier: BSD-3-Clause
 *
 * model.h - a model made of its spec: one descriptor, members with a readout for each element.
 */
#ifndef NF_MODEL_MODEL_H
#define NF_MODEL_MODEL_H

#include <stdatomic.h>

#include "near/descriptor.h"
#include "near/readout.h"

/* Training range of the selected features: what lies outside is extrapolated. */
typedef struct {
    size_t n;
    int *feature;       /* [n] */
    double *low, *high; /* [n] */
} nf_range;

typedef struct {
    char *source;
    double scale;         /* eV per unit of the readouts */
    nf_readout **readout; /* [elements] */
    nf_range *range;      /* [elements] */
    double *offset;       /* [elements] eV an atom */
} nf_member;

struct nf_model {
    atomic_int owners;
    nf_spec spec;
    nf_elements elements;
    nf_units units;
    const nf_kern *kern;
    nf_descriptor *descriptor;
    double cutoff;
    size_t nmembers;
    nf_member *members;
    bool zero; /* energy, forces and virial of every frame: no neighbours are needed */
};

/** Takes over the spec, whether it succeeds or not. */
int nf_model_create(nf_model **out, nf_spec *spec, nf_units units, nf_error *err);

#endif
