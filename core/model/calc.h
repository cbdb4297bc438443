/* SPDX-License-Identifier: BSD-3-Clause
 *
 * calc.h - evaluation state. Internal to calc.c and eval.c.
 *
 * A calc keeps several neighbour lists; a frame uses whichever holds for its positions, so beads that change
 * connections, and several structures in turn, never force a rebuild of each other's.
 */
#ifndef NF_MODEL_CALC_H
#define NF_MODEL_CALC_H

#include "geom/neighbours.h"
#include "model/model.h"

/* A kept list. */
typedef struct {
    nf_list list;
    unsigned long used; /* the calc's clock when last used */
    bool building;      /* in this call */
} nf_slot;

/* Working memory of one job: sums over patches. */
typedef struct {
    int *element;          /* [natoms] */
    int64_t (*force)[3];   /* [nbar][natoms], 2^-44 eV/Angstrom */
    double (*virial)[9];   /* [nbar][natoms] */
    double *atom_energy;   /* [nmembers][natoms] eV, without offsets */
    int *extrapolated;     /* [natoms] */
    double *member_energy; /* [nmembers] */
    size_t cap_member_energy, cap_element, cap_force, cap_virial, cap_atom_energy, cap_extrapolated;
} nf_workspace;

struct nf_calc {
    nf_model *model;
    double skin;
    size_t max_lists;
    nf_log log;
    atomic_bool greeted;   /* the first frame has been looked at */
    char greeting[2][240]; /* what there is to say of it, until it is said */
    long nbuilds;
    unsigned long clock;
    size_t nslots, cap_slots;
    nf_slot **slots;
    size_t nspaces, cap_spaces, spaces_used;
    nf_workspace **spaces;
};

/** A slot whose list holds for the frame (slot->building false), or one to build it in (true, nf_list_begin done). */
int nf_calc_list(nf_calc *calc, const nf_cell *cell, size_t natoms, const double (*pos)[3], const int *element,
                 nf_slot **out, nf_error *err);
/** Frees lists beyond max_lists, which a large batch of different structures left. Between calls. */
void nf_calc_trim(nf_calc *calc);
/** A workspace for one job of this call with its elements filled in. NF_EINVAL names an unknown element. */
int nf_calc_space(nf_calc *calc, const nf_frame *frame, size_t nbar, nf_workspace **out, nf_error *err);

#endif
