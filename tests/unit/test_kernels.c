/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_kernels.c - every table of kernels that runs here against plain loops over libm, for all tail lengths; AVX2 and
 * AVX-512 to the bit.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "eval.h"
#include "kern/kern.h"
#include "kern/simd.h"
#include "suite.h"

enum { LONGEST = 67, FAR = 80 };

static const nf_kern *tables[8];
static int ntables;

static void find_tables(void)
{
    ntables = 0;
    for (int i = 0; nf_kern_table(i) != NULL; i++)
        if (nf_kern_runs_here(nf_kern_table(i)))
            tables[ntables++] = nf_kern_table(i);
    ck_assert_int_ge(ntables, 1);
}

static size_t padded(int n)
{
    return ((size_t)n + 7) / 8 * 8;
}

/* n random numbers, the padding holds `fill`. To be freed. */
static double *numbers(int n, double fill, nf_rng *rng)
{
    double *x = calloc(padded(n) + 1, sizeof *x);
    for (size_t i = 0; i < padded(n); i++)
        x[i] = i < (size_t)n ? nf_rng_normal(rng) : fill;
    return x;
}

/* The first two tables that fuse give the same bits. */
static int both_fuse(const nf_kern *a, const nf_kern *b)
{
    return strncmp(a->name, "avx", 3) == 0 && strncmp(b->name, "avx", 3) == 0;
}

static void same_where_fused(int t, size_t n, const double *a, const double *b)
{
    if (t > 0 && both_fuse(tables[t - 1], tables[t]))
        ck_assert_msg(memcmp(a, b, n * sizeof *a) == 0, "%s and %s differ", tables[t - 1]->name, tables[t]->name);
}

static double ulps(double got, long double want)
{
    double w = (double)want, step = nextafter(fabs(w), HUGE_VAL) - fabs(w);
    return (double)fabsl((long double)got - want) / step;
}

/* ---- rows ---- */

START_TEST(rows)
{
    nf_rng rng = {1};
    for (int n = 0; n <= LONGEST; n++) {
        double *a = numbers(n, 0, &rng), *b = numbers(n, 0, &rng), sum = 0, dot = 0, before[2] = {0, 0};
        for (int i = 0; i < n; i++) {
            sum += a[i];
            dot += a[i] * b[i];
        }
        for (int t = 0; t < ntables; t++) {
            const double got[2] = {tables[t]->sum(n, a), tables[t]->dot(n, a, b)};
            ck_assert_double_eq_tol(got[0], sum, 1e-13);
            ck_assert_double_eq_tol(got[1], dot, 1e-13);
            same_where_fused(t, 2, before, got);
            memcpy(before, got, sizeof got);
            double *y = calloc(padded(n) + 1, sizeof *y);
            memcpy(y, b, padded(n) * sizeof *y);
            tables[t]->axpy(n, 0.7, a, y);
            for (int i = 0; i < n; i++)
                ck_assert_double_eq_tol(y[i], b[i] + 0.7 * a[i], 1e-15);
            free(y);
        }
        free(a);
        free(b);
    }
}
END_TEST

/* Arrays of any length at any place: what is scaled, the largest, and one value in each place that is no number. */
START_TEST(whole_arrays)
{
    enum { MOST = 40 };
    const double bad[] = {HUGE_VAL, -HUGE_VAL, NAN, -NAN};
    for (int t = 0; t < ntables; t++)
        for (size_t n = 0; n <= MOST; n++) {
            double x[MOST + 2] = {0}, y[MOST + 2];
            int z[MOST + 2] = {0};
            for (size_t k = 0; k < n; k++) {
                x[k + 1] = 1.9 * sin((double)(k + n));
                z[k + 1] = 1 + (int)k;
            }
            memcpy(y, x, sizeof x);
            tables[t]->scale(n, 0.3, y + 1);
            for (size_t k = 0; k < MOST + 2; k++)
                ck_assert(y[k] == (k > 0 && k <= n ? 0.3 * x[k] : x[k]));
            ck_assert(!tables[t]->outside(n, 1, MOST, z + 1));
            for (size_t shift = 0; shift < 8; shift++) { /* bytes */
                unsigned char from[8 * (MOST + 3)];
                double largest = 0;
                memcpy(from + shift, x + 1, n * sizeof *x);
                double got = tables[t]->take(n, -0.3, from + shift, y + 1);
                for (size_t k = 1; k <= n; k++) {
                    ck_assert(y[k] == -0.3 * x[k]);
                    largest = fmax(largest, fabs(y[k]));
                }
                ck_assert(got == largest);
            }
            for (size_t k = 1; k <= n; k++) {
                double keep = x[k];
                for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
                    x[k] = bad[b];
                    ck_assert(tables[t]->take(n, 2, x + 1, y + 1) == HUGE_VAL);
                }
                x[k] = keep;
                for (int b = 0; b < 3; b++) {
                    const int wrong[] = {0, MOST + 1, -1};
                    int kept = z[k];
                    z[k] = wrong[b];
                    ck_assert(tables[t]->outside(n, 1, MOST, z + 1));
                    z[k] = kept;
                }
            }
        }
}
END_TEST

