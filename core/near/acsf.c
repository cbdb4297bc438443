/* SPDX-License-Identifier: BSD-3-Clause
 *
 * acsf.c - atom-centred symmetry functions: values, gradients, tangents of a block of centres. The types and their
 * sources: acsf_read.c. A feature is a sum of contributions: one of most types, several of those over all elements.
 */
#include "near/acsf.h"

#include <string.h>

extern const nf_descriptor_class nf_descriptor_acsf;

/* What the maps hold of one centre, in the arena. */
typedef struct {
    nf_environment env;
    double *phi, *dphi; /* [max_rows][env.n]; element e uses its columns and its first rows */
    struct k_scratch tmp;
} workplace;

static double acsf_cutoff(const nf_descriptor *self)
{
    return ((const acsf *)self)->cutoff;
}

static size_t acsf_nfeatures(const nf_descriptor *self, int element)
{
    return ((const acsf *)self)->centres[element].nfeatures;
}

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t acsf_scratch(const nf_descriptor *self, const nf_patch *patch, int nbar)
{
    const acsf *s = (const acsf *)self;
    size_t n = (size_t)nf_patch_max_environment(patch, s->nelements), rows = 0, terms = 0, bars = (size_t)nbar;
    for (int e = 0; e < s->nelements; e++) {
        rows = max_of(rows, (size_t)s->centres[e].max_rows);
        terms = max_of(terms, (size_t)s->centres[e].max_terms);
    }
    size_t doubles = 2 * rows * n + (n + 16) + 8 * max_of(terms, 4 * bars) + bars * terms /* tmp */
                     + 7 * bars * n + bars * terms + 4 * n + terms;                       /* vjp, jvp */
    size_t pairs = 2 * bars * sizeof(struct k_side_bar);
    return nf_environment_bytes(patch, s->nelements) + doubles * sizeof(double) + (n + 16) * sizeof(int32_t) + pairs +
           32 * NF_ARENA_STEP;
}

static void radial_rows(const acsf *s, const acsf_centre *c, workplace *w)
{
    for (int e = 0; e < s->nelements; e++) {
        int at = w->env.first[e];
        s->kern->radial(w->env.count[e], w->env.r + at, c->nrows[e], c->rows[e], w->phi + at, w->dphi + at,
                        (size_t)w->env.n);
    }
}

/* Environment and radial factors of centre number `centre` of the patch. */
static int set_up(const acsf *s, const acsf_centre *c, const nf_patch_view *at, size_t centre, int nbar, workplace *w,
                  nf_arena *arena, nf_error *err)
{
    TRY(nf_patch_environment(at, centre, &w->env, arena, err));
    size_t n = (size_t)w->env.n, rows = (size_t)c->max_rows, terms = (size_t)c->max_terms, bars = (size_t)nbar;
    w->phi = nf_arena_doubles(arena, rows * n);
    w->dphi = nf_arena_doubles(arena, rows * n);
    w->tmp.index = nf_arena_take(arena, (n + 8) * sizeof *w->tmp.index);
    w->tmp.r2 = nf_arena_doubles(arena, n + 8);
    w->tmp.sums = nf_arena_doubles(arena, 8 * max_of(terms, 4 * bars));
    w->tmp.weight = nf_arena_doubles(arena, bars * terms);
    radial_rows(s, c, w);
    return 0;
}

static struct k_side side_of(const workplace *w, int element)
{
    const nf_environment *env = &w->env;
    int at = env->first[element];
    return (struct k_side){env->count[element], env->x + at, env->y + at,  env->z + at,   env->r + at,
                           env->inv_r + at,     w->phi + at, w->dphi + at, (size_t)env->n};
}

/* The sides of a group, the shorter list as rows. Returns which of the two parameter sets fits. */
static int sides(const workplace *w, const acsf_group *g, struct k_side side[2], int element[2])
{
    int swap = w->env.count[g->a] > w->env.count[g->b];
    element[0] = swap ? g->b : g->a;
    element[1] = swap ? g->a : g->b;
    side[0] = side_of(w, element[0]);
    side[1] = side_of(w, element[1]);
    return swap;
}

/* ---- forward ---- */

static void clear(size_t n, size_t ld, double *g)
{
    for (size_t f = 0; f < n; f++)
        g[f * ld] = 0;
}

