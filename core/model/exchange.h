/* SPDX-License-Identifier: BSD-3-Clause
 *
 * exchange.h - what the model would say if two atoms had each other's species. Internal to core/model.
 *
 * A trial looks at single centres of an evaluated frame, with the species as given or with two of them exchanged. The
 * neighbour list stays as it is: only the elements of its points change. The composition does not, so that energies
 * before and after can be compared whatever the offsets of the elements are.
 */
#ifndef NF_MODEL_EXCHANGE_H
#define NF_MODEL_EXCHANGE_H

#include "base/arena.h"
#include "model/evaluation.h"

enum { NF_TRIAL_NEAR = 8 /* neighbours that are looked at around each of two exchanged atoms */ };

/* How strange the surroundings of one centre are to the model, or of several: the sum. Mean over the members; 0 for a
 * model without training ranges. */
typedef struct {
    double outside; /* sum over descriptor values of ln(1 + distance from the training range / its width) */
    double count;   /* values outside the range */
} nf_strangeness;

/* Two atoms of different species, and what the model says of them and their nearest neighbours if they had each
 * other's. Single atomic energies mean nothing, members share them out differently; their change does. */
typedef struct {
    int atom[2];
    nf_strangeness before, after;
    double energy; /* eV: after less before, mean of the members */
    double spread; /* eV: standard deviation of that over the members; 0 for a single model */
} nf_exchange;

typedef struct {
    const evaluation *e;
    int *element;          /* [natoms] the species on trial */
    uint32_t *patch;       /* [natoms] where the atom is a centre, ... */
    uint32_t *index;       /* [natoms] ... and which one of its patch */
    uint32_t *near;        /* neighbours of one centre, by the elements on trial */
    nf_strangeness *given; /* [natoms] with the species as given, ... */
    bool *known;           /* [natoms] ... where it was asked for */
    double *energy;        /* [nmembers] of the centre looked at last, eV, without offsets */
    double *change;        /* [nmembers] eV */
    nf_arena arena;
} nf_trial;

/** Of an evaluation whose patches have been swept. NF_ENOMEM; close it then too. */
int nf_trial_open(nf_trial *t, const evaluation *e, nf_error *err);
void nf_trial_close(nf_trial *t);

/** Atom with the species as given. */
int nf_trial_given(nf_trial *t, int atom, nf_strangeness *out, nf_error *err);
/** The n <= 32 atoms nearest to an atom, nearest first, and not the atom itself. Returns how many there are. */
int nf_trial_nearest(const nf_trial *t, int atom, int n, int *out);
/** What exchanging the species of two atoms does. false in *helps, and only part of it in *out, as soon as more than the
 *  fraction `remnant` of what was outside the range is outside it after. */
int nf_trial_exchange(nf_trial *t, int a, int b, double remnant, nf_exchange *out, bool *helps, nf_error *err);

#endif
