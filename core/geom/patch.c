/* SPDX-License-Identifier: BSD-3-Clause */
#include "geom/patch.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"

/* Nearer than this is one place for two atoms. */
static const double coincidence = 1e-6; /* Angstrom */
/* One contribution; the sum of an atom's contributions must stay below 2^63 units = 5.2e5 eV/Angstrom. */
static const double largest_contribution = 2.5e5; /* eV/Angstrom */

void nf_patch_free(nf_patch *patch)
{
    nf_free(patch->centre);
    nf_free(patch->home);
    nf_free(patch->first);
    nf_free(patch->near);
    nf_free(patch->owner);
    nf_free(patch->shift);
    nf_free(patch->shifts);
    memset(patch, 0, sizeof *patch);
}

int nf_patch_max_environment(const nf_patch *patch, int nelements)
{
    return (int)nf_padded((size_t)patch->max_near) + nelements * NF_LANES;
}

size_t nf_environment_bytes(const nf_patch *patch, int nelements)
{
    size_t n = (size_t)nf_patch_max_environment(patch, nelements), candidates = (size_t)patch->max_near;
    size_t environment = 5 * nf_arena_round(n * sizeof(double)) + nf_arena_round(n * sizeof(uint32_t));
    size_t scratch =
        4 * nf_arena_round(candidates * sizeof(double)) + nf_arena_round(3 * patch->nshifts * sizeof(double));
    return environment + scratch;
}

/* Lattice vectors between owner and centre as given: (shift - shift of the centre) h. */
static void shift_vectors(const nf_patch_view *view, size_t c, double (*out)[3])
{
    const nf_patch *p = view->patch;
    const int32_t *own = p->shifts[p->shift[p->home[c]]];
    for (size_t s = 0; s < p->nshifts; s++) {
        double n[3];
        for (int d = 0; d < 3; d++)
            n[d] = (double)(p->shifts[s][d] - own[d]);
        for (int k = 0; k < 3; k++)
            out[s][k] = n[0] * view->h[0][k] + n[1] * view->h[1][k] + n[2] * view->h[2][k];
    }
}

typedef struct {
    double *x, *y, *z, *r2;
} candidates;

static void displacements(const nf_patch_view *view, size_t c, const double (*lattice)[3], candidates *out)
{
    const nf_patch *p = view->patch;
    const double *xi = view->pos[p->centre[c]];
    const uint32_t *near = p->near + p->first[c];
    size_t n = p->first[c + 1] - p->first[c];
    for (size_t k = 0; k < n; k++) {
        const double *xj = view->pos[p->owner[near[k]]], *s = lattice[p->shift[near[k]]];
        double x = (xj[0] - xi[0]) + s[0], y = (xj[1] - xi[1]) + s[1], z = (xj[2] - xi[2]) + s[2];
        out->x[k] = x;
        out->y[k] = y;
        out->z[k] = z;
        out->r2[k] = x * x + y * y + z * z;
    }
}

static void pad(nf_environment *env, int from, int to, double cutoff)
{
    for (int k = from; k < to; k++) {
        env->x[k] = env->r[k] = 2 * cutoff;
        env->y[k] = env->z[k] = 0;
        env->inv_r[k] = 1 / (2 * cutoff);
        env->point[k] = UINT32_MAX;
    }
}

/* Copies candidates [k, end) of one element that are within the cutoff. Returns how many. */
static int compact(nf_environment *env, int at, const candidates *c, const uint32_t *near, size_t k, size_t end,
                   double cutoff2)
{
    int n = 0;
    for (; k < end; k++) {
        env->x[at + n] = c->x[k];
        env->y[at + n] = c->y[k];
        env->z[at + n] = c->z[k];
        env->r[at + n] = c->r2[k];
        env->point[at + n] = near[k];
        n += c->r2[k] < cutoff2;
    }
    return n;
}

static void distances(nf_environment *env, int at, int n)
{
    for (int k = at; k < at + n; k++) {
        env->r[k] = sqrt(env->r[k]);
        env->inv_r[k] = 1 / env->r[k];
    }
}

static int check_coincidence(const nf_patch_view *view, size_t c, const nf_environment *env, nf_error *err)
{
    const nf_patch *p = view->patch;
    for (int k = 0; k < env->n; k++)
        if (!(env->r[k] >= coincidence))
            return nf_fail(err, NF_EDIVERGED, "atoms %d and %d are at the same place (%g Angstrom apart)",
                           p->centre[c] + 1, p->owner[env->point[k]] + 1, env->r[k]);
    return 0;
}