/* ---- radial factors ---- */

typedef struct {
    long double value, slope;
} two;

static two poly(int type, long double x)
{
    long double y = 1 - x;
    switch (type) {
    case K_CUT_POLY1:
        return (two){y * y * (1 + 2 * x), -6 * x * y};
    case K_CUT_POLY2:
        return (two){y * y * y * (1 + 3 * x + 6 * x * x), -30 * x * x * y * y};
    case K_CUT_POLY3:
        return (two){powl(y, 4) * (1 + 4 * x + 10 * x * x + 20 * x * x * x), -140 * powl(x * y, 3)};
    default:
        return (two){powl(y, 5) * (1 + 5 * x + 15 * x * x + 35 * powl(x, 3) + 70 * powl(x, 4)), -630 * powl(x * y, 4)};
    }
}

/* fc and dfc/dr as the notes define them; polynomials factored, so that nothing cancels near rc. */
static two cutoff(const struct k_radial *p, long double r)
{
    long double pi = 3.14159265358979323846264338327950288L, e = expl(1);
    long double w = (long double)p->rc - p->inner, x = (r - p->inner) / w, t = tanhl(1 - r / p->rc);
    long double norm = p->cutoff == K_CUT_TANH ? powl((e + 1 / e) / (e - 1 / e), 3) : 1;
    if (r >= p->rc)
        return (two){0, 0};
    if (p->cutoff == K_CUT_HARD)
        return (two){1, 0};
    if (p->cutoff == K_CUT_TANH || p->cutoff == K_CUT_TANHU)
        return (two){norm * t * t * t, -3 * norm * t * t * (1 - t * t) / p->rc};
    if (x < 0)
        return (two){1, 0};
    if (p->cutoff == K_CUT_COS)
        return (two){(1 + cosl(pi * x)) / 2, -pi / 2 * sinl(pi * x) / w};
    if (p->cutoff == K_CUT_EXP) {
        long double q = 1 / (x * x - 1), f = expl(1 + q);
        return (two){f, -2 * x * q * q * f / w};
    }
    two f = poly(p->cutoff, x);
    f.slope /= w;
    return f;
}

/* core(|r - centre| / width), or core((2 - x) x). */
static two compact(int core, int asymmetric, long double centre, long double width, long double r)
{
    long double x = fabsl(r - centre) / width, inner = asymmetric ? (2 - x) * x : x;
    long double chain = (asymmetric ? 2 - 2 * x : 1) * (r < centre ? -1 : 1) / width;
    if (x >= 1)
        return (two){0, 0};
    if (core == K_CUT_EXP) {
        long double q = 1 / (inner * inner - 1), f = expl(1 + q);
        return (two){f, -2 * inner * q * q * f * chain};
    }
    two f = poly(core, inner);
    return (two){f.value, f.slope * chain};
}

static two radial(const struct k_radial *p, long double r)
{
    if (p->form != K_EXPONENTIAL)
        return compact(p->cutoff, p->form == K_ASYMMETRIC, ((long double)p->rl + p->rc) / 2,
                       ((long double)p->rc - p->rl) / 2, r);
    two fc = cutoff(p, r);
    long double d = r - p->rs, e = expl(-p->eta * d * d);
    return (two){e * fc.value, e * (fc.slope - 2 * p->eta * d * fc.value)};
}

static const double cutoff_tolerance = 1e-15; /* absolute */

