/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/structure.h"

#include <string.h>

#include "base/mem.h"

void nf_structure_free(nf_structure *s)
{
    if (s == NULL)
        return;
    nf_free(s->pos);
    nf_free(s->species);
    nf_free(s->forces);
    nf_free(s->info);
    nf_free(s->columns);
    nf_free(s->token);
    nf_free(s->text);
    nf_free(s->comment);
    *s = (nf_structure){0};
}

void nf_structure_clear(nf_structure *s)
{
    nf_structure empty = {0};
    empty.pos = s->pos;
    empty.species = s->species;
    empty.forces = s->forces;
    empty.info = s->info;
    empty.columns = s->columns;
    empty.token = s->token;
    empty.text = s->text;
    empty.comment = s->comment;
    empty.capacity = s->capacity;
    *s = empty;
}

void nf_structure_view(const nf_structure *s, nf_frame *frame)
{
    *frame = (nf_frame)NF_FRAME_INIT;
    frame->natoms = s->natoms;
    frame->pos = (const double(*)[3])s->pos;
    frame->species = s->species;
    memcpy(frame->cell, s->cell, sizeof frame->cell);
    memcpy(frame->pbc, s->pbc, sizeof frame->pbc);
}

const nf_info *nf_structure_info(const nf_structure *s, const char *key)
{
    for (size_t i = 0; i < s->ninfo; i++)
        if (strcmp(s->info[i].key, key) == 0)
            return &s->info[i];
    return NULL;
}
