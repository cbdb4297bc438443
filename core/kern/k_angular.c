/* SPDX-License-Identifier: BSD-3-Clause
 *
 * k_angular.c - angular symmetry functions of one centre and one pair of elements: values, gradients, tangents.
 *
 * For every neighbour a ("row") the partners b that count are written to a dense list, so that the vector loops see
 * no pair beyond the cutoff (46 % of the candidates in water). With c the cosine and phi the radial factors, a term
 * is A(c) phi(r_a) phi(r_b) phi(r_ab). Its gradient needs two numbers a pair beside those along d_a and d_b,
 *
 *   dE/dd_a = along_a d_a + beta d_b,   along_a = E_a/r_a - c E_c/r_a^2 + E_ab/r_ab,
 *   dE/dd_b = along_b d_b + beta d_a,   beta = E_c/(r_a r_b) - E_ab/r_ab,
 *
 * where E_a, E_b, E_ab, E_c are partial derivatives with respect to the distances and the cosine. Windows of the angle
 * have dA/dc = -A'(theta) / sin(theta), which stays finite because A' is 0 at theta = 0 and pi.
 *
 * `slopes` and `compact` are constants where they are arguments: every combination is code of its own.
 */
#include "kern/kernels.h"
#include "kern/radial.h"

/* The neighbour of a row, its factors broadcast. */
typedef struct {
    V x, y, z, inv_r;
    V phi[K_MAX_RADIAL], dphi[K_MAX_RADIAL];
} row;

/* A vector of partners and everything of a pair that no adjoint changes. */
typedef struct {
    V x, y, z, inv_r;
    V cosine, inv_ab;
    V phi_a[K_MAX_RADIAL], dphi_a[K_MAX_RADIAL]; /* 0 in lanes behind the last partner */
    V phi_b[K_MAX_RADIAL], dphi_b[K_MAX_RADIAL];
    V phi_ab[K_MAX_RADIAL], dphi_ab[K_MAX_RADIAL]; /* B(r_ab) */
    V angle[K_MAX_ANGLE], dangle[K_MAX_ANGLE];
} pairs;

V_INLINE V squared_distance(const struct k_side *b, int k, const row *a)
{
    V dx = v_load(b->x + k) - a->x, dy = v_load(b->y + k) - a->y, dz = v_load(b->z + k) - a->z;
    return v_fma(dz, dz, v_fma(dy, dy, dx * dx));
}

/* Lists the partners of row j: behind it if both sides are one, within the group's cutoffs. */
static int list_partners(const struct k_angular *g, const struct k_side *b, int j, int same, const row *a,
                         const struct k_scratch *tmp)
{
    int n = 0, begin = same ? j + 1 : 0;
    double rc = g->rc, rc2 = g->between == K_FACTOR ? rc * rc : HUGE_VAL;
    for (int k = begin / 8 * 8; k < b->n; k += V_LEN)
        v_store(tmp->r2 + k, squared_distance(b, k, a));
    for (int k = begin; k < b->n; k++) {
        double r2 = tmp->r2[k]; /* n <= k: what is overwritten has been read */
        tmp->index[n] = k;
        tmp->r2[n] = r2;
        n += (r2 < rc2) & (b->r[k] < rc);
    }
    for (int k = n; k < (n + 7) / 8 * 8; k++) {
        tmp->index[k] = 0;
        tmp->r2[k] = 1;
    }
    return n;
}

static void load_row(row *a, const struct k_angular *g, const struct k_side *side, int j)
{
    a->x = v_set(side->x[j]);
    a->y = v_set(side->y[j]);
    a->z = v_set(side->z[j]);
    a->inv_r = v_set(side->inv_r[j]);
    for (int q = 0; q < g->nradial; q++) {
        size_t at = (size_t)g->row_a[q] * side->stride + (size_t)j;
        a->phi[q] = v_set(side->phi[at]);
        a->dphi[q] = v_set(side->dphi[at]);
    }
}