static void take_environment(nf_environment *env, size_t n, nf_arena *arena)
{
    env->x = nf_arena_doubles(arena, n);
    env->y = nf_arena_doubles(arena, n);
    env->z = nf_arena_doubles(arena, n);
    env->r = nf_arena_doubles(arena, n);
    env->inv_r = nf_arena_doubles(arena, n);
    env->point = nf_arena_take(arena, n * sizeof *env->point);
}

int nf_patch_environment(const nf_patch_view *view, size_t c, nf_environment *env, nf_arena *arena, nf_error *err)
{
    const nf_patch *p = view->patch;
    take_environment(env, (size_t)nf_patch_max_environment(p, view->nelements), arena);
    size_t mark = nf_arena_mark(arena), n = p->first[c + 1] - p->first[c];
    candidates cand = {nf_arena_doubles(arena, n), nf_arena_doubles(arena, n), nf_arena_doubles(arena, n),
                       nf_arena_doubles(arena, n)};
    double(*lattice)[3] = nf_arena_take(arena, p->nshifts * sizeof *lattice);
    const uint32_t *near = p->near + p->first[c];
    shift_vectors(view, c, lattice);
    displacements(view, c, lattice, &cand);
    int at = 0;
    size_t k = 0;
    for (int e = 0; e < view->nelements; e++) {
        size_t end = k;
        while (end < n && view->element[p->owner[near[end]]] == e)
            end++;
        env->first[e] = at;
        env->count[e] = compact(env, at, &cand, near, k, end, view->cutoff * view->cutoff);
        distances(env, at, env->count[e]);
        int next = at + (int)nf_padded((size_t)env->count[e]);
        pad(env, at + env->count[e], next, view->cutoff);
        at = next;
        k = end;
    }
    env->n = at;
    nf_arena_rewind(arena, mark);
    return check_coincidence(view, c, env, err);
}

/* Rounds a force to fixed point. The range check also catches NaN. */
static int64_t fixed(double force, int *overflow)
{
    if (!(fabs(force) < largest_contribution)) {
        *overflow = 1;
        return 0;
    }
    return (int64_t)llrint(force * (1 / NF_FORCE_UNIT));
}

static void pull_one(const nf_environment *env, const double *bar, int64_t (*point)[3], uint32_t home, double *virial,
                     int *overflow)
{
    const double *bx = bar, *by = bar + env->n, *bz = by + env->n;
    double w[9] = {0};
    for (int k = 0; k < env->n; k++) {
        if (env->point[k] == UINT32_MAX)
            continue;
        const double f[3] = {-bx[k], -by[k], -bz[k]}, d[3] = {env->x[k], env->y[k], env->z[k]};
        for (int a = 0; a < 3; a++) {
            int64_t units = fixed(f[a], overflow);
            *overflow |= __builtin_add_overflow(point[env->point[k]][a], units, &point[env->point[k]][a]);
            *overflow |= __builtin_sub_overflow(point[home][a], units, &point[home][a]);
            for (int b = 0; b < 3; b++)
                w[3 * a + b] += f[a] * d[b];
        }
    }
    if (virial != NULL)
        memcpy(virial, w, sizeof w);
}

void nf_patch_pull(const nf_patch_view *view, size_t c, const nf_environment *env, const double *bar, nf_pull *out)
{
    const nf_patch *p = view->patch;
    for (int b = 0; b < out->nbar; b++) {
        double *virial = out->virial == NULL ? NULL : out->virial[(size_t)b * out->natoms + (size_t)p->centre[c]];
        pull_one(env, bar + 3 * (size_t)b * (size_t)env->n, out->point + (size_t)b * out->npoints, p->home[c], virial,
                 &out->overflow);
    }
}

void nf_patch_tangent(const nf_patch_view *view, size_t c, const nf_environment *env, const double (*pos_dot)[3],
                      const double strain[3][3], double *dot)
{
    const nf_patch *p = view->patch;
    const double *vi = pos_dot[p->centre[c]];
    for (int k = 0; k < env->n; k++) {
        int real = env->point[k] != UINT32_MAX;
        const double *vj = real ? pos_dot[p->owner[env->point[k]]] : vi;
        for (int a = 0; a < 3; a++) {
            double stretch = env->x[k] * strain[0][a] + env->y[k] * strain[1][a] + env->z[k] * strain[2][a];
            dot[a * env->n + k] = real ? (vj[a] - vi[a]) + stretch : 0;
        }
    }
}
