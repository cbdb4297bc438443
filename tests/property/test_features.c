/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_features.c - nf_feature_gradients are the derivatives of nf_features, of every kind of model and structure, and
 * what a chain rule makes of them is the force and the virial of nf_eval.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vec3.h"
#include "eval.h"
#include "io/extxyz.h"
#include "model/model.h"
#include "potential.h"
#include "scratch.h"
#include "specimen.h"
#include "suite.h"

enum { MODELS = 24 };

/* ---- all derivatives of a frame ---- */

typedef struct {
    size_t natoms, stride, heard;
    double *gradient; /* [natoms][natoms][stride][3] */
    double *strain;   /* [natoms][stride][9] */
    char *felt;       /* [natoms][natoms] */
    double worst_sum; /* of a derivative over atoms, relative to its size above 1 */
} table;

static double *gradient_of(const table *t, size_t centre, size_t atom, size_t f)
{
    return t->gradient + 3 * ((centre * t->natoms + atom) * t->stride + f);
}

static void check_pairs(table *t, const nf_feature_gradient *of)
{
    int own = 0;
    for (size_t p = 0; p < of->npairs; p++) {
        ck_assert(p == 0 || of->atom[p] > of->atom[p - 1]);
        own += (size_t)of->atom[p] == of->centre;
    }
    ck_assert_int_eq(own, 1);
    for (size_t k = 0; k < 3 * of->nfeatures; k++) {
        double sum = 0, size = 1;
        for (size_t p = 0; p < of->npairs; p++) {
            sum += of->gradient[3 * p * of->nfeatures + k];
            size = fmax(size, fabs(of->gradient[3 * p * of->nfeatures + k]));
        }
        t->worst_sum = fmax(t->worst_sum, fabs(sum) / size);
    }
}

static int keep(void *ctx, const nf_feature_gradient *of)
{
    table *t = ctx;
    ck_assert_uint_eq(of->centre, t->heard++);
    ck_assert_uint_le(of->nfeatures, t->stride);
    check_pairs(t, of);
    for (size_t p = 0; p < of->npairs; p++) {
        t->felt[of->centre * t->natoms + (size_t)of->atom[p]] = 1;
        memcpy(gradient_of(t, of->centre, (size_t)of->atom[p], 0), of->gradient + 3 * p * of->nfeatures,
               3 * of->nfeatures * sizeof(double));
    }
    memcpy(t->strain + 9 * of->centre * t->stride, of->strain, 9 * of->nfeatures * sizeof(double));
    return 0;
}

static size_t stride_of(const nf_model *model)
{
    size_t stride = 1;
    for (size_t e = 0; e < nf_model_nelements(model); e++) {
        size_t n = nf_model_nfeatures(model, nf_model_element(model, e));
        stride = n > stride ? n : stride;
    }
    return stride;
}

static void table_free(table *t)
{
    free(t->gradient);
    free(t->strain);
    free(t->felt);
    *t = (table){0};
}

