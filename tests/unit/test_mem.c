/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_mem.c - every allocation of loading and evaluating fails once; each time a clear error, nothing lost, and the
 * calc good for the next call.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "eval.h"
#include "potential.h"
#include "scratch.h"
#include "specimen.h"
#include "suite.h"

static void write_committee(const scratch *s, potential_recipe *p)
{
    *p = potential_plain;
    p->nfunctions = 3;
    p->nodes[0] = p->nodes[1] = 2;
    for (unsigned m = 1; m <= 2; m++) {
        char name[32], path[512];
        snprintf(name, sizeof name, "nnp-%u", m);
        snprintf(path, sizeof path, "%s/%s", s->path, name);
        scratch_mkdir(s, name);
        p->seed = m;
        potential_write(p, path);
    }
}

/* Of a committee, and of the null model: 118 elements without a file. */
START_TEST(loading)
{
    scratch s;
    potential_recipe p;
    const char *path;
    scratch_begin(&s);
    write_committee(&s, &p);
    path = _i == 0 ? s.path : "null";
    for (long n = 0;; n++) {
        nf_error err = {0};
        nf_model *model;
        nf_mem_fail_after(n);
        int rc = nf_model_load(&model, 1, &path, NULL, &err);
        int refused = nf_mem_fail_stop();
        nf_model_free(model);
        if (!refused) {
            ck_assert_int_eq(rc, 0);
            ck_assert_int_ge(n, 50);
            break;
        }
        ck_assert_msg(rc == NF_ENOMEM, "allocation %ld: code %d, %s", n, rc, err.msg);
        ck_assert(strstr(err.msg, "memory") != NULL);
        ck_assert_ptr_null(model);
    }
    scratch_end(&s);
}
END_TEST

static int try_eval(lab *l, const nf_frame *frame, answer *out, nf_error *err)
{
    nf_job job = {.calc = l->calc, .frame = frame, .result = &out->r}, *jobs = &job;
    answer_prepare(out, l->model, frame->natoms);
    int rc = nf_eval(l->team, 1, &jobs, NULL, NULL);
    ck_assert_int_eq(rc, job.code);
    *err = job.err;
    return rc;
}

/* _i threads. A calc that has failed at allocation n gives the right numbers afterwards. */
START_TEST(evaluating)
{
    static specimen s;
    scratch folder;
    potential_recipe p;
    answer want = {0}, got = {0};
    lab l;
    long n = 0;
    scratch_begin(&folder);
    write_committee(&folder, &p);
    nf_model *model = load_model(folder.path, NF_UNITS_ANGSTROM_EV);
    specimen_make(&s, CUBIC, 40, p.nelements, p.elements, 1);
    lab_open(&l, nf_model_ref(model), _i, 1.0);
    lab_eval(&l, &s.frame, &want);
    lab_close(&l);
    for (int refused = 1; refused; n++) {
        nf_error err = {0};
        lab_open(&l, nf_model_ref(model), _i, 1.0);
        nf_mem_fail_after(n);
        int rc = try_eval(&l, &s.frame, &got, &err);
        refused = nf_mem_fail_stop();
        ck_assert_msg(rc == (refused ? NF_ENOMEM : 0), "allocation %ld: code %d, %s", n, rc, err.msg);
        lab_eval(&l, &s.frame, &got);
        ck_assert(same_answer(&want, &got));
        lab_close(&l);
    }
    ck_assert_int_ge(n, 20);
    nf_model_free(model);
    answer_free(&want);
    answer_free(&got);
    scratch_end(&folder);
}
END_TEST

/* A steady state allocates nothing. */
START_TEST(steady_state)
{
    static specimen s;
    potential_recipe p = potential_plain;
    answer a = {0};
    nf_error err;
    lab l;
    lab_open(&l, potential_load(&p), 1, 1.0);
    specimen_make(&s, CUBIC, 60, p.nelements, p.elements, 2);
    lab_eval(&l, &s.frame, &a);
    nf_mem_fail_after(0);
    for (int step = 0; step < 5; step++) {
        s.pos[step][1] += 0.05;
        int rc = try_eval(&l, &s.frame, &a, &err);
        ck_assert_msg(rc == 0, "step %d: %s", step, err.msg);
    }
    ck_assert_int_eq(nf_mem_fail_stop(), 0);
    answer_free(&a);
    lab_close(&l);
}
END_TEST

