/* SPDX-License-Identifier: BSD-3-Clause
 *
 * evaluation.h - one job of nf_eval while it runs. Internal to eval.c and reduce.c.
 */
#ifndef NF_MODEL_EVALUATION_H
#define NF_MODEL_EVALUATION_H

#include "model/calc.h"

typedef struct {
    nf_job *job;
    nf_calc *calc;
    nf_slot *slot;
    nf_workspace *space;
    nf_cell cell;
    size_t nbar, nmembers;
    atomic_size_t left; /* patches */
    atomic_int code;
    atomic_size_t failed; /* rank of the error in the job; SIZE_MAX: none. Patches above it need no sweep */
    double *features;     /* nf_features: [natoms][stride], else NULL */
    size_t stride;
} evaluation;

/** Sums over patches into the job's result: forces from fixed point, energies and virials in atom order.
 *  NF_EDIVERGED if the energy is not finite. */
int nf_reduce(const evaluation *e, nf_error *err);

#endif