static void table_make(table *t, lab *l, const nf_frame *frame)
{
    nf_error err = {0};
    size_t n = frame->natoms, stride = stride_of(l->model);
    table_free(t);
    t->natoms = n;
    t->stride = stride;
    t->gradient = calloc(3 * n * n * stride, sizeof *t->gradient);
    t->strain = calloc(9 * n * stride, sizeof *t->strain);
    t->felt = calloc(n * n, 1);
    int rc = nf_feature_gradients(l->team, l->calc, frame, keep, t, &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    ck_assert_uint_eq(t->heard, n);
}

static int same_table(const table *a, const table *b)
{
    size_t n = a->natoms;
    return n == b->natoms && a->stride == b->stride && memcmp(a->felt, b->felt, n * n) == 0 &&
           memcmp(a->gradient, b->gradient, 3 * n * n * a->stride * sizeof(double)) == 0 &&
           memcmp(a->strain, b->strain, 9 * n * a->stride * sizeof(double)) == 0;
}

/* ---- finite differences ---- */

/* dG/dx of all values, [natoms][stride], by four evaluations; apply(x) sets the variable. */
static double *slopes(lab *l, const nf_frame *frame, void (*apply)(void *ctx, double x), void *ctx)
{
    const double h = 2e-4, weight[] = {1, -8, 8, -1}, step[] = {-2, -1, 1, 2};
    size_t n = frame->natoms * stride_of(l->model);
    double *sum = calloc(n, sizeof *sum), *g;
    for (int k = 0; k < 4; k++) {
        apply(ctx, step[k] * h);
        lab_features(l, frame, &g);
        for (size_t i = 0; i < n; i++)
            sum[i] += weight[k] * g[i] / (12 * h);
        free(g);
    }
    apply(ctx, 0);
    return sum;
}

typedef struct {
    double *at, origin;
} coordinate;

static void move(void *ctx, double x)
{
    coordinate *c = ctx;
    *c->at = c->origin + x;
}

/* Largest deviation of the derivatives with respect to one atom, relative to the largest of them if that is above 1. */
static double atom_deviation(lab *l, const nf_frame *frame, double (*pos)[3], const table *t, size_t atom)
{
    double worst = 0, size = fmax(1, largest(3 * t->natoms * t->natoms * t->stride, t->gradient));
    for (size_t a = 0; a < 3; a++) {
        coordinate c = {&pos[atom][a], pos[atom][a]};
        double *want = slopes(l, frame, move, &c);
        for (size_t i = 0; i < t->natoms; i++)
            for (size_t f = 0; f < t->stride; f++)
                worst = fmax(worst, fabs(gradient_of(t, i, atom, f)[a] - want[i * t->stride + f]));
        free(want);
    }
    return worst / size;
}

typedef struct {
    nf_frame *frame, origin;
    double (*pos)[3];
    const double (*from)[3];
    int a, b;
} strain;

/* r -> r (1 + strain), as the header has it. */
static void stretch(void *ctx, double x)
{
    strain *e = ctx;
    for (size_t i = 0; i < e->frame->natoms; i++) {
        memcpy(e->pos[i], e->from[i], sizeof e->pos[i]);
        e->pos[i][e->b] += x * e->from[i][e->a];
    }
    for (int k = 0; k < 3; k++) {
        memcpy(e->frame->cell[k], e->origin.cell[k], sizeof e->frame->cell[k]);
        e->frame->cell[k][e->b] += x * e->origin.cell[k][e->a];
    }
}

static double strain_deviation(lab *l, nf_frame *frame, double (*pos)[3], const table *t)
{
    double worst = 0, size = fmax(1, largest(9 * t->natoms * t->stride, t->strain));
    double(*from)[3] = calloc(frame->natoms, sizeof *from);
    memcpy(from, pos, frame->natoms * sizeof *from);
    for (int k = 0; k < 9; k++) {
        strain e = {frame, *frame, pos, (const double(*)[3])from, k / 3, k % 3};
        double *want = slopes(l, frame, stretch, &e);
        for (size_t i = 0; i < t->natoms * t->stride; i++)
            worst = fmax(worst, fabs(t->strain[9 * i + (size_t)k] - want[i]));
        free(want);
    }
    free(from);
    return worst / size;
}

/* ---- chain rule ---- */

/* dE/dG of one centre: member 0 of a model. */
static void energy_slope(const nf_model *model, int element, const double *g, size_t n, double *out)
{
    const nf_member *member = &model->members[0];
    const nf_readout *readout = member->readout[element];
    double *lanes = nf_calloc(n * NF_LANES, sizeof *lanes), *bar = nf_calloc(n * NF_LANES, sizeof *bar);
    double y[NF_LANES], y_bar[NF_LANES];
    nf_arena arena = {0};
    ck_assert_int_eq(nf_arena_reserve(&arena, readout->class->scratch(readout, NF_LANES)), 0);
    for (size_t f = 0; f < n; f++)
        lanes[f * NF_LANES] = g[f];
    for (int k = 0; k < NF_LANES; k++)
        y_bar[k] = member->scale;
    readout->class->vjp(readout, 1, NF_LANES, lanes, y_bar, y, bar, &arena);
    for (size_t f = 0; f < n; f++)
        out[f] = bar[f * NF_LANES];
    nf_arena_free(&arena);
    nf_free(lanes);
    nf_free(bar);
}

/* Forces and virial from table and network, against nf_eval's. Returns the largest deviation. */
static double chain_deviation(lab *l, const nf_frame *frame, const table *t)
{
    answer a = {0};
    double *g, *slope = calloc(t->stride, sizeof *slope), (*force)[3] = calloc(t->natoms, sizeof *force);
    double virial[9] = {0};
    lab_features(l, frame, &g);
    lab_eval(l, frame, &a);
    for (size_t i = 0; i < t->natoms; i++) {
        int e = nf_elements_find(&l->model->elements, frame->species[i]);
        size_t n = nf_model_nfeatures(l->model, frame->species[i]);
        energy_slope(l->model, e, g + i * t->stride, n, slope);
        for (size_t f = 0; f < n; f++) {
            for (size_t j = 0; j < t->natoms; j++)
                for (size_t c = 0; c < 3; c++)
                    force[j][c] -= slope[f] * gradient_of(t, i, j, f)[c];
            for (size_t c = 0; c < 9; c++)
                virial[c] -= slope[f] * t->strain[9 * (i * t->stride + f) + c];
        }
    }
    double worst = fmax(worst_difference(3 * t->natoms, &force[0][0], &a.r.forces[0][0]),
                        worst_difference(9, virial, &a.r.virial[0][0]));
    worst /= fmax(1, fmax(largest(9, virial), largest(3 * t->natoms, &force[0][0])));
    answer_free(&a);
    free(g);
    free(slope);
    free(force);
    return worst;
}

/* ---- random potentials ---- */

typedef struct {
    double atom, strain, sum, chain;
} deviations;

static void check_frame(lab *l, nf_frame *frame, double (*pos)[3], double tolerance, deviations *worst)
{
    table t = {0};
    table_make(&t, l, frame);
    double strained = strain_deviation(l, frame, pos, &t), moved = 0, chain = chain_deviation(l, frame, &t);
    for (size_t i = 0; i < frame->natoms; i++)
        moved = fmax(moved, atom_deviation(l, frame, pos, &t, i));
    ck_assert_msg(moved <= tolerance, "gradients are off by %g", moved);
    ck_assert_msg(strained <= 10 * tolerance, "strain derivatives are off by %g", strained);
    double size = largest(3 * t.natoms * t.natoms * t.stride, t.gradient); /* 1 ulp of 700 is 1.1e-13 */
    ck_assert_msg(t.worst_sum <= 1e-15 * fmax(100, size), "derivatives sum up to %g", t.worst_sum);
    ck_assert_msg(chain <= 1e-11, "forces of the chain rule are off by %g", chain);
    if (tolerance < 1e-5)
        *worst = (deviations){fmax(worst->atom, moved), fmax(worst->strain, strained), fmax(worst->sum, t.worst_sum),
                              fmax(worst->chain, chain)};
    table_free(&t);
}

static void print_worst(const char *of, const deviations *w)
{
    printf("%s: gradients %.1e, strain %.1e, sums %.1e, chain rule %.1e\n", of, w->atom, w->strain, w->sum, w->chain);
}

START_TEST(differences)
{
    static specimen s;
    deviations worst = {0};
    for (unsigned seed = (unsigned)_i; seed < MODELS; seed += 4) {
        potential_recipe p = potential_random(seed);
        lab l;
        lab_open(&l, potential_load(&p), 2, 0.3);
        for (int kind = 0; kind < NSPECIMENS; kind++) {
            specimen_make(&s, (enum specimen_kind)kind, 6, p.nelements, p.elements, seed);
            bool kinked = p.cutoff_type == 1 || p.cutoff_type == 5;
            check_frame(&l, &s.frame, s.pos, kinked ? 1e-4 : 1e-8, &worst);
        }
        lab_close(&l);
    }
    print_worst("random potentials, smooth cutoffs", &worst);
}
END_TEST

/* ---- golden potentials ---- */

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strcmp(entry->d_name, "README.md") != 0;
}

