/* SPDX-License-Identifier: BSD-3-Clause */
#include "listing.h"

#include <check.h>
#include <string.h>

void listing_make(listing *l, const nf_frame *frame, int nelements, const int *elements, double cutoff, double skin)
{
    nf_error err = {0};
    nf_list_scratch scratch = {0};
    memset(l, 0, sizeof *l);
    l->nelements = nelements;
    for (size_t i = 0; i < frame->natoms; i++)
        while (elements[l->element[i]] != frame->species[i])
            l->element[i]++;
    int rc = nf_cell_make(&l->cell, frame->cell, frame->pbc, &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    rc = nf_list_begin(&l->list, &l->cell, frame->natoms, frame->pos, l->element, cutoff, skin, &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    for (size_t p = 0; p < l->list.npatches; p++) {
        rc = nf_list_patch(&l->list, p, nelements, &scratch, &err);
        ck_assert_msg(rc == 0, "%s", err.msg);
    }
    l->list.valid = true;
    nf_list_scratch_free(&scratch);
}

void listing_free(listing *l)
{
    nf_list_free(&l->list);
}

nf_patch_view listing_view(const listing *l, size_t patch, const nf_frame *frame, const double (*h)[3])
{
    return (nf_patch_view){&l->list.patches[patch], frame->pos, h, l->element, l->nelements, l->list.cutoff};
}