static void centre_forward(const acsf *s, const acsf_centre *c, const workplace *w, size_t ld, double *g,
                           nf_arena *arena)
{
    clear(c->nfeatures, ld, g);
    for (size_t i = 0; i < c->nsums; i++) {
        const acsf_sum *sum = &c->sums[i];
        const double *row = w->phi + sum->row * w->env.n + w->env.first[sum->element];
        g[(size_t)sum->feature * ld] += sum->weight * s->kern->sum(w->env.count[sum->element], row);
    }
    double *values = nf_arena_doubles(arena, (size_t)c->max_terms);
    for (size_t i = 0; i < c->ngroups; i++) {
        const acsf_group *group = &c->groups[i];
        struct k_side side[2];
        int element[2], which = sides(w, group, side, element);
        memset(values, 0, (size_t)group->nterm * sizeof *values);
        s->kern->angular(&group->par[which], &side[0], &side[1], group->a == group->b, values, &w->tmp);
        for (int t = 0; t < group->nterm; t++)
            g[(size_t)group->feature[t] * ld] += values[t];
    }
}

static int acsf_forward(const nf_descriptor *self, const nf_patch_view *at, int element, size_t ld, double *g,
                        nf_arena *arena, nf_error *err)
{
    const acsf *s = (const acsf *)self;
    const acsf_centre *c = &s->centres[element];
    const uint32_t *range = at->patch->element_first + element;
    size_t mark = nf_arena_mark(arena);
    for (size_t centre = range[0]; centre < range[1]; centre++) {
        workplace w;
        TRY(set_up(s, c, at, centre, 0, &w, arena, err));
        centre_forward(s, c, &w, ld, g + (centre - range[0]), arena);
        nf_arena_rewind(arena, mark);
    }
    return 0;
}

/* ---- vjp ---- */

/* along, x, y, z of adjoint m: rows of `n` in one block. */
static struct k_side_bar bar_of(double *block, int m, int n, int at)
{
    double *p = block + 4 * (size_t)m * (size_t)n;
    return (struct k_side_bar){p + at, p + n + at, p + 2 * n + at, p + 3 * n + at};
}

static void sums_vjp(const acsf *s, const acsf_centre *c, const workplace *w, const double *g_bar, size_t ld,
                     double *along)
{
    const nf_environment *env = &w->env;
    for (size_t i = 0; i < c->nsums; i++) {
        const acsf_sum *sum = &c->sums[i];
        int at = env->first[sum->element];
        s->kern->axpy(env->count[sum->element], sum->weight * g_bar[(size_t)sum->feature * ld],
                      w->dphi + sum->row * env->n + at, along + at);
    }
    for (int k = 0; k < env->n; k++)
        along[k] *= env->inv_r[k];
}

static void group_vjp(const acsf *s, const acsf_group *group, const workplace *w, int nbar, const double *const g_bar[],
                      size_t ld, size_t lane, double *block, nf_arena *arena)
{
    struct k_side side[2];
    int element[2], which = sides(w, group, side, element), n = w->env.n;
    size_t mark = nf_arena_mark(arena);
    double *weight = nf_arena_doubles(arena, (size_t)(nbar * group->nterm));
    struct k_side_bar *bars[2];
    for (int i = 0; i < 2; i++) {
        bars[i] = nf_arena_take(arena, (size_t)nbar * sizeof *bars[i]);
        for (int m = 0; m < nbar; m++)
            bars[i][m] = bar_of(block, m, n, w->env.first[element[i]]);
    }
    for (int m = 0; m < nbar; m++)
        for (int t = 0; t < group->nterm; t++)
            weight[m * group->nterm + t] = g_bar[m][(size_t)group->feature[t] * ld + lane];
    s->kern->angular_vjp(&group->par[which], &side[0], &side[1], group->a == group->b, nbar, weight, bars[0], bars[1],
                         &w->tmp);
    nf_arena_rewind(arena, mark);
}

/* along d + (x, y, z): the gradient with respect to the displacements, [m][3][n]. */
static void assemble(const nf_environment *env, int nbar, const double *block, double *bar)
{
    int n = env->n;
    const double *d[3] = {env->x, env->y, env->z};
    for (int m = 0; m < nbar; m++)
        for (int a = 0; a < 3; a++)
            for (int k = 0; k < n; k++)
                bar[(3 * m + a) * n + k] = block[4 * m * n + k] * d[a][k] + block[(4 * m + 1 + a) * n + k];
}

