/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_derivatives.c - forces and virial are the derivatives of the energy, of every kind of model and structure.
 *
 * Differences of fourth order with h = 2e-4: 1e-10 or so where the energy is smooth. COS and POLY1 have a kink in their
 * second derivative at the cutoff (and inner) radius, worth h times its height where a neighbour is just there.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/vec3.h"
#include "eval.h"
#include "example.h"
#include "potential.h"
#include "specimen.h"
#include "suite.h"

enum { MODELS = 24, EXAMPLES = 4 };

static double worst_force, worst_virial;

static double tolerance(const potential_recipe *p, double size)
{
    int kinked = p->cutoff_type == 1 || p->cutoff_type == 5;
    return (kinked ? 1e-4 : 1e-8) * fmax(1, size);
}

/* dE/dx by four energies; apply(x) sets the variable. */
static double slope(lab *l, const nf_frame *frame, void (*apply)(void *ctx, double x), void *ctx)
{
    const double h = 2e-4, weight[] = {1, -8, 8, -1}, step[] = {-2, -1, 1, 2};
    double sum = 0;
    for (int k = 0; k < 4; k++) {
        apply(ctx, step[k] * h);
        sum += weight[k] * lab_energy(l, frame);
    }
    apply(ctx, 0);
    return sum / (12 * h);
}

typedef struct {
    double *at, origin;
} coordinate;

static void move(void *ctx, double x)
{
    coordinate *c = ctx;
    *c->at = c->origin + x;
}

static void check_forces(lab *l, specimen *s, const answer *a, double tol)
{
    for (size_t k = 0; k < 3 * s->frame.natoms; k++) {
        coordinate c = {&s->pos[0][0] + k, (&s->pos[0][0])[k]};
        double f = (&a->r.forces[0][0])[k], d = fabs(f + slope(l, &s->frame, move, &c));
        worst_force = fmax(worst_force, tol < 1e-5 ? d * 1e-8 / tol : 0);
        ck_assert_msg(d <= tol, "force %zu is %.12g, off by %g", k, f, d);
    }
}

typedef struct {
    specimen *s;
    const specimen *origin;
    int a, b;
} strain;

