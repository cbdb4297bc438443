/* SPDX-License-Identifier: BSD-3-Clause */
#include "model/exchange.h"

#include <math.h>
#include <string.h>

/* ---- places ---- */

static size_t largest_readout(const nf_model *model)
{
    size_t most = 0;
    for (size_t m = 0; m < model->nmembers; m++)
        for (int k = 0; k < model->elements.n; k++) {
            const nf_readout *r = model->members[m].readout[k];
            size_t bytes = r->class->scratch(r, NF_LANES);
            most = bytes > most ? bytes : most;
        }
    return most;
}

/* A patch of one centre that is as large as the centre with most neighbours of the list. */
static nf_patch largest_single(const nf_list *list)
{
    nf_patch one = {.ncentres = 1};
    for (size_t p = 0; p < list->npatches; p++) {
        const nf_patch *patch = &list->patches[p];
        one.max_near = patch->max_near > one.max_near ? patch->max_near : one.max_near;
        one.nshifts = patch->nshifts > one.nshifts ? patch->nshifts : one.nshifts;
        one.npoints = patch->npoints > one.npoints ? patch->npoints : one.npoints;
    }
    one.nnear = (size_t)one.max_near;
    return one;
}

static int reserve(nf_trial *t, nf_error *err)
{
    const nf_model *model = t->e->calc->model;
    const nf_descriptor *descriptor = model->descriptor;
    nf_patch one = largest_single(&t->e->slot->list);
    size_t features = 0;
    for (int k = 0; k < model->elements.n; k++) {
        size_t n = descriptor->class->nfeatures(descriptor, k);
        features = n > features ? n : features;
    }
    size_t values = nf_arena_round(features * NF_LANES * sizeof(double)) + nf_arena_round(NF_LANES * sizeof(double));
    t->near = nf_calloc(one.nnear + 1, sizeof *t->near);
    if (t->near == NULL ||
        nf_arena_reserve(&t->arena, values + descriptor->class->scratch(descriptor, &one, 1) + largest_readout(model)))
        return nf_fail_memory(err, "judging a frame");
    return 0;
}

static void find_places(nf_trial *t)
{
    const nf_list *list = &t->e->slot->list;
    for (size_t p = 0; p < list->npatches; p++)
        for (size_t c = 0; c < list->patches[p].ncentres; c++) {
            t->patch[list->patches[p].centre[c]] = (uint32_t)p;
            t->index[list->patches[p].centre[c]] = (uint32_t)c;
        }
}

int nf_trial_open(nf_trial *t, const evaluation *e, nf_error *err)
{
    size_t n = e->job->frame->natoms;
    *t = (nf_trial){.e = e};
    t->element = nf_calloc(n, sizeof *t->element);
    t->patch = nf_calloc(n, sizeof *t->patch);
    t->index = nf_calloc(n, sizeof *t->index);
    t->given = nf_calloc(n, sizeof *t->given);
    t->known = nf_calloc(n, sizeof *t->known);
    t->energy = nf_calloc(e->nmembers, sizeof *t->energy);
    t->change = nf_calloc(e->nmembers, sizeof *t->change);
    if (t->element == NULL || t->patch == NULL || t->index == NULL || t->given == NULL || t->known == NULL ||
        t->energy == NULL || t->change == NULL)
        return nf_fail_memory(err, "judging a frame");
    memcpy(t->element, e->space->element, n * sizeof *t->element);
    find_places(t);
    return reserve(t, err);
}

void nf_trial_close(nf_trial *t)
{
    nf_free(t->element);
    nf_free(t->patch);
    nf_free(t->index);
    nf_free(t->near);
    nf_free(t->given);
    nf_free(t->known);
    nf_free(t->energy);
    nf_free(t->change);
    nf_arena_free(&t->arena);
}

/* ---- one centre ---- */

/* How far a value lies outside a range, in widths of the range: 0 within. A range without width says how large its
 * values are. */
static double widths_outside(double value, double low, double high)
{
    double width = high - low, least = 1e-3 * fmax(fabs(low), fabs(high));
    double distance = value < low ? low - value : value > high ? value - high : 0;
    width = fmax(width, least);
    return width > 0 ? distance / width : 0;
}