static struct k_radial random_radial(int cutoff, nf_rng *rng)
{
    double rc = nf_rng_between(rng, 3, 7), inner = nf_rng_next(rng) % 2 ? nf_rng_between(rng, 0, 0.5) * rc : 0;
    int whole = cutoff == K_CUT_HARD || cutoff == K_CUT_TANH || cutoff == K_CUT_TANHU;
    double eta = nf_rng_between(rng, 0, 1), rs = nf_rng_between(rng, -1, 2);
    return (struct k_radial){.eta = eta, .rs = rs, .rc = rc, .inner = whole ? 0 : inner, .cutoff = cutoff};
}

/* _i counts the forms of the five cores. */
static struct k_radial random_compact(int i, nf_rng *rng)
{
    double rc = nf_rng_between(rng, 3, 7), rl = nf_rng_between(rng, -rc, 0.6 * rc);
    return (struct k_radial){.cutoff = K_CUT_EXP + i % 5, .form = i < 5 ? K_COMPACT : K_ASYMMETRIC, .rl = rl, .rc = rc};
}

static void random_distances(int n, double rc, double *r, nf_rng *rng)
{
    for (size_t k = 0; k < padded(n); k++)
        r[k] = k >= (size_t)n         ? FAR
               : nf_rng_next(rng) % 4 ? nf_rng_between(rng, 0.1, 1.1 * rc)
                                      : rc * (1 - 1e-4 * nf_rng_uniform(rng));
}

/* Rows of all tables against long doubles, and against each other. */
static void compare_rows(int n, const double *r, int nq, const struct k_radial *par, double *worst, double *worst_slope)
{
    static double phi[2][8][72], dphi[2][8][72];
    ck_assert_int_le(nq, 8);
    for (int t = 0; t < ntables; t++) {
        tables[t]->radial(n, r, nq, par, phi[t % 2][0], dphi[t % 2][0], 72);
        for (int q = 0; q < nq; q++) {
            for (int k = 0; k < n; k++) {
                two want = radial(&par[q], r[k]);
                *worst = fmax(*worst, (double)fabsl(phi[t % 2][q][k] - want.value));
                *worst_slope = fmax(*worst_slope, (double)fabsl(dphi[t % 2][q][k] - want.slope));
            }
            for (size_t k = (size_t)n; k < padded(n); k++)
                ck_assert(phi[t % 2][q][k] == 0 && dphi[t % 2][q][k] == 0);
            same_where_fused(t, (size_t)n, phi[0][q], phi[1][q]);
            same_where_fused(t, (size_t)n, dphi[0][q], dphi[1][q]);
        }
    }
}

START_TEST(radial_factors)
{
    enum { NQ = 5 };
    nf_rng rng = {(uint64_t)_i};
    double worst = 0, worst_slope = 0;
    for (int n = 0; n <= LONGEST; n++) {
        struct k_radial par[NQ];
        double r[72];
        for (int q = 0; q < NQ; q++)
            par[q] = q % 2 ? par[q - 1] : random_radial(_i, &rng);
        for (int q = 1; q < NQ; q += 2)
            par[q].eta *= 2; /* shares the cutoff function with the one before */
        random_distances(n, par[0].rc, r, &rng);
        compare_rows(n, r, NQ, par, &worst, &worst_slope);
    }
    printf("cutoff type %d: value off by %.1e, slope by %.1e\n", _i, worst, worst_slope);
    ck_assert_double_le(worst, cutoff_tolerance);
    ck_assert_double_le(worst_slope, 2 * cutoff_tolerance);
}
END_TEST

/* Compact factors among others, which share their cutoff functions still. */
START_TEST(compact_factors)
{
    enum { NQ = 5 };
    nf_rng rng = {(uint64_t)_i + 30};
    double worst = 0, worst_slope = 0;
    for (int n = 0; n <= LONGEST; n++) {
        struct k_radial par[NQ];
        double r[72];
        for (int q = 0; q < NQ; q++)
            par[q] = q % 3 == 0 ? random_radial(1 + n % 8, &rng) : random_compact(_i, &rng);
        random_distances(n, par[1].rc, r, &rng);
        for (int k = 0; k < n && k < 2; k++)
            r[k] = k == 0 ? par[1].rc : fmax(par[1].rl, 0.1);
        compare_rows(n, r, NQ, par, &worst, &worst_slope);
    }
    printf("compact core %d: value off by %.1e, slope by %.1e\n", _i, worst, worst_slope);
    ck_assert_double_le(worst, 2e-15); /* with widths of 0.6 Angstrom, 1 ulp of r is 1e-15 of x */
    ck_assert_double_le(worst_slope, 2e-14);
}
END_TEST