V_INLINE V integer_power(V base, int exponent)
{
    V p = v_set(1);
    for (; exponent > 0; exponent >>= 1, base = base * base)
        if (exponent & 1)
            p = p * base;
    return p;
}

V_INLINE V real_power(V base, double exponent)
{
    for (int i = 0; i < V_LEN; i++)
        base[i] = pow(base[i], exponent);
    return base;
}

/* A = (1 + lambda c)^zeta and dA/dc, both 0 where the base is not positive. */
V_INLINE void angles(const struct k_angular *g, pairs *p)
{
    for (int i = 0; i < g->nangle; i++) {
        V base = v_fma(v_set(g->lambda[i]), p->cosine, v_set(1));
        VI positive = base > v_set(0);
        base = v_select(positive, base, v_set(0));
        V lower = g->power[i] > 0 ? integer_power(base, g->power[i] - 1) : real_power(base, g->zeta[i] - 1);
        lower = v_select(positive, lower, v_set(0));
        p->angle[i] = lower * base;
        p->dangle[i] = v_set(g->zeta[i] * g->lambda[i]) * lower;
    }
}

/* The same of windows. Within `least` of 0 and pi the slope is taken that far away, where the quotient has digits. */
V_INLINE void windows(const struct k_angular *g, const row *a, pairs *p, V product)
{
    const double least = 1e-12, pi = 3.14159265358979324;
    V x = v_fma(a->y, p->z, -(a->z * p->y)), y = v_fma(a->z, p->x, -(a->x * p->z));
    V z = v_fma(a->x, p->y, -(a->y * p->x));
    V sine = v_sqrt(v_fma(z, z, v_fma(y, y, x * x))); /* times r_a r_b, as product is */
    V theta = v_min(v_max(v_angle(sine, product), v_set(least)), v_set(pi - least));
    V inv_sine = v_set(1) / v_max(sine * (a->inv_r * p->inv_r), v_set(least));
    for (int i = 0; i < g->nangle; i++) {
        v_pair w = v_window(&g->window[i], theta);
        p->angle[i] = w.value;
        p->dangle[i] = -w.slope * inv_sine;
    }
}

V_INLINE VI lanes_below(int begin, int n)
{
    VI lane = {0};
    for (int i = 0; i < V_LEN; i++)
        lane[i] = begin + i;
    return lane < vi_set(n);
}

V_INLINE void load_partners(pairs *p, const struct k_angular *g, const struct k_side *b, const int32_t *index,
                            int slopes)
{
    p->x = v_gather(b->x, index);
    p->y = v_gather(b->y, index);
    p->z = v_gather(b->z, index);
    p->inv_r = v_gather(b->inv_r, index);
    for (int q = 0; q < g->nradial; q++) {
        size_t at = (size_t)g->row_b[q] * b->stride;
        p->phi_b[q] = v_gather(b->phi + at, index);
        if (slopes)
            p->dphi_b[q] = v_gather(b->dphi + at, index);
    }
}

/* Factors that follow each other share a cutoff function if theirs is the same. */
V_INLINE void factors_between(pairs *p, const struct k_angular *g, V r, int compact)
{
    v_pair fc = {0};
    for (int q = 0; q < g->nradial; q++) {
        if (!compact && (q == 0 || !same_cutoff(&g->radial[q], &g->radial[q - 1])))
            fc = v_cutoff(&g->radial[q], r);
        v_pair f = compact ? v_compact_radial(&g->radial[q], r) : v_radial(&g->radial[q], r, fc);
        p->phi_ab[q] = f.value;
        p->dphi_ab[q] = f.slope;
    }
}

V_INLINE void gaussians_between(pairs *p, const struct k_angular *g, V r, V r2)
{
    for (int q = 0; q < g->nradial; q++) {
        p->phi_ab[q] = v_exp(v_set(-g->radial[q].eta) * r2);
        p->dphi_ab[q] = v_set(-2 * g->radial[q].eta) * r * p->phi_ab[q];
    }
}