/* The null model takes memory for the queue of jobs alone. */
START_TEST(evaluating_nothing)
{
    static specimen s;
    answer a = {0};
    long n = 0;
    specimen_make(&s, CUBIC, 40, potential_plain.nelements, potential_plain.elements, 1);
    for (int refused = 1; refused; n++) {
        nf_error err = {0};
        lab l;
        lab_open(&l, load_model("null", NF_UNITS_ANGSTROM_EV), 2, 1.0);
        nf_mem_fail_after(n);
        int rc = try_eval(&l, &s.frame, &a, &err);
        refused = nf_mem_fail_stop();
        ck_assert_msg(rc == (refused ? NF_ENOMEM : 0), "allocation %ld: code %d, %s", n, rc, err.msg);
        lab_close(&l);
    }
    ck_assert_int_le(n, 6);
    answer_free(&a);
}
END_TEST

START_TEST(making_things)
{
    potential_recipe p = potential_plain;
    nf_model *model = potential_load(&p);
    nf_error err;
    for (long n = 0; n < 3; n++) {
        nf_team *team;
        nf_calc *calc;
        nf_mem_fail_after(n);
        int made_team = nf_team_new(&team, 3, &err) == 0, made_calc = nf_calc_new(&calc, model, NULL, &err) == 0;
        nf_mem_fail_stop();
        ck_assert(n > 0 || (!made_team && !made_calc));
        ck_assert_int_eq(made_team, team != NULL);
        ck_assert_int_eq(made_calc, calc != NULL);
        nf_team_free(team);
        nf_calc_free(calc);
    }
    nf_model_free(model);
}
END_TEST

START_TEST(hook)
{
    void *p;
    nf_mem_fail_after(1);
    ck_assert_ptr_nonnull(p = nf_calloc(3, 5));
    nf_free(p);
    ck_assert_ptr_null(nf_calloc(3, 5));
    ck_assert_ptr_null(nf_strdup("text"));
    ck_assert_int_eq(nf_mem_fail_stop(), 1);
    ck_assert_int_eq(nf_mem_fail_stop(), 1);
    nf_mem_fail_after(-1);
    ck_assert_int_eq(nf_mem_fail_stop(), 0);
    ck_assert_ptr_null(nf_calloc(SIZE_MAX / 2, 3));
    nf_free(NULL);
}
END_TEST

START_TEST(growing)
{
    int *array = NULL;
    size_t capacity = 0;
    for (size_t n = 1; n < 1000; n++) {
        ck_assert_int_eq(NF_GROW(array, capacity, n), 0);
        ck_assert_uint_ge(capacity, n);
        ck_assert_uint_eq((uintptr_t)array % 64, 0);
        array[n - 1] = (int)n;
    }
    for (size_t n = 1; n < 1000; n++)
        ck_assert_int_eq(array[n - 1], (int)n);
    nf_mem_fail_after(0);
    ck_assert_int_eq(NF_GROW(array, capacity, 2 * capacity), NF_ENOMEM);
    nf_mem_fail_stop();
    ck_assert_int_eq(array[7], 8); /* what was there stays */
    nf_free(array);
}
END_TEST

START_TEST(only_one_fails)
{
    nf_mem_fail_once(2);
    for (int i = 0; i < 5; i++) {
        void *p = nf_calloc(1, 1);
        ck_assert_int_eq(p == NULL, i == 2);
        nf_free(p);
    }
    ck_assert_int_eq(nf_mem_fail_stop(), 1);
    nf_mem_fail_once(2);
    ck_assert_int_eq(nf_mem_fail_stop(), 0);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("memory");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, only_one_fails);
    tcase_add_loop_test(t, loading, 0, 2);
    tcase_add_loop_test(t, evaluating, 1, 3);
    tcase_add_test(t, evaluating_nothing);
    tcase_add_test(t, steady_state);
    tcase_add_test(t, making_things);
    tcase_add_test(t, hook);
    tcase_add_test(t, growing);
    suite_add_tcase(s, t);
    return s;
}
