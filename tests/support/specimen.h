/* SPDX-License-Identifier: BSD-3-Clause
 *
 * specimen.h - random structures of the kinds that go wrong.
 */
#ifndef NF_TEST_SPECIMEN_H
#define NF_TEST_SPECIMEN_H

#include "base/rng.h"
#include "nearfar/nearfar.h"

enum { SPECIMEN_MAX = 512 };

enum specimen_kind {
    CLUSTER,
    CUBIC,       /* about 9 Angstrom */
    TINY,        /* triclinic, 1 to 3 atoms, vectors of 2.2 to 4 Angstrom */
    LEFT_HANDED, /* skewed */
    SLAB,        /* not periodic along the third vector, which is given or zero */
    WIRE,        /* periodic along the second vector only */
    FAR_OUTSIDE, /* atoms up to 20 cells away from the cell */
    NSPECIMENS
};

typedef struct {
    double pos[SPECIMEN_MAX][3];
    int species[SPECIMEN_MAX];
    nf_frame frame; /* points here: a copy needs specimen_copy */
} specimen;

/** natoms is a wish: TINY has at most 3. No two atoms or images come nearer than about 0.8 Angstrom. */
void specimen_make(specimen *s, enum specimen_kind kind, size_t natoms, size_t nelements, const int *elements,
                   unsigned seed);
void specimen_copy(specimen *to, const specimen *from);

/** A uniformly random rotation. */
void random_rotation(nf_rng *rng, double q[3][3]);
/** Multiplies positions and cell by m from the right. */
void specimen_transform(specimen *s, const double m[3][3]);

#endif
