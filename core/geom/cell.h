/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cell.h - the periodic cell, completed to three independent vectors whatever the periodicity.
 */
#ifndef NF_GEOM_CELL_H
#define NF_GEOM_CELL_H

#include "base/status.h"

typedef struct nf_cell {
    double h[3][3];       /* rows; a direction without periodicity has a unit vector normal to the periodic ones */
    double inverse[3][3]; /* s = x inverse: fractions along periodic rows, Angstrom along the others */
    double height[3];     /* distance between opposite faces, Angstrom */
    double volume;        /* |det h| if all three directions are periodic, else 0 */
    bool periodic[3];
} nf_cell;

/** Checks and completes a cell.
 *
 *  Row d is periodic if pbc[d] and the row is not zero. NF_EINVAL: numbers that are not finite, periodic rows that
 *  are (nearly) parallel or coplanar. Left-handed cells are fine.
 */
int nf_cell_make(nf_cell *out, const double rows[3][3], const bool pbc[3], nf_error *err);

/** Checks the position of atom i and gives its fractions s (of a direction without periodicity: Angstrom). NF_EINVAL:
 *  not finite, or so far away that it has lost too many digits. */
int nf_cell_fractions(const nf_cell *cell, size_t i, const double x[3], double s[3], nf_error *err);
/** Coordinates below this in magnitude pass nf_cell_fractions, Angstrom. */
double nf_cell_safe_distance(const nf_cell *cell);

#endif
