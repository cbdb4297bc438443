/* SPDX-License-Identifier: BSD-3-Clause
 *
 * gradients.c - nf_feature_gradients: dG/dr of every descriptor value, centre by centre.
 *
 *   1. places   one visit of the patches: where each atom is a centre
 *   2. rounds   tasks, one a centre: its surroundings as a frame of their own, with local atoms
 *
 *          local atoms   the centre and all it feels, ascending         = the pairs of the result
 *          points        neighbours in canonical order | the centre     owner: a local atom
 *
 *      pulled back with adjoints that are 1 for one feature and 0 for all others, a few features at a time;
 *      then the caller hears of the centres of the round in the order of atoms.
 *
 * A pull gives forces in fixed point of 2^-44. Adjoints of 2^12 instead of 1 give derivatives twelve more binary digits
 * for features whose values are small; a derivative that leaves the range then is computed again with 1.
 */
#include <stdlib.h>
#include <string.h>

#include "base/team.h"
#include "model/evaluation.h"

enum { NBAR = 16 /* features pulled back together */, PER_THREAD = 16 /* centres of a round */ };

static const double fine = 0x1p12;

/* Where an atom is a centre. */
typedef struct {
    const nf_patch *patch;
    size_t index;
} place;

/* Derivatives of one centre. */
typedef struct {
    nf_feature_gradient of;
    int *atom;
    double *gradient, *strain;
    size_t cap_atom, cap_gradient, cap_strain;
    int code;
    nf_error err;
} centre_result;

/* One call. */
typedef struct {
    const nf_model *model;
    const nf_frame *frame;
    nf_cell cell;
    int *element;  /* [natoms] */
    place *places; /* [natoms] */
    int nthreads;
    nf_arena *arenas; /* [nthreads] */
    size_t first, nresults;
    centre_result *results; /* of the centres first, first + 1, ... */
} call;

/* ---- the surroundings of a centre ---- */

/* A patch with one centre and local atoms; all arrays in the arena or of the patch it is cut from. */
typedef struct {
    nf_patch patch;
    nf_patch_view view;
    size_t natoms, centre;
    int32_t *atom;     /* [natoms] of the frame */
    int64_t (*sum)[3]; /* [natoms] */
} surroundings;

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static size_t local_index(const surroundings *s, int32_t atom)
{
    const int32_t *found = bsearch(&atom, s->atom, s->natoms, sizeof atom, ascending);
    return (size_t)(found - s->atom);
}

static void list_atoms(surroundings *s, const nf_patch *from, const nf_environment *env, int32_t centre)
{
    size_t n = 0, different = 0;
    s->atom[n++] = centre;
    for (int k = 0; k < env->n; k++)
        if (env->point[k] != UINT32_MAX)
            s->atom[n++] = from->owner[env->point[k]];
    qsort(s->atom, n, sizeof *s->atom, ascending);
    for (size_t k = 0; k < n; k++)
        if (k == 0 || s->atom[k] != s->atom[k - 1])
            s->atom[different++] = s->atom[k];
    s->natoms = different;
    s->centre = local_index(s, centre);
}

/* Points in the order of the environment, which is that of the patch: bits stay as they are. */
static void list_points(surroundings *s, const place *at, const nf_environment *env)
{
    const nf_patch *from = at->patch;
    nf_patch *p = &s->patch;
    uint32_t n = 0;
    for (int k = 0; k < env->n; k++) {
        if (env->point[k] == UINT32_MAX)
            continue;
        p->near[n] = n;
        p->shift[n] = from->shift[env->point[k]];
        p->owner[n++] = (int32_t)local_index(s, from->owner[env->point[k]]);
    }
    p->shift[n] = from->shift[from->home[at->index]];
    p->owner[n] = (int32_t)s->centre;
    p->centre[0] = (int32_t)s->centre;
    p->home[0] = n;
    p->first[0] = 0;
    p->first[1] = n;
    p->npoints = n + 1;
    p->nnear = n;
    p->max_near = (int)n;
}

