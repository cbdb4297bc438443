/* SPDX-License-Identifier: BSD-3-Clause */
#include "geom/cell.h"

#include <math.h>
#include <string.h>

#include "base/vec3.h"

/* Below this ratio of volume to product of lengths the directions cannot be told from rounding. */
static const double flattest = 1e-7;
/* Atoms further than this many cells away have lost too many digits. */
static const double farthest_cells = 1e6;
static const double farthest_distance = 1e9; /* Angstrom */

static void scale(double v[3], double factor)
{
    for (int c = 0; c < 3; c++)
        v[c] *= factor;
}

/* A unit vector normal to v: crossed with the axis that v follows least. */
static void any_normal(const double v[3], double out[3])
{
    double axis[3] = {0, 0, 0};
    int least = 0;
    for (int c = 1; c < 3; c++)
        if (fabs(v[c]) < fabs(v[least]))
            least = c;
    axis[least] = 1;
    nf_cross3(v, axis, out);
    scale(out, 1 / nf_norm3(out));
}

static void complete_one(nf_cell *cell, int missing)
{
    double *out = cell->h[missing];
    nf_cross3(cell->h[(missing + 1) % 3], cell->h[(missing + 2) % 3], out);
    double length = nf_norm3(out);
    if (length > 0)
        scale(out, 1 / length);
}

static void complete(nf_cell *cell, int nperiodic)
{
    if (nperiodic == 0) {
        memset(cell->h, 0, sizeof cell->h);
        for (int d = 0; d < 3; d++)
            cell->h[d][d] = 1;
        return;
    }
    int have = cell->periodic[0] ? 0 : cell->periodic[1] ? 1 : 2;
    if (nperiodic == 1)
        any_normal(cell->h[have], cell->h[(have + 1) % 3]);
    for (int d = 0; d < 3; d++)
        if (!cell->periodic[d] && (nperiodic == 2 || d == (have + 2) % 3))
            complete_one(cell, d);
}

static int singular(const nf_cell *cell)
{
    double volume = fabs(nf_det33(cell->h)), lengths = 1;
    for (int d = 0; d < 3; d++)
        lengths *= nf_norm3(cell->h[d]);
    return !(volume > flattest * lengths) || !isfinite(lengths) || !(volume > 1e-30);
}

int nf_cell_make(nf_cell *out, const double rows[3][3], const bool pbc[3], nf_error *err)
{
    int nperiodic = 0;
    for (int d = 0; d < 3; d++) {
        const double *row = rows[d];
        if (!isfinite(row[0]) || !isfinite(row[1]) || !isfinite(row[2]))
            return nf_fail(err, NF_EINVAL, "cell vector %d is not finite (%g %g %g)", d + 1, row[0], row[1], row[2]);
        memcpy(out->h[d], row, sizeof out->h[d]);
        out->periodic[d] = pbc[d] && (row[0] != 0 || row[1] != 0 || row[2] != 0);
        nperiodic += out->periodic[d];
    }
    complete(out, nperiodic);
    if (singular(out))
        return nf_fail(err, NF_EINVAL,
                       "the cell is singular: its periodic vectors are parallel or coplanar (%g %g %g / %g %g %g / "
                       "%g %g %g); a zero row makes a direction not periodic",
                       rows[0][0], rows[0][1], rows[0][2], rows[1][0], rows[1][1], rows[1][2], rows[2][0], rows[2][1],
                       rows[2][2]);
    nf_inverse33(out->h, out->inverse);
    double det = fabs(nf_det33(out->h));
    for (int d = 0; d < 3; d++) {
        double face[3];
        nf_cross3(out->h[(d + 1) % 3], out->h[(d + 2) % 3], face);
        out->height[d] = det / nf_norm3(face);
    }
    out->volume = nperiodic == 3 ? det : 0;
    return 0;
}

/* ---- positions ---- */

static double farthest(const nf_cell *cell, int d)
{
    return cell->periodic[d] ? farthest_cells : farthest_distance;
}

int nf_cell_fractions(const nf_cell *cell, size_t i, const double x[3], double s[3], nf_error *err)
{
    if (!isfinite(x[0]) || !isfinite(x[1]) || !isfinite(x[2]))
        return nf_fail(err, NF_EINVAL, "position of atom %zu is not finite (%g %g %g)", i + 1, x[0], x[1], x[2]);
    nf_row_times33(x, cell->inverse, s);
    for (int d = 0; d < 3; d++)
        if (!(fabs(s[d]) < farthest(cell, d)))
            return nf_fail(err, NF_EINVAL, "atom %zu at (%g %g %g) Angstrom is too far away to be resolved", i + 1,
                           x[0], x[1], x[2]);
    return 0;
}

double nf_cell_safe_distance(const nf_cell *cell)
{
    double least = HUGE_VAL;
    for (int d = 0; d < 3; d++) {
        double steepest = fabs(cell->inverse[0][d]) + fabs(cell->inverse[1][d]) + fabs(cell->inverse[2][d]);
        least = fmin(least, farthest(cell, d) / steepest);
    }
    return 0.999 * least; /* rounding */
}
