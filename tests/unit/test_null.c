/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_null.c - the model that is zero: how it is named, what it refuses, and its evaluation on the caller's thread.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval.h"
#include "example.h"
#include "model/evaluation.h"
#include "potential.h"
#include "scratch.h"
#include "specimen.h"
#include "suite.h"

static const int heavy[] = {1, 26, 92, 118};
static const char nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void open_null(lab *l)
{
    lab_open(l, load_model("null", NF_UNITS_BOHR_HARTREE), 2, 1.0);
}

START_TEST(description)
{
    nf_model *m = load_model("null", NF_UNITS_BOHR_HARTREE);
    ck_assert_uint_eq(nf_model_nelements(m), 118);
    ck_assert_int_eq(nf_model_element(m, 117), 118);
    ck_assert_uint_eq(nf_model_nmembers(m), 1);
    ck_assert_uint_eq(nf_model_nparameters(m), 0);
    ck_assert_uint_eq(nf_model_nfeatures(m, 8), 0);
    ck_assert_double_eq(nf_model_cutoff(m), 0);
    ck_assert_str_eq(nf_model_sha256(m), nothing);
    char *text = nf_model_describe(m);
    ck_assert(strstr(text, "\"format\":\"null\"") != NULL && strstr(text, nothing) != NULL);
    nf_string_free(text);
    nf_model_free(m);
}
END_TEST

/* Not a member of a committee, and no word but that one. */
START_TEST(names)
{
    static const char *const paths[] = {"null", "./null"};
    nf_model *model;
    nf_error err;
    ck_assert_int_eq(nf_model_load(&model, 2, paths, NULL, &err), NF_EINVAL);
    ck_assert(strstr(err.msg, "committee") != NULL);
    ck_assert_int_eq(nf_model_load(&model, 1, paths + 1, NULL, &err), NF_EIO);
    ck_assert_ptr_null(model);
}
END_TEST

/* Fills what a result has with something else than zero. */
static void soil(answer *a, const nf_model *model, size_t natoms)
{
    answer_prepare(a, model, natoms);
    nf_result *r = &a->r;
    void *const fields[] = {r->forces,       r->atom_energy,   r->force_std,     r->atom_energy_std,
                            r->extrapolated, r->member_energy, r->member_forces, r->member_virial};
    const size_t bytes[] = {24 * natoms, 8 * natoms, 24 * natoms, 8 * natoms, 4 * natoms, 8, 24 * natoms, 72};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        memset(fields[i], 0x7a, bytes[i]);
    memset(r->virial, 0x7a, sizeof r->virial);
    r->energy = r->energy_std = NAN;
    r->nextrapolated = 7;
}

static int all_zero(const answer *a)
{
    const nf_result *r = &a->r;
    size_t n = a->natoms;
    for (size_t i = 0; i < n; i++)
        if (r->extrapolated[i] != 0)
            return 0;
    return r->energy == 0 && r->energy_std == 0 && r->nextrapolated == 0 && r->member_energy[0] == 0 &&
           largest(9, &r->virial[0][0]) == 0 && largest(9, r->member_virial[0]) == 0 &&
           largest(3 * n, &r->forces[0][0]) == 0 && largest(3 * n, &r->force_std[0][0]) == 0 &&
           largest(n, r->atom_energy) == 0 && largest(n, r->atom_energy_std) == 0 &&
           largest(3 * n, &r->member_forces[0][0]) == 0;
}

/* Both ways, judged too, without allocation on the caller's thread. */
START_TEST(zeros)
{
    static specimen s;
    answer now = {0}, team = {0};
    lab l;
    open_null(&l);
    specimen_make(&s, (enum specimen_kind)_i, 40, 4, heavy, (unsigned)_i);
    size_t n = s.frame.natoms;
    soil(&now, l.model, n);
    soil(&team, l.model, n);
    nf_job job = {.calc = l.calc, .frame = &s.frame, .result = &now.r, .judge = true, .code = 3};
    ck_assert(nf_job_is_immediate(&job));
    nf_mem_fail_after(0);
    nf_job_evaluate_now(&job, HUGE_VAL);
    ck_assert_int_eq(nf_mem_fail_stop(), 0);
    ck_assert_int_eq(job.code, 0);
    lab_eval(&l, &s.frame, &team);
    ck_assert(all_zero(&now) && same_answer(&now, &team));
    ck_assert_int_eq(nf_calc_nbuilds(l.calc), 0);
    nf_result r = NF_RESULT_INIT; /* nothing wanted */
    job.result = &r;
    nf_job_evaluate_now(&job, HUGE_VAL);
    ck_assert_int_eq(job.code, 0);
    answer_free(&now);
    answer_free(&team);
    lab_close(&l);
}
END_TEST

static void spoil(specimen *s, int how)
{
    s->frame.size = how == 0 ? 8 : sizeof s->frame;
    s->frame.natoms = how == 1 ? 0 : how == 2 ? (size_t)1 << 40 : s->frame.natoms;
    s->pos[7][1] = how == 3 ? NAN : how == 4 ? -HUGE_VAL : how == 5 ? 1e12 : s->pos[7][1];
    s->frame.cell[1][2] = how == 6 ? NAN : s->frame.cell[1][2];
    if (how == 7)
        memcpy(s->frame.cell[2], s->frame.cell[1], sizeof s->frame.cell[1]);
    s->species[5] = how == 8 ? 0 : how == 9 ? 119 : how == 10 ? -3 : s->species[5];
    if (how == 11) { /* far for a cluster, not for its cell */
        memset(s->frame.cell, 0, sizeof s->frame.cell);
        s->pos[2][0] = 1e9;
    }
    if (how == 12) /* what is named first does not change */
        s->species[9] = 200, s->pos[1][1] = NAN;
}

