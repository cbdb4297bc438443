/* SPDX-License-Identifier: BSD-3-Clause
 *
 * example.c ADDRESS [MODEL] - a water molecule: its energy and forces, one force by differences, two structures at once.
 *
 *     nearfar listen unix:water MODEL &
 *     cc example.c nearfar_client.c -o example && ./example unix:water
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nearfar_client.h"

enum { NATOMS = 3 };

static const int numbers[NATOMS] = {8, 1, 1};
static const double water[3 * NATOMS] = {0, 0, 0, 0.77, 0.58, 0, -0.75, 0.6, 0.02};

static int compute(nf_client *c)
{
    double energy, forces[3 * NATOMS], virial[9];
    int rc = nf_client_evaluate(c, 1, NATOMS, water, NULL, &energy, forces, virial);
    if (rc < 0)
        return rc;
    printf("energy %.6f eV\n", energy);
    for (int i = 0; i < NATOMS; i++)
        printf("force %10.6f %10.6f %10.6f eV/A\n", forces[3 * i], forces[3 * i + 1], forces[3 * i + 2]);
    printf("extras %s\n", nf_client_extras(c, 0, NULL));
    return 0;
}

/* The force on the first coordinate of each atom is minus the slope of the energy: both displacements in one call. */
static int check_force(nf_client *c, int atom)
{
    const double step = 1e-4;
    double positions[2][3 * NATOMS], energies[2], forces[2][3 * NATOMS];
    for (int k = 0; k < 2; k++) {
        memcpy(positions[k], water, sizeof water);
        positions[k][3 * atom] += k == 0 ? step : -step;
    }
    int rc = nf_client_evaluate(c, 2, NATOMS, positions[0], NULL, energies, forces[0], NULL);
    if (rc < 0)
        return rc;
    double slope = (energies[0] - energies[1]) / (2 * step), force = (forces[0][3 * atom] + forces[1][3 * atom]) / 2;
    printf("atom %d: force %.7f, by differences %.7f eV/A\n", atom + 1, force, -slope);
    return fabs(force + slope) < 1e-5 ? 0 : 1;
}

int main(int argc, char **argv)
{
    nf_client c = {"", NULL};
    nf_client_options options = {NULL, "summary", 10, 5};
    int rc;
    if (argc < 2) {
        fprintf(stderr, "usage: %s ADDRESS [MODEL]\n", argv[0]);
        return 2;
    }
    if (argc > 2)
        options.model = argv[2];
    rc = nf_client_open(&c, argv[1], &options);
    if (rc == 0)
        rc = nf_client_set_atoms(&c, NATOMS, numbers);
    if (rc == 0)
        rc = compute(&c);
    for (int i = 0; i < NATOMS && rc == 0; i++)
        rc = check_force(&c, i);
    if (rc < 0)
        fprintf(stderr, "%s\n", c.error);
    nf_client_close(&c);
    return rc == 0 ? 0 : 1;
}
