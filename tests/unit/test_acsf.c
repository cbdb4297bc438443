/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_acsf.c - symmetry functions of every type against sums over neighbours and pairs in long double: values,
 * gradients and tangents, with every table of kernels; AVX2 and AVX-512 to the bit; collinear atoms, atoms at the edge
 * of a range, few neighbours, and what must be refused.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "listing.h"
#include "near/descriptor.h"
#include "suite.h"

static const int numbers[3] = {1, 6, 8};
static const nf_elements elements = {3, {1, 6, 8}};
static const char *const symbols[3] = {"H", "C", "O"};

static const nf_kern *table(int i)
{
    const nf_kern *kern = nf_kern_table(i);
    return kern != NULL && nf_kern_runs_here(kern) ? kern : NULL;
}

/* ---- the definitions ---- */

typedef long double real;

static const real degree = 3.14159265358979323846264338327950288L / 180;

static real number(const json_t *f, const char *key)
{
    return json_number_value(json_object_get(f, key));
}

static int type_of(const json_t *f)
{
    return (int)json_integer_value(json_object_get(f, "type")); /* 0: g4 */
}

static int is_compact(const json_t *f)
{
    return type_of(f) >= 20;
}

static int is_weighted(const json_t *f)
{
    return json_array_size(json_object_get(f, "neighbours")) == 0;
}

static int is_angular(const json_t *f)
{
    static const int radial[] = {2, 12, 20, 23};
    for (int i = 0; i < 4; i++)
        if (type_of(f) == radial[i])
            return 0;
    return 1;
}

/* From 1 at x = 0 to 0 at x = 1. */
static real core(const char *name, real x)
{
    real y = 1 - x;
    if (x >= 1)
        return 0;
    if (strcmp(name, "cos") == 0)
        return (1 + cosl(180 * degree * x)) / 2;
    if (strcmp(name, "exp") == 0)
        return expl(1 - 1 / (1 - x * x));
    switch (name[4]) {
    case '1':
        return y * y * (1 + 2 * x);
    case '2':
        return y * y * y * (1 + 3 * x + 6 * x * x);
    case '3':
        return powl(y, 4) * (1 + 4 * x + 10 * x * x + 20 * x * x * x);
    default:
        return powl(y, 5) * (1 + 5 * x + 15 * x * x + 35 * powl(x, 3) + 70 * powl(x, 4));
    }
}

static real compact(const char *name, int asymmetric, real left, real right, real r)
{
    real x = fabsl(r - (left + right) / 2) / ((right - left) / 2);
    return x >= 1 ? 0 : core(name, asymmetric ? (2 - x) * x : x);
}

static const char *core_of(const json_t *f)
{
    return json_string_value(json_object_get(f, is_compact(f) ? "core" : "cutoff"));
}

static real radial(const json_t *f, real r)
{
    if (is_compact(f))
        return compact(core_of(f), json_is_true(json_object_get(f, "asymmetric")), number(f, "rl"), number(f, "rc"), r);
    real inner = number(f, "inner"), d = r - number(f, "rs");
    real x = (r - inner) / (number(f, "rc") - inner);
    return expl(-number(f, "eta") * d * d) * (x < 0 ? 1 : core(core_of(f), x));
}

