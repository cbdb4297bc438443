/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_symmetry.c - what a potential energy must not feel: translation, rotation, inversion, names of equal atoms, the
 * choice of images and of the cell; and what must add up: replicas and fragments.
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

enum { POTENTIALS = 6, EXAMPLES = 3 }; /* of n2p2's files, and of every class of descriptors */

static const double rounding = 2e-11; /* relative to the largest force or energy, at least 1 */

typedef struct {
    lab l;
    potential_recipe p;
    answer before, after;
} setting;

static void begin(setting *t, int model)
{
    memset(t, 0, sizeof *t);
    if (model >= POTENTIALS) {
        unsigned example = (unsigned)(model - POTENTIALS);
        t->p.nelements = EXAMPLE_NELEMENTS;
        memcpy(t->p.elements, example_elements, sizeof example_elements);
        lab_open(&t->l, example_model(nf_descriptor_at(example / EXAMPLES), example % EXAMPLES), 1, 1.0);
        return;
    }
    t->p = model == 0 ? potential_plain : potential_random((unsigned)(model + 100));
    lab_open(&t->l, potential_load(&t->p), 1, 1.0);
}

static void end(setting *t)
{
    answer_free(&t->before);
    answer_free(&t->after);
    lab_close(&t->l);
}

static void make(setting *t, specimen *s, int kind, size_t natoms, unsigned seed)
{
    specimen_make(s, (enum specimen_kind)kind, natoms, t->p.nelements, t->p.elements, seed);
    lab_eval(&t->l, &s->frame, &t->before);
}

static double size_of(const answer *a)
{
    double f = largest(3 * a->natoms, &a->r.forces[0][0]), w = largest(9, &a->r.virial[0][0]);
    return fmax(fmax(1, fabs(a->r.energy)), fmax(f, w));
}

/* after = before in all that is compared: energies, and forces and virial turned by m. */
static void check_turned(const setting *t, const double m[3][3], const size_t *name)
{
    double tol = rounding * size_of(&t->before), want[3][3], half[3][3];
    const nf_result *a = &t->before.r, *b = &t->after.r;
    ck_assert_double_eq_tol(a->energy, b->energy, tol);
    for (size_t i = 0; i < t->before.natoms; i++) {
        double f[3];
        size_t j = name == NULL ? i : name[i];
        nf_row_times33(a->forces[i], m, f);
        ck_assert_double_le(worst_difference(3, f, b->forces[j]), tol);
        ck_assert_double_eq_tol(a->atom_energy[i], b->atom_energy[j], tol);
        ck_assert_int_eq(a->extrapolated[i], b->extrapolated[j]);
    }
    for (int i = 0; i < 3; i++)
        nf_row_times33(a->virial[i], m, half[i]);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            want[i][k] = m[0][i] * half[0][k] + m[1][i] * half[1][k] + m[2][i] * half[2][k];
    ck_assert_double_le(worst_difference(9, &want[0][0], &b->virial[0][0]), 10 * tol);
}

static const double identity[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};

START_TEST(translation)
{
    static specimen s;
    setting t;
    begin(&t, _i);
    for (int kind = 0; kind < NSPECIMENS; kind++) {
        make(&t, &s, kind, 20, 1);
        for (size_t i = 0; i < s.frame.natoms; i++)
            for (int c = 0; c < 3; c++)
                s.pos[i][c] += 3.7 - 9.1 * c;
        lab_eval(&t.l, &s.frame, &t.after);
        check_turned(&t, identity, NULL);
    }
    end(&t);
}
END_TEST

static void negate(double m[3][3])
{
    for (int k = 0; k < 9; k++)
        (&m[0][0])[k] *= -1;
}

START_TEST(rotation_and_inversion)
{
    static specimen s;
    setting t;
    begin(&t, _i);
    for (int kind = 0; kind < NSPECIMENS; kind++)
        for (int inverted = 0; inverted < 2; inverted++) {
            nf_rng rng = {(uint64_t)kind};
            double q[3][3];
            make(&t, &s, kind, 20, 2);
            random_rotation(&rng, q);
            if (inverted)
                negate(q);
            specimen_transform(&s, (const double(*)[3])q);
            /* a zero cell vector is completed afresh; a given one turns with the rest */
            lab_eval(&t.l, &s.frame, &t.after);
            check_turned(&t, (const double(*)[3])q, NULL);
        }
    end(&t);
}
END_TEST

START_TEST(permutation)
{
    static specimen s, other;
    setting t;
    size_t name[SPECIMEN_MAX];
    begin(&t, _i);
    for (int kind = 0; kind < NSPECIMENS; kind++) {
        nf_rng rng = {7};
        make(&t, &s, kind, 40, 3);
        specimen_copy(&other, &s);
        for (size_t i = 0; i < s.frame.natoms; i++) {
            size_t k = nf_rng_next(&rng) % (i + 1); /* Fisher and Yates */
            name[i] = name[k];
            name[k] = i;
        }
        for (size_t i = 0; i < s.frame.natoms; i++) {
            memcpy(other.pos[name[i]], s.pos[i], sizeof s.pos[i]);
            other.species[name[i]] = s.species[i];
        }
        lab_eval(&t.l, &other.frame, &t.after);
        check_turned(&t, identity, name);
    }
    end(&t);
}
END_TEST