/* e^-eta, exactly that, by a radial factor at distance 1. */
START_TEST(exponential)
{
    nf_rng rng = {2};
    for (int t = 0; t < ntables; t++) {
        double worst = 0, r[8] = {1, 1, 1, 1, 1, 1, 1, 1}, phi[8], dphi[8];
        for (int k = 0; k < 20000; k++) {
            double size = k % 3 == 0 ? 690 : k % 3 == 1 ? 5 : 1e-3;
            struct k_radial par = {.eta = nf_rng_between(&rng, -size, size), .rc = 2, .cutoff = K_CUT_HARD};
            tables[t]->radial(1, r, 1, &par, phi, dphi, 8);
            worst = fmax(worst, ulps(phi[0], expl(-(long double)par.eta)));
        }
        printf("%s: exp to %.2f ulp\n", tables[t]->name, worst);
        ck_assert_double_le(worst, 1.5);
    }
}
END_TEST

/* ---- layers ---- */

START_TEST(layers)
{
    nf_rng rng = {3};
    for (int n = 1; n <= LONGEST; n++) {
        int nin = 1 + n % 11, nout = 1 + n % 7;
        size_t ld = padded(n);
        double *w = numbers(nin * nout, 0, &rng), *bias = numbers(nout, 0, &rng);
        double *x = numbers(nin * (int)ld, 0, &rng), *y_bar = numbers(nout * (int)ld, 0, &rng);
        double *y[2], *x_bar[2];
        for (int i = 0; i < 2; i++) {
            y[i] = calloc((size_t)nout * ld, sizeof(double));
            x_bar[i] = calloc((size_t)nin * ld, sizeof(double));
        }
        for (int t = 0; t < ntables; t++) {
            tables[t]->dense(nout, nin, w, n % 2 ? bias : NULL, x, y[t % 2], n, ld);
            tables[t]->dense_back(nout, nin, w, y_bar, x_bar[t % 2], n, ld);
            for (int k = 0; k < n; k++) {
                for (int o = 0; o < nout; o++) {
                    double sum = n % 2 ? bias[o] : 0;
                    for (int i = 0; i < nin; i++)
                        sum += w[o * nin + i] * x[(size_t)i * ld + (size_t)k];
                    ck_assert_double_eq_tol(y[t % 2][(size_t)o * ld + (size_t)k], sum, 1e-13);
                }
                for (int i = 0; i < nin; i++) {
                    double sum = 0;
                    for (int o = 0; o < nout; o++)
                        sum += w[o * nin + i] * y_bar[(size_t)o * ld + (size_t)k];
                    ck_assert_double_eq_tol(x_bar[t % 2][(size_t)i * ld + (size_t)k], sum, 1e-13);
                }
            }
            for (int o = 0; o < nout; o++)
                same_where_fused(t, (size_t)n, y[0] + (size_t)o * ld, y[1] + (size_t)o * ld);
            for (int i = 0; i < nin; i++)
                same_where_fused(t, (size_t)n, x_bar[0] + (size_t)i * ld, x_bar[1] + (size_t)i * ld);
        }
        for (int i = 0; i < 2; i++) {
            free(y[i]);
            free(x_bar[i]);
        }
        free(w);
        free(bias);
        free(x);
        free(y_bar);
    }
}
END_TEST

static two activation(int a, long double z)
{
    long double y = 1 / (1 + expl(-z)), t = tanhl(z);
    switch (a) {
    case K_ACT_TANH:
        return (two){t, 1 / (coshl(z) * coshl(z))};
    case K_ACT_LOGISTIC:
        return (two){y, y / (1 + expl(z))};
    case K_ACT_SOFTPLUS:
        return (two){z > 0 ? z + log1pl(expl(-z)) : log1pl(expl(z)), y};
    case K_ACT_RELU:
        return (two){z > 0 ? z : 0, z > 0};
    case K_ACT_GAUSSIAN:
        return (two){expl(-z * z / 2), -z * expl(-z * z / 2)};
    case K_ACT_COS:
        return (two){cosl(z), -sinl(z)};
    case K_ACT_REVLOGISTIC:
        return (two){1 - y, -y / (1 + expl(z))};
    case K_ACT_EXP:
        return (two){expl(-z), -expl(-z)};
    case K_ACT_HARMONIC:
        return (two){z * z, 2 * z};
    default:
        return (two){z, 1};
    }
}

