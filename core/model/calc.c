/* SPDX-License-Identifier: BSD-3-Clause */
#include "model/calc.h"

#include <string.h>

#include "base/mem.h"

int nf_calc_new(nf_calc **out, nf_model *model, const nf_calc_opts *opts, nf_error *err)
{
    nf_calc_opts defaults = NF_CALC_OPTS_INIT;
    *out = NULL;
    if (opts == NULL)
        opts = &defaults;
    if (!(opts->skin >= 0) || !(opts->skin < 100) || opts->max_lists < 1)
        return nf_fail(err, NF_EINVAL, "skin %g Angstrom, %d lists: choose a skin from 0 to 100 and at least one list",
                       opts->skin, opts->max_lists);
    nf_calc *calc = nf_calloc(1, sizeof *calc);
    if (calc == NULL)
        return nf_fail_memory(err, "a calculator");
    calc->model = nf_model_ref(model);
    calc->skin = opts->skin;
    calc->max_lists = (size_t)opts->max_lists;
    calc->log = (nf_log){opts->log, opts->log_ctx};
    pthread_mutex_init(&calc->lock, NULL);
    *out = calc;
    return 0;
}

static void free_space(nf_workspace *w)
{
    nf_free(w->element);
    nf_free(w->force);
    nf_free(w->virial);
    nf_free(w->atom_energy);
    nf_free(w->extrapolated);
    nf_free(w->member_energy);
    nf_free(w);
}

void nf_calc_free(nf_calc *calc)
{
    if (calc == NULL)
        return;
    for (size_t i = 0; i < calc->nslots; i++) {
        nf_list_free(&calc->slots[i]->list);
        nf_free(calc->slots[i]);
    }
    while (calc->spare != NULL) {
        nf_workspace *space = calc->spare;
        calc->spare = space->next;
        free_space(space);
    }
    pthread_mutex_destroy(&calc->lock);
    nf_free(calc->slots);
    nf_model_free(calc->model);
    nf_free(calc);
}

long nf_calc_nbuilds(const nf_calc *calc)
{
    return calc->nbuilds;
}

/* ---- lists ---- */

static bool take(nf_calc *calc, nf_slot *slot)
{
    pthread_mutex_lock(&calc->lock);
    bool good = !slot->spoiled;
    slot->users += good;
    pthread_mutex_unlock(&calc->lock);
    return good;
}

/* Begins with the list that served last and goes round: beads share it, and of several structures in turn each finds
 * its own right behind. */
static nf_slot *find_holding(nf_calc *calc, const nf_cell *cell, size_t natoms, const double (*pos)[3],
                             const int *element)
{
    for (size_t k = 0; k < calc->nslots; k++) {
        size_t i = (calc->last + k) % calc->nslots;
        nf_slot *slot = calc->slots[i];
        if (nf_list_holds(&slot->list, cell, natoms, pos, element) && take(calc, slot)) {
            calc->last = i;
            return slot;
        }
    }
    return NULL;
}

/* Invalid, or of a structure of this size that has moved on: it served none of the last searches, which were enough
 * for every other structure to come twice. */
static bool useless(const nf_calc *calc, const nf_slot *slot, size_t natoms)
{
    bool left_behind = slot->list.natoms == natoms && calc->clock - slot->used > 2 * calc->nslots + 8;
    return !slot->list.valid || slot->spoiled || left_behind;
}

/* Index of the slot without users that is useless or, *good, the one longest unused; nslots if all are in use. */
static size_t find_unused(nf_calc *calc, size_t natoms, bool *good)
{
    size_t best = calc->nslots;
    *good = true;
    pthread_mutex_lock(&calc->lock);
    for (size_t i = 0; i < calc->nslots && *good; i++) {
        const nf_slot *s = calc->slots[i];
        if (s->users > 0)
            continue;
        *good = !useless(calc, s, natoms);
        if (best == calc->nslots || !*good || s->used < calc->slots[best]->used)
            best = i;
    }
    pthread_mutex_unlock(&calc->lock);
    return best;
}

static int new_slot(nf_calc *calc, size_t *index, nf_error *err)
{
    if (NF_GROW(calc->slots, calc->cap_slots, calc->nslots + 1))
        return nf_fail_memory(err, "a neighbour list");
    nf_slot *slot = nf_calloc(1, sizeof *slot);
    if (slot == NULL)
        return nf_fail_memory(err, "a neighbour list");
    *index = calc->nslots;
    calc->slots[calc->nslots++] = slot;
    return 0;
}

/* Where to make a list: a slot that may be forgotten, or a further one. */
static int find_place(nf_calc *calc, size_t natoms, size_t *index, nf_error *err)
{
    bool good;
    size_t i = find_unused(calc, natoms, &good);
    *index = i;
    if (i < calc->nslots && (calc->nslots >= calc->max_lists || !good))
        return 0;
    return new_slot(calc, index, err);
}