static void stretch(void *ctx, double x)
{
    strain *e = ctx;
    double m[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    m[e->a][e->b] += x;
    specimen_copy(e->s, e->origin);
    specimen_transform(e->s, (const double(*)[3])m);
}

static void check_virial(lab *l, specimen *s, const answer *a, double tol)
{
    static specimen origin;
    specimen_copy(&origin, s);
    for (int k = 0; k < 9; k++) {
        strain e = {s, &origin, k / 3, k % 3};
        double w = (&a->r.virial[0][0])[k], d = fabs(w + slope(l, &s->frame, stretch, &e));
        worst_virial = fmax(worst_virial, tol < 1e-5 ? d * 1e-7 / tol : 0);
        ck_assert_msg(d <= tol, "virial %d is %.12g, off by %g", k, w, d);
    }
}

START_TEST(forces_and_virial)
{
    static specimen s;
    potential_recipe p = potential_random((unsigned)_i);
    answer a = {0};
    lab l;
    lab_open(&l, potential_load(&p), 1, 0.3);
    for (int kind = 0; kind < NSPECIMENS; kind++) {
        specimen_make(&s, (enum specimen_kind)kind, 7, p.nelements, p.elements, (unsigned)_i);
        lab_eval(&l, &s.frame, &a);
        check_forces(&l, &s, &a, tolerance(&p, largest(3 * s.frame.natoms, &a.r.forces[0][0])));
        check_virial(&l, &s, &a, 10 * tolerance(&p, largest(9, &a.r.virial[0][0])));
    }
    if (_i == MODELS - 1)
        printf("differences: forces %.1e, virial %.1e of the largest (smooth cutoffs)\n", worst_force, worst_virial);
    answer_free(&a);
    lab_close(&l);
}
END_TEST

/* Examples of the descriptors have cutoff functions of all kinds, with kinks. */
START_TEST(examples)
{
    static specimen s;
    const nf_descriptor_class *class;
    answer a = {0};
    lab l;
    for (size_t i = 0; (class = nf_descriptor_at(i)) != NULL; i++) {
        lab_open(&l, example_model(class, (unsigned)_i), 1, 0.3);
        for (int kind = 0; kind < NSPECIMENS; kind++) {
            specimen_make(&s, (enum specimen_kind)kind, 6, EXAMPLE_NELEMENTS, example_elements, (unsigned)_i);
            lab_eval(&l, &s.frame, &a);
            check_forces(&l, &s, &a, 1e-4 * fmax(1, largest(3 * s.frame.natoms, &a.r.forces[0][0])));
            check_virial(&l, &s, &a, 1e-3 * fmax(1, largest(9, &a.r.virial[0][0])));
        }
        lab_close(&l);
    }
    answer_free(&a);
}
END_TEST

/* ---- no work around a closed loop ---- */

/* Points of Gauss and Legendre on [0, 1], 8 of them. */
static const double gauss_x[] = {0.019855071751231884, 0.10166676129318664, 0.2372337950418355, 0.4082826787521751,
                                 0.5917173212478249,   0.7627662049581645,  0.8983332387068134, 0.9801449282487681};
static const double gauss_w[] = {0.05061426814518813, 0.11119051722668723, 0.15685332293894363, 0.18134189168918100,
                                 0.18134189168918100, 0.15685332293894363, 0.11119051722668723, 0.05061426814518813};

typedef struct {
    double at[SPECIMEN_MAX][3];
} corner;

/* Work along the straight line from a to b, in `pieces` of 8 points each. */
static double work(lab *l, specimen *s, const corner *a, const corner *b, int pieces, answer *out)
{
    double sum = 0;
    size_t n = 3 * s->frame.natoms;
    for (int k = 0; k < 8 * pieces; k++) {
        double t = (k / 8 + gauss_x[k % 8]) / pieces, w = gauss_w[k % 8] / pieces;
        for (size_t i = 0; i < n; i++)
            (&s->pos[0][0])[i] = (1 - t) * (&a->at[0][0])[i] + t * (&b->at[0][0])[i];
        lab_eval(l, &s->frame, out);
        for (size_t i = 0; i < n; i++)
            sum += w * (&out->r.forces[0][0])[i] * ((&b->at[0][0])[i] - (&a->at[0][0])[i]);
    }
    return sum;
}

static void choose_corners(const specimen *s, corner c[3], nf_rng *rng)
{
    for (int k = 0; k < 3; k++)
        for (size_t i = 0; i < 3 * s->frame.natoms; i++)
            (&c[k].at[0][0])[i] = (&s->pos[0][0])[i] + (k == 0 ? 0 : nf_rng_between(rng, -0.15, 0.15));
}

START_TEST(closed_loops)
{
    static specimen s;
    static corner c[3];
    potential_recipe p = potential_plain;
    double worst = 0;
    answer a = {0};
    lab l;
    p.cutoff_type = 4; /* infinitely often differentiable: few points are enough */
    lab_open(&l, potential_load(&p), 1, 0.5);
    for (unsigned loop = 0; loop < 100; loop++) {
        nf_rng rng = {loop};
        specimen_make(&s, (enum specimen_kind)(loop % NSPECIMENS), 5, p.nelements, p.elements, loop);
        choose_corners(&s, c, &rng);
        double sum = 0;
        for (int k = 0; k < 3; k++)
            sum += work(&l, &s, &c[k], &c[(k + 1) % 3], 3, &a);
        worst = fmax(worst, fabs(sum));
    }
    printf("100 closed loops: work %.1e eV\n", worst);
    ck_assert_double_le(worst, 1e-9);
    answer_free(&a);
    lab_close(&l);
}
END_TEST

/* ---- crossing the cutoff ---- */

/* A neighbour that crosses rc, beyond the reach of the others, must not show. */
static const double origin_and_two[4][3] = {{0, 0, 0}, {0.3, 0.9, 0.8}, {1.0, -0.2, 0.5}};
static const int species[4] = {8, 1, 1, 1};

static void place_crossing(specimen *s, double r)
{
    specimen_make(s, CLUSTER, 4, 1, species, 1);
    memcpy(s->pos, origin_and_two, sizeof origin_and_two);
    memcpy(s->species, species, sizeof species);
    s->pos[3][2] = -r;
}

/* COS and POLY1 fall as (rc - r)^2, so their forces as rc - r; the others at least as (rc - r)^3. */
START_TEST(crossing_the_cutoff)
{
    static specimen s;
    potential_recipe p = potential_plain;
    answer in = {0}, out = {0};
    lab l;
    const double d = 1e-7, tol = _i == 1 || _i == 5 ? 1e-6 : 1e-11;
    p.cutoff_type = _i;
    p.rc[1] = p.rc[0];
    lab_open(&l, potential_load(&p), 1, 1.0);
    place_crossing(&s, p.rc[0] - d);
    lab_eval(&l, &s.frame, &in);
    place_crossing(&s, p.rc[0] + d);
    lab_eval(&l, &s.frame, &out);
    ck_assert_double_eq_tol(in.r.energy, out.r.energy, 1e-12);
    ck_assert_double_le(worst_difference(12, &in.r.forces[0][0], &out.r.forces[0][0]), tol);
    place_crossing(&s, p.rc[0] - 0.5); /* it does act inside */
    lab_eval(&l, &s.frame, &in);
    ck_assert_double_ge(fabs(in.r.energy - out.r.energy), 1e-6);
    answer_free(&in);
    answer_free(&out);
    lab_close(&l);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("derivatives");
    TCase *t = tcase_create("property");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, forces_and_virial, 0, MODELS);
    tcase_add_loop_test(t, examples, 0, EXAMPLES);
    tcase_add_test(t, closed_loops);
    tcase_add_loop_test(t, crossing_the_cutoff, 1, 9);
    suite_add_tcase(s, t);
    return s;
}