/* Also far out, where a careless formula would give NaN. */
START_TEST(activations)
{
    nf_rng rng = {4};
    static const double far_out[] = {0, -0.0, 1e-300, -1e-20, 19.9, 20.1, -20.1, 700, -700, 1e4, -1e4};
    const int nfar = sizeof far_out / sizeof *far_out;
    for (int n = 1; n <= LONGEST; n++) {
        double z[72] = {0}, y[2][72], slope[2][72];
        for (int k = 0; k < n; k++)
            z[k] = k < nfar && _i != K_ACT_EXP && _i != K_ACT_HARMONIC ? far_out[k] : 3 * nf_rng_normal(&rng);
        for (int t = 0; t < ntables; t++) {
            memcpy(y[t % 2], z, sizeof z);
            tables[t]->activate(_i, n, y[t % 2], slope[t % 2]);
            for (int k = 0; k < n; k++) {
                two want = activation(_i, z[k]);
                double size = fmax(1, fabs((double)want.value));
                ck_assert_double_eq_tol(y[t % 2][k], (double)want.value, 4e-16 * size);
                ck_assert_double_eq_tol(slope[t % 2][k], (double)want.slope, 1e-15 * size);
            }
            same_where_fused(t, (size_t)n, y[0], y[1]);
            same_where_fused(t, (size_t)n, slope[0], slope[1]);
        }
    }
}
END_TEST

START_TEST(hyperbolic_tangent)
{
    nf_rng rng = {5};
    for (int t = 0; t < ntables; t++) {
        double worst = 0;
        for (int k = 0; k < 20000; k++) {
            double z[8] = {0}, slope[8];
            double x = z[0] = nf_rng_normal(&rng) * (k % 3 == 0 ? 10 : k % 3 == 1 ? 1 : 1e-3);
            tables[t]->activate(K_ACT_TANH, 1, z, slope);
            worst = fmax(worst, ulps(z[0], tanhl(x)));
        }
        printf("%s: tanh to %.2f ulp\n", tables[t]->name, worst);
        ck_assert_double_le(worst, 4);
    }
}
END_TEST

/* Overflowing weights or features must not become a number again. */
START_TEST(nan_stays)
{
    for (int t = 0; t < ntables; t++) {
        for (int a = 0; a < K_NACTIVATIONS; a++) {
            double z[8] = {0, NAN}, slope[8];
            tables[t]->activate(a, 2, z, slope);
            ck_assert_msg(isnan(z[1]), "%s, activation %d", tables[t]->name, a);
        }
        double r[8] = {1, 1, 1, 1, 1, 1, 1, 1}, phi[8], dphi[8];
        struct k_radial par = {.eta = NAN, .rc = 2, .cutoff = K_CUT_COS};
        tables[t]->radial(1, r, 1, &par, phi, dphi, 8);
        ck_assert(isnan(phi[0]) && isnan(dphi[0]));
    }
}
END_TEST

/* ---- angular functions ---- */

/* Neighbours with radial factors, in memory of its own. */
typedef struct {
    struct k_side side;
    double *x, *y, *z, *r, *inv_r, *phi, *dphi;
    size_t ld;
} neighbours;

static void place_neighbours(neighbours *s, int n, double width, nf_rng *rng)
{
    for (size_t k = 0; k < s->ld; k++) {
        double *d[3] = {&s->x[k], &s->y[k], &s->z[k]};
        for (int c = 0; c < 3; c++)
            *d[c] = k < (size_t)n ? nf_rng_between(rng, -width, width) : c == 0 ? FAR : 0;
        s->r[k] = sqrt(s->x[k] * s->x[k] + s->y[k] * s->y[k] + s->z[k] * s->z[k]);
        s->inv_r[k] = 1 / s->r[k];
    }
}

static void make_neighbours(neighbours *s, int n, const struct k_angular *g, const nf_kern *kern, nf_rng *rng)
{
    s->ld = padded(n);
    double **all[] = {&s->x, &s->y, &s->z, &s->r, &s->inv_r};
    for (int i = 0; i < 5; i++)
        *all[i] = calloc(s->ld + 1, sizeof(double));
    s->phi = calloc(s->ld * (size_t)g->nradial + 1, sizeof(double));
    s->dphi = calloc(s->ld * (size_t)g->nradial + 1, sizeof(double));
    place_neighbours(s, n, 0.75 * g->rc, rng);
    kern->radial(n, s->r, g->nradial, g->radial, s->phi, s->dphi, s->ld);
    s->side = (struct k_side){n, s->x, s->y, s->z, s->r, s->inv_r, s->phi, s->dphi, s->ld};
}

