/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sweep.c - a job from its frame to sums over atoms, one patch at a time.
 *
 * Adjoint 0 is the mean of the members; adjoints 1 .. M are the members themselves where somebody wants them. The
 * mean is pulled back by itself in either case, so that what is asked for never changes the other numbers.
 */
#include <string.h>

#include "model/evaluation.h"

/* n2p2 counts a value as extrapolated beyond this rounding. */
static const double range_guard = 2.2e-13;

/* ---- before the patches ---- */

static bool wants_members(const nf_result *w)
{
    return w->member_forces != NULL || w->member_virial != NULL || w->force_std != NULL;
}

int nf_check_request(const nf_model *model, const nf_frame *frame, const nf_result *result, nf_error *err)
{
    if (frame->size != sizeof *frame || result->size != sizeof *result)
        return nf_fail(err, NF_EINVAL, "a frame or result was not initialised with NF_FRAME_INIT or NF_RESULT_INIT");
    if (frame->natoms == 0 || frame->pos == NULL || frame->species == NULL)
        return nf_fail(err, NF_EINVAL, "a frame without atoms");
    if (frame->natoms > 1000000000u)
        return nf_fail(err, NF_ELIMIT, "%zu atoms are more than 1e9", frame->natoms);
    if ((result->member_energy != NULL || result->member_forces != NULL || result->member_virial != NULL) &&
        result->nmembers != model->nmembers)
        return nf_fail(err, NF_EINVAL, "the result has room for %zu members, the model has %zu", result->nmembers,
                       model->nmembers);
    return 0;
}

int nf_prepare(evaluation *e, nf_error *err)
{
    nf_model *model = e->calc->model;
    const nf_frame *frame = e->job->frame;
    TRY(nf_check_request(model, frame, e->job->result, err));
    TRY(nf_cell_make(&e->cell, frame->cell, frame->pbc, err));
    e->nmembers = model->nmembers;
    e->nbar = 1 + (model->nmembers > 1 && wants_members(e->job->result) ? model->nmembers : 0);
    nf_calc_trim(e->calc);
    TRY(nf_calc_space(e->calc, frame, e->nbar, &e->space, err));
    return nf_calc_list(e->calc, &e->cell, frame->natoms, frame->pos, e->space->element, &e->slot, &e->fresh, err);
}

/* ---- a patch ---- */

/* A block: the centres of one element in a patch. */
typedef struct {
    const evaluation *e;
    const nf_patch_view *view;
    int element;
    const int32_t *atom; /* of the block's centres */
    size_t n, ld, nfeatures;
} block;

static void count_extrapolated(const block *b, const double *g, const nf_range *range, int *count)
{
    memset(count, 0, b->n * sizeof *count);
    for (size_t i = 0; i < range->n; i++) {
        const double *row = g + (size_t)range->feature[i] * b->ld;
        double low = range->low[i] - range_guard, high = range->high[i] + range_guard;
        for (size_t a = 0; a < b->n; a++)
            count[a] += row[a] < low || row[a] > high;
    }
}

static void note_extrapolated(const block *b, const double *g, nf_arena *arena)
{
    const nf_model *model = b->e->calc->model;
    size_t mark = nf_arena_mark(arena);
    int *count = nf_arena_take(arena, b->n * sizeof *count);
    for (size_t m = 0; m < b->e->nmembers; m++) {
        count_extrapolated(b, g, &model->members[m].range[b->element], count);
        for (size_t a = 0; a < b->n; a++) {
            int *worst = &b->e->space->extrapolated[b->atom[a]];
            if (m == 0 || count[a] > *worst)
                *worst = count[a];
        }
    }
    nf_arena_rewind(arena, mark);
}

/* Energies of member m's atoms, and its adjoint g_bar[nfeatures][ld], zeroed first. */
static void member_energies(const block *b, size_t m, const double *g, double *g_bar, nf_arena *arena)
{
    const nf_member *member = &b->e->calc->model->members[m];
    const nf_readout *readout = member->readout[b->element];
    size_t mark = nf_arena_mark(arena);
    double *y = nf_arena_doubles(arena, b->ld), *y_bar = nf_arena_doubles(arena, b->ld);
    memset(g_bar, 0, b->nfeatures * b->ld * sizeof *g_bar);
    for (size_t a = 0; a < b->ld; a++)
        y_bar[a] = member->scale;
    readout->class->vjp(readout, (int)b->n, b->ld, g, y_bar, y, g_bar, arena);
    double *energy = b->e->space->atom_energy + m * b->e->job->frame->natoms;
    for (size_t a = 0; a < b->n; a++)
        energy[b->atom[a]] = y[a] * member->scale;
    nf_arena_rewind(arena, mark);
}

/* g_bar[0]: mean over members; g_bar[1 + m]: member m, if nbar says so. */
static void adjoints(const block *b, const double *g, double **g_bar, nf_arena *arena)
{
    size_t size = b->nfeatures * b->ld, M = b->e->nmembers;
    if (M == 1) {
        member_energies(b, 0, g, g_bar[0], arena);
        return;
    }
    size_t mark = nf_arena_mark(arena);
    double *one = nf_arena_doubles(arena, size);
    memset(g_bar[0], 0, size * sizeof *g_bar[0]);
    for (size_t m = 0; m < M; m++) {
        double *own = b->e->nbar > 1 ? g_bar[1 + m] : one;
        member_energies(b, m, g, own, arena);
        for (size_t i = 0; i < size; i++)
            g_bar[0][i] += own[i];
    }
    for (size_t i = 0; i < size; i++)
        g_bar[0][i] /= (double)M;
    nf_arena_rewind(arena, mark);
}

