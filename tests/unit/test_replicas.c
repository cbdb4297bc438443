/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One trajectory over a link, or several replicas in turn.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "server/replicas.h"
#include "suite.h"

enum { ATOMS = 100, STEPS = 400 };

typedef double frame[ATOMS][3];

/* Replica `bead` at time t: oscillations of the periods of a molecule, in steps, about places of its own. */
static void trajectory(frame out, size_t natoms, int bead, double t)
{
    nf_rng rng = {(uint64_t)bead + 1};
    for (size_t i = 0; i < natoms; i++)
        for (int c = 0; c < 3; c++) {
            double period = 12 + 100 * nf_rng_uniform(&rng), phase = 7 * nf_rng_uniform(&rng);
            out[i][c] = (double)i + 0.1 * nf_rng_uniform(&rng) + 0.1 * sin(6.283185307 * t / period + phase);
        }
}

static bool several(size_t natoms, int nbeads, int nsteps)
{
    nf_replicas r = {0};
    frame x;
    for (int n = 0; n < nsteps; n++)
        for (int b = 0; b < nbeads; b++) {
            trajectory(x, natoms, b, n);
            nf_replicas_see(&r, natoms, (const double(*)[3])x);
        }
    return r.several;
}

START_TEST(one_trajectory_is_one)
{
    static const size_t sizes[] = {3, 4, 10, 64, 65, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        ck_assert_msg(!several(sizes[i], 1, STEPS), "%zu atoms", sizes[i]);
}
END_TEST

START_TEST(replicas_are_seen_soon)
{
    static const size_t sizes[] = {2, 3, 10, 64, 65, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int beads = 2; beads <= 32; beads *= 2)
            ck_assert_msg(several(sizes[i], beads, 4 + 8 / beads), "%zu atoms, %d replicas", sizes[i], beads);
}
END_TEST

/* As a path between two minima: each image is a step further than the last. */
START_TEST(images_on_a_line)
{
    nf_replicas r = {0};
    double x[1][3] = {{0, 0, 0}};
    for (int n = 0; n < 3; n++)
        for (int image = 0; image < 5; image++) {
            x[0][0] = image + 0.01 * n;
            nf_replicas_see(&r, 1, (const double(*)[3])x);
        }
    ck_assert(r.several);
}
END_TEST

/* All coordinates turn at once, at the end of every swing. */
START_TEST(one_oscillator)
{
    nf_replicas r = {0};
    for (int n = 0; n < STEPS; n++) {
        double x[2][3] = {{0.1 * sin(0.3 * n), 0, 0}, {1 - 0.1 * sin(0.3 * n), 0, 0}};
        nf_replicas_see(&r, 2, (const double(*)[3])x);
    }
    ck_assert(!r.several);
}
END_TEST

/* An atom that leaves the cell on one side and comes in on the other. */
START_TEST(wrapped_positions)
{
    nf_replicas r = {0};
    frame x;
    for (int n = 0; n < STEPS; n++) {
        trajectory(x, 50, 1, n);
        for (int i = 0; i < 50; i++)
            x[i][0] = fmod(x[i][0] + 0.05 * n, 10);
        nf_replicas_see(&r, 50, (const double(*)[3])x);
    }
    ck_assert(!r.several);
}
END_TEST

START_TEST(the_same_structure_says_nothing)
{
    nf_replicas r = {0};
    frame x;
    for (int n = 0; n < STEPS; n++) {
        trajectory(x, 10, 0, n / 3);
        nf_replicas_see(&r, 10, (const double(*)[3])x);
    }
    ck_assert(!r.several);
}
END_TEST

START_TEST(another_system_begins_anew)
{
    nf_replicas r = {0};
    frame x;
    for (int n = 0; n < STEPS; n++) {
        size_t natoms = n % 2 == 0 ? 10 : 12;
        trajectory(x, natoms, n % 2, n);
        nf_replicas_see(&r, natoms, (const double(*)[3])x);
    }
    ck_assert(!r.several);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("replicas");
    TCase *t = tcase_create("all");
    tcase_add_test(t, one_trajectory_is_one);
    tcase_add_test(t, replicas_are_seen_soon);
    tcase_add_test(t, images_on_a_line);
    tcase_add_test(t, one_oscillator);
    tcase_add_test(t, wrapped_positions);
    tcase_add_test(t, the_same_structure_says_nothing);
    tcase_add_test(t, another_system_begins_anew);
    suite_add_tcase(s, t);
    return s;
}