static void free_neighbours(neighbours *s)
{
    double *all[] = {s->x, s->y, s->z, s->r, s->inv_r, s->phi, s->dphi};
    for (int i = 0; i < 7; i++)
        free(all[i]);
}

enum { NTERMS = 7, NBAR = 2 };

static const int term_radial[NTERMS] = {0, 1, 2, 0, 1, 2, 2}, term_angle[NTERMS] = {0, 1, 2, 3, 4, 0, 3};
static double norm[NTERMS];

static void make_powers(struct k_angular *g)
{
    static const double zetas[5] = {1, 2, 16, 1.5, 0.75};
    for (int i = 0; i < 5; i++) {
        g->zeta[i] = zetas[i];
        g->lambda[i] = i % 2 ? 1 : -1;
        g->power[i] = zetas[i] == floor(zetas[i]) ? (int)zetas[i] : 0;
    }
}

static void make_windows(struct k_angular *g)
{
    const double pi = 3.14159265358979324;
    static const double centres[5] = {0, 1, 0.5, 0.4, 0.7}, widths[5] = {0.5, 1, 0.5, 0.3, 0.3}; /* in pi */
    for (int i = 0; i < 5; i++)
        g->window[i] = (struct k_window){centres[i] * pi, widths[i] * pi, K_CUT_EXP + i};
}

static struct k_radial random_factor(const struct k_angular *g, nf_rng *rng)
{
    struct k_radial p = g->compact ? random_compact((int)(nf_rng_next(rng) % 10), rng)
                                   : random_radial(1 + (int)(nf_rng_next(rng) % 8), rng);
    p.rc = g->rc;
    p.inner = fmin(p.inner, 1);
    p.rl = fmin(p.rl, 2);
    if (g->between == K_GAUSSIAN)
        p.rs = 0;
    return p;
}

static void make_group(struct k_angular *g, int between, int compact, nf_rng *rng)
{
    memset(g, 0, sizeof *g);
    g->rc = 4.5;
    g->between = between;
    g->compact = compact;
    g->nradial = 3;
    for (int q = 0; q < 3; q++) {
        g->radial[q] = random_factor(g, rng);
        g->row_a[q] = g->row_b[q] = q;
    }
    g->nangle = 5;
    if (compact)
        make_windows(g);
    else
        make_powers(g);
    g->nterm = NTERMS;
    g->term_radial = term_radial;
    g->term_angle = term_angle;
    g->norm = norm;
    for (int t = 0; t < NTERMS; t++)
        norm[t] = compact ? 1 + t : exp2(1 - g->zeta[term_angle[t]]);
}

static double angle_factor(const struct k_angular *g, int i, double cosine)
{
    if (g->compact) {
        const struct k_window *w = &g->window[i];
        return (double)compact(w->core, 0, w->centre, w->width, acosl(cosine)).value;
    }
    double base = 1 + g->lambda[i] * cosine;
    return base > 0 ? pow(base, g->zeta[i]) : 0;
}

static double between(const struct k_angular *g, const struct k_radial *p, double r)
{
    return g->between == K_NOTHING ? 1 : g->between == K_GAUSSIAN ? exp(-p->eta * r * r) : (double)radial(p, r).value;
}

/* The definition, pair by pair. */
static void direct_sum(const struct k_angular *g, const struct k_side *a, const struct k_side *b, int same, double *out)
{
    for (int t = 0; t < g->nterm; t++)
        out[t] = 0;
    for (int j = 0; j < a->n; j++)
        for (int k = same ? j + 1 : 0; k < b->n; k++) {
            double dx = a->x[j] - b->x[k], dy = a->y[j] - b->y[k], dz = a->z[j] - b->z[k];
            double r = sqrt(dx * dx + dy * dy + dz * dz);
            double c = (a->x[j] * b->x[k] + a->y[j] * b->y[k] + a->z[j] * b->z[k]) / (a->r[j] * b->r[k]);
            for (int t = 0; t < g->nterm; t++) {
                const struct k_radial *p = &g->radial[g->term_radial[t]];
                double f = (double)(radial(p, a->r[j]).value * radial(p, b->r[k]).value);
                out[t] += g->norm[t] * angle_factor(g, g->term_angle[t], c) * f * between(g, p, r);
            }
        }
}