static int acsf_vjp(const nf_descriptor *self, const nf_patch_view *at, int element, size_t ld, int nbar,
                    const double *const g_bar[], nf_pull *out, nf_arena *arena, nf_error *err)
{
    const acsf *s = (const acsf *)self;
    const acsf_centre *c = &s->centres[element];
    const uint32_t *range = at->patch->element_first + element;
    size_t mark = nf_arena_mark(arena);
    for (size_t centre = range[0]; centre < range[1]; centre++) {
        workplace w;
        size_t lane = centre - range[0];
        TRY(set_up(s, c, at, centre, nbar, &w, arena, err));
        size_t n = (size_t)w.env.n;
        double *block = nf_arena_doubles(arena, 4 * (size_t)nbar * n),
               *bar = nf_arena_doubles(arena, 3 * (size_t)nbar * n);
        memset(block, 0, 4 * (size_t)nbar * n * sizeof *block);
        for (int m = 0; m < nbar; m++)
            sums_vjp(s, c, &w, g_bar[m] + lane, ld, block + 4 * (size_t)m * n);
        for (size_t i = 0; i < c->ngroups; i++)
            group_vjp(s, &c->groups[i], &w, nbar, g_bar, ld, lane, block, arena);
        assemble(&w.env, nbar, block, bar);
        nf_patch_pull(at, centre, &w.env, bar, out);
        nf_arena_rewind(arena, mark);
    }
    return 0;
}

/* ---- jvp ---- */

static void distance_tangents(const nf_environment *env, const double *dot, double *r_dot)
{
    const double *x = dot, *y = dot + env->n, *z = y + env->n;
    for (int k = 0; k < env->n; k++)
        r_dot[k] = (env->x[k] * x[k] + env->y[k] * y[k] + env->z[k] * z[k]) * env->inv_r[k];
}

static struct k_side_dot dot_of(const workplace *w, const double *dot, const double *r_dot, int element)
{
    int at = w->env.first[element], n = w->env.n;
    return (struct k_side_dot){dot + at, dot + n + at, dot + 2 * n + at, r_dot + at};
}

static void centre_jvp(const acsf *s, const acsf_centre *c, const workplace *w, const double *dot, const double *r_dot,
                       size_t ld, double *g_dot, double *values)
{
    clear(c->nfeatures, ld, g_dot);
    for (size_t i = 0; i < c->nsums; i++) {
        const acsf_sum *sum = &c->sums[i];
        int at = w->env.first[sum->element];
        g_dot[(size_t)sum->feature * ld] +=
            sum->weight * s->kern->dot(w->env.count[sum->element], w->dphi + sum->row * w->env.n + at, r_dot + at);
    }
    for (size_t i = 0; i < c->ngroups; i++) {
        const acsf_group *group = &c->groups[i];
        struct k_side side[2];
        int element[2], which = sides(w, group, side, element);
        struct k_side_dot a = dot_of(w, dot, r_dot, element[0]), b = dot_of(w, dot, r_dot, element[1]);
        memset(values, 0, (size_t)group->nterm * sizeof *values);
        s->kern->angular_jvp(&group->par[which], &side[0], &side[1], group->a == group->b, &a, &b, values, &w->tmp);
        for (int t = 0; t < group->nterm; t++)
            g_dot[(size_t)group->feature[t] * ld] += values[t];
    }
}

static int acsf_jvp(const nf_descriptor *self, const nf_patch_view *at, int element, size_t ld,
                    const double (*pos_dot)[3], const double strain[3][3], double *g_dot, nf_arena *arena,
                    nf_error *err)
{
    const acsf *s = (const acsf *)self;
    const acsf_centre *c = &s->centres[element];
    const uint32_t *range = at->patch->element_first + element;
    size_t mark = nf_arena_mark(arena);
    for (size_t centre = range[0]; centre < range[1]; centre++) {
        workplace w;
        TRY(set_up(s, c, at, centre, 0, &w, arena, err));
        double *dot = nf_arena_doubles(arena, 3 * (size_t)w.env.n), *r_dot = nf_arena_doubles(arena, (size_t)w.env.n);
        double *values = nf_arena_doubles(arena, (size_t)c->max_terms);
        nf_patch_tangent(at, centre, &w.env, pos_dot, strain, dot);
        distance_tangents(&w.env, dot, r_dot);
        centre_jvp(s, c, &w, dot, r_dot, ld, g_dot + (centre - range[0]), values);
        nf_arena_rewind(arena, mark);
    }
    return 0;
}

const nf_descriptor_class nf_descriptor_acsf = {
    .name = "acsf",
    .reference = "doi:10.1063/1.3553717",
    .create = acsf_create,
    .destroy = acsf_destroy,
    .example = acsf_example,
    .cutoff = acsf_cutoff,
    .nfeatures = acsf_nfeatures,
    .scratch = acsf_scratch,
    .forward = acsf_forward,
    .vjp = acsf_vjp,
    .jvp = acsf_jvp,
};
