/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/extxyz.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/extxyz_comment.h"
#include "io/number.h"
#include "io/outfile.h"

/* What becomes of a value of the structure when the caller adds others. */
enum fate { STAYS, BECOMES_REF, GOES };

struct nf_xyz_writer {
    nf_outfile out;
    enum fate *fate; /* of the columns */
    size_t capacity;
};

int nf_xyz_create(nf_xyz_writer **out, const char *path, nf_error *err)
{
    nf_xyz_writer *w = *out = nf_calloc(1, sizeof *w);
    if (w == NULL)
        return nf_fail_memory(err, "writing a file");
    int rc = nf_outfile_create(&w->out, path, err);
    if (rc < 0) {
        nf_free(w);
        *out = NULL;
    }
    return rc;
}

static void writer_free(nf_xyz_writer *w)
{
    nf_free(w->fate);
    nf_free(w);
}

int nf_xyz_close(nf_xyz_writer *w, nf_error *err)
{
    int rc = nf_outfile_commit(&w->out, err);
    writer_free(w);
    return rc;
}

void nf_xyz_discard(nf_xyz_writer *w)
{
    if (w == NULL)
        return;
    nf_outfile_discard(&w->out);
    writer_free(w);
}

/* ---- names ---- */

/* A file holds values of one source under names that belong together. */
static bool same_quantity(const char *a, const char *b)
{
    static const char *const family[][2] = {{"energy", "free_energy"}, {"forces", "force"}, {"virial", "stress"}};
    if (strcmp(a, b) == 0)
        return true;
    for (size_t i = 0; i < sizeof family / sizeof *family; i++)
        for (int k = 0; k < 2; k++)
            if (strcmp(a, family[i][k]) == 0 && strcmp(b, family[i][1 - k]) == 0)
                return true;
    return false;
}

static bool is_ref_of(const char *name, const char *of)
{
    return strncmp(name, "ref_", 4) == 0 && strcmp(name + 4, of) == 0;
}

/* Pairs and columns, the caller's and the structure's: each begins with its name. */
struct list {
    const void *first;
    size_t n, size;
};

static const char *name_at(struct list list, size_t i)
{
    const char *name;
    memcpy(&name, (const char *)list.first + i * list.size, sizeof name);
    return name;
}

static bool has_ref(struct list list, const char *name)
{
    for (size_t i = 0; i < list.n; i++)
        if (is_ref_of(name_at(list, i), name))
            return true;
    return false;
}

static enum fate fate_of(const char *name, struct list own, struct list added)
{
    for (size_t i = 0; i < added.n; i++)
        if (same_quantity(name_at(added, i), name))
            return has_ref(added, name) || has_ref(own, name) ? GOES : BECOMES_REF;
    return STAYS;
}

static enum fate fate_of_info(const nf_structure *s, const nf_xyz_output *o, const char *key)
{
    struct list own = {s->info, s->ninfo, sizeof *s->info}, added = {o->info, o->ninfo, sizeof *o->info};
    return fate_of(key, own, added);
}

static enum fate fate_of_column(const nf_structure *s, const nf_xyz_output *o, const char *name)
{
    struct list own = {s->columns, s->ncolumns, sizeof *s->columns};
    struct list added = {o->columns, o->ncolumns, sizeof *o->columns};
    return fate_of(name, own, added);
}

static enum fate fate_of_forces(const nf_structure *s, const nf_xyz_output *o)
{
    return s->has_forces ? fate_of_column(s, o, "forces") : GOES;
}

/* ---- words ---- */

static void put(nf_outfile *out, const char *text)
{
    nf_outfile_put(out, text, strlen(text));
}

static void put_real(nf_outfile *out, double value)
{
    char *room = nf_outfile_room(out, NF_NUMBER_TEXT);
    if (room != NULL)
        out->length += nf_number_format(room, value);
}

static void put_integer(nf_outfile *out, long value)
{
    char text[NF_NUMBER_TEXT];
    nf_outfile_put(out, text, (size_t)snprintf(text, sizeof text, "%ld", value));
}

