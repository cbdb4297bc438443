/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_maps.c - forward, vjp and jvp of every class of the registries belong together, with every table of kernels:
 *
 *     <g_bar, J x_dot> = <J^T g_bar, x_dot>,   J x_dot = difference quotient of forward.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/vec3.h"
#include "eval.h"
#include "listing.h"
#include "near/descriptor.h"
#include "near/readout.h"
#include "suite.h"

enum { NBAR = 3, SEEDS = 4 };

static const int numbers[3] = {1, 6, 8};

static const nf_elements elements = {3, {1, 6, 8}};

static const nf_kern *table(int i)
{
    const nf_kern *kern = nf_kern_table(i);
    return kern != NULL && nf_kern_runs_here(kern) ? kern : NULL;
}

static double *random_numbers(size_t n, nf_rng *rng)
{
    double *x = calloc(n + 1, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = nf_rng_normal(rng);
    return x;
}

static double inner(size_t n, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* ---- descriptors ---- */

/* Velocities of the atoms and a strain rate. */
typedef struct {
    double pos[SPECIMEN_MAX][3], strain[3][3];
} velocity;

/* One block: the centres of an element in a patch. */
typedef struct {
    nf_descriptor *d;
    specimen *s;
    listing *l;
    velocity *v;
    size_t patch, n, ld, nfeatures;
    int element;
    nf_arena arena;
} block;

/* Room for exactly what the class says it needs. */
static nf_arena *arena_for(block *b, int nbar)
{
    b->arena.used = 0;
    nf_arena_free(&b->arena);
    size_t bytes = b->d->class->scratch(b->d, &b->l->list.patches[b->patch], nbar);
    ck_assert_int_eq(nf_arena_reserve(&b->arena, bytes), 0);
    return &b->arena;
}

static double *run_forward(block *b, const nf_frame *frame, const double (*h)[3])
{
    nf_error err = {0};
    nf_patch_view view = listing_view(b->l, b->patch, frame, h);
    double *g = calloc(b->nfeatures * b->ld + 1, sizeof *g);
    int rc = b->d->class->forward(b->d, &view, b->element, b->ld, g, arena_for(b, 0), &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    return g;
}

static double *run_jvp(block *b)
{
    nf_error err = {0};
    nf_patch_view view = listing_view(b->l, b->patch, &b->s->frame, (const double(*)[3])b->l->cell.h);
    double *g_dot = calloc(b->nfeatures * b->ld + 1, sizeof *g_dot);
    int rc = b->d->class->jvp(b->d, &view, b->element, b->ld, (const double(*)[3])b->v->pos,
                              (const double(*)[3])b->v->strain, g_dot, arena_for(b, 0), &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    return g_dot;
}

/* Forces and virials of nbar adjoints. */
static nf_pull run_vjp(block *b, int nbar, double *const g_bar[])
{
    nf_error err = {0};
    const nf_patch *patch = &b->l->list.patches[b->patch];
    nf_patch_view view = listing_view(b->l, b->patch, &b->s->frame, (const double(*)[3])b->l->cell.h);
    size_t bars = (size_t)nbar, natoms = b->s->frame.natoms;
    nf_pull pull = {nbar,           calloc(bars * patch->npoints, sizeof *pull.point),
                    patch->npoints, calloc(bars * natoms, sizeof *pull.virial),
                    natoms,         0};
    int rc = b->d->class->vjp(b->d, &view, b->element, b->ld, nbar, (const double *const *)g_bar, &pull,
                              arena_for(b, nbar), &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    ck_assert_int_eq(pull.overflow, 0);
    return pull;
}

static void free_pull(nf_pull *pull)
{
    free(pull->point);
    free(pull->virial);
}

/* Rate of change of <g_bar, g> that forces and virials of adjoint m say. */
static double rate(const block *b, const nf_pull *pull, int m)
{
    const nf_patch *patch = &b->l->list.patches[b->patch];
    double sum = 0;
    for (size_t p = 0; p < patch->npoints; p++)
        for (int c = 0; c < 3; c++)
            sum -=
                (double)pull->point[(size_t)m * pull->npoints + p][c] * NF_FORCE_UNIT * b->v->pos[patch->owner[p]][c];
    for (size_t i = 0; i < pull->natoms; i++)
        for (int a = 0; a < 3; a++)
            for (int c = 0; c < 3; c++)
                sum -= pull->virial[(size_t)m * pull->natoms + i][3 * a + c] * b->v->strain[c][a];
    return sum;
}

/* Lanes behind the last centre carry nothing. */
static void clear_padding(const block *b, double *g_bar)
{
    for (size_t f = 0; f < b->nfeatures; f++)
        for (size_t a = b->n; a < b->ld; a++)
            g_bar[f * b->ld + a] = 0;
}

static void check_adjoints(block *b, const double *g_dot, nf_rng *rng)
{
    double *g_bar[NBAR];
    size_t size = b->nfeatures * b->ld;
    for (int m = 0; m < NBAR; m++)
        clear_padding(b, g_bar[m] = random_numbers(size, rng));
    nf_pull all = run_vjp(b, NBAR, g_bar);
    for (int m = 0; m < NBAR; m++) {
        double want = inner(size, g_bar[m], g_dot), scale = fmax(1, largest(size, g_dot));
        ck_assert_double_eq_tol(rate(b, &all, m), want, 1e-10 * scale);
        nf_pull alone = run_vjp(b, 1, &g_bar[m]); /* an adjoint does not feel the others */
        ck_assert_mem_eq(alone.point, all.point + (size_t)m * all.npoints, all.npoints * sizeof *all.point);
        ck_assert_mem_eq(alone.virial, all.virial + (size_t)m * all.natoms, all.natoms * sizeof *all.virial);
        free_pull(&alone);
    }
    free_pull(&all);
    for (int m = 0; m < NBAR; m++)
        free(g_bar[m]);
}

/* The frame a time t later. */
static void advance(const block *b, double t, specimen *s, double h[3][3])
{
    specimen_copy(s, b->s);
    for (int d = 0; d < 3; d++) {
        double change[3];
        nf_row_times33(b->l->cell.h[d], (const double(*)[3])b->v->strain, change);
        for (int c = 0; c < 3; c++)
            h[d][c] = b->l->cell.h[d][c] + t * change[c];
    }
    for (size_t i = 0; i < s->frame.natoms; i++) {
        double change[3];
        nf_row_times33(b->s->pos[i], (const double(*)[3])b->v->strain, change);
        for (int c = 0; c < 3; c++)
            s->pos[i][c] += t * (b->v->pos[i][c] + change[c]);
    }
}

/* Coarse: an example may have cutoff functions with a kink in the second derivative. */
static void check_differences(block *b, const double *g_dot)
{
    static specimen later;
    const double t = 1e-4;
    double h[3][3], *g[2];
    for (int k = 0; k < 2; k++) {
        advance(b, k == 0 ? -t : t, &later, h);
        g[k] = run_forward(b, &later.frame, (const double(*)[3])h);
    }
    for (size_t f = 0; f < b->nfeatures; f++)
        for (size_t a = 0; a < b->n; a++) {
            size_t k = f * b->ld + a;
            ck_assert_double_eq_tol((g[1][k] - g[0][k]) / (2 * t), g_dot[k], 1e-4 * fmax(1, fabs(g_dot[k])));
        }
    free(g[0]);
    free(g[1]);
}

static void check_block(block *b, nf_rng *rng)
{
    const uint32_t *first = b->l->list.patches[b->patch].element_first + b->element;
    b->n = first[1] - first[0];
    b->ld = nf_padded(b->n);
    b->nfeatures = b->d->class->nfeatures(b->d, b->element);
    if (b->n == 0)
        return;
    double *g_dot = run_jvp(b);
    check_adjoints(b, g_dot, rng);
    check_differences(b, g_dot);
    free(g_dot);
}

static void choose_velocity(velocity *v, nf_rng *rng)
{
    for (size_t k = 0; k < 3 * SPECIMEN_MAX; k++)
        (&v->pos[0][0])[k] = nf_rng_normal(rng);
    for (int k = 0; k < 9; k++)
        (&v->strain[0][0])[k] = 0.3 * nf_rng_normal(rng);
}

static void check_descriptor(nf_descriptor *d, int kind, unsigned seed)
{
    static specimen s;
    static listing l;
    static velocity v;
    nf_rng rng = {seed};
    block b = {.d = d, .s = &s, .l = &l, .v = &v};
    specimen_make(&s, (enum specimen_kind)kind, 36, 3, numbers, seed);
    listing_make(&l, &s.frame, 3, numbers, d->class->cutoff(d), 0.5);
    choose_velocity(&v, &rng);
    for (b.patch = 0; b.patch < l.list.npatches; b.patch++)
        for (b.element = 0; b.element < 3; b.element++)
            check_block(&b, &rng);
    b.arena.used = 0;
    nf_arena_free(&b.arena);
    listing_free(&l);
}

START_TEST(descriptors)
{
    const nf_descriptor_class *class;
    for (size_t i = 0; (class = nf_descriptor_at(i)) != NULL; i++)
        for (int t = 0; table(t) != NULL; t++) {
            nf_error err = {0};
            nf_descriptor *d;
            json_t *tree = class->example(&elements, (unsigned)_i);
            int rc = class->create(tree, &elements, table(t), &d, &err);
            ck_assert_msg(rc == 0, "%s: %s", class->name, err.msg);
            ck_assert_ptr_eq(nf_descriptor_find(class->name), class);
            for (int kind = 0; kind < NSPECIMENS; kind++)
                check_descriptor(d, kind, (unsigned)_i);
            class->destroy(d);
            json_decref(tree);
        }
}
END_TEST

/* ---- readouts ---- */

typedef struct {
    nf_readout *r;
    size_t nfeatures, ld;
    int n;
    nf_arena arena;
} reading;

static double *values(reading *t, const double *g)
{
    double *y = calloc(t->ld, sizeof *y);
    t->r->class->forward(t->r, t->n, t->ld, g, y, &t->arena);
    return y;
}

/* y_dot by a difference of fourth order. */
static void check_slopes(reading *t, const double *g, const double *g_dot, const double *y_dot)
{
    const double h = 1e-3, weight[] = {1, -8, 8, -1}, step[] = {-2, -1, 1, 2};
    size_t size = t->nfeatures * t->ld;
    double *moved = calloc(size, sizeof *moved), *sum = calloc(t->ld, sizeof *sum);
    for (int k = 0; k < 4; k++) {
        for (size_t i = 0; i < size; i++)
            moved[i] = g[i] + step[k] * h * g_dot[i];
        double *y = values(t, moved);
        for (int a = 0; a < t->n; a++)
            sum[a] += weight[k] * y[a] / (12 * h);
        free(y);
    }
    for (int a = 0; a < t->n; a++)
        ck_assert_double_eq_tol(sum[a], y_dot[a], 1e-7 * fmax(1, fabs(y_dot[a])));
    free(moved);
    free(sum);
}

static void check_reading(reading *t, nf_rng *rng)
{
    size_t size = t->nfeatures * t->ld;
    double *g = random_numbers(size, rng), *g_dot = random_numbers(size, rng), *y_bar = random_numbers(t->ld, rng);
    double *g_bar = calloc(size, sizeof *g_bar), *y = calloc(t->ld, sizeof *y), *y_dot = calloc(t->ld, sizeof *y_dot);
    double *again = values(t, g);
    t->r->class->vjp(t->r, t->n, t->ld, g, y_bar, y, g_bar, &t->arena);
    t->r->class->jvp(t->r, t->n, t->ld, g, g_dot, y_dot, &t->arena);
    ck_assert_mem_eq(again, y, (size_t)t->n * sizeof *y);
    double forward = 0, backward = 0;
    for (int a = 0; a < t->n; a++) {
        forward += y_bar[a] * y_dot[a];
        for (size_t f = 0; f < t->nfeatures; f++)
            backward += g_bar[f * t->ld + (size_t)a] * g_dot[f * t->ld + (size_t)a];
    }
    ck_assert_double_eq_tol(forward, backward, 1e-12 * (double)size);
    check_slopes(t, g, g_dot, y_dot);
    free(g);
    free(g_dot);
    free(y_bar);
    free(g_bar);
    free(y);
    free(y_dot);
    free(again);
}

static void check_readout(const nf_readout_class *class, const nf_kern *kern, unsigned seed)
{
    nf_error err = {0};
    nf_spec spec;
    nf_rng rng = {seed};
    ck_assert_int_eq(nf_spec_new(&spec, &err), 0);
    for (size_t nfeatures = 1; nfeatures < 30; nfeatures += 6) {
        reading t = {.nfeatures = nfeatures};
        json_t *tree = class->example(&spec, nfeatures, seed * 100 + (unsigned)nfeatures);
        int rc = class->create(tree, &spec, nfeatures, kern, &t.r, &err);
        ck_assert_msg(rc == 0, "%s: %s", class->name, err.msg);
        for (t.n = 1; t.n < 20; t.n += 3) {
            t.ld = nf_padded((size_t)t.n);
            ck_assert_int_eq(nf_arena_reserve(&t.arena, class->scratch(t.r, t.ld)), 0);
            check_reading(&t, &rng);
        }
        nf_arena_free(&t.arena);
        class->destroy(t.r);
        json_decref(tree);
    }
    nf_spec_free(&spec);
}

START_TEST(readouts)
{
    for (size_t i = 0; nf_readout_at(i) != NULL; i++)
        for (int t = 0; table(t) != NULL; t++)
            check_readout(nf_readout_at(i), table(t), (unsigned)_i);
}
END_TEST

START_TEST(unknown_names)
{
    ck_assert_ptr_null(nf_descriptor_find("no such thing"));
    ck_assert_ptr_null(nf_readout_find("no such thing"));
    ck_assert_ptr_null(nf_descriptor_at(1000));
    ck_assert_ptr_null(nf_readout_at(1000));
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("maps");
    TCase *t = tcase_create("property");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, descriptors, 0, SEEDS);
    tcase_add_loop_test(t, readouts, 0, SEEDS);
    tcase_add_test(t, unknown_names);
    suite_add_tcase(s, t);
    return s;
}