static void open_frames(nf_xyz_reader **reader, const char *path)
{
    nf_error err = {0};
    ck_assert_msg(nf_xyz_open(reader, path, &err) == 0, "%s", err.msg);
}

static void check_golden(const char *name, deviations *worst)
{
    char folder[1024], path[1100];
    nf_xyz_reader *reader;
    nf_structure s = {0};
    nf_frame frame;
    lab l;
    snprintf(folder, sizeof folder, "%s/golden/n2p2/%s", NF_TESTS, name);
    snprintf(path, sizeof path, "%s/reference.extxyz", folder);
    lab_open(&l, load_model(folder, NF_UNITS_ANGSTROM_EV), 2, 1.0);
    char *description = nf_model_describe(l.model);
    bool kinked = strstr(description, "\"cos\"") != NULL || strstr(description, "\"poly1\"") != NULL;
    nf_string_free(description);
    open_frames(&reader, path);
    for (int k = 0; k < 6 && nf_xyz_next(reader, &s, NULL) == 1; k++) {
        nf_structure_view(&s, &frame);
        if (s.natoms <= 16)
            check_frame(&l, &frame, s.pos, kinked ? 1e-4 : 1e-8, worst);
    }
    nf_xyz_reader_free(reader);
    nf_structure_free(&s);
    lab_close(&l);
}

