/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_bad_frames.c - frames that make no sense get an error that says why, and the calc serves the next one.
 */
#include <math.h>
#include <string.h>

#include "eval.h"
#include "potential.h"
#include "specimen.h"
#include "suite.h"

static lab l;
static answer good;
static specimen first;

static void open_lab(void)
{
    potential_recipe p = potential_plain;
    lab_open(&l, potential_load(&p), 2, 1.0);
    specimen_make(&first, CUBIC, 40, p.nelements, p.elements, 1);
    lab_eval(&l, &first.frame, &good);
}

static void close_lab(void)
{
    answer_free(&good);
    lab_close(&l);
}

static void expect(const nf_frame *frame, int code, const char *word)
{
    answer a = {0};
    nf_job job = {.calc = l.calc, .frame = frame, .result = &a.r}, *jobs = &job;
    answer_prepare(&a, l.model, frame->natoms < SPECIMEN_MAX ? frame->natoms : 1);
    int rc = nf_eval(l.team, 1, &jobs, NULL, NULL);
    ck_assert_msg(rc == code && job.code == code, "code %d: %s", rc, job.err.msg);
    ck_assert_msg(strstr(job.err.msg, word) != NULL, "'%s' is not in '%s'", word, job.err.msg);
    lab_eval(&l, &first.frame, &a);
    ck_assert(same_answer(&a, &good));
    answer_free(&a);
}

START_TEST(positions)
{
    static specimen s;
    static const double bad[] = {NAN, HUGE_VAL, -HUGE_VAL, 1e12, 1e300};
    specimen_copy(&s, &first);
    s.pos[17][2] = bad[_i];
    expect(&s.frame, NF_EINVAL, "atom 18");
}
END_TEST

START_TEST(far_in_a_cluster)
{
    static specimen s;
    specimen_copy(&s, &first);
    memset(s.frame.cell, 0, sizeof s.frame.cell);
    s.pos[3][0] = 1e10;
    expect(&s.frame, NF_EINVAL, "atom 4");
}
END_TEST

START_TEST(cells)
{
    static specimen s;
    specimen_copy(&s, &first);
    memcpy(s.frame.cell[2], s.frame.cell[1], sizeof s.frame.cell[1]);
    expect(&s.frame, NF_EINVAL, "singular");
    s.frame.cell[2][0] = NAN;
    expect(&s.frame, NF_EINVAL, "cell vector 3");
    specimen_copy(&s, &first);
    s.frame.cell[0][0] = 1e-3;
    s.frame.cell[1][1] = 1e-3;
    expect(&s.frame, NF_ELIMIT, "thin");
}
END_TEST

START_TEST(species)
{
    static specimen s;
    static const int bad[] = {6, 0, -1, 119, 1000000};
    specimen_copy(&s, &first);
    s.species[5] = bad[_i];
    expect(&s.frame, NF_EINVAL, "atom 6");
}
END_TEST

START_TEST(coincidence)
{
    static specimen s;
    specimen_copy(&s, &first);
    memcpy(s.pos[9], s.pos[30], sizeof s.pos[9]);
    expect(&s.frame, NF_EDIVERGED, "same place");
    for (int c = 0; c < 3; c++)
        s.pos[9][c] = s.pos[30][c] + s.frame.cell[1][c]; /* an image of it */
    expect(&s.frame, NF_EDIVERGED, "same place");
    memset(s.pos, 0, sizeof s.pos);
    expect(&s.frame, NF_EDIVERGED, "same place");
}
END_TEST

/* Units gone wrong: everything within a cutoff of everything. */
START_TEST(collapse)
{
    static specimen s;
    specimen_copy(&s, &first);
    for (int d = 0; d < 3; d++)
        s.frame.cell[d][d] = 0.3;
    expect(&s.frame, NF_ELIMIT, "neighbours");
}
END_TEST

START_TEST(nothing)
{
    static specimen s;
    specimen_copy(&s, &first);
    s.frame.natoms = 0;
    expect(&s.frame, NF_EINVAL, "without atoms");
    s.frame.natoms = 40;
    s.frame.pos = NULL;
    expect(&s.frame, NF_EINVAL, "without atoms");
    specimen_copy(&s, &first);
    s.frame.size = 8;
    expect(&s.frame, NF_EINVAL, "NF_FRAME_INIT");
    specimen_copy(&s, &first);
    s.frame.natoms = (size_t)1 << 40;
    expect(&s.frame, NF_ELIMIT, "atoms");
}
END_TEST

START_TEST(members)
{
    double energy[4];
    nf_result r = NF_RESULT_INIT;
    nf_job job = {.calc = l.calc, .frame = &first.frame, .result = &r}, *jobs = &job;
    r.member_energy = energy;
    r.nmembers = 4;
    ck_assert_int_eq(nf_eval(l.team, 1, &jobs, NULL, NULL), NF_EINVAL);
    ck_assert(strstr(job.err.msg, "members") != NULL);
}
END_TEST

START_TEST(features)
{
    static specimen s;
    double out[SPECIMEN_MAX];
    nf_error err = {0};
    ck_assert_int_eq(nf_features(l.team, l.calc, &first.frame, 1, out, &err), NF_EINVAL);
    ck_assert(strstr(err.msg, "stride") != NULL);
    specimen_copy(&s, &first);
    s.pos[0][0] = NAN;
    ck_assert_int_eq(nf_features(l.team, l.calc, &s.frame, 13, out, &err), NF_EINVAL);
    ck_assert(strstr(err.msg, "atom 1") != NULL);
}
END_TEST

START_TEST(options)
{
    nf_error err = {0};
    nf_calc *calc;
    nf_team *team;
    static const double skins[] = {-1, NAN, 1e9};
    for (int i = 0; i < 3; i++) {
        nf_calc_opts opts = NF_CALC_OPTS_INIT;
        opts.skin = skins[i];
        ck_assert_int_eq(nf_calc_new(&calc, l.model, &opts, &err), NF_EINVAL);
        ck_assert_ptr_null(calc);
    }
    ck_assert_int_eq(nf_team_new(&team, -1, &err), NF_EINVAL);
    ck_assert_int_eq(nf_team_new(&team, 100000, &err), NF_EINVAL);
    ck_assert_ptr_null(team);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("bad frames");
    TCase *t = tcase_create("property");
    tcase_set_timeout(t, 120);
    tcase_add_unchecked_fixture(t, open_lab, close_lab);
    tcase_add_loop_test(t, positions, 0, 5);
    tcase_add_test(t, far_in_a_cluster);
    tcase_add_test(t, cells);
    tcase_add_loop_test(t, species, 0, 5);
    tcase_add_test(t, coincidence);
    tcase_add_test(t, collapse);
    tcase_add_test(t, nothing);
    tcase_add_test(t, members);
    tcase_add_test(t, features);
    tcase_add_test(t, options);
    suite_add_tcase(s, t);
    return s;
}
