/* SPDX-License-Identifier: BSD-3-Clause
 *
 * judge.h - are the species in the order of the positions? Internal to core/model; nf_judge is in evaluation.h.
 */
#ifndef NF_MODEL_JUDGE_H
#define NF_MODEL_JUDGE_H

#include "model/exchange.h"

/* The exchange of two species that would help most, of those that were tried. */
typedef struct {
    double gain; /* eV, 0 or negative: -2 and below is refused */
    nf_exchange exchange;
} nf_verdict;

/** Looks for two atoms of an evaluated frame that ought to have each other's species. NF_ENOMEM. */
int nf_judge_species(const evaluation *e, nf_verdict *out, nf_error *err);

#endif