/* Room for n neighbours. */
static void take_surroundings(surroundings *s, const nf_patch *from, size_t n, nf_arena *arena)
{
    s->patch = (nf_patch){.ncentres = 1, .shifts = from->shifts, .nshifts = from->nshifts};
    s->patch.centre = nf_arena_take(arena, sizeof *s->patch.centre);
    s->patch.home = nf_arena_take(arena, sizeof *s->patch.home);
    s->patch.first = nf_arena_take(arena, 2 * sizeof *s->patch.first);
    s->patch.near = nf_arena_take(arena, n * sizeof *s->patch.near);
    s->patch.owner = nf_arena_take(arena, (n + 1) * sizeof *s->patch.owner);
    s->patch.shift = nf_arena_take(arena, (n + 1) * sizeof *s->patch.shift);
    s->atom = nf_arena_take(arena, (n + 1) * sizeof *s->atom);
    s->sum = nf_arena_take(arena, (n + 1) * sizeof *s->sum);
}

static int cut_out(const call *c, const place *at, surroundings *s, nf_arena *arena, nf_error *err)
{
    const nf_patch *from = at->patch;
    int32_t centre = from->centre[at->index];
    size_t n = from->first[at->index + 1] - from->first[at->index];
    nf_patch_view whole = {from,       c->frame->pos,        (const double(*)[3])c->cell.h,
                           c->element, c->model->elements.n, c->model->cutoff};
    nf_environment env;
    TRY(nf_patch_environment(&whole, at->index, &env, arena, err));
    take_surroundings(s, from, n, arena);
    list_atoms(s, from, &env, centre);
    list_points(s, at, &env);
    double(*pos)[3] = nf_arena_take(arena, s->natoms * sizeof *pos);
    int *element = nf_arena_take(arena, s->natoms * sizeof *element);
    for (size_t l = 0; l < s->natoms; l++) {
        memcpy(pos[l], c->frame->pos[s->atom[l]], sizeof *pos);
        element[l] = c->element[s->atom[l]];
    }
    for (int e = 0; e <= whole.nelements; e++)
        s->patch.element_first[e] = e > c->element[centre];
    s->view = whole;
    s->view.patch = &s->patch;
    s->view.pos = (const double(*)[3])pos;
    s->view.element = element;
    return 0;
}

/* ---- one centre ---- */

static size_t bytes_of(const call *c, const nf_patch *patch, size_t n, size_t nfeatures)
{
    const nf_descriptor *descriptor = c->model->descriptor;
    size_t surroundings_of = (n + 1) * (4 * sizeof(int32_t) + sizeof(int64_t[3]) + sizeof(double[3]) + sizeof(int));
    size_t pull = NBAR * (n + 1) * (sizeof(int64_t[3]) + sizeof(double[9]));
    size_t bars = NBAR * nf_arena_round(nfeatures * NF_LANES * sizeof(double));
    return surroundings_of + pull + bars + 32 * NF_ARENA_STEP + nf_environment_bytes(patch, c->model->elements.n) +
           descriptor->class->scratch(descriptor, patch, NBAR);
}

/* Everything that is pulled back together. */
typedef struct {
    size_t first; /* feature */
    int nbar;
    double *bar[NBAR];
    nf_pull pull;
} batch;

static void take_batch(batch *b, const surroundings *s, size_t nfeatures, nf_arena *arena)
{
    size_t npoints = s->patch.npoints;
    for (int m = 0; m < NBAR; m++)
        b->bar[m] = nf_arena_doubles(arena, nfeatures * NF_LANES);
    b->pull = (nf_pull){.point = nf_arena_take(arena, NBAR * npoints * sizeof(int64_t[3])),
                        .npoints = npoints,
                        .virial = nf_arena_take(arena, NBAR * s->natoms * sizeof(double[9])),
                        .natoms = s->natoms};
}