static void compare_with_range(const nf_range *range, const double *g, double share, nf_strangeness *out)
{
    for (size_t i = 0; i < range->n; i++) {
        double x = widths_outside(g[(size_t)range->feature[i] * NF_LANES], range->low[i], range->high[i]);
        if (x > 1e-9) {
            out->outside += share * log1p(x);
            out->count += share;
        }
    }
}

static void ask_members(nf_trial *t, int element, const double *g, nf_strangeness *out)
{
    const nf_model *model = t->e->calc->model;
    double *y = nf_arena_doubles(&t->arena, NF_LANES);
    size_t mark = nf_arena_mark(&t->arena);
    for (size_t m = 0; m < model->nmembers; m++) {
        const nf_member *member = &model->members[m];
        const nf_readout *readout = member->readout[element];
        compare_with_range(&member->range[element], g, 1 / (double)model->nmembers, out);
        readout->class->forward(readout, 1, NF_LANES, g, y, &t->arena);
        nf_arena_rewind(&t->arena, mark);
        t->energy[m] = y[0] * member->scale;
    }
}

/* The centre of an atom as a patch of its own, its neighbours sorted by the elements on trial. */
static nf_patch single(nf_trial *t, const int32_t *atom, uint32_t first[2])
{
    const nf_patch *whole = &t->e->slot->list.patches[t->patch[*atom]];
    uint32_t c = t->index[*atom], n = 0;
    nf_patch one = *whole;
    for (int k = 0; k < t->e->calc->model->elements.n; k++) {
        for (uint32_t i = whole->first[c]; i < whole->first[c + 1]; i++)
            if (t->element[whole->owner[whole->near[i]]] == k)
                t->near[n++] = whole->near[i];
        one.element_first[k + 1] = t->element[*atom] <= k;
    }
    first[0] = 0;
    first[1] = n;
    one.element_first[0] = 0;
    one.ncentres = 1;
    one.nnear = n;
    one.max_near = (int)n;
    one.centre = (int32_t *)atom;
    one.home = whole->home + c;
    one.first = first;
    one.near = t->near;
    return one;
}

/* An atom with the species on trial. */
static int look(nf_trial *t, int32_t atom, nf_strangeness *out, nf_error *err)
{
    const nf_model *model = t->e->calc->model;
    const nf_descriptor *descriptor = model->descriptor;
    uint32_t first[2];
    nf_patch one = single(t, &atom, first);
    nf_patch_view view = {&one,       t->e->job->frame->pos, (const double(*)[3])t->e->cell.h,
                          t->element, model->elements.n,     model->cutoff};
    int element = t->element[atom];
    size_t nfeatures = descriptor->class->nfeatures(descriptor, element);
    t->arena.used = 0;
    double *g = nf_arena_doubles(&t->arena, nfeatures * NF_LANES);
    memset(g, 0, nfeatures * NF_LANES * sizeof *g);
    *out = (nf_strangeness){0};
    TRY(descriptor->class->forward(descriptor, &view, element, NF_LANES, g, &t->arena, err));
    ask_members(t, element, g, out);
    return 0;
}

int nf_trial_given(nf_trial *t, int atom, nf_strangeness *out, nf_error *err)
{
    if (!t->known[atom])
        TRY(look(t, atom, &t->given[atom], err));
    t->known[atom] = true;
    *out = t->given[atom];
    return 0;
}

/* ---- neighbours ---- */

static double distance2(const nf_trial *t, const nf_patch *p, uint32_t centre, uint32_t point)
{
    const double(*pos)[3] = t->e->job->frame->pos;
    const int32_t *to = p->shifts[p->shift[point]], *from = p->shifts[p->shift[p->home[centre]]];
    double sum = 0;
    for (int a = 0; a < 3; a++) {
        double d = pos[p->owner[point]][a] - pos[p->centre[centre]][a];
        for (int b = 0; b < 3; b++)
            d += (double)(to[b] - from[b]) * t->e->cell.h[b][a];
        sum += d * d;
    }
    return sum;
}

