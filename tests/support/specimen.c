/* SPDX-License-Identifier: BSD-3-Clause */
#include "specimen.h"

#include <math.h>
#include <string.h>

#include "base/vec3.h"

static const double nearest = 0.8; /* Angstrom */

static void set_cell(specimen *s, double a, double b, double c, double skew, nf_rng *rng)
{
    const double length[3] = {a, b, c};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            s->frame.cell[i][k] = i == k ? length[i] : skew * length[i] * nf_rng_between(rng, -1, 1);
}

static void choose_cell(specimen *s, enum specimen_kind kind, nf_rng *rng)
{
    switch (kind) {
    case CLUSTER:
        break;
    case CUBIC:
        set_cell(s, 9, 9, 9, 0, rng);
        break;
    case TINY:
        set_cell(s, nf_rng_between(rng, 2.2, 4), nf_rng_between(rng, 2.2, 4), nf_rng_between(rng, 2.2, 4), 0.25, rng);
        break;
    case LEFT_HANDED:
        set_cell(s, 6, -7, 8, 0.3, rng);
        break;
    case SLAB:
        set_cell(s, 5, 6, 7, 0.15, rng);
        s->frame.pbc[2] = false;
        if (nf_rng_next(rng) % 2)
            memset(s->frame.cell[2], 0, sizeof s->frame.cell[2]);
        break;
    case WIRE:
        set_cell(s, 8, 3.3, 8, 0.2, rng);
        s->frame.pbc[0] = s->frame.pbc[2] = false;
        break;
    default:
        set_cell(s, 7, 6, 8, 0.1, rng);
    }
}

static void random_place(const specimen *s, double width, double x[3], nf_rng *rng)
{
    const double(*h)[3] = s->frame.cell;
    double f[3];
    for (int d = 0; d < 3; d++)
        f[d] = nf_rng_uniform(rng);
    nf_row_times33(f, h, x);
    for (int d = 0; d < 3; d++)
        if (h[d][0] == 0 && h[d][1] == 0 && h[d][2] == 0)
            x[d] += width * f[d];
}

/* Is x at least `nearest` from atom i and all its images near by (not from itself if own)? */
static int is_free(const specimen *s, const double x[3], const double other[3], int own)
{
    const bool *pbc = s->frame.pbc;
    for (int a = -2 * pbc[0]; a <= 2 * pbc[0]; a++)
        for (int b = -2 * pbc[1]; b <= 2 * pbc[1]; b++)
            for (int c = -2 * pbc[2]; c <= 2 * pbc[2]; c++) {
                const double n[3] = {a, b, c};
                double d[3];
                nf_row_times33(n, s->frame.cell, d);
                if (own && a == 0 && b == 0 && c == 0)
                    continue;
                for (int k = 0; k < 3; k++)
                    d[k] += x[k] - other[k];
                if (nf_norm3(d) < nearest)
                    return 0;
            }
    return 1;
}

static int fits(const specimen *s, const double x[3])
{
    for (size_t i = 0; i < s->frame.natoms; i++)
        if (!is_free(s, x, s->pos[i], 0))
            return 0;
    return 1;
}

/* Moves every atom by whole cells. */
static void send_outside(specimen *s, nf_rng *rng)
{
    for (size_t i = 0; i < s->frame.natoms; i++)
        for (int d = 0; d < 3; d++) {
            double n = floor(nf_rng_between(rng, -20, 21));
            for (int c = 0; c < 3; c++)
                s->pos[i][c] += n * s->frame.cell[d][c];
        }
}

void specimen_make(specimen *s, enum specimen_kind kind, size_t natoms, size_t nelements, const int *elements,
                   unsigned seed)
{
    nf_rng rng = {seed * 977u + (unsigned)kind};
    nf_frame fresh = NF_FRAME_INIT;
    s->frame = fresh;
    choose_cell(s, kind, &rng);
    if (kind == TINY)
        natoms = 1 + nf_rng_next(&rng) % (natoms < 3 ? natoms : 3);
    double width = 1.9 * cbrt((double)natoms); /* of a cluster, and across a wire or slab without a vector */
    for (int tries = 0; s->frame.natoms < natoms && tries < 3000; tries++) {
        double *x = s->pos[s->frame.natoms];
        random_place(s, width, x, &rng);
        if (!fits(s, x))
            continue;
        s->species[s->frame.natoms] = elements[nf_rng_next(&rng) % nelements];
        s->frame.natoms++;
    }
    if (kind == FAR_OUTSIDE)
        send_outside(s, &rng);
    s->frame.pos = (const double(*)[3])s->pos;
    s->frame.species = s->species;
}

void specimen_copy(specimen *to, const specimen *from)
{
    memcpy(to, from, sizeof *to);
    to->frame.pos = (const double(*)[3])to->pos;
    to->frame.species = to->species;
}

void random_rotation(nf_rng *rng, double q[3][3])
{
    double a[3], b[3];
    for (int c = 0; c < 3; c++) {
        a[c] = nf_rng_normal(rng);
        b[c] = nf_rng_normal(rng);
    }
    double la = nf_norm3(a), along = nf_dot3(a, b) / (la * la), lb = 0;
    for (int c = 0; c < 3; c++)
        b[c] -= along * a[c];
    lb = nf_norm3(b);
    for (int c = 0; c < 3; c++) {
        q[0][c] = a[c] / la;
        q[1][c] = b[c] / lb;
    }
    nf_cross3(q[0], q[1], q[2]);
}

static void times(double v[3], const double m[3][3])
{
    double out[3];
    nf_row_times33(v, m, out);
    memcpy(v, out, sizeof out);
}

void specimen_transform(specimen *s, const double m[3][3])
{
    for (size_t i = 0; i < s->frame.natoms; i++)
        times(s->pos[i], m);
    for (int d = 0; d < 3; d++)
        times(s->frame.cell[d], m);
}