static int begin_list(nf_calc *calc, const nf_cell *cell, size_t natoms, const double (*pos)[3], const int *element,
                      nf_slot **out, nf_error *err)
{
    size_t i = 0;
    TRY(find_place(calc, natoms, &i, err));
    nf_slot *slot = calc->slots[i];
    TRY(nf_list_begin(&slot->list, cell, natoms, pos, element, calc->model->cutoff, calc->skin, err));
    slot->list.valid = true; /* for others that look for one; they wait for the search */
    slot->spoiled = slot->ready = false;
    slot->next = 0;
    slot->left = slot->list.npatches;
    atomic_store(&slot->failed, SIZE_MAX);
    slot->users = 1; /* nobody else can have it yet */
    calc->last = i;
    atomic_fetch_add(&calc->nbuilds, 1);
    *out = slot;
    return 0;
}

int nf_calc_list(nf_calc *calc, const nf_cell *cell, size_t natoms, const double (*pos)[3], const int *element,
                 nf_slot **out, bool *fresh, nf_error *err)
{
    nf_slot *slot = find_holding(calc, cell, natoms, pos, element);
    *fresh = slot == NULL;
    if (slot == NULL)
        TRY(begin_list(calc, cell, natoms, pos, element, &slot, err));
    slot->used = ++calc->clock;
    *out = slot;
    return 0;
}

void nf_calc_trim(nf_calc *calc)
{
    while (calc->nslots > calc->max_lists) {
        bool good;
        size_t i = find_unused(calc, 0, &good);
        if (i == calc->nslots)
            return;
        nf_list_free(&calc->slots[i]->list);
        nf_free(calc->slots[i]);
        calc->nslots--;
        memmove(calc->slots + i, calc->slots + i + 1, (calc->nslots - i) * sizeof *calc->slots);
        calc->last = 0;
    }
}

void nf_calc_spoil(nf_calc *calc, nf_slot *slot)
{
    pthread_mutex_lock(&calc->lock);
    slot->spoiled = true;
    pthread_mutex_unlock(&calc->lock);
}

void nf_calc_release(nf_calc *calc, nf_slot *slot, nf_workspace *space)
{
    pthread_mutex_lock(&calc->lock);
    if (slot != NULL)
        slot->users--;
    if (space != NULL) {
        space->next = calc->spare;
        calc->spare = space;
    }
    pthread_mutex_unlock(&calc->lock);
}

/* ---- workspaces ---- */

/* The smallest spare one that has room for that many forces, else the largest: small jobs leave the large ones to
 * large jobs, and after a while none grows any more. */
static nf_workspace *take_spare(nf_calc *calc, size_t nforces)
{
    nf_workspace **best = NULL;
    pthread_mutex_lock(&calc->lock);
    for (nf_workspace **at = &calc->spare; *at != NULL; at = &(*at)->next) {
        size_t room = (*at)->cap_force, best_room = best == NULL ? 0 : (*best)->cap_force;
        bool fits = room >= nforces, best_fits = best_room >= nforces;
        if (best == NULL || (best_fits ? fits && room < best_room : room > best_room))
            best = at;
    }
    nf_workspace *space = best == NULL ? NULL : *best;
    if (space != NULL)
        *best = space->next;
    pthread_mutex_unlock(&calc->lock);
    return space;
}

int nf_calc_elements(const nf_model *model, const nf_frame *frame, int *element, nf_error *err)
{
    for (size_t i = 0; i < frame->natoms; i++) {
        int found = nf_elements_find(&model->elements, frame->species[i]);
        if (element != NULL)
            element[i] = found;
        if (found < 0) {
            const char *symbol = nf_element_symbol(frame->species[i]);
            return nf_fail(err, NF_EINVAL, "atom %zu is %s (atomic number %d), which the model does not know", i + 1,
                           symbol == NULL ? "no element" : symbol, frame->species[i]);
        }
    }
    return 0;
}

int nf_calc_space(nf_calc *calc, const nf_frame *frame, size_t nbar, nf_workspace **out, nf_error *err)
{
    size_t n = frame->natoms, M = calc->model->nmembers;
    nf_workspace *w = take_spare(calc, nbar * n);
    if (w == NULL)
        w = nf_calloc(1, sizeof *w);
    *out = w;
    if (w == NULL || NF_GROW(w->element, w->cap_element, n) || NF_GROW(w->force, w->cap_force, nbar * n) ||
        NF_GROW(w->virial, w->cap_virial, nbar * n) || NF_GROW(w->extrapolated, w->cap_extrapolated, n) ||
        NF_GROW(w->member_energy, w->cap_member_energy, M) || NF_GROW(w->atom_energy, w->cap_atom_energy, M * n))
        return nf_fail_memory(err, "a structure");
    memset(w->force, 0, nbar * n * sizeof *w->force);
    return nf_calc_elements(calc->model, frame, w->element, err);
}