static int pull_back(const call *c, const surroundings *s, batch *b, size_t nfeatures, double adjoint, nf_arena *arena,
                     nf_error *err)
{
    const nf_descriptor *descriptor = c->model->descriptor;
    for (int m = 0; m < b->nbar; m++) {
        memset(b->bar[m], 0, nfeatures * NF_LANES * sizeof *b->bar[m]);
        b->bar[m][(b->first + (size_t)m) * NF_LANES] = adjoint;
    }
    b->pull.nbar = b->nbar;
    b->pull.overflow = 0;
    memset(b->pull.point, 0, (size_t)b->nbar * b->pull.npoints * sizeof *b->pull.point);
    return descriptor->class->vjp(descriptor, &s->view, s->view.element[s->centre], NF_LANES, b->nbar,
                                  (const double *const *)b->bar, &b->pull, arena, err);
}

/* Sums over points of an atom. Nonzero: a sum left the range. */
static int sum_atoms(surroundings *s, const batch *b, int m)
{
    const int64_t(*point)[3] = (const int64_t(*)[3])b->pull.point + (size_t)m * b->pull.npoints;
    int overflow = 0;
    memset(s->sum, 0, s->natoms * sizeof *s->sum);
    for (size_t p = 0; p < s->patch.npoints; p++) {
        int64_t *to = s->sum[s->patch.owner[p]];
        for (int a = 0; a < 3; a++)
            overflow |= __builtin_add_overflow(to[a], point[p][a], &to[a]);
    }
    return overflow;
}

/* From forces and virials of an adjoint to derivatives. */
static int keep_batch(surroundings *s, const batch *b, double adjoint, centre_result *r)
{
    int overflow = b->pull.overflow;
    for (int m = 0; m < b->nbar; m++) {
        size_t f = b->first + (size_t)m;
        const double *w = b->pull.virial[(size_t)m * s->natoms + s->centre];
        overflow |= sum_atoms(s, b, m);
        for (size_t l = 0; l < s->natoms; l++)
            for (size_t a = 0; a < 3; a++)
                r->gradient[(l * r->of.nfeatures + f) * 3 + a] = -(double)s->sum[l][a] * (NF_FORCE_UNIT / adjoint);
        for (int a = 0; a < 3; a++)
            for (int k = 0; k < 3; k++)
                r->strain[9 * f + (size_t)(3 * a + k)] = -0.5 * (w[3 * a + k] + w[3 * k + a]) / adjoint;
    }
    return overflow;
}

static int differentiate(const call *c, surroundings *s, centre_result *r, nf_arena *arena, nf_error *err)
{
    size_t nfeatures = r->of.nfeatures;
    batch b;
    take_batch(&b, s, nfeatures, arena);
    for (b.first = 0; b.first < nfeatures; b.first += NBAR) {
        b.nbar = nfeatures - b.first < NBAR ? (int)(nfeatures - b.first) : NBAR;
        TRY(pull_back(c, s, &b, nfeatures, fine, arena, err));
        if (keep_batch(s, &b, fine, r) == 0)
            continue;
        TRY(pull_back(c, s, &b, nfeatures, 1, arena, err));
        if (keep_batch(s, &b, 1, r) != 0)
            return nf_fail(err, NF_EDIVERGED,
                           "atom %zu: derivatives of descriptor values beyond 2.5e5 1/Angstrom or not finite: the "
                           "structure is unphysical for this model",
                           r->of.centre + 1);
    }
    return 0;
}

static int reserve_result(centre_result *r, const surroundings *s, nf_error *err)
{
    size_t n = s->natoms, nfeatures = r->of.nfeatures;
    if (NF_GROW(r->atom, r->cap_atom, n) || NF_GROW(r->gradient, r->cap_gradient, 3 * n * nfeatures) ||
        NF_GROW(r->strain, r->cap_strain, 9 * nfeatures))
        return nf_fail_memory(err, "derivatives");
    for (size_t l = 0; l < n; l++)
        r->atom[l] = s->atom[l];
    r->of.npairs = n;
    r->of.atom = r->atom;
    r->of.gradient = r->gradient;
    r->of.strain = r->strain;
    return 0;
}

