/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_same_bits.c - the promise of nf_eval: the same bits whatever the number of threads, the company of other jobs,
 * the age of neighbour lists and what else was asked for; and of the kernels: the same bits with AVX2 and AVX-512.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "kern/kern.h"
#include "potential.h"
#include "specimen.h"
#include "suite.h"

enum { MODELS = 4, NATOMS = 70 };

static nf_model *make_model(int index, potential_recipe *p)
{
    *p = index == 0 ? potential_plain : potential_random((unsigned)(index + 200));
    return index % 2 == 0 ? potential_committee(p, 3) : potential_load(p);
}

static void make(const potential_recipe *p, specimen *s, int kind, unsigned seed)
{
    specimen_make(s, (enum specimen_kind)kind, NATOMS, p->nelements, p->elements, seed);
}

START_TEST(any_number_of_threads)
{
    static specimen s;
    potential_recipe p;
    nf_model *model = make_model(_i, &p);
    answer one = {0}, more = {0};
    lab l;
    for (int kind = 0; kind < NSPECIMENS; kind++) {
        make(&p, &s, kind, 1);
        for (int threads = 1; threads <= 3; threads++) {
            lab_open(&l, nf_model_ref(model), threads, 1.0);
            lab_eval(&l, &s.frame, threads == 1 ? &one : &more);
            ck_assert(threads == 1 || same_answer(&one, &more));
            lab_close(&l);
        }
    }
    answer_free(&one);
    answer_free(&more);
    nf_model_free(model);
}
END_TEST

static void count_done(void *ctx, nf_job *job)
{
    ++*(int *)ctx;
    ck_assert_ptr_nonnull(job->user);
}

/* All kinds together, twice over, in both orders; a job that fails among them. */
START_TEST(any_company)
{
    static specimen s[NSPECIMENS], broken;
    potential_recipe p;
    answer alone[NSPECIMENS] = {{{0}, 0, 0, 0}}, together[2 * NSPECIMENS] = {{{0}, 0, 0, 0}};
    nf_result ignored = NF_RESULT_INIT;
    nf_job job[2 * NSPECIMENS + 1], *jobs[2 * NSPECIMENS + 1];
    lab l;
    int done = 0;
    lab_open(&l, make_model(_i, &p), 2, 1.0);
    for (int k = 0; k < NSPECIMENS; k++) {
        make(&p, &s[k], k, 2);
        lab_eval(&l, &s[k].frame, &alone[k]);
    }
    for (int k = 0; k < 2 * NSPECIMENS; k++) {
        answer_prepare(&together[k], l.model, s[k % NSPECIMENS].frame.natoms);
        job[k] = (nf_job){.calc = l.calc, .frame = &s[k % NSPECIMENS].frame, .result = &together[k].r, .user = &l};
        jobs[_i % 2 == 0 ? k : 2 * NSPECIMENS - k] = &job[k];
    }
    specimen_copy(&broken, &s[0]);
    broken.pos[3][1] = NAN;
    job[2 * NSPECIMENS] = (nf_job){.calc = l.calc, .frame = &broken.frame, .result = &ignored, .user = &l};
    jobs[_i % 2 == 0 ? 2 * NSPECIMENS : 0] = &job[2 * NSPECIMENS];
    ck_assert_int_eq(nf_eval(l.team, 2 * NSPECIMENS + 1, jobs, count_done, &done), NF_EINVAL);
    ck_assert_int_eq(done, 2 * NSPECIMENS + 1);
    ck_assert_int_eq(job[2 * NSPECIMENS].code, NF_EINVAL);
    for (int k = 0; k < 2 * NSPECIMENS; k++) {
        ck_assert_msg(job[k].code == 0, "%s", job[k].err.msg);
        ck_assert(same_answer(&alone[k % NSPECIMENS], &together[k]));
        answer_free(&together[k]);
    }
    for (int k = 0; k < NSPECIMENS; k++)
        answer_free(&alone[k]);
    lab_close(&l);
}
END_TEST