START_TEST(golden_potentials)
{
    struct dirent **entries;
    deviations worst = {0};
    int n = scandir(NF_TESTS "/golden/n2p2", &entries, is_visible, alphasort);
    ck_assert_int_gt(n, 0);
    for (int i = 0; i < n; i++) {
        if (i % 4 == _i)
            check_golden(entries[i]->d_name, &worst);
        free(entries[i]);
    }
    free(entries);
    print_worst("golden potentials", &worst);
}
END_TEST

/* ---- a committee for water ---- */

static const char committee[] = "/usr/share/cp2k/NNP/bulkH2O-jcp2020-cnnp";

/* 48 atoms that feel their own images, and 192. */
START_TEST(water)
{
    static const char *const files[] = {NF_TESTS "/e2e/water-48.xyz", NF_TESTS "/../clients/demo/water-192.xyz"};
    nf_xyz_reader *reader;
    nf_structure s = {0};
    nf_frame frame;
    table t = {0};
    lab l;
    if (access(committee, R_OK) != 0) {
        printf("skipped: Debian's package cp2k-data is not installed\n");
        return;
    }
    lab_open(&l, load_model(committee, NF_UNITS_BOHR_HARTREE), 2, 1.0);
    open_frames(&reader, files[_i]);
    ck_assert_int_eq(nf_xyz_next(reader, &s, NULL), 1);
    nf_structure_view(&s, &frame);
    table_make(&t, &l, &frame);
    double moved = fmax(atom_deviation(&l, &frame, s.pos, &t, 0), atom_deviation(&l, &frame, s.pos, &t, 47));
    double strained = strain_deviation(&l, &frame, s.pos, &t);
    printf("water of %zu atoms: gradients %.1e, strain %.1e, sums %.1e\n", s.natoms, moved, strained, t.worst_sum);
    ck_assert_double_le(moved, 1e-9);
    ck_assert_double_le(strained, 1e-8);
    ck_assert_double_le(t.worst_sum, 1e-13);
    table_free(&t);
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
    lab_close(&l);
}
END_TEST

/* ---- bits ---- */

START_TEST(same_bits)
{
    static specimen s, moved;
    potential_recipe p = potential_plain;
    nf_model *model = potential_load(&p);
    for (int kind = 0; kind < NSPECIMENS; kind++) {
        table one = {0}, more = {0};
        lab new, old;
        specimen_make(&s, (enum specimen_kind)kind, 70, p.nelements, p.elements, 5);
        specimen_copy(&moved, &s);
        for (size_t k = 0; k < 3 * s.frame.natoms; k++)
            (&moved.pos[0][0])[k] += k % 2 == 0 ? 0.2 : -0.2;
        lab_open(&new, nf_model_ref(model), 1, 0);
        lab_open(&old, nf_model_ref(model), 3, 1.0);
        table_make(&one, &new, &moved.frame);
        table_make(&more, &old, &s.frame); /* makes the list */
        table_make(&more, &old, &moved.frame);
        ck_assert(same_table(&one, &more));
        ck_assert_int_eq(nf_calc_nbuilds(old.calc), 1);
        table_free(&one);
        table_free(&more);
        lab_close(&new);
        lab_close(&old);
    }
    nf_model_free(model);
}
END_TEST

