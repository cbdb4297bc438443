/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/extxyz_layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/extxyz_comment.h"
#include "io/words.h"

enum { MAX_FIELDS = 256, MAX_COLUMNS = NF_LINE_MAX / 2 };

struct field {
    const char *name;
    char type;
    size_t ncols;
    enum nf_slot_kind kind;
};

static const struct field known[] = {
    {"species", 'S', 1, NF_SLOT_SPECIES}, {"symbols", 'S', 1, NF_SLOT_SPECIES}, {"Z", 'I', 1, NF_SLOT_NUMBER},
    {"numbers", 'I', 1, NF_SLOT_NUMBER},  {"pos", 'R', 3, NF_SLOT_POS},         {"positions", 'R', 3, NF_SLOT_POS},
    {"forces", 'R', 3, NF_SLOT_FORCES},   {"force", 'R', 3, NF_SLOT_FORCES},
};

enum { NKNOWN = sizeof known / sizeof *known };

struct table {
    struct field field[MAX_FIELDS];
    size_t n;
};

/* Cuts the part before the next colon off *text; NULL if nothing is left. */
static char *next_part(char **text)
{
    char *part = *text;
    if (part == NULL)
        return NULL;
    char *colon = strchr(part, ':');
    *text = colon == NULL ? NULL : colon + 1;
    if (colon != NULL)
        *colon = '\0';
    return part;
}

static struct field *find_name(struct table *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->field[i].name, name) == 0)
            return &t->field[i];
    return NULL;
}

static const struct field *find_kind(const struct table *t, enum nf_slot_kind kind)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->field[i].kind == kind)
            return &t->field[i];
    return NULL;
}

static int add_field(struct table *t, const char *name, const char *type, const char *ncols, const nf_lines *at,
                     nf_error *err)
{
    char *end = NULL;
    unsigned long n = ncols != NULL && nf_is_digit(*ncols) ? strtoul(ncols, &end, 10) : 0;
    if (n < 1 || n > MAX_COLUMNS || *end != '\0' || strlen(type) != 1 || strchr("RISL", *type) == NULL)
        return nf_fail(err, NF_EFORMAT,
                       "%s:%ld: Properties: '%s' needs a type of R, I, S, L and a number of columns, as in pos:R:3",
                       NF_AT(at), nf_excerpt_word(name).text);
    if (nf_pair_needs_quotes(name))
        return nf_fail(err, NF_EFORMAT, "%s:%ld: Properties: the name '%s' has blanks, quotes or is empty", NF_AT(at),
                       nf_excerpt_word(name).text);
    if (find_name(t, name) != NULL)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: Properties: '%s' is there twice", NF_AT(at),
                       nf_excerpt_word(name).text);
    if (t->n == MAX_FIELDS)
        return nf_fail(err, NF_ELIMIT, "%s:%ld: more than %d Properties", NF_AT(at), MAX_FIELDS);
    t->field[t->n++] = (struct field){name, *type, n, NF_SLOT_TEXT};
    return 0;
}

static int split(struct table *t, char *properties, const nf_lines *at, nf_error *err)
{
    char *rest = properties;
    t->n = 0;
    for (char *name; (name = next_part(&rest)) != NULL;) {
        const char *type = next_part(&rest);
        const char *ncols = next_part(&rest);
        TRY(add_field(t, name, type == NULL ? "" : type, ncols, at, err));
    }
    return 0;
}

static int recognise_field(struct table *t, const struct field *as, const nf_lines *at, nf_error *err)
{
    struct field *f = find_name(t, as->name);
    if (f == NULL)
        return 0;
    const struct field *other = find_kind(t, as->kind);
    if (other != NULL && as->kind == NF_SLOT_FORCES) /* `forces` counts and `force` stays text */
        return 0;
    if (other != NULL)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: Properties has both '%s' and '%s'", NF_AT(at), other->name, f->name);
    if (f->type != as->type || f->ncols != as->ncols)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: Properties: '%s' must be %s:%c:%zu", NF_AT(at), f->name, f->name,
                       as->type, as->ncols);
    f->kind = as->kind;
    return 0;
}

static int recognise(struct table *t, const nf_lines *at, nf_error *err)
{
    for (size_t k = 0; k < NKNOWN; k++)
        TRY(recognise_field(t, &known[k], at, err));
    if (find_kind(t, NF_SLOT_POS) == NULL)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: Properties has no positions, pos:R:3", NF_AT(at));
    if (find_kind(t, NF_SLOT_SPECIES) == NULL && find_kind(t, NF_SLOT_NUMBER) == NULL)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: Properties has no elements, species:S:1 or Z:I:1", NF_AT(at));
    return 0;
}

static int add_slots(nf_layout *layout, const struct field *f, size_t first, const nf_lines *at, nf_error *err)
{
    if (layout->nslots + f->ncols > MAX_COLUMNS)
        return nf_fail(err, NF_ELIMIT, "%s:%ld: Properties: more than %d columns", NF_AT(at), MAX_COLUMNS);
    if (NF_GROW(layout->slot, layout->capacity, layout->nslots + f->ncols) < 0)
        return nf_fail_memory(err, "the columns of a structure");
    for (size_t k = 0; k < f->ncols; k++)
        layout->slot[layout->nslots++] = (nf_slot){f->kind, (unsigned)(first + k)};
    return 0;
}

static int add_column(nf_structure *s, const struct field *f, nf_error *err)
{
    if (NF_GROW(s->columns, s->capacity.columns, s->ncolumns + 1) < 0)
        return nf_fail_memory(err, "the columns of a structure");
    s->columns[s->ncolumns++] = (nf_column){f->name, f->type, f->ncols, s->ntokens};
    s->ntokens += f->ncols;
    return 0;
}

static const char *static_name(const struct field *f)
{
    for (size_t k = 0; k < NKNOWN; k++)
        if (strcmp(known[k].name, f->name) == 0)
            return known[k].name;
    return NULL;
}

int nf_layout_parse(nf_layout *layout, nf_structure *s, char *properties, const nf_lines *at, nf_error *err)
{
    struct table t;
    TRY(split(&t, properties, at, err));
    TRY(recognise(&t, at, err));
    layout->nslots = 0;
    for (size_t i = 0; i < t.n; i++) {
        bool text = t.field[i].kind == NF_SLOT_TEXT;
        TRY(add_slots(layout, &t.field[i], text ? s->ntokens : 0, at, err));
        if (text)
            TRY(add_column(s, &t.field[i], err));
    }
    const struct field *forces = find_kind(&t, NF_SLOT_FORCES);
    s->has_forces = forces != NULL;
    s->forces_key = forces == NULL ? NULL : static_name(forces);
    return 0;
}