V_INLINE void nothing_between(pairs *p, const struct k_angular *g)
{
    for (int q = 0; q < g->nradial; q++) {
        p->phi_ab[q] = v_set(1);
        p->dphi_ab[q] = v_set(0);
    }
}

V_INLINE void between_partners(pairs *p, const struct k_angular *g, V r2, int compact)
{
    V r = v_sqrt(r2);
    p->inv_ab = v_set(1) / r;
    if (g->between == K_FACTOR)
        factors_between(p, g, r, compact);
    else if (g->between == K_GAUSSIAN)
        gaussians_between(p, g, r, r2);
    else
        nothing_between(p, g);
}

/* Partners [k, k + V_LEN) of n of the list; without `slopes` derivatives stay unset. */
V_INLINE void load_pairs(pairs *p, const struct k_angular *g, const row *a, const struct k_side *b, int k, int n,
                         const struct k_scratch *tmp, int slopes, int compact)
{
    VI valid = lanes_below(k, n);
    load_partners(p, g, b, tmp->index + k, slopes);
    between_partners(p, g, v_load(tmp->r2 + k), compact);
    V product = v_fma(a->z, p->z, v_fma(a->y, p->y, a->x * p->x));
    p->cosine = product * (a->inv_r * p->inv_r);
    for (int q = 0; q < g->nradial; q++) {
        p->phi_a[q] = v_select(valid, a->phi[q], v_set(0));
        p->dphi_a[q] = v_select(valid, a->dphi[q], v_set(0));
    }
    if (compact)
        windows(g, a, p, product);
    else
        angles(g, p);
}

/* ---- forward ---- */

static void add_values(const struct k_angular *g, const pairs *p, double *sums)
{
    V radial[K_MAX_RADIAL];
    for (int q = 0; q < g->nradial; q++)
        radial[q] = (p->phi_a[q] * p->phi_b[q]) * p->phi_ab[q];
    for (int t = 0; t < g->nterm; t++) {
        V sum = v_load(sums + 8 * t);
        v_store(sums + 8 * t, v_fma(p->angle[g->term_angle[t]], radial[g->term_radial[t]], sum));
    }
}

static void fold_terms(const struct k_angular *g, const double *sums, double *out)
{
    for (int t = 0; t < g->nterm; t++)
        out[t] += g->norm[t] * v_fold8(sums + 8 * t);
}

V_INLINE void row_values(const struct k_angular *g, const row *a, const struct k_side *b, int n,
                         const struct k_scratch *tmp, int compact)
{
    pairs p;
    for (int k = 0; k < n; k += 8)
        for (int s = 0; s < 8; s += V_LEN) {
            load_pairs(&p, g, a, b, k + s, n, tmp, 0, compact);
            add_values(g, &p, tmp->sums + s);
        }
}

void KERN(angular)(const struct k_angular *g, const struct k_side *a, const struct k_side *b, int same, double *out,
                   const struct k_scratch *tmp)
{
    row r;
    memset(tmp->sums, 0, 8 * (size_t)g->nterm * sizeof(double));
    for (int j = 0; j < a->n; j++) {
        if (!(a->r[j] < g->rc))
            continue;
        load_row(&r, g, a, j);
        int n = list_partners(g, b, j, same, &r, tmp);
        if (g->compact)
            row_values(g, &r, b, n, tmp, 1);
        else
            row_values(g, &r, b, n, tmp, 0);
    }
    fold_terms(g, tmp->sums, out);
}

/* ---- vjp ---- */

typedef struct {
    V along_a, along_b, beta;
} gradient;