/* ---- what an atom feels ---- */

static int felt(lab *l, specimen *s, double r)
{
    table t = {0};
    s->pos[1][0] = r;
    table_make(&t, l, &s->frame);
    int result = t.felt[1];
    ck_assert_int_eq(result, t.felt[2]);
    table_free(&t);
    return result;
}

START_TEST(pairs_end_at_the_cutoff)
{
    static specimen s;
    potential_recipe p = potential_plain;
    lab l;
    lab_open(&l, potential_load(&p), 1, 1.0);
    specimen_make(&s, CLUSTER, 2, p.nelements, p.elements, 1);
    memset(s.pos, 0, sizeof s.pos);
    double cutoff = nf_model_cutoff(l.model);
    ck_assert_int_eq(felt(&l, &s, cutoff + 1e-9), 0);
    ck_assert_int_eq(felt(&l, &s, cutoff - 1e-9), 1);
    lab_close(&l);
}
END_TEST

/* ---- steep functions ---- */

/* Hydrogen with exp(-eta (r-1)^2) below 1.5 Angstrom. */
static nf_model *steep_model(double eta)
{
    scratch folder;
    char input[512];
    scratch_begin(&folder);
    snprintf(input, sizeof input,
             "number_of_elements 1\nelements H\ncutoff_type 6 0.5\nscale_symmetry_functions\n"
             "global_hidden_layers_short 1\nglobal_nodes_short 1\nglobal_activation_short t l\n"
             "symfunction_short H 2 H %.17g 1.0 3.0\n",
             eta);
    write_file(folder.path, "input.nn", input, WHOLE_STRING);
    write_file(folder.path, "scaling.data", "1 1 0.0 1.0 0.5 0.1\n", WHOLE_STRING);
    write_file(folder.path, "weights.001.data", "0.1\n0.2\n0.3\n0.4\n", WHOLE_STRING);
    nf_model *model = load_model(folder.path, NF_UNITS_ANGSTROM_EV);
    scratch_end(&folder);
    return model;
}

/* Derivatives that leave the finer range of fixed point, and such that leave the coarser one too. */
START_TEST(steep_functions)
{
    static specimen s;
    const int hydrogen = 1;
    const double eta = 1e6, d = 1e-4;
    nf_error err = {0};
    table t = {0};
    lab l;
    specimen_make(&s, CLUSTER, 2, 1, &hydrogen, 1);
    memset(s.pos, 0, sizeof s.pos);
    s.pos[1][0] = 1 + d;
    double step = s.pos[1][0] - 1, want = -2 * eta * step * exp(-eta * step * step);
    lab_open(&l, steep_model(eta), 1, 1.0);
    table_make(&t, &l, &s.frame);
    ck_assert_double_eq_tol(gradient_of(&t, 0, 1, 0)[0], want, 1e-9 * fabs(want));
    ck_assert_double_eq_tol(gradient_of(&t, 0, 0, 0)[0], -want, 1e-9 * fabs(want));
    lab_close(&l);
    s.pos[1][0] = 1 + 7e-7;
    lab_open(&l, steep_model(1e12), 1, 1.0);
    t.heard = 0;
    ck_assert_int_eq(nf_feature_gradients(l.team, l.calc, &s.frame, keep, &t, &err), NF_EDIVERGED);
    ck_assert_msg(strstr(err.msg, "atom 1: derivatives") != NULL, "%s", err.msg);
    lab_close(&l);
    table_free(&t);
}
END_TEST

/* ---- errors ---- */

static int count(void *ctx, const nf_feature_gradient *of)
{
    (void)of;
    return ++*(int *)ctx == 3 ? 77 : 0;
}

static int refuse(lab *l, const nf_frame *frame, const char *words)
{
    table t = {.natoms = 1};
    nf_error err = {0};
    int rc = nf_feature_gradients(l->team, l->calc, frame, keep, &t, &err);
    ck_assert_int_lt(rc, 0);
    ck_assert_msg(strstr(err.msg, words) != NULL, "%s", err.msg);
    ck_assert_uint_eq(t.heard, 0);
    return rc;
}

