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
    for (size_t i = 0; i < calc->nspaces; i++)
        free_space(calc->spaces[i]);
    nf_free(calc->slots);
    nf_free(calc->spaces);
    nf_model_free(calc->model);
    nf_free(calc);
}

long nf_calc_nbuilds(const nf_calc *calc)
{
    return calc->nbuilds;
}

/* ---- lists ---- */

static nf_slot *find_holding(nf_calc *calc, const nf_cell *cell, size_t natoms, const double (*pos)[3],
                             const int *element)
{
    for (size_t i = 0; i < calc->nslots; i++)
        if (nf_list_holds(&calc->slots[i]->list, cell, natoms, pos, element))
            return calc->slots[i];
    return NULL;
}

/* The slot longest unused that no job of this call has; NULL if there is none or there is room for more. */
static nf_slot *find_spare(nf_calc *calc)
{
    nf_slot *oldest = NULL;
    for (size_t i = 0; i < calc->nslots; i++) {
        nf_slot *s = calc->slots[i];
        if (s->used == calc->clock)
            continue;
        if (!s->list.valid)
            return s;
        if (oldest == NULL || s->used < oldest->used)
            oldest = s;
    }
    return calc->nslots < calc->max_lists ? NULL : oldest;
}

static int new_slot(nf_calc *calc, nf_slot **out, nf_error *err)
{
    if (NF_GROW(calc->slots, calc->cap_slots, calc->nslots + 1))
        return nf_fail_memory(err, "a neighbour list");
    *out = nf_calloc(1, sizeof **out);
    if (*out == NULL)
        return nf_fail_memory(err, "a neighbour list");
    calc->slots[calc->nslots++] = *out;
    return 0;
}

/* A list that will serve is moved to the front, so that the next frame finds it at once. */
static void to_front(nf_calc *calc, nf_slot *slot)
{
    size_t i = 0;
    while (calc->slots[i] != slot)
        i++;
    memmove(calc->slots + 1, calc->slots, i * sizeof *calc->slots);
    calc->slots[0] = slot;
}

int nf_calc_list(nf_calc *calc, const nf_cell *cell, size_t natoms, const double (*pos)[3], const int *element,
                 nf_slot **out, nf_error *err)
{
    nf_slot *slot = find_holding(calc, cell, natoms, pos, element);
    if (slot == NULL) {
        slot = find_spare(calc);
        if (slot == NULL)
            TRY(new_slot(calc, &slot, err));
        TRY(nf_list_begin(&slot->list, cell, natoms, pos, element, calc->model->cutoff, calc->skin, err));
        slot->list.valid = true; /* for the other jobs of this call; its patches are searched before any is used */
        slot->building = true;
        calc->nbuilds++;
    }
    slot->used = calc->clock;
    to_front(calc, slot);
    *out = slot;
    return 0;
}

void nf_calc_trim(nf_calc *calc)
{
    while (calc->nslots > calc->max_lists) { /* the oldest are at the end */
        nf_slot *last = calc->slots[--calc->nslots];
        nf_list_free(&last->list);
        nf_free(last);
    }
}

/* ---- workspaces ---- */

static int next_space(nf_calc *calc, nf_workspace **out, nf_error *err)
{
    if (calc->spaces_used == calc->nspaces) {
        if (NF_GROW(calc->spaces, calc->cap_spaces, calc->nspaces + 1))
            return nf_fail_memory(err, "a structure");
        nf_workspace *fresh = nf_calloc(1, sizeof *fresh);
        if (fresh == NULL)
            return nf_fail_memory(err, "a structure");
        calc->spaces[calc->nspaces++] = fresh;
    }
    *out = calc->spaces[calc->spaces_used++];
    return 0;
}

static int find_elements(const nf_model *model, const nf_frame *frame, int *element, nf_error *err)
{
    for (size_t i = 0; i < frame->natoms; i++) {
        element[i] = nf_elements_find(&model->elements, frame->species[i]);
        if (element[i] < 0) {
            const char *symbol = nf_element_symbol(frame->species[i]);
            return nf_fail(err, NF_EINVAL, "atom %zu is %s (atomic number %d), which the model does not know", i + 1,
                           symbol == NULL ? "no element" : symbol, frame->species[i]);
        }
    }
    return 0;
}

int nf_calc_space(nf_calc *calc, const nf_frame *frame, size_t nbar, nf_workspace **out, nf_error *err)
{
    nf_workspace *w = NULL;
    size_t n = frame->natoms;
    TRY(next_space(calc, &w, err));
    if (NF_GROW(w->element, w->cap_element, n) || NF_GROW(w->force, w->cap_force, nbar * n) ||
        NF_GROW(w->virial, w->cap_virial, nbar * n) || NF_GROW(w->extrapolated, w->cap_extrapolated, n) ||
        NF_GROW(w->member_energy, w->cap_member_energy, calc->model->nmembers) ||
        NF_GROW(w->atom_energy, w->cap_atom_energy, calc->model->nmembers * n))
        return nf_fail_memory(err, "a structure");
    memset(w->force, 0, nbar * n * sizeof *w->force);
    *out = w;
    return find_elements(calc->model, frame, w->element, err);
}
