/* SPDX-License-Identifier: BSD-3-Clause
 *
 * calc.h - evaluation state: neighbour lists and working memory. Internal to core/model.
 *
 * A calc keeps several neighbour lists; a frame uses whichever holds for its positions, so beads that change
 * connections, and several structures in turn, never force a rebuild of each other's.
 *
 * One thread at a time looks for a list (nf_calc_list) and alone changes which there are; any thread releases what its
 * job used. A list that a job uses is neither dropped nor made for other positions.
 */
#ifndef NF_MODEL_CALC_H
#define NF_MODEL_CALC_H

#include <pthread.h>

#include "geom/neighbours.h"
#include "model/model.h"

/* A kept list. */
typedef struct {
    nf_list list;
    unsigned long used; /* the calc's clock when last used */
    int users;          /* jobs under way; guarded by the calc's lock, as is */
    bool spoiled;       /* the search failed: it serves nobody any more */
    /* the search of its patches; guarded by the lock of the stream */
    bool ready;
    size_t next, left;    /* patches: the first not begun, number not done */
    atomic_size_t failed; /* lowest patch that has failed, SIZE_MAX: none; patches above it need no search */
    nf_error err;         /* of that patch */
} nf_slot;

/* Working memory of one job: sums over patches. */
typedef struct nf_workspace {
    struct nf_workspace *next; /* spare */
    int *element;              /* [natoms] */
    int64_t (*force)[3];       /* [nbar][natoms], 2^-44 eV/Angstrom */
    double (*virial)[9];       /* [nbar][natoms] */
    double *atom_energy;       /* [nmembers][natoms] eV, without offsets */
    int *extrapolated;         /* [natoms] */
    double *member_energy;     /* [nmembers] */
    size_t cap_member_energy, cap_element, cap_force, cap_virial, cap_atom_energy, cap_extrapolated;
} nf_workspace;

struct nf_calc {
    nf_model *model;
    double skin;
    size_t max_lists;
    nf_log log;
    atomic_bool greeted;   /* the first frame has been looked at */
    atomic_bool greets;    /* there may be something to say of it */
    char greeting[2][240]; /* what, until it is said */
    atomic_long nbuilds;
    /* of the thread that looks for a list */
    unsigned long clock;
    size_t nslots, cap_slots, last; /* last: the slot that served last */
    nf_slot **slots;
    pthread_mutex_t lock;
    nf_workspace *spare; /* guarded by lock */
};

/** A slot whose list holds for the frame, or one that begins it (*fresh: nf_list_begin is done, its patches are to be
 *  searched). The caller is one of its users. One thread at a time. */
int nf_calc_list(nf_calc *calc, const nf_cell *cell, size_t natoms, const double (*pos)[3], const int *element,
                 nf_slot **out, bool *fresh, nf_error *err);
/** Frees lists beyond max_lists that nobody uses. One thread at a time, with nf_calc_list. */
void nf_calc_trim(nf_calc *calc);
/** The slot serves no further job. */
void nf_calc_spoil(nf_calc *calc, nf_slot *slot);

/** The element of each atom (NULL: only looks). NF_EINVAL names an atom whose element the model does not know. */
int nf_calc_elements(const nf_model *model, const nf_frame *frame, int *element, nf_error *err);

/** A workspace for one job with its elements filled in. NF_EINVAL names an unknown element; *out is set then too. */
int nf_calc_space(nf_calc *calc, const nf_frame *frame, size_t nbar, nf_workspace **out, nf_error *err);

/** A job gives back what it used; either may be NULL. */
void nf_calc_release(nf_calc *calc, nf_slot *slot, nf_workspace *space);

#endif