/* Atoms moved by lattice vectors: other roundings, nothing else. */
START_TEST(other_images)
{
    static specimen s;
    setting t;
    begin(&t, _i);
    for (int kind = CUBIC; kind < NSPECIMENS; kind++) {
        nf_rng rng = {8};
        make(&t, &s, kind, 20, 4);
        for (size_t i = 0; i < s.frame.natoms; i++)
            for (int d = 0; d < 3; d++) {
                double n = s.frame.pbc[d] ? floor(nf_rng_between(&rng, -3, 4)) : 0;
                for (int c = 0; c < 3; c++)
                    s.pos[i][c] += n * s.frame.cell[d][c];
            }
        lab_eval(&t.l, &s.frame, &t.after);
        check_turned(&t, identity, NULL);
    }
    end(&t);
}
END_TEST

/* The same lattice by other vectors: a + b, b, c - 2 a. */
START_TEST(other_cell)
{
    static specimen s;
    setting t;
    begin(&t, _i);
    for (int kind = CUBIC; kind < NSPECIMENS; kind++) {
        if (kind == SLAB || kind == WIRE)
            continue;
        make(&t, &s, kind, 20, 5);
        for (int c = 0; c < 3; c++) {
            s.frame.cell[2][c] -= 2 * s.frame.cell[0][c];
            s.frame.cell[0][c] += s.frame.cell[1][c];
        }
        lab_eval(&t.l, &s.frame, &t.after);
        check_turned(&t, identity, NULL);
    }
    end(&t);
}
END_TEST

static void replicate(specimen *big, const specimen *s)
{
    size_t n = s->frame.natoms;
    specimen_copy(big, s);
    for (int k = 1; k < 8; k++)
        for (size_t i = 0; i < n; i++) {
            const double shift[3] = {k & 1, k >> 1 & 1, k >> 2 & 1};
            double *x = big->pos[(size_t)k * n + i];
            nf_row_times33(shift, s->frame.cell, x);
            for (int c = 0; c < 3; c++)
                x[c] += s->pos[i][c];
            big->species[(size_t)k * n + i] = s->species[i];
        }
    big->frame.natoms = 8 * n;
    for (int k = 0; k < 9; k++)
        (&big->frame.cell[0][0])[k] *= 2;
}

START_TEST(replicas)
{
    static specimen s, big;
    setting t;
    begin(&t, _i);
    for (int kind = CUBIC; kind < NSPECIMENS; kind++) {
        if (kind == SLAB || kind == WIRE)
            continue;
        make(&t, &s, kind, 12, 6);
        replicate(&big, &s);
        lab_eval(&t.l, &big.frame, &t.after);
        double tol = 8 * rounding * size_of(&t.before);
        size_t n = s.frame.natoms;
        ck_assert_double_eq_tol(8 * t.before.r.energy, t.after.r.energy, tol);
        ck_assert_int_eq(8 * t.before.r.nextrapolated, t.after.r.nextrapolated);
        for (size_t i = 0; i < 8 * n; i++)
            ck_assert_double_le(worst_difference(3, t.before.r.forces[i % n], t.after.r.forces[i]), tol);
        for (int k = 0; k < 9; k++)
            ck_assert_double_eq_tol(8 * (&t.before.r.virial[0][0])[k], (&t.after.r.virial[0][0])[k], 10 * tol);
    }
    end(&t);
}
END_TEST

START_TEST(far_fragments)
{
    static specimen s, a, b;
    setting t;
    double energy[2];
    begin(&t, _i);
    make(&t, &s, CLUSTER, 24, 7);
    specimen_copy(&a, &s);
    specimen_copy(&b, &s);
    a.frame.natoms = 10;
    b.frame.natoms = s.frame.natoms - 10;
    b.frame.pos += 10;
    b.frame.species += 10;
    energy[0] = lab_energy(&t.l, &a.frame);
    energy[1] = lab_energy(&t.l, &b.frame);
    for (size_t i = 10; i < s.frame.natoms; i++)
        s.pos[i][1] += 40;
    ck_assert_double_eq_tol(lab_energy(&t.l, &s.frame), energy[0] + energy[1], rounding * size_of(&t.before));
    end(&t);
}
END_TEST

/* Forces of a structure sum to zero exactly: fixed point. */
START_TEST(no_net_force)
{
    static specimen s;
    setting t;
    begin(&t, _i);
    for (int kind = 0; kind < NSPECIMENS; kind++) {
        make(&t, &s, kind, 30, 8);
        for (int c = 0; c < 3; c++) {
            double sum = 0;
            for (size_t i = 0; i < s.frame.natoms; i++)
                sum += t.before.r.forces[i][c];
            ck_assert_double_eq(sum, 0);
        }
    }
    end(&t);
}
END_TEST

Suite *suite(void)
{
    int models = POTENTIALS;
    for (size_t i = 0; nf_descriptor_at(i) != NULL; i++)
        models += EXAMPLES;
    Suite *s = suite_create("symmetry");
    TCase *t = tcase_create("property");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, translation, 0, models);
    tcase_add_loop_test(t, rotation_and_inversion, 0, models);
    tcase_add_loop_test(t, permutation, 0, models);
    tcase_add_loop_test(t, other_images, 0, models);
    tcase_add_loop_test(t, other_cell, 0, models);
    tcase_add_loop_test(t, replicas, 0, models);
    tcase_add_loop_test(t, far_fragments, 0, models);
    tcase_add_loop_test(t, no_net_force, 0, models);
    suite_add_tcase(s, t);
    return s;
}