/* Where atom is in a list, n if it is not. */
static int find(int atom, int n, const int *list)
{
    int i = 0;
    while (i < n && list[i] != atom)
        i++;
    return i;
}

int nf_trial_nearest(const nf_trial *t, int atom, int n, int *out)
{
    const nf_patch *p = &t->e->slot->list.patches[t->patch[atom]];
    uint32_t c = t->index[atom];
    double r2[32];
    int found = 0;
    for (uint32_t i = p->first[c]; i < p->first[c + 1]; i++) {
        int other = p->owner[p->near[i]], at = find(other, found, out);
        double d = distance2(t, p, c, p->near[i]);
        if (other == atom || (at < found && r2[at] <= d) || (at == found && found == n && r2[n - 1] <= d))
            continue;
        if (at == found)
            at = found < n ? found++ : n - 1;
        for (; at > 0 && r2[at - 1] > d; at--) {
            r2[at] = r2[at - 1];
            out[at] = out[at - 1];
        }
        r2[at] = d;
        out[at] = other;
    }
    return found;
}

/* ---- two atoms ---- */

static void add(nf_strangeness *sum, const nf_strangeness *x)
{
    sum->outside += x->outside;
    sum->count += x->count;
}

static void swap(nf_trial *t, int a, int b)
{
    int element = t->element[a];
    t->element[a] = t->element[b];
    t->element[b] = element;
}

/* The two atoms and the nearest of each, every one once. */
static int around(const nf_trial *t, const int atom[2], int *out)
{
    int n = 0;
    out[n++] = atom[0];
    out[n++] = atom[1];
    for (int i = 0; i < 2; i++) {
        int near[NF_TRIAL_NEAR], found = nf_trial_nearest(t, atom[i], NF_TRIAL_NEAR, near);
        for (int k = 0; k < found; k++)
            if (find(near[k], n, out) == n)
                out[n++] = near[k];
    }
    return n;
}

static int look_before(nf_trial *t, int n, const int *atom, nf_strangeness *sum, nf_error *err)
{
    size_t natoms = t->e->job->frame->natoms;
    nf_strangeness one;
    for (int i = 0; i < n; i++) {
        TRY(nf_trial_given(t, atom[i], &one, err));
        add(sum, &one);
        for (size_t m = 0; m < t->e->nmembers; m++)
            t->change[m] -= t->e->space->atom_energy[m * natoms + (size_t)atom[i]];
    }
    return 0;
}

/* Until it is more than enough. */
static int look_after(nf_trial *t, int n, const int *atom, double enough, nf_strangeness *sum, nf_error *err)
{
    nf_strangeness one;
    for (int i = 0; i < n && sum->outside <= enough; i++) {
        TRY(look(t, atom[i], &one, err));
        add(sum, &one);
        for (size_t m = 0; m < t->e->nmembers; m++)
            t->change[m] += t->energy[m];
    }
    return 0;
}

static void statistics(size_t n, const double *x, double *mean, double *deviation)
{
    double square = 0;
    *mean = 0;
    for (size_t i = 0; i < n; i++)
        *mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - *mean) * (x[i] - *mean);
    *deviation = n > 1 ? sqrt(square / (double)(n - 1)) : 0;
}

int nf_trial_exchange(nf_trial *t, int a, int b, double remnant, nf_exchange *out, bool *helps, nf_error *err)
{
    int atom[2 + 2 * NF_TRIAL_NEAR];
    *out = (nf_exchange){.atom = {a, b}};
    int n = around(t, out->atom, atom);
    memset(t->change, 0, t->e->nmembers * sizeof *t->change);
    TRY(look_before(t, n, atom, &out->before, err));
    swap(t, a, b);
    int rc = look_after(t, n, atom, remnant * out->before.outside, &out->after, err);
    swap(t, a, b);
    *helps = out->after.outside <= remnant * out->before.outside;
    statistics(t->e->nmembers, t->change, &out->energy, &out->spread);
    return rc;
}