enum { SPOILT = 13 };

static nf_job answer_to(const lab *l, const specimen *s, nf_result *r, bool now)
{
    nf_job job = {.calc = l->calc, .frame = &s->frame, .result = r}, *jobs = &job;
    if (now)
        nf_job_evaluate_now(&job, HUGE_VAL);
    else
        nf_eval(l->team, 1, &jobs, NULL, NULL);
    return job;
}

/* The same sentence as that of a potential, and of a team. */
START_TEST(refusals)
{
    static specimen s;
    potential_recipe p = potential_plain;
    lab null, potential;
    nf_result r = NF_RESULT_INIT;
    open_null(&null);
    lab_open(&potential, potential_load(&p), 1, 1.0);
    specimen_make(&s, CUBIC, 40, p.nelements, p.elements, 1);
    spoil(&s, _i);
    r.energy = 5;
    nf_job now = answer_to(&null, &s, &r, true), team = answer_to(&null, &s, &r, false);
    nf_job other = answer_to(&potential, &s, &r, false);
    ck_assert_int_lt(now.code, 0);
    ck_assert_int_eq(now.code, team.code);
    ck_assert_int_eq(now.code, other.code);
    ck_assert_int_eq(now.err.code, now.code);
    ck_assert_str_eq(now.err.msg, team.err.msg);
    ck_assert_str_eq(now.err.msg, other.err.msg);
    ck_assert_double_eq(r.energy, 5); /* an error leaves the result alone */
    lab_close(&null);
    lab_close(&potential);
}
END_TEST

/* Coincident atoms, collapsed and thin cells are no concern of a model without neighbours. */
START_TEST(indifference)
{
    static specimen s;
    nf_result r = NF_RESULT_INIT;
    lab l;
    open_null(&l);
    specimen_make(&s, CUBIC, 40, 4, heavy, 1);
    memset(s.pos, 0, sizeof s.pos);
    s.pos[1][0] = 9e3; /* many cells away */
    s.frame.cell[0][0] = s.frame.cell[1][1] = 0.01;
    for (int now = 0; now < 2; now++) {
        nf_job job = answer_to(&l, &s, &r, now);
        ck_assert_msg(job.code == 0, "%s", job.err.msg);
    }
    lab_close(&l);
}
END_TEST

/* Models that need their frames looked at: a potential, and zeros with offsets. */
START_TEST(others_take_their_time)
{
    static specimen s;
    potential_recipe p = potential_plain;
    nf_model *models[] = {potential_load(&p), example_model(nf_descriptor_find("null"), 1)};
    for (int i = 0; i < 2; i++) {
        nf_job job = {0};
        lab l;
        lab_open(&l, models[i], 1, 1.0);
        job.calc = l.calc;
        ck_assert(!nf_job_is_immediate(&job));
        lab_close(&l);
    }
    /* patch by patch: the offsets of the example are 0, 0.25 and 0.5 */
    lab l;
    answer a = {0};
    double sum = 0;
    lab_open(&l, example_model(nf_descriptor_find("null"), 1), 2, 1.0);
    specimen_make(&s, CUBIC, 40, EXAMPLE_NELEMENTS, example_elements, 3);
    lab_eval(&l, &s.frame, &a);
    for (size_t i = 0; i < s.frame.natoms; i++)
        sum += s.species[i] == 8 ? 0.5 : s.species[i] == 6 ? 0.25 : 0;
    ck_assert_double_eq(a.r.energy, sum);
    ck_assert_double_eq(largest(3 * s.frame.natoms, &a.r.forces[0][0]), 0);
    ck_assert_double_eq(largest(9, &a.r.virial[0][0]), 0);
    answer_free(&a);
    lab_close(&l);
}
END_TEST

static int count_calls(void *ctx, const nf_feature_gradient *of)
{
    ck_assert_uint_eq(of->nfeatures, 0);
    ck_assert_uint_eq(of->npairs, 1); /* itself */
    ++*(int *)ctx;
    return 0;
}

START_TEST(features)
{
    static specimen s;
    nf_error err = {0};
    double *g;
    int calls = 0;
    lab l;
    open_null(&l);
    specimen_make(&s, CUBIC, 40, 4, heavy, 2);
    lab_features(&l, &s.frame, &g);
    free(g);
    int rc = nf_feature_gradients(l.team, l.calc, &s.frame, count_calls, &calls, &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    ck_assert_int_eq(calls, 40);
    lab_close(&l);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("null");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, description);
    tcase_add_test(t, names);
    tcase_add_loop_test(t, zeros, 0, NSPECIMENS);
    tcase_add_loop_test(t, refusals, 0, SPOILT);
    tcase_add_test(t, indifference);
    tcase_add_test(t, others_take_their_time);
    tcase_add_test(t, features);
    suite_add_tcase(s, t);
    return s;
}