/* Scratch of exactly the documented size. */
static struct k_scratch make_scratch(int n)
{
    size_t room = (size_t)n + 8;
    return (struct k_scratch){calloc(room, sizeof(int32_t)), calloc(room, sizeof(double)),
                              calloc(8 * (NTERMS > 4 * NBAR ? NTERMS : 4 * NBAR), sizeof(double)),
                              calloc(NBAR * NTERMS, sizeof(double))};
}

static void free_scratch(struct k_scratch *tmp)
{
    free(tmp->index);
    free(tmp->r2);
    free(tmp->sums);
    free(tmp->weight);
}

/* Gradient rows along, x, y, z of NBAR adjoints. */
typedef struct {
    double *rows;
    struct k_side_bar bar[NBAR];
} gradients;

static void make_gradients(gradients *g, size_t ld)
{
    g->rows = calloc(4 * NBAR * ld + 1, sizeof(double));
    for (int m = 0; m < NBAR; m++) {
        double *p = g->rows + 4 * (size_t)m * ld;
        g->bar[m] = (struct k_side_bar){p, p + ld, p + 2 * ld, p + 3 * ld};
    }
}

typedef struct {
    double *x, *y, *z, *r;
} tangents;

static void make_tangents(tangents *d, const neighbours *s, nf_rng *rng)
{
    int n = (int)s->ld;
    d->x = numbers(n, 0, rng);
    d->y = numbers(n, 0, rng);
    d->z = numbers(n, 0, rng);
    d->r = calloc(s->ld + 1, sizeof(double));
    for (int k = 0; k < n; k++) {
        if (k >= s->side.n)
            d->x[k] = d->y[k] = d->z[k] = 0;
        d->r[k] = (s->x[k] * d->x[k] + s->y[k] * d->y[k] + s->z[k] * d->z[k]) * s->inv_r[k];
    }
}

static void free_tangents(tangents *d)
{
    free(d->x);
    free(d->y);
    free(d->z);
    free(d->r);
}

/* Rate of change that the gradient of adjoint m says. */
static double rate(const gradients *g, int m, const neighbours *s, const tangents *d)
{
    const struct k_side_bar *b = &g->bar[m];
    double sum = 0;
    for (int k = 0; k < s->side.n; k++)
        sum += b->along[k] * s->r[k] * d->r[k] + b->x[k] * d->x[k] + b->y[k] * d->y[k] + b->z[k] * d->z[k];
    return sum;
}

typedef struct {
    struct k_angular group;
    neighbours a, b; /* b is a if same */
    int same;
    struct k_scratch tmp;
    double want[NTERMS];
} triple;

static void check_values(const triple *p, int t, double g[2][NTERMS])
{
    const double *want = p->want;
    double start[NTERMS];
    for (int i = 0; i < NTERMS; i++)
        start[i] = g[t % 2][i] = i; /* it adds */
    tables[t]->angular(&p->group, &p->a.side, &p->b.side, p->same, g[t % 2], &p->tmp);
    for (int i = 0; i < NTERMS; i++)
        ck_assert_double_eq_tol(g[t % 2][i], start[i] + want[i], 2e-13 * fmax(1, fabs(want[i])));
    same_where_fused(t, NTERMS, g[0], g[1]);
}

static void check_derivatives(const triple *p, int t, nf_rng *rng)
{
    gradients ga, gb;
    tangents da, db;
    double *g_bar = numbers(NBAR * NTERMS, 0, rng), g_dot[NTERMS] = {0};
    make_gradients(&ga, p->a.ld);
    make_gradients(&gb, p->b.ld);
    make_tangents(&da, &p->a, rng);
    make_tangents(&db, &p->b, rng);
    const tangents *d = p->same ? &da : &db;
    struct k_side_dot a_dot = {da.x, da.y, da.z, da.r}, b_dot = {d->x, d->y, d->z, d->r};
    tables[t]->angular_vjp(&p->group, &p->a.side, &p->b.side, p->same, NBAR, g_bar, ga.bar, p->same ? ga.bar : gb.bar,
                           &p->tmp);
    tables[t]->angular_jvp(&p->group, &p->a.side, &p->b.side, p->same, &a_dot, &b_dot, g_dot, &p->tmp);
    for (int m = 0; m < NBAR; m++) {
        double want = 0, size = 1;
        for (int i = 0; i < NTERMS; i++) {
            want += g_bar[m * NTERMS + i] * g_dot[i];
            size += fabs(g_bar[m * NTERMS + i] * g_dot[i]);
        }
        double got = rate(&ga, m, &p->a, &da) + (p->same ? 0 : rate(&gb, m, &p->b, &db));
        ck_assert_double_eq_tol(got, want, 1e-12 * size * (1 + p->a.side.n + p->b.side.n));
    }
    free(ga.rows);
    free(gb.rows);
    free_tangents(&da);
    free_tangents(&db);
    free(g_bar);
}