/* Gradient of sum_t weight[t] (term t) over a vector of pairs. */
static inline gradient pair_gradient(const struct k_angular *g, const row *a, const pairs *p, const double *weight)
{
    V value[K_MAX_RADIAL], slope[K_MAX_RADIAL]; /* sums over the angles that share a radial factor */
    for (int q = 0; q < g->nradial; q++)
        value[q] = slope[q] = v_set(0);
    for (int t = 0; t < g->nterm; t++) {
        V w = v_set(weight[t]);
        int q = g->term_radial[t], i = g->term_angle[t];
        value[q] = v_fma(w, p->angle[i], value[q]);
        slope[q] = v_fma(w, p->dangle[i], slope[q]);
    }
    V e_a = v_set(0), e_b = v_set(0), e_ab = v_set(0), e_c = v_set(0);
    for (int q = 0; q < g->nradial; q++) {
        V ab = p->phi_a[q] * p->phi_b[q];
        e_a = v_fma(value[q], p->dphi_a[q] * p->phi_b[q] * p->phi_ab[q], e_a);
        e_b = v_fma(value[q], p->phi_a[q] * p->dphi_b[q] * p->phi_ab[q], e_b);
        e_ab = v_fma(value[q], ab * p->dphi_ab[q], e_ab);
        e_c = v_fma(slope[q], ab * p->phi_ab[q], e_c);
    }
    V ce = p->cosine * e_c, t_ab = e_ab * p->inv_ab;
    return (gradient){(e_a - ce * a->inv_r) * a->inv_r + t_ab, (e_b - ce * p->inv_r) * p->inv_r + t_ab,
                      e_c * (a->inv_r * p->inv_r) - t_ab};
}

/* Adds a vector of pairs: to the partners at once, to the row in lanes sums[4][8]. */
static inline void add_gradient(const gradient *d, const row *a, const pairs *p, const int32_t *index,
                                const struct k_side_bar *b_bar, double *sums)
{
    v_store(sums, v_load(sums) + d->along_a);
    v_store(sums + 8, v_fma(d->beta, p->x, v_load(sums + 8)));
    v_store(sums + 16, v_fma(d->beta, p->y, v_load(sums + 16)));
    v_store(sums + 24, v_fma(d->beta, p->z, v_load(sums + 24)));
    v_scatter_add(b_bar->along, index, d->along_b);
    v_scatter_add(b_bar->x, index, d->beta * a->x);
    v_scatter_add(b_bar->y, index, d->beta * a->y);
    v_scatter_add(b_bar->z, index, d->beta * a->z);
}

static void fold_row(const struct k_side_bar *a_bar, int j, const double *sums)
{
    a_bar->along[j] += v_fold8(sums);
    a_bar->x[j] += v_fold8(sums + 8);
    a_bar->y[j] += v_fold8(sums + 16);
    a_bar->z[j] += v_fold8(sums + 24);
}

/* Sums of the row in tmp->sums[m][4][8]. */
V_INLINE void row_gradients(const struct k_angular *g, const row *a, const struct k_side *b, int n, int nbar,
                            const struct k_side_bar *b_bar, const struct k_scratch *tmp, int compact)
{
    pairs p;
    for (int k = 0; k < n; k += V_LEN) {
        load_pairs(&p, g, a, b, k, n, tmp, 1, compact);
        for (int m = 0; m < nbar; m++) {
            gradient d = pair_gradient(g, a, &p, tmp->weight + m * g->nterm);
            add_gradient(&d, a, &p, tmp->index + k, &b_bar[m], tmp->sums + 32 * m + k % 8);
        }
    }
}

void KERN(angular_vjp)(const struct k_angular *g, const struct k_side *a, const struct k_side *b, int same, int nbar,
                       const double *g_bar, const struct k_side_bar *a_bar, const struct k_side_bar *b_bar,
                       const struct k_scratch *tmp)
{
    row r;
    for (int m = 0; m < nbar; m++)
        for (int t = 0; t < g->nterm; t++)
            tmp->weight[m * g->nterm + t] = g_bar[m * g->nterm + t] * g->norm[t];
    for (int j = 0; j < a->n; j++) {
        if (!(a->r[j] < g->rc))
            continue;
        load_row(&r, g, a, j);
        int n = list_partners(g, b, j, same, &r, tmp);
        memset(tmp->sums, 0, 32 * (size_t)nbar * sizeof(double));
        if (g->compact)
            row_gradients(g, &r, b, n, nbar, b_bar, tmp, 1);
        else
            row_gradients(g, &r, b, n, nbar, b_bar, tmp, 0);
        for (int m = 0; m < nbar; m++)
            fold_row(&a_bar[m], j, tmp->sums + 32 * m);
    }
}