int nf_check_values(const double *g, size_t n, nf_error *err)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += g[i] * 0;
    if (sum == 0)
        return 0;
    nf_fail(err, NF_EDIVERGED, "a descriptor value is not finite: the structure is unphysical for this model");
    return NF_VAGUE;
}

static int sweep_block(const block *b, nf_pull *pull, nf_arena *arena, nf_error *err)
{
    const nf_descriptor *descriptor = b->e->calc->model->descriptor;
    size_t mark = nf_arena_mark(arena), size = b->nfeatures * b->ld;
    double *g = nf_arena_doubles(arena, size);
    double **g_bar = nf_arena_take(arena, b->e->nbar * sizeof *g_bar);
    memset(g, 0, size * sizeof *g);
    TRY(descriptor->class->forward(descriptor, b->view, b->element, b->ld, g, arena, err));
    TRY(nf_check_values(g, size, err));
    for (size_t m = 0; m < b->e->nbar; m++)
        g_bar[m] = nf_arena_doubles(arena, size);
    note_extrapolated(b, g, arena);
    adjoints(b, g, g_bar, arena);
    int rc = descriptor->class->vjp(descriptor, b->view, b->element, b->ld, pull->nbar, (const double *const *)g_bar,
                                    pull, arena, err);
    nf_arena_rewind(arena, mark);
    return rc;
}

/* Exact in any order: integers. */
static int add_to_owners(const evaluation *e, const nf_patch *patch, const nf_pull *pull)
{
    size_t natoms = e->job->frame->natoms;
    int overflow = pull->overflow;
    for (int m = 0; m < pull->nbar; m++)
        for (size_t p = 0; p < patch->npoints; p++) {
            int64_t *to = e->space->force[(size_t)m * natoms + (size_t)patch->owner[p]];
            const int64_t *from = pull->point[(size_t)m * patch->npoints + p];
            for (int a = 0; a < 3; a++) {
                int64_t old = __atomic_fetch_add(&to[a], from[a], __ATOMIC_RELAXED), sum;
                overflow |= __builtin_add_overflow(old, from[a], &sum);
            }
        }
    return overflow;
}

static size_t bytes_of_patch(const evaluation *e, const nf_patch *patch)
{
    const nf_model *model = e->calc->model;
    size_t readout = 0, features = 0, ld = nf_padded(patch->ncentres);
    for (int k = 0; k < model->elements.n; k++) {
        size_t n = model->descriptor->class->nfeatures(model->descriptor, k);
        features = n > features ? n : features;
        for (size_t m = 0; m < e->nmembers; m++) {
            const nf_readout *r = model->members[m].readout[k];
            size_t bytes = r->class->scratch(r, ld);
            readout = bytes > readout ? bytes : readout;
        }
    }
    size_t values = (e->nbar + 2) * nf_arena_round(features * ld * sizeof(double));
    size_t points = nf_arena_round(e->nbar * patch->npoints * sizeof(int64_t[3]));
    size_t visit = e->visit != NULL ? nf_environment_bytes(patch, model->elements.n) : 0;
    return points + values + readout + visit +
           model->descriptor->class->scratch(model->descriptor, patch, (int)e->nbar) +
           nf_arena_round(e->nbar * sizeof(double *)) + 8 * nf_arena_round(ld * sizeof(double));
}

int nf_sweep_patch(evaluation *e, size_t index, nf_arena *arena, nf_error *err)
{
    const nf_list *list = &e->slot->list;
    const nf_patch *patch = &list->patches[index];
    const nf_frame *frame = e->job->frame;
    const nf_model *model = e->calc->model;
    arena->used = 0;
    if (nf_arena_reserve(arena, bytes_of_patch(e, patch)))
        return nf_fail_memory(err, "an evaluation");
    nf_patch_view view = {patch,        frame->pos, (const double(*)[3])e->cell.h, e->space->element, model->elements.n,
                          model->cutoff};
    if (e->visit != NULL)
        return e->visit(e, &view, arena, err);
    size_t npoints = e->nbar * patch->npoints;
    nf_pull pull = {(int)e->nbar,   nf_arena_take(arena, npoints * sizeof(int64_t[3])),
                    patch->npoints, e->space->virial,
                    frame->natoms,  0};
    memset(pull.point, 0, npoints * sizeof *pull.point);
    for (int k = 0; k < model->elements.n; k++) {
        size_t begin = patch->element_first[k], n = patch->element_first[k + 1] - begin;
        block b = {e,
                   &view,
                   k,
                   patch->centre + begin,
                   n,
                   nf_padded(n),
                   model->descriptor->class->nfeatures(model->descriptor, k)};
        if (n > 0)
            TRY(sweep_block(&b, &pull, arena, err));
    }
    if (add_to_owners(e, patch, &pull)) {
        nf_fail(err, NF_EDIVERGED,
                "forces beyond 2.5e5 eV/Angstrom or not finite: the structure is unphysical for "
                "this model");
        return NF_VAGUE;
    }
    return 0;
}