/* _i: what stands between, one side or two, compact or not. */
START_TEST(angular)
{
    nf_rng rng = {(uint64_t)_i + 50};
    for (int n = 0; n <= LONGEST; n++) {
        triple p = {.same = _i / 3 & 1};
        double g[2][NTERMS];
        make_group(&p.group, _i % 3, _i / 6, &rng);
        make_neighbours(&p.a, p.same ? n : n % 9, &p.group, tables[0], &rng);
        if (p.same)
            p.b = p.a;
        else
            make_neighbours(&p.b, n, &p.group, tables[0], &rng);
        p.tmp = make_scratch(n);
        direct_sum(&p.group, &p.a.side, &p.b.side, p.same, p.want);
        for (int t = 0; t < ntables; t++) {
            check_values(&p, t, g);
            check_derivatives(&p, t, &rng);
        }
        free_scratch(&p.tmp);
        free_neighbours(&p.a);
        if (!p.same)
            free_neighbours(&p.b);
    }
}
END_TEST

/* The vector text itself, as the reference table has it: near 0 and pi, at the joints, and anywhere. */
START_TEST(angles)
{
    nf_rng rng = {6};
    double worst = 0;
    for (int k = 0; k < 200000; k++) {
        double size = exp2(nf_rng_between(&rng, -20, 20)), small = exp2(nf_rng_between(&rng, -200, 0));
        double s = k % 3 == 0 ? small : nf_rng_uniform(&rng), c = k % 3 == 1 ? small : nf_rng_between(&rng, -1, 1);
        V theta = v_angle(v_set(size * s), v_set(size * c));
        worst = fmax(worst, ulps(theta[0], atan2l((long double)size * s, (long double)size * c)));
    }
    printf("angle to %.2f ulp\n", worst);
    ck_assert_double_le(worst, 3.5);
    const double pi = 3.14159265358979324;
    ck_assert_double_eq(v_angle(v_set(0), v_set(2))[0], 0);
    ck_assert_double_eq(v_angle(v_set(0), v_set(-2))[0], pi);
    ck_assert_double_eq(v_angle(v_set(3), v_set(0))[0], pi / 2);
    ck_assert_double_eq(v_angle(v_set(1), v_set(1))[0], pi / 4);
}
END_TEST

/* ---- choice of the table ---- */

START_TEST(choice)
{
    const nf_kern *best = nf_kern_select();
    ck_assert(nf_kern_runs_here(best));
    ck_assert_str_eq(nf_kern_table(0)->name, "ref");
    ck_assert_ptr_null(nf_kern_table(-1));
    setenv("NEARFAR_ISA", "ref", 1);
    ck_assert_ptr_eq(nf_kern_select(), nf_kern_table(0));
    setenv("NEARFAR_ISA", "abacus", 1);
    ck_assert_ptr_eq(nf_kern_select(), best);
    unsetenv("NEARFAR_ISA");
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("kernels");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 300);
    tcase_add_unchecked_fixture(t, find_tables, NULL);
    tcase_add_test(t, whole_arrays);
    tcase_add_test(t, rows);
    tcase_add_loop_test(t, radial_factors, 0, K_NCUTOFFS);
    tcase_add_loop_test(t, compact_factors, 0, 10);
    tcase_add_test(t, exponential);
    tcase_add_test(t, layers);
    tcase_add_loop_test(t, activations, 0, K_NACTIVATIONS);
    tcase_add_test(t, hyperbolic_tangent);
    tcase_add_test(t, nan_stays);
    tcase_add_loop_test(t, angular, 0, 11); /* a Gaussian stands between exponential ones only */
    tcase_add_test(t, angles);
    tcase_add_test(t, choice);
    suite_add_tcase(s, t);
    return s;
}
