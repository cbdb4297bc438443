/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_committee.c - the published committee for water that Debian's cp2k-data carries (Schran, Brezina, Marsalek,
 * J. Chem. Phys. 153, 104105 (2020)) against CP2K's own numbers: ../shared/data/anchor_cnnp_cp2k.
 *
 * CP2K leaves out the potential's atom_energy and divides its spread by n; it prints forces with 8 decimals of
 * hartree/bohr and energies with 9 of hartree.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "eval.h"
#include "io/extxyz.h"
#include "suite.h"

#define COMMITTEE "/usr/share/cp2k/NNP/bulkH2O-jcp2020-cnnp"

enum { MEMBERS = 8 };

static const double ase_hartree = 27.211386024367243; /* the file's eV: ase.units, CODATA 2014 */
static const double ase_bohr = 0.5291772105638411;
static const double cp2k_bohr = 0.52917720859;                     /* CP2K 2023.1 reads its Angstrom with CODATA 2006 */
static const double offset = 64 * (-74.94518524 - 2 * 0.45890771); /* hartree, input.nn */

static int available(void)
{
    if (access(COMMITTEE "/nnp-1/input.nn", R_OK) == 0)
        return 1;
    printf("skipped: no committee in %s (Debian package cp2k-data)\n", COMMITTEE);
    return 0;
}

/* The same numbers in bohr as CP2K had. */
static void to_cp2k_lengths(nf_structure *s)
{
    for (size_t i = 0; i < 3 * s->natoms; i++)
        (&s->pos[0][0])[i] *= NF_BOHR / cp2k_bohr;
    for (int k = 0; k < 9; k++)
        (&s->cell[0][0])[k] *= NF_BOHR / cp2k_bohr;
}

static void check_energies(const nf_structure *s, const answer *a)
{
    const nf_info *info = nf_structure_info(s, "cp2k_energies_line");
    ck_assert_ptr_nonnull(info);
    char *at = (char *)info->value + strspn(info->value, "\"");
    double mean = strtod(at, &at), sigma = strtod(at, &at), worst = 0;
    for (int m = 0; m < MEMBERS; m++)
        worst = fmax(worst, fabs(a->r.member_energy[m] / NF_HARTREE - offset - strtod(at, &at)));
    double population = a->r.energy_std / NF_HARTREE * sqrt((MEMBERS - 1.0) / MEMBERS);
    printf("committee: mean off by %.1e, members by %.1e, spread by %.1e hartree\n",
           fabs(a->r.energy / NF_HARTREE - offset - mean), worst, fabs(population - sigma));
    ck_assert_double_eq_tol(a->r.energy / NF_HARTREE - offset, mean, 1e-9);
    ck_assert_double_le(worst, 1e-9);
    ck_assert_double_eq_tol(population, sigma, 1e-9);
}

/* In the file's eV/A, so that its unit constants do not matter. */
static void check_forces(const nf_structure *s, const answer *a)
{
    double worst = 0, unit = NF_BOHR / NF_HARTREE * ase_hartree / ase_bohr;
    for (size_t i = 0; i < s->natoms; i++)
        for (int c = 0; c < 3; c++)
            worst = fmax(worst, fabs(a->r.forces[i][c] * unit - s->forces[i][c]));
    printf("committee: forces off by %.1e eV/A, half of the last printed digit is 2.6e-7\n", worst);
    ck_assert_double_le(worst, 3e-7);
}

/* The mean is the mean of the members, the spread theirs with n - 1. */
static void check_statistics(const answer *a)
{
    size_t n = a->natoms;
    for (size_t i = 0; i < 3 * n; i++) {
        double mean = 0, square = 0;
        for (size_t m = 0; m < MEMBERS; m++)
            mean += (&a->r.member_forces[m * n][0])[i] / MEMBERS;
        for (size_t m = 0; m < MEMBERS; m++)
            square += pow((&a->r.member_forces[m * n][0])[i] - mean, 2);
        ck_assert_double_eq_tol((&a->r.forces[0][0])[i], mean, 1e-11);
        ck_assert_double_eq_tol((&a->r.force_std[0][0])[i], sqrt(square / (MEMBERS - 1)), 1e-10);
    }
    for (int k = 0; k < 9; k++) {
        double mean = 0;
        for (size_t m = 0; m < MEMBERS; m++)
            mean += a->r.member_virial[m][k] / MEMBERS;
        ck_assert_double_eq_tol((&a->r.virial[0][0])[k], mean, 1e-10);
    }
}

START_TEST(agrees_with_cp2k)
{
    const char *path = shared_path("data/anchor_cnnp_cp2k/frames.xyz.gz");
    nf_error err = {0};
    nf_xyz_reader *reader;
    nf_structure s = {0};
    answer a = {0};
    lab l;
    if (path == NULL || !available())
        return;
    lab_open(&l, load_model(COMMITTEE, NF_UNITS_BOHR_HARTREE), 2, 1.0);
    ck_assert_uint_eq(nf_model_nmembers(l.model), MEMBERS);
    ck_assert_msg(nf_xyz_open(&reader, path, &err) == 0, "%s", err.msg);
    int frames = 0;
    for (; nf_xyz_next(reader, &s, &err) == 1; frames++) {
        nf_frame frame;
        to_cp2k_lengths(&s);
        nf_structure_view(&s, &frame);
        lab_eval(&l, &frame, &a);
        check_energies(&s, &a);
        check_forces(&s, &a);
        check_statistics(&a);
    }
    ck_assert_int_eq(frames, 3);
    nf_xyz_reader_free(reader);
    nf_structure_free(&s);
    answer_free(&a);
    lab_close(&l);
}
END_TEST

/* A committee is its members: the same bits as each alone. */
START_TEST(members_are_single_models)
{
    static const double pos[3][3] = {{0, 0, 0}, {0.96, 0, 0.1}, {-0.2, 0.93, 0}};
    static const int species[3] = {8, 1, 1};
    nf_frame frame = NF_FRAME_INIT;
    answer all = {0}, one = {0};
    lab l;
    if (!available())
        return;
    frame.natoms = 3;
    frame.pos = pos;
    frame.species = species;
    lab_open(&l, load_model(COMMITTEE, NF_UNITS_BOHR_HARTREE), 1, 1.0);
    lab_eval(&l, &frame, &all);
    lab_close(&l);
    for (int m = 0; m < MEMBERS; m++) {
        char path[128];
        snprintf(path, sizeof path, COMMITTEE "/nnp-%d", m + 1);
        lab_open(&l, load_model(path, NF_UNITS_BOHR_HARTREE), 1, 1.0);
        lab_eval(&l, &frame, &one);
        lab_close(&l);
        ck_assert_double_eq_tol(one.r.energy, all.r.member_energy[m], 1e-11);
        ck_assert_double_le(worst_difference(9, &one.r.forces[0][0], &all.r.member_forces[3 * m][0]), 1e-11);
        ck_assert_double_eq(one.r.energy_std, 0);
    }
    answer_free(&all);
    answer_free(&one);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("committee");
    TCase *t = tcase_create("golden");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, agrees_with_cp2k);
    tcase_add_test(t, members_are_single_models);
    suite_add_tcase(s, t);
    return s;
}