static void put_string(nf_outfile *out, const char *text)
{
    if (!nf_pair_needs_quotes(text)) {
        put(out, text);
        return;
    }
    char *room = nf_outfile_room(out, 2 * strlen(text) + 3);
    if (room != NULL)
        out->length += nf_pair_quote(room, text);
}

/* To ASE key="" is not empty: it takes the next pair for the value. A blank keeps them apart. */
static void put_value(nf_outfile *out, const char *value)
{
    put(out, nf_pair_is_empty(value) ? "\" \"" : value);
}

static void put_key(nf_outfile *out, enum fate fate, const char *key)
{
    put(out, fate == BECOMES_REF ? " ref_" : " ");
    put_string(out, key);
}

/* ---- comment line ---- */

static void put_matrix(nf_outfile *out, const double m[3][3])
{
    for (int k = 0; k < 9; k++) {
        put(out, k == 0 ? "=\"" : " ");
        put_real(out, m[k % 3][k / 3]);
    }
    put(out, "\"");
}

static void put_lattice(nf_outfile *out, const double cell[3][3])
{
    bool any = false;
    for (int k = 0; k < 9; k++)
        any = any || cell[k / 3][k % 3] != 0.0;
    for (int k = 0; k < 9 && any; k++) {
        put(out, k == 0 ? "Lattice=\"" : " ");
        put_real(out, cell[k / 3][k % 3]);
    }
    put(out, any ? "\" " : "");
}

static void put_property(nf_outfile *out, enum fate fate, const char *name, char type, size_t ncols)
{
    char shape[NF_NUMBER_TEXT];
    snprintf(shape, sizeof shape, ":%c:%zu", type, ncols);
    put(out, fate == BECOMES_REF ? ":ref_" : ":");
    put(out, name);
    put(out, shape);
}

static void put_properties(nf_xyz_writer *w, const nf_structure *s, const nf_xyz_output *o)
{
    nf_outfile *out = &w->out;
    enum fate forces = fate_of_forces(s, o);
    put(out, "Properties=species:S:1:pos:R:3");
    for (size_t i = 0; i < o->ncolumns; i++)
        put_property(out, STAYS, o->columns[i].name, o->columns[i].real != NULL ? 'R' : 'I', o->columns[i].ncols);
    if (forces != GOES)
        put_property(out, forces, forces == STAYS && s->forces_key != NULL ? s->forces_key : "forces", 'R', 3);
    for (size_t i = 0; i < s->ncolumns; i++)
        if (w->fate[i] != GOES)
            put_property(out, w->fate[i], s->columns[i].name, s->columns[i].type, s->columns[i].ncols);
    put(out, " pbc=\"");
    for (int k = 0; k < 3; k++)
        put(out, k == 2 ? (s->pbc[k] ? "T\"" : "F\"") : (s->pbc[k] ? "T " : "F "));
}

static void put_output_info(nf_outfile *out, const nf_xyz_info *info)
{
    put_key(out, STAYS, info->key);
    put(out, "=");
    if (info->string != NULL) {
        put_string(out, *info->string == '\0' ? " " : info->string);
        return;
    }
    for (size_t i = 0; i < info->n; i++) {
        put(out, i > 0 ? " " : info->n > 1 ? "\"" : "");
        if (info->real != NULL)
            put_real(out, info->real[i]);
        else
            put_integer(out, info->integer[i]);
    }
    put(out, info->n > 1 ? "\"" : "");
}

static void put_references(nf_outfile *out, const nf_structure *s, const nf_xyz_output *o)
{
    const char *tensor = s->has_stress ? "stress" : "virial";
    enum fate energy = s->has_energy ? fate_of_info(s, o, "energy") : GOES;
    enum fate virial = s->has_virial ? fate_of_info(s, o, tensor) : GOES;
    if (energy != GOES) {
        put_key(out, energy, energy == STAYS && s->energy_key != NULL ? s->energy_key : "energy");
        put(out, "=");
        put_real(out, s->energy);
    }
    if (virial != GOES) {
        put_key(out, virial, tensor);
        put_matrix(out, (const double(*)[3])(s->has_stress ? s->stress : s->virial));
    }
}