START_TEST(errors)
{
    static specimen s;
    potential_recipe p = potential_plain;
    nf_error err = {0};
    int calls = 0;
    lab l;
    lab_open(&l, potential_load(&p), 2, 1.0);
    specimen_make(&s, CLUSTER, 8, p.nelements, p.elements, 1);
    ck_assert_int_eq(nf_feature_gradients(l.team, l.calc, &s.frame, count, &calls, &err), 77);
    ck_assert_int_eq(calls, 3);
    memcpy(s.pos[7], s.pos[5], sizeof s.pos[7]);
    ck_assert_int_eq(nf_feature_gradients(l.team, l.calc, &s.frame, count, &(int){10}, &err), NF_EDIVERGED);
    ck_assert_msg(strstr(err.msg, "6 and 8") != NULL, "%s", err.msg);
    s.pos[7][1] = NAN;
    ck_assert_int_eq(refuse(&l, &s.frame, "8"), NF_EINVAL);
    s.species[2] = 79;
    ck_assert_int_eq(refuse(&l, &s.frame, "Au"), NF_EINVAL);
    s.frame.natoms = 0;
    ck_assert_int_eq(refuse(&l, &s.frame, "without atoms"), NF_EINVAL);
    lab_close(&l);
}
END_TEST

START_TEST(no_memory)
{
    static specimen s;
    potential_recipe p = potential_plain;
    nf_model *model = potential_load(&p);
    specimen_make(&s, CLUSTER, 8, p.nelements, p.elements, 1);
    for (long n = 0;; n++) {
        nf_error err = {0};
        int calls = 10;
        lab l;
        lab_open(&l, nf_model_ref(model), 1, 1.0);
        nf_mem_fail_after(n);
        int rc = nf_feature_gradients(l.team, l.calc, &s.frame, count, &calls, &err), hit = nf_mem_fail_stop();
        lab_close(&l);
        ck_assert_int_eq(rc, hit ? NF_ENOMEM : 0);
        if (!hit)
            break;
    }
    nf_model_free(model);
}
END_TEST

/* ---- names ---- */

START_TEST(names)
{
    potential_recipe p = potential_plain;
    nf_model *model = potential_load(&p);
    char text[256], half[8];
    for (size_t f = 0; f < nf_model_nfeatures(model, 8); f++) {
        int n = nf_model_feature_name(model, 8, f, text, sizeof text);
        ck_assert_int_eq(n, (int)strlen(text));
        ck_assert(strncmp(text, "G2 ", 3) == 0 || strncmp(text, "G3 ", 3) == 0 || strncmp(text, "G9 ", 3) == 0);
        ck_assert(strstr(text, " eta=") != NULL && strstr(text, " rc=") != NULL && strstr(text, "cutoff=poly2"));
        ck_assert_int_eq(nf_model_feature_name(model, 8, f, half, sizeof half), n);
        ck_assert_int_eq(nf_model_feature_name(model, 8, f, NULL, 0), n);
        ck_assert(strncmp(half, text, 7) == 0 && half[7] == '\0');
    }
    ck_assert_int_lt(nf_model_feature_name(model, 8, nf_model_nfeatures(model, 8), text, sizeof text), 0);
    ck_assert_int_lt(nf_model_feature_name(model, 79, 0, text, sizeof text), 0);
    ck_assert_int_lt(nf_model_feature_name(model, -1, 0, text, sizeof text), 0);
    nf_model_free(model);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("features");
    TCase *t = tcase_create("property");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, differences, 0, 4);
    tcase_add_loop_test(t, golden_potentials, 0, 4);
    tcase_add_loop_test(t, water, 0, 2);
    tcase_add_test(t, same_bits);
    tcase_add_test(t, pairs_end_at_the_cutoff);
    tcase_add_test(t, steep_functions);
    tcase_add_test(t, errors);
    tcase_add_test(t, no_memory);
    tcase_add_test(t, names);
    suite_add_tcase(s, t);
    return s;
}