static real dot(const real a[3], const real b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static real norm(const real a[3])
{
    return sqrtl(dot(a, a));
}

static real angle(const real a[3], const real b[3])
{
    const real c[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
    return atan2l(norm(c), dot(a, b));
}

static real angular(const json_t *f, const real a[3], const real b[3])
{
    if (is_compact(f))
        return compact(core_of(f), 0, number(f, "angle_left") * degree, number(f, "angle_right") * degree, angle(a, b));
    real zeta = number(f, "zeta"), base = 1 + number(f, "lambda") * dot(a, b) / (norm(a) * norm(b));
    return base > 0 ? powl(2, 1 - zeta) * powl(base, zeta) : 0;
}

/* What stands between the partners. */
static real between(const json_t *f, real r)
{
    int type = type_of(f);
    if (type == 0)
        return expl(-number(f, "eta") * r * r);
    return type == 3 || type == 13 || type == 21 || type == 24 ? radial(f, r) : 1;
}

/* ---- the sums ---- */

enum { MOST = 12 };

typedef struct {
    size_t n;
    int species[MOST];
    real x[MOST][3];
} cluster;

static int is_neighbour(const json_t *f, size_t k, int z)
{
    const char *symbol = json_string_value(json_array_get(json_object_get(f, "neighbours"), k));
    return symbol != NULL && nf_element_number(symbol) == z;
}

/* The weight of one neighbour or of a pair (a, b), 0 if the function does not see it. */
static real weight(const json_t *f, int a, int b)
{
    if (is_weighted(f))
        return (real)a * b;
    if (!is_angular(f))
        return is_neighbour(f, 0, a);
    return (is_neighbour(f, 0, a) && is_neighbour(f, 1, b)) || (is_neighbour(f, 0, b) && is_neighbour(f, 1, a));
}

static void difference(const cluster *c, size_t i, size_t j, real d[3])
{
    for (int k = 0; k < 3; k++)
        d[k] = c->x[j][k] - c->x[i][k];
}

static real sum_over_pairs(const json_t *f, const cluster *c, size_t i, size_t j)
{
    real sum = 0, a[3], b[3], ab[3];
    difference(c, i, j, a);
    for (size_t k = j + 1; k < c->n; k++) {
        real w = weight(f, c->species[j], c->species[k]);
        difference(c, i, k, b);
        difference(c, j, k, ab);
        if (k != i && w != 0)
            sum += w * angular(f, a, b) * radial(f, norm(a)) * radial(f, norm(b)) * between(f, norm(ab));
    }
    return sum;
}

static real direct(const json_t *f, const cluster *c, size_t i)
{
    real sum = 0, d[3];
    for (size_t j = 0; j < c->n; j++) {
        difference(c, i, j, d);
        if (j != i)
            sum += is_angular(f) ? sum_over_pairs(f, c, i, j) : weight(f, c->species[j], 1) * radial(f, norm(d));
    }
    return sum;
}

/* Its derivative along a velocity of the atoms, by a difference of fourth order. */
static real direct_slope(const json_t *f, const cluster *c, size_t i, const double (*v)[3], real h)
{
    const real factor[] = {1, -8, 8, -1}, step[] = {-2, -1, 1, 2};
    real sum = 0;
    for (int s = 0; s < 4; s++) {
        cluster moved = *c;
        for (size_t j = 0; j < c->n; j++)
            for (int k = 0; k < 3; k++)
                moved.x[j][k] += step[s] * h * v[j][k];
        sum += factor[s] * direct(f, &moved, i);
    }
    return sum / (12 * h);
}

/* ---- the descriptor at work on a cluster ---- */

typedef struct {
    nf_descriptor *d;
    specimen s;
    listing l;
    nf_arena arena;
    size_t nfeatures, ld; /* all elements have the same functions */
} work;

static nf_descriptor *create(const json_t *functions, const nf_kern *kern)
{
    nf_error err = {0};
    nf_descriptor *d;
    json_t *tree = json_pack("{s:s, s:O}", "class", "acsf", "functions", functions);
    int rc = nf_descriptor_find("acsf")->create(tree, &elements, kern, &d, &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    json_decref(tree);
    return d;
}

static void set_up(work *w, const json_t *functions, const cluster *c, const nf_kern *kern)
{
    nf_frame fresh = NF_FRAME_INIT;
    memset(w, 0, sizeof *w);
    w->d = create(functions, kern);
    w->s.frame = fresh;
    w->s.frame.natoms = c->n;
    w->s.frame.pos = (const double(*)[3])w->s.pos;
    w->s.frame.species = w->s.species;
    for (size_t i = 0; i < c->n; i++) {
        w->s.species[i] = c->species[i];
        for (int k = 0; k < 3; k++)
            w->s.pos[i][k] = (double)c->x[i][k];
    }
    listing_make(&w->l, &w->s.frame, 3, numbers, w->d->class->cutoff(w->d), 0.5);
    ck_assert_uint_eq(w->l.list.npatches, 1);
    w->nfeatures = w->d->class->nfeatures(w->d, 0);
    w->ld = nf_padded(c->n);
    ck_assert_int_eq(nf_arena_reserve(&w->arena, w->d->class->scratch(w->d, &w->l.list.patches[0], 1)), 0);
}

static void tear_down(work *w)
{
    nf_arena_free(&w->arena);
    listing_free(&w->l);
    w->d->class->destroy(w->d);
}

static nf_patch_view view_of(const work *w)
{
    return listing_view(&w->l, 0, &w->s.frame, (const double(*)[3])w->l.cell.h);
}

/* Values, or tangents if v is not NULL: [atom][feature]. To be freed. */
static double *features(work *w, const double (*v)[3])
{
    static const double no_strain[3][3];
    const nf_patch *patch = &w->l.list.patches[0];
    nf_patch_view view = view_of(w);
    nf_error err = {0};
    double *g = calloc(w->nfeatures * w->ld + 1, sizeof *g), *out = calloc(w->ld * w->nfeatures + 1, sizeof *out);
    for (int e = 0; e < 3; e++) {
        w->arena.used = 0;
        int rc = v == NULL ? w->d->class->forward(w->d, &view, e, w->ld, g, &w->arena, &err)
                           : w->d->class->jvp(w->d, &view, e, w->ld, v, no_strain, g, &w->arena, &err);
        ck_assert_msg(rc == 0, "%s", err.msg);
        for (uint32_t c = patch->element_first[e]; c < patch->element_first[e + 1]; c++)
            for (size_t f = 0; f < w->nfeatures; f++)
                out[(size_t)patch->centre[c] * w->nfeatures + f] = g[f * w->ld + (c - patch->element_first[e])];
    }
    w->arena.used = 0;
    free(g);
    return out;
}

/* Centre of an atom in its block. */
static size_t lane_of(const work *w, size_t atom, int *element)
{
    const nf_patch *patch = &w->l.list.patches[0];
    uint32_t c = 0;
    while ((size_t)patch->centre[c] != atom)
        c++;
    for (*element = 0; c >= patch->element_first[*element + 1]; ++*element)
        continue;
    return c - patch->element_first[*element];
}

/* Gradient of feature f of an atom with respect to all atoms: minus the forces that the pull makes of it. */
static void gradient(work *w, size_t atom, size_t f, double out[MOST][3])
{
    const nf_patch *patch = &w->l.list.patches[0];
    nf_patch_view view = view_of(w);
    nf_error err = {0};
    int element;
    size_t lane = lane_of(w, atom, &element);
    double *g_bar = calloc(w->nfeatures * w->ld, sizeof *g_bar);
    g_bar[f * w->ld + lane] = 1;
    nf_pull pull = {1,
                    calloc(patch->npoints, sizeof *pull.point),
                    patch->npoints,
                    calloc(MOST, sizeof *pull.virial),
                    w->s.frame.natoms,
                    0};
    int rc = w->d->class->vjp(w->d, &view, element, w->ld, 1, (const double *const[]){g_bar}, &pull, &w->arena, &err);
    ck_assert_msg(rc == 0 && pull.overflow == 0, "%s", err.msg);
    memset(out, 0, MOST * sizeof *out);
    for (size_t p = 0; p < patch->npoints; p++)
        for (int k = 0; k < 3; k++)
            out[patch->owner[p]][k] -= (double)pull.point[p][k] * NF_FORCE_UNIT;
    w->arena.used = 0;
    free(g_bar);
    free(pull.point);
    free(pull.virial);
}

/* ---- one list of functions, three elements and a cluster: every number ---- */

/* A list of functions becomes that of each element. */
static json_t *for_all_elements(const json_t *functions)
{
    json_t *all = json_array();
    for (int e = 0; e < 3; e++)
        for (size_t f = 0; f < json_array_size(functions); f++) {
            json_t *copy = json_copy(json_array_get(functions, f));
            json_object_set_new(copy, "element", json_string(symbols[e]));
            json_array_append_new(all, copy);
        }
    return all;
}

static cluster random_cluster(size_t n, unsigned seed)
{
    static specimen s;
    cluster c = {.n = n};
    specimen_make(&s, CLUSTER, n, 3, numbers, seed);
    ck_assert_uint_eq(s.frame.natoms, n);
    for (size_t i = 0; i < n; i++) {
        c.species[i] = s.species[i];
        for (int k = 0; k < 3; k++)
            c.x[i][k] = s.pos[i][k];
    }
    return c;
}

/* Of one function of one atom. */
typedef struct {
    real value, tangent, gradient[MOST][3];
} expected;

/* [atom][function], tangents along v. To be freed. */
static expected *expect(const json_t *functions, const cluster *c, const double (*v)[3], real h)
{
    size_t nf = json_array_size(functions);
    expected *all = calloc(c->n * nf, sizeof *all), *e = all;
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < nf; k++, e++) {
            const json_t *f = json_array_get(functions, k);
            e->value = direct(f, c, i);
            e->tangent = direct_slope(f, c, i, v, h);
            for (size_t d = 0; d < 3 * c->n; d++) {
                double one[MOST][3] = {{0}};
                one[d / 3][d % 3] = 1;
                e->gradient[d / 3][d % 3] = direct_slope(f, c, i, (const double(*)[3])one, h);
            }
        }
    return all;
}

/* Worst errors, relative to numbers above 1. */
typedef struct {
    double value, tangent, gradient;
} errors;

static double off(double got, real want)
{
    ck_assert_msg(isfinite(got), "%g instead of %Lg", got, want);
    return (double)(fabsl(got - want) / fmaxl(1, fabsl(want)));
}

static void judge(work *w, const cluster *c, const expected *want, double *const got[2], errors *worst)
{
    double g[MOST][3];
    for (size_t i = 0; i < c->n; i++)
        for (size_t f = 0; f < w->nfeatures; f++, want++) {
            worst->value = fmax(worst->value, off(got[0][i * w->nfeatures + f], want->value));
            worst->tangent = fmax(worst->tangent, off(got[1][i * w->nfeatures + f], want->tangent));
            gradient(w, i, f, g);
            for (size_t j = 0; j < c->n; j++)
                for (int k = 0; k < 3; k++)
                    worst->gradient = fmax(worst->gradient, off(g[j][k], want->gradient[j][k]));
        }
}

/* All functions, atoms and tables of kernels; h is the step of the differences. */
static errors compare(const json_t *functions, const cluster *c, real h)
{
    static work w;
    errors worst = {0};
    double v[MOST][3], *before[2] = {NULL, NULL};
    nf_rng rng = {17};
    for (int k = 0; k < 3 * MOST; k++)
        (&v[0][0])[k] = nf_rng_normal(&rng);
    json_t *all = for_all_elements(functions);
    expected *want = expect(functions, c, (const double(*)[3])v, h);
    for (int t = 0; table(t) != NULL; t++) {
        set_up(&w, all, c, table(t));
        double *now[2] = {features(&w, NULL), features(&w, (const double(*)[3])v)};
        judge(&w, c, want, now, &worst);
        for (int k = 0; k < 2; k++) {
            int fused = t > 1; /* table 0 is ref */
            ck_assert_msg(!fused || memcmp(before[k], now[k], w.nfeatures * c->n * sizeof(double)) == 0, "%s differs",
                          table(t)->name);
            free(before[k]);
            before[k] = now[k];
        }
        tear_down(&w);
    }
    free(before[0]);
    free(before[1]);
    free(want);
    json_decref(all);
    return worst;
}

/* ---- lists ---- */

static void set_neighbours(json_t *f, int index)
{
    const char *a = symbols[index % 3], *b = symbols[index / 3 % 3];
    if (is_angular(f))
        json_object_set_new(f, "neighbours", json_pack("[ss]", a, b));
    else
        json_object_set_new(f, "neighbours", json_pack("[s]", a));
}

/* "g4" for type 0. */
static json_t *exponential(int type, int index, double eta, double rs, double rc, double lambda, double zeta)
{
    static const char *const cutoffs[] = {"poly2", "cos", "exp"};
    json_t *f =
        json_pack("{s:o, s:f, s:f, s:f, s:f, s:s, s:f, s:f}", "type",
                  type == 0 ? json_string("g4") : json_integer(type), "eta", eta, "rs", type == 0 ? 0 : rs, "rc", rc,
                  "inner", index % 2 * 0.4, "cutoff", cutoffs[index % 3], "lambda", lambda, "zeta", zeta);
    if (type != 12 && type != 13)
        set_neighbours(f, index);
    return f;
}

static json_t *exponential_list(void)
{
    static const int types[] = {2, 3, 9, 12, 13, 0};
    static const double zetas[] = {1, 2, 1.5, 16};
    json_t *list = json_array();
    for (int i = 0; i < 48; i++)
        json_array_append_new(list, exponential(types[i % 6], i / 6, 0.03 * (i % 5), i % 4 * 0.4, i % 7 < 5 ? 4 : 3.3,
                                                i % 4 < 2 ? 1 : -1, zetas[i / 3 % 4]));
    return list;
}

static const double ranges[][2] = {{-4, 4}, {-1.5, 4.5}, {0, 3.7}, {0.7, 4}, {1.5, 3}};
static const double windows[][2] = {{-90, 90},   {90, 270}, {0, 180},  {0, 75.5}, {100, 180},
                                    {-180, 180}, {0, 360},  {30, 110}, {-60, 60}, {75, 285}};

static json_t *compact_function(int type, int index, const double range[2], const double window[2])
{
    static const char *const cores[] = {"poly1", "poly2", "poly3", "poly4", "exp", "poly1", "poly2", "poly3", "poly4"};
    json_t *f =
        json_pack("{s:i, s:s, s:b, s:f, s:f, s:f, s:f}", "type", type, "core", cores[index % 9], "asymmetric",
                  index % 9 > 4, "rl", range[0], "rc", range[1], "angle_left", window[0], "angle_right", window[1]);
    if (type < 23)
        set_neighbours(f, index);
    return f;
}

/* Every core with every range. */
static json_t *compact_list(int type)
{
    json_t *list = json_array();
    for (int i = 0; i < 45; i++)
        json_array_append_new(list, compact_function(type, i, ranges[i % 5], windows[i % 10]));
    return list;
}

/* More radial factors and windows over one pair of elements than a group holds, plain and weighted. */
static json_t *crowded_list(void)
{
    json_t *list = json_array();
    for (int i = 0; i < 40; i++) {
        const double range[2] = {-0.1 * (i % 20), 3 + 0.05 * (i % 19)}, window[2] = {i % 21, 100 + 2 * (i % 23)};
        json_t *f = compact_function(i % 4 == 3 ? 24 : 21, i, range, window);
        if (!is_weighted(f))
            json_object_set_new(f, "neighbours", json_pack("[ss]", "O", "H"));
        json_array_append_new(list, f);
    }
    return list;
}

static void say(const char *what, int which, const errors *e)
{
    printf("%s %d: value off by %.1e, tangent by %.1e, gradient by %.1e\n", what, which, e->value, e->tangent,
           e->gradient);
}

static void check(const json_t *list, const char *what, int which, const cluster *c, real h)
{
    errors e = compare(list, c, h);
    say(what, which, &e);
    ck_assert_double_le(e.value, 1e-14);
    ck_assert_double_le(e.tangent, 1e-10);
    ck_assert_double_le(e.gradient, 1e-10);
}

static void check_list(json_t *list, const char *what, int which, const cluster *c)
{
    check(list, what, which, c, 1e-5L);
    json_decref(list);
}

START_TEST(exponential_functions)
{
    cluster c = random_cluster(8, 3 + (unsigned)_i);
    check_list(exponential_list(), "exponential, cluster", _i, &c);
}
END_TEST

START_TEST(compact_functions)
{
    cluster c = random_cluster(7, (unsigned)_i);
    check_list(compact_list(_i), "type", _i, &c);
}
END_TEST

START_TEST(more_than_one_group)
{
    cluster c = random_cluster(8, 5);
    check_list(crowded_list(), "crowded", 0, &c);
}
END_TEST

/* ---- special places ---- */

/* Everything at once, for few atoms. */
static json_t *mixed_list(void)
{
    json_t *list = exponential_list();
    for (int type = 20; type <= 25; type++) {
        json_t *more = compact_list(type);
        json_array_extend(list, more);
        json_decref(more);
    }
    return list;
}

START_TEST(few_neighbours)
{
    for (size_t n = 1; n <= 3; n++) {
        cluster c = random_cluster(n, 1);
        check_list(mixed_list(), "atoms", (int)n, &c);
    }
}
END_TEST

/* A centre at the origin, neighbours at distances 1 and r2 on one line, but for a displacement across it. */
static cluster line(real r2, real across)
{
    return (cluster){3, {8, 8, 8}, {{0, 0, 0}, {0.6L, 0.8L, 0}, {0.6L * r2 + 0.8L * across, 0.8L * r2, across}}};
}

/* POLY1 has a kink in the third derivative here: |theta|^3. */
START_TEST(collinear)
{
    static const double across[] = {0, 1e-300, 1e-30, 1e-17, 1e-15, 1e-12, 1e-10, 1e-7, 1e-5};
    json_t *list = json_array();
    for (int i = 0; i < 90; i++) {
        json_t *f = compact_function(i % 2 ? 21 : 22, i, ranges[i % 2], windows[i / 9]);
        json_object_set_new(f, "neighbours", json_pack("[ss]", "O", "O"));
        json_array_append_new(list, f);
    }
    for (size_t k = 0; k < sizeof across / sizeof *across; k++) {
        cluster c[2] = {line(1.75L, across[k]), line(-1.25L, across[k])};
        for (int i = 0; i < 2; i++) {
            for (size_t j = 0; j < 9; j++) /* the numbers the descriptor gets */
                (&c[i].x[0][0])[j] = (double)(&c[i].x[0][0])[j];
            check(list, "collinear", (int)k, &c[i], 3e-7L); /* a kink is worth h^2 */
        }
    }
    json_decref(list);
}
END_TEST

/* At rl and rc a compact function is 0, and so is its slope. */
START_TEST(at_the_edge)
{
    const double range[2] = {1.5, 2.5}, window[2] = {0, 180};
    for (int core = 0; core < 9; core++)
        for (int type = 20; type <= 25; type++)
            for (int k = 0; k < 2; k++) {
                cluster c = {3, {8, 8, 8}, {{0, 0, 0}, {range[k], 0, 0}, {0, range[k], 0}}};
                static work w;
                double g[MOST][3];
                json_t *f = compact_function(type, core, range, window), *list = json_pack("[o]", f);
                json_object_set_new(f, "element", json_string("O"));
                if (type < 23)
                    json_object_set_new(f, "neighbours",
                                        type == 20 ? json_pack("[s]", "O") : json_pack("[ss]", "O", "O"));
                set_up(&w, list, &c, table(0));
                w.nfeatures = 1;
                double *value = features(&w, NULL);
                gradient(&w, 0, 0, g);
                ck_assert_double_eq(value[0], 0);
                for (int i = 0; i < 9; i++)
                    ck_assert_double_eq((&g[0][0])[i], 0);
                free(value);
                tear_down(&w);
                json_decref(list);
            }
}
END_TEST

/* ---- what is refused ---- */

/* A good function with one key changed; the message must name what is wrong. */
typedef struct {
    const char *base, *change, *message;
} mistake;

#define RADIAL                                                                                                         \
    "'element': 'H', 'neighbours': ['O'], 'type': 2, 'eta': 0.1, 'rs': 0, 'rc': 5, 'inner': 0, 'cutoff': 'cos'"
#define G4                                                                                                             \
    "'element': 'H', 'neighbours': ['O', 'H'], 'type': 'g4', 'eta': 0.1, 'rs': 0, 'rc': 5, 'inner': 0, "               \
    "'cutoff': 'cos', 'lambda': 1, 'zeta': 2"
#define COMPACT                                                                                                        \
    "'element': 'H', 'neighbours': ['O', 'H'], 'type': 22, 'core': 'poly2', 'asymmetric': false, 'rl': -1, "           \
    "'rc': 5, 'angle_left': 0, 'angle_right': 90"

static const mistake mistakes[] = {
    {RADIAL, "'element': 'Xx'", "'Xx' is not an element"},
    {RADIAL, "'element': 'S'", "'S' is not an element"},
    {RADIAL, "'type': 4", "unknown type 4"},
    {RADIAL, "'type': 'g9'", "unknown type 'g9'"},
    {RADIAL, "'type': '2'", "unknown type '2'"},
    {RADIAL, "'type': 0", "unknown type 0"},
    {RADIAL, "'type': 2.0", "'type' is missing or is no number or name"},
    {RADIAL, "'type': 12", "'neighbours' is a list of 0 elements"},
    {RADIAL, "'type': 3", "'neighbours' is a list of 2 elements"},
    {RADIAL, "'neighbours': {}", "'neighbours' is a list of 1 elements"},
    {RADIAL, "'neighbours': [7]", "'?' is not an element"},
    {RADIAL, "'cutoff': 'sin'", "unknown cutoff function 'sin'"},
    {RADIAL, "'eta': '1'", "'eta' is missing or is no number"},
    {RADIAL, "'rc': 0", "cutoff rc 0"},
    {RADIAL, "'inner': 5", "inner cutoff 5"},
    {RADIAL, "'inner': -1", "inner cutoff -1"},
    {G4, "'rs': 0.5", "rs must be 0"},
    {G4, "'zeta': 0", "zeta 0"},
    {G4, "'lambda': null", "'lambda' is missing"},
    {COMPACT, "'core': 'cos'", "core function 'cos'"},
    {COMPACT, "'core': 'p2'", "unknown core function 'p2'"},
    {COMPACT, "'asymmetric': 1", "'asymmetric' is missing"},
    {COMPACT, "'core': 'exp', 'asymmetric': true", "core exp has no asymmetric form"},
    {COMPACT, "'rl': 5", "rl 5 to rc 5"},
    {COMPACT, "'rc': -0.5", "to rc -0.5"},
    {COMPACT, "'angle_right': 0", "angles 0 to 0"},
    {COMPACT, "'angle_right': 181", "angles 0 to 181 degrees: only a range centred"},
    {COMPACT, "'angle_left': -30", "angles -30 to 90 degrees: only a range centred"},
    {COMPACT, "'angle_left': -200, 'angle_right': 200", "at most 360 apart"},
};

static json_t *parsed(const char *text)
{
    char buffer[512];
    snprintf(buffer, sizeof buffer, "{%s}", text);
    for (char *p = buffer; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *tree = json_loads(buffer, 0, NULL);
    ck_assert_msg(tree != NULL, "%s", buffer);
    return tree;
}

static json_t *with(json_t *function)
{
    return json_pack("{s:s, s:[o, o]}", "class", "acsf", "functions", parsed(RADIAL), function);
}

START_TEST(mistakes_are_named)
{
    const mistake *m = &mistakes[_i];
    nf_error err = {0};
    nf_descriptor *d;
    json_t *function = parsed(m->base), *change = parsed(m->change);
    json_t *tree = with(function);
    ck_assert_int_eq(nf_descriptor_find("acsf")->create(tree, &elements, table(0), &d, &err), 0);
    d->class->destroy(d);
    json_object_update(function, change);
    ck_assert_int_lt(nf_descriptor_find("acsf")->create(tree, &elements, table(0), &d, &err), 0);
    ck_assert_msg(strstr(err.msg, m->message) != NULL, "%s", err.msg);
    ck_assert_msg(strncmp(err.msg, "symmetry function 2: ", 21) == 0, "%s", err.msg);
    ck_assert_ptr_null(d);
    json_decref(tree);
    json_decref(change);
}
END_TEST

/* ---- memory ---- */

/* Whichever allocation is refused: an error, and nothing is lost (that is the sanitizer's part of the test). */
START_TEST(without_memory)
{
    const nf_descriptor_class *class = nf_descriptor_find("acsf");
    json_t *tree = class->example(&elements, 1);
    int refused = 1, failures = 0;
    for (long n = 0; refused; n++) {
        nf_error err = {0};
        nf_descriptor *d;
        nf_mem_fail_after(n);
        int rc = class->create(tree, &elements, table(0), &d, &err);
        refused = nf_mem_fail_stop();
        ck_assert_int_eq(rc, refused ? NF_ENOMEM : 0);
        failures += refused;
        class->destroy(d);
    }
    ck_assert_int_ge(failures, 20);
    json_decref(tree);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("acsf");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, exponential_functions, 0, 2);
    tcase_add_loop_test(t, compact_functions, 20, 26);
    tcase_add_test(t, more_than_one_group);
    tcase_add_test(t, few_neighbours);
    tcase_add_test(t, collinear);
    tcase_add_test(t, at_the_edge);
    tcase_add_loop_test(t, mistakes_are_named, 0, (int)(sizeof mistakes / sizeof *mistakes));
    tcase_add_test(t, without_memory);
    suite_add_tcase(s, t);
    return s;
}