static int work_out(const call *c, centre_result *r, nf_arena *arena, nf_error *err)
{
    const place *at = &c->places[r->of.centre];
    const nf_descriptor *descriptor = c->model->descriptor;
    size_t n = at->patch->first[at->index + 1] - at->patch->first[at->index];
    surroundings s;
    r->of.nfeatures = descriptor->class->nfeatures(descriptor, c->element[r->of.centre]);
    arena->used = 0;
    if (nf_arena_reserve(arena, bytes_of(c, at->patch, n, r->of.nfeatures)))
        return nf_fail_memory(err, "derivatives");
    TRY(cut_out(c, at, &s, arena, err));
    TRY(reserve_result(r, &s, err));
    return differentiate(c, &s, r, arena, err);
}

static void task(void *ctx, size_t index, int thread)
{
    call *c = ctx;
    centre_result *r = &c->results[index];
    r->of.centre = c->first + index;
    r->code = work_out(c, r, &c->arenas[thread], &r->err);
}

/* ---- the call ---- */

/* Coincident atoms are found here, before the derivatives of a third atom that are not finite because of them. */
static int note_places(struct evaluation *e, const nf_patch_view *view, nf_arena *arena, nf_error *err)
{
    place *places = e->visit_ctx;
    size_t mark = nf_arena_mark(arena);
    for (size_t a = 0; a < view->patch->ncentres; a++) {
        nf_environment env;
        TRY(nf_patch_environment(view, a, &env, arena, err));
        nf_arena_rewind(arena, mark);
        places[view->patch->centre[a]] = (place){view->patch, a};
    }
    return 0;
}

static int prepare(call *c, nf_team *team, nf_calc *calc, nf_error *err)
{
    const nf_frame *frame = c->frame;
    c->nthreads = nf_team_size(team);
    c->nresults = (size_t)c->nthreads * PER_THREAD;
    c->places = nf_calloc(frame->natoms, sizeof *c->places);
    c->element = nf_calloc(frame->natoms, sizeof *c->element);
    c->arenas = nf_calloc((size_t)c->nthreads, sizeof *c->arenas);
    c->results = nf_calloc(c->nresults, sizeof *c->results);
    if (c->places == NULL || c->element == NULL || c->arenas == NULL || c->results == NULL)
        return nf_fail_memory(err, "derivatives");
    TRY(nf_visit_patches(team, calc, frame, note_places, c->places, err));
    for (size_t i = 0; i < frame->natoms; i++)
        c->element[i] = nf_elements_find(&c->model->elements, frame->species[i]);
    return nf_cell_make(&c->cell, frame->cell, frame->pbc, err);
}

/* Of several errors that of the first atom. */
static int deliver(const call *c, size_t n, int (*each)(void *, const nf_feature_gradient *), void *ctx, nf_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const centre_result *r = &c->results[i];
        if (r->code != 0 && err != NULL)
            *err = r->err;
        if (r->code != 0)
            return r->code;
        int rc = each(ctx, &r->of);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void clean_up(call *c)
{
    for (size_t i = 0; c->results != NULL && i < c->nresults; i++) {
        nf_free(c->results[i].atom);
        nf_free(c->results[i].gradient);
        nf_free(c->results[i].strain);
    }
    for (int t = 0; c->arenas != NULL && t < c->nthreads; t++)
        nf_arena_free(&c->arenas[t]);
    nf_free(c->results);
    nf_free(c->arenas);
    nf_free(c->element);
    nf_free(c->places);
}

int nf_feature_gradients(nf_team *team, nf_calc *calc, const nf_frame *frame,
                         int (*each)(void *ctx, const nf_feature_gradient *of), void *ctx, nf_error *err)
{
    call c = {.model = calc->model, .frame = frame};
    int rc = prepare(&c, team, calc, err);
    for (; rc == 0 && c.first < frame->natoms; c.first += c.nresults) {
        size_t left = frame->natoms - c.first, n = left < c.nresults ? left : c.nresults;
        nf_team_run(team, n, task, &c);
        rc = deliver(&c, n, each, ctx, err);
    }
    clean_up(&c);
    return rc;
}