/* ---- jvp ---- */

/* Tangents of the cosine and of the distances of a vector of pairs. */
typedef struct {
    V cosine, a, b, ab;
} pair_dot;

static inline pair_dot pair_tangent(const row *a, const pairs *p, const struct k_side_dot *a_dot, int j,
                                    const struct k_side_dot *b_dot, const int32_t *index)
{
    V ax = v_set(a_dot->x[j]), ay = v_set(a_dot->y[j]), az = v_set(a_dot->z[j]);
    V bx = v_gather(b_dot->x, index), by = v_gather(b_dot->y, index), bz = v_gather(b_dot->z, index);
    pair_dot d;
    d.a = v_set(a_dot->r[j]);
    d.b = v_gather(b_dot->r, index);
    V product = ax * p->x + ay * p->y + az * p->z + a->x * bx + a->y * by + a->z * bz;
    d.cosine = product * (a->inv_r * p->inv_r) - p->cosine * (d.a * a->inv_r + d.b * p->inv_r);
    d.ab = ((p->x - a->x) * (bx - ax) + (p->y - a->y) * (by - ay) + (p->z - a->z) * (bz - az)) * p->inv_ab;
    return d;
}

static void add_tangents(const struct k_angular *g, const pairs *p, const pair_dot *d, double *sums)
{
    V radial[K_MAX_RADIAL], dradial[K_MAX_RADIAL];
    for (int q = 0; q < g->nradial; q++) {
        V ab = p->phi_a[q] * p->phi_b[q];
        radial[q] = ab * p->phi_ab[q];
        dradial[q] = p->dphi_a[q] * d->a * p->phi_b[q] * p->phi_ab[q] +
                     p->phi_a[q] * p->dphi_b[q] * d->b * p->phi_ab[q] + ab * p->dphi_ab[q] * d->ab;
    }
    for (int t = 0; t < g->nterm; t++) {
        int q = g->term_radial[t], i = g->term_angle[t];
        V term = p->dangle[i] * d->cosine * radial[q] + p->angle[i] * dradial[q];
        v_store(sums + 8 * t, v_load(sums + 8 * t) + term);
    }
}

V_INLINE void row_tangents(const struct k_angular *g, const row *a, const struct k_side *b, int n,
                           const struct k_side_dot *a_dot, int j, const struct k_side_dot *b_dot,
                           const struct k_scratch *tmp, int compact)
{
    pairs p;
    for (int k = 0; k < n; k += V_LEN) {
        load_pairs(&p, g, a, b, k, n, tmp, 1, compact);
        pair_dot d = pair_tangent(a, &p, a_dot, j, b_dot, tmp->index + k);
        add_tangents(g, &p, &d, tmp->sums + k % 8);
    }
}

void KERN(angular_jvp)(const struct k_angular *g, const struct k_side *a, const struct k_side *b, int same,
                       const struct k_side_dot *a_dot, const struct k_side_dot *b_dot, double *g_dot,
                       const struct k_scratch *tmp)
{
    row r;
    memset(tmp->sums, 0, 8 * (size_t)g->nterm * sizeof(double));
    for (int j = 0; j < a->n; j++) {
        if (!(a->r[j] < g->rc))
            continue;
        load_row(&r, g, a, j);
        int n = list_partners(g, b, j, same, &r, tmp);
        if (g->compact)
            row_tangents(g, &r, b, n, a_dot, j, b_dot, tmp, 1);
        else
            row_tangents(g, &r, b, n, a_dot, j, b_dot, tmp, 0);
    }
    fold_terms(g, tmp->sums, g_dot);
}