static void displace(specimen *s, const specimen *from, double by, nf_rng *rng)
{
    specimen_copy(s, from);
    for (size_t k = 0; k < 3 * s->frame.natoms; k++)
        (&s->pos[0][0])[k] += nf_rng_between(rng, -by, by);
}

/* A list made elsewhere, within half the skin, against one made here; then a changed cell. */
START_TEST(any_age_of_lists)
{
    static specimen s, moved;
    potential_recipe p;
    nf_model *model = make_model(_i, &p);
    answer fresh = {0}, aged = {0};
    lab new, old;
    for (int kind = 0; kind < NSPECIMENS; kind++) {
        nf_rng rng = {(uint64_t)kind};
        lab_open(&new, nf_model_ref(model), 1, 0);
        lab_open(&old, nf_model_ref(model), 1, 1.0);
        make(&p, &s, kind, 3);
        lab_eval(&old, &s.frame, &aged);
        for (int step = 0; step < 4; step++) {
            double strain[3][3] = {{1 + 0.003 * step, 0, 0}, {0.002, 1, 0}, {0, 0, 1 - 0.004 * step}};
            displace(&moved, &s, 0.2, &rng);
            if (step > 1 && kind != FAR_OUTSIDE)
                specimen_transform(&moved, (const double(*)[3])strain);
            lab_eval(&new, &moved.frame, &fresh);
            lab_eval(&old, &moved.frame, &aged);
            ck_assert(same_answer(&fresh, &aged));
        }
        ck_assert_int_eq(nf_calc_nbuilds(new.calc), 4);
        ck_assert_int_eq(nf_calc_nbuilds(old.calc), 1);
        lab_close(&new);
        lab_close(&old);
    }
    answer_free(&fresh);
    answer_free(&aged);
    nf_model_free(model);
}
END_TEST

/* A wander so long that lists break now and then. */
START_TEST(lists_are_rebuilt)
{
    static specimen s;
    potential_recipe p;
    nf_model *model = make_model(0, &p);
    answer fresh = {0}, aged = {0};
    nf_rng rng = {11};
    lab new, old;
    lab_open(&new, nf_model_ref(model), 1, 0);
    lab_open(&old, nf_model_ref(model), 1, 0.4);
    specimen_make(&s, CUBIC, 30, p.nelements, p.elements, 4);
    for (int step = 0; step < 40; step++) {
        for (size_t k = 0; k < 3 * s.frame.natoms; k++)
            (&s.pos[0][0])[k] += 0.02 * nf_rng_normal(&rng);
        lab_eval(&new, &s.frame, &fresh);
        lab_eval(&old, &s.frame, &aged);
        ck_assert(same_answer(&fresh, &aged));
    }
    ck_assert_int_ge(nf_calc_nbuilds(old.calc), 2);
    ck_assert_int_lt(nf_calc_nbuilds(old.calc), 20);
    lab_close(&new);
    lab_close(&old);
    answer_free(&fresh);
    answer_free(&aged);
    nf_model_free(model);
}
END_TEST

/* Beads in turn on one calc keep their own lists. */
START_TEST(beads_keep_their_lists)
{
    static specimen bead[4], moved;
    potential_recipe p;
    answer a = {0};
    nf_rng rng = {12};
    lab l;
    lab_open(&l, make_model(1, &p), 1, 1.0);
    for (unsigned b = 0; b < 4; b++)
        specimen_make(&bead[b], CUBIC, 30, p.nelements, p.elements, 20 + b);
    for (int step = 0; step < 5; step++)
        for (int b = 0; b < 4; b++) {
            displace(&moved, &bead[(b + step) % 4], 0.1, &rng);
            lab_eval(&l, &moved.frame, &a);
        }
    ck_assert_int_eq(nf_calc_nbuilds(l.calc), 4);
    answer_free(&a);
    lab_close(&l);
}
END_TEST