static void put_info(nf_outfile *out, const nf_structure *s, const nf_xyz_output *o)
{
    for (size_t i = 0; i < s->ninfo; i++) {
        const nf_info *info = &s->info[i];
        enum fate fate = fate_of_info(s, o, info->key);
        if (fate == GOES)
            continue;
        put_key(out, fate, info->key);
        if (info->value != NULL) {
            put(out, "=");
            put_value(out, info->value);
        }
    }
}

static void put_header(nf_xyz_writer *w, const nf_structure *s, const nf_xyz_output *o)
{
    nf_outfile *out = &w->out;
    put_integer(out, (long)s->natoms);
    put(out, "\n");
    put_lattice(out, (const double(*)[3])s->cell);
    put_properties(w, s, o);
    for (size_t i = 0; i < o->ninfo; i++)
        put_output_info(out, &o->info[i]);
    put_references(out, s, o);
    put_info(out, s, o);
    put(out, "\n");
}

/* ---- atoms ---- */

static void put_reals(nf_outfile *out, const double *value, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        put(out, " ");
        put_real(out, value[k]);
    }
}

static void put_output_column(nf_outfile *out, const nf_xyz_column *column, size_t atom)
{
    size_t first = atom * column->ncols;
    if (column->real != NULL) {
        put_reals(out, column->real + first, column->ncols);
        return;
    }
    for (size_t k = 0; k < column->ncols; k++) {
        put(out, " ");
        put_integer(out, column->integer[first + k]);
    }
}

static void put_tokens(nf_outfile *out, const nf_structure *s, const nf_column *column, size_t atom)
{
    for (size_t k = 0; k < column->ncols; k++) {
        put(out, " ");
        put(out, nf_structure_token(s, column, atom, k));
    }
}

static void put_atoms(nf_xyz_writer *w, const nf_structure *s, const nf_xyz_output *o)
{
    nf_outfile *out = &w->out;
    bool forces = fate_of_forces(s, o) != GOES;
    for (size_t i = 0; i < s->natoms; i++) {
        put(out, nf_element_symbol(s->species[i]));
        put_reals(out, s->pos[i], 3);
        for (size_t c = 0; c < o->ncolumns; c++)
            put_output_column(out, &o->columns[c], i);
        if (forces)
            put_reals(out, s->forces[i], 3);
        for (size_t c = 0; c < s->ncolumns; c++)
            if (w->fate[c] != GOES)
                put_tokens(out, s, &s->columns[c], i);
        put(out, "\n");
    }
}

/* ---- frames ---- */

static int check(const nf_xyz_writer *w, const nf_structure *s, const nf_xyz_output *o, nf_error *err)
{
    for (size_t i = 0; i < s->natoms; i++)
        if (nf_element_symbol(s->species[i]) == NULL)
            return nf_fail(err, NF_EINVAL, "%s: atom %zu has no element: atomic number %d", w->out.path, i + 1,
                           s->species[i]);
    for (size_t i = 0; i < o->ninfo; i++)
        if (o->info[i].string != NULL && strpbrk(o->info[i].string, "\n\r") != NULL)
            return nf_fail(err, NF_EINVAL, "%s: the value of '%s' has a line break", w->out.path, o->info[i].key);
    return 0;
}

int nf_xyz_write(nf_xyz_writer *w, const nf_structure *s, const nf_xyz_output *o, nf_error *err)
{
    static const nf_xyz_output nothing = {0};
    if (o == NULL)
        o = &nothing;
    TRY(check(w, s, o, err));
    if (NF_GROW(w->fate, w->capacity, s->ncolumns) < 0)
        return nf_fail_memory(err, "writing a structure");
    for (size_t i = 0; i < s->ncolumns; i++)
        w->fate[i] = fate_of_column(s, o, s->columns[i].name);
    put_header(w, s, o);
    put_atoms(w, s, o);
    return nf_outfile_check(&w->out, err);
}
