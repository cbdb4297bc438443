/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/errors.h"

#include <math.h>
#include <stdio.h>

static void add(error_sum *s, double difference)
{
    s->square += difference * difference;
    s->absolute += fabs(difference);
    s->n++;
}

void errors_add(error_sums *sums, const nf_structure *ref, const nf_result *result)
{
    double n = (double)ref->natoms;
    if (ref->has_energy)
        add(&sums->energy, (result->energy - ref->energy) / n);
    for (size_t i = 0; ref->has_forces && i < ref->natoms; i++)
        for (int c = 0; c < 3; c++)
            add(&sums->force, result->forces[i][c] - ref->forces[i][c]);
    for (int c = 0; ref->has_virial && c < 9; c++)
        add(&sums->virial, (result->virial[c / 3][c % 3] - ref->virial[c / 3][c % 3]) / n);
}

static void print(const char *name, const char *unit, const error_sum *s)
{
    if (s->n > 0)
        fprintf(stderr, "  %-7s RMSE %12.6g  MAE %12.6g  %s\n", name, sqrt(s->square / s->n), s->absolute / s->n, unit);
}

void errors_print(const error_sums *sums, long nframes)
{
    fprintf(stderr, "%ld frame%s evaluated\n", nframes, nframes == 1 ? "" : "s");
    print("energy", "eV/atom", &sums->energy);
    print("forces", "eV/Angstrom", &sums->force);
    print("virial", "eV/atom", &sums->virial);
}