/* What is asked for never changes the other numbers. */
START_TEST(any_request)
{
    static specimen s;
    potential_recipe p;
    answer all = {0};
    lab l;
    double forces[SPECIMEN_MAX][3];
    lab_open(&l, make_model(_i, &p), 1, 1.0);
    make(&p, &s, CUBIC, 5);
    lab_eval(&l, &s.frame, &all);
    for (int with = 0; with < 2; with++) {
        nf_result r = NF_RESULT_INIT;
        nf_job job = {.calc = l.calc, .frame = &s.frame, .result = &r}, *jobs = &job;
        r.forces = with ? forces : NULL;
        ck_assert_int_eq(nf_eval(l.team, 1, &jobs, NULL, NULL), 0);
        ck_assert(memcmp(&r.energy, &all.r.energy, sizeof r.energy) == 0);
        ck_assert(memcmp(&r.energy_std, &all.r.energy_std, sizeof r.energy) == 0);
        ck_assert(memcmp(r.virial, all.r.virial, sizeof r.virial) == 0);
        ck_assert(!with || memcmp(forces, all.r.forces, s.frame.natoms * sizeof *forces) == 0);
        ck_assert_int_eq(r.nextrapolated, all.r.nextrapolated);
    }
    answer_free(&all);
    lab_close(&l);
}
END_TEST

/* ---- instruction sets ---- */

static int runs_here(const char *isa)
{
    for (int i = 0; nf_kern_table(i) != NULL; i++)
        if (strcmp(nf_kern_table(i)->name, isa) == 0)
            return nf_kern_runs_here(nf_kern_table(i));
    return 0;
}

/* A model takes its kernels when it is loaded. */
static int eval_with(const char *isa, int index, specimen s[NSPECIMENS], answer out[NSPECIMENS])
{
    potential_recipe p;
    lab l;
    if (!runs_here(isa))
        return 0;
    setenv("NEARFAR_ISA", isa, 1);
    lab_open(&l, make_model(index, &p), 1, 1.0);
    unsetenv("NEARFAR_ISA");
    for (int k = 0; k < NSPECIMENS; k++) {
        specimen_make(&s[k], (enum specimen_kind)k, 40, p.nelements, p.elements, 6);
        lab_eval(&l, &s[k].frame, &out[k]);
    }
    lab_close(&l);
    return 1;
}

static void check_near(const answer *a, const answer *b)
{
    size_t n = 3 * a->natoms;
    double f = fmax(1, largest(n, &a->r.forces[0][0])), w = fmax(1, largest(9, &a->r.virial[0][0]));
    ck_assert_double_eq_tol(a->r.energy, b->r.energy, 1e-12 * fmax(1, fabs(a->r.energy)));
    ck_assert_double_le(worst_difference(n, &a->r.forces[0][0], &b->r.forces[0][0]), 5e-12 * f);
    ck_assert_double_le(worst_difference(9, &a->r.virial[0][0], &b->r.virial[0][0]), 1e-11 * w);
}

START_TEST(any_instruction_set)
{
    static specimen s[NSPECIMENS];
    answer ref[NSPECIMENS] = {{{0}, 0, 0, 0}}, avx2[NSPECIMENS] = {{{0}, 0, 0, 0}},
           avx512[NSPECIMENS] = {{{0}, 0, 0, 0}};
    int plain = eval_with("ref", _i, s, ref), four = eval_with("avx2", _i, s, avx2),
        eight = eval_with("avx512", _i, s, avx512);
    ck_assert(plain);
    for (int k = 0; k < NSPECIMENS; k++) {
        if (four)
            check_near(&ref[k], &avx2[k]);
        if (four && eight)
            ck_assert_msg(same_answer(&avx2[k], &avx512[k]), "avx2 and avx512 differ, specimen %d", k);
        answer_free(&ref[k]);
        answer_free(&avx2[k]);
        answer_free(&avx512[k]);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("same bits");
    TCase *t = tcase_create("property");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, any_number_of_threads, 0, MODELS);
    tcase_add_loop_test(t, any_company, 0, MODELS);
    tcase_add_loop_test(t, any_age_of_lists, 0, MODELS);
    tcase_add_test(t, lists_are_rebuilt);
    tcase_add_test(t, beads_keep_their_lists);
    tcase_add_loop_test(t, any_request, 0, MODELS);
    tcase_add_loop_test(t, any_instruction_set, 0, MODELS);
    suite_add_tcase(s, t);
    return s;
}
