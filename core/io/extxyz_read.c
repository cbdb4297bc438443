/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/extxyz.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/extxyz_header.h"
#include "io/lines.h"
#include "io/number.h"
#include "io/symbols.h"
#include "io/words.h"

enum { MAX_ATOMS = 100000000 };

struct nf_xyz_reader {
    nf_lines in;
    nf_symbols symbols;
    nf_layout layout;
    bool plain;  /* what follows on an atom's line is ignored */
    size_t used; /* bytes of the structure's text */
};

/* ---- opening ---- */

int nf_xyz_open_lines(nf_xyz_reader **out, nf_lines *in, nf_error *err)
{
    nf_xyz_reader *r = *out = nf_calloc(1, sizeof *r);
    if (r == NULL) {
        nf_lines_close(in);
        return nf_fail_memory(err, "reading structures");
    }
    r->in = *in;
    *in = (nf_lines){0};
    nf_symbols_init(&r->symbols);
    return 0;
}

int nf_xyz_open(nf_xyz_reader **out, const char *path, nf_error *err)
{
    nf_lines in;
    *out = NULL;
    TRY(nf_lines_open(&in, path, err));
    return nf_xyz_open_lines(out, &in, err);
}

int nf_xyz_open_memory(nf_xyz_reader **out, const char *name, const void *data, size_t size, nf_error *err)
{
    nf_lines in;
    *out = NULL;
    TRY(nf_lines_open_memory(&in, name, data, size, err));
    return nf_xyz_open_lines(out, &in, err);
}

void nf_xyz_reader_free(nf_xyz_reader *r)
{
    if (r == NULL)
        return;
    nf_lines_close(&r->in);
    nf_free(r->layout.slot);
    nf_free(r);
}

/* ---- words of an atom's line: 0 and *end behind the word, or < 0 ---- */

static int bad_word(const nf_xyz_reader *r, const char *word, const char *what, nf_error *err)
{
    return nf_fail(err, NF_EFORMAT, "%s:%ld: '%s' is %s", NF_AT(&r->in), nf_excerpt_word(word).text, what);
}

static int take_number(const nf_xyz_reader *r, const char *word, const char **end, double *value, nf_error *err)
{
    *end = nf_number_parse(word, value);
    if (*end == NULL || (**end != '\0' && !nf_is_blank(**end)))
        return bad_word(r, word, "no finite number", err);
    return 0;
}

/* A line may have both the symbol and the atomic number. */
static int set_species(const nf_xyz_reader *r, const char *word, int *species, int z, nf_error *err)
{
    if (*species != 0 && *species != z)
        return bad_word(r, word, "not the other element of the same line", err);
    *species = z;
    return 0;
}

static int take_symbol(const nf_xyz_reader *r, const char *word, const char **end, int *species, nf_error *err)
{
    *end = nf_word_end(word);
    int z = nf_symbols_find(&r->symbols, word, (size_t)(*end - word));
    if (z == 0)
        return bad_word(r, word, "no element (labels such as H1 are not understood: write H)", err);
    return set_species(r, word, species, z, err);
}

static int take_atomic_number(const nf_xyz_reader *r, const char *word, const char **end, int *species, nf_error *err)
{
    int z = 0;
    for (*end = word; nf_is_digit(**end) && z < 1000; (*end)++)
        z = 10 * z + (**end - '0');
    if ((**end != '\0' && !nf_is_blank(**end)) || nf_element_symbol(z) == NULL)
        return bad_word(r, word, "no atomic number", err);
    return set_species(r, word, species, z, err);
}

static int take_text(nf_xyz_reader *r, const char *word, const char **end, nf_structure *s, size_t *token,
                     nf_error *err)
{
    *end = nf_word_end(word);
    size_t n = (size_t)(*end - word);
    if (NF_GROW(s->text, s->capacity.text, r->used + n + 1) < 0)
        return nf_fail_memory(err, "the columns of a structure");
    memcpy(s->text + r->used, word, n);
    s->text[r->used + n] = '\0';
    *token = r->used;
    r->used += n + 1;
    return 0;
}

/* ---- atoms ---- */

static int take_word(nf_xyz_reader *r, nf_slot as, const char *word, const char **end, nf_structure *s, nf_error *err)
{
    size_t i = s->natoms;
    switch ((enum nf_slot_kind)as.kind) {
    case NF_SLOT_SPECIES:
        return take_symbol(r, word, end, &s->species[i], err);
    case NF_SLOT_NUMBER:
        return take_atomic_number(r, word, end, &s->species[i], err);
    case NF_SLOT_POS:
        return take_number(r, word, end, &s->pos[i][as.component], err);
    case NF_SLOT_FORCES:
        return take_number(r, word, end, &s->forces[i][as.component], err);
    case NF_SLOT_TEXT:
        break;
    }
    return take_text(r, word, end, s, &s->token[i * s->ntokens + as.component], err);
}

static int read_atom(nf_xyz_reader *r, nf_structure *s, const char *line, nf_error *err)
{
    const char *p = line;
    s->species[s->natoms] = 0;
    for (size_t k = 0; k < r->layout.nslots; k++) {
        p = nf_skip_blanks(p);
        if (*p == '\0')
            return nf_fail(err, NF_EFORMAT, "%s:%ld: an atom needs %zu columns, here are %zu", NF_AT(&r->in),
                           r->layout.nslots, k);
        TRY(take_word(r, r->layout.slot[k], p, &p, s, err));
    }
    p = nf_skip_blanks(p);
    if (*p != '\0' && !r->plain)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: more columns than the %zu of Properties, from '%s' on", NF_AT(&r->in),
                       r->layout.nslots, nf_excerpt_word(p).text);
    s->natoms++;
    return 0;
}

/* The number of atoms in the file is believed only as far as there are lines. */
static int make_room(nf_structure *s, nf_error *err)
{
    size_t n = s->natoms + 1;
    if (NF_GROW(s->pos, s->capacity.pos, n) < 0 || NF_GROW(s->species, s->capacity.species, n) < 0 ||
        (s->has_forces && NF_GROW(s->forces, s->capacity.forces, n) < 0) ||
        (s->ntokens > 0 && NF_GROW(s->token, s->capacity.token, n * s->ntokens) < 0))
        return nf_fail_memory(err, "the atoms of a structure");
    return 0;
}

static int read_atoms(nf_xyz_reader *r, nf_structure *s, size_t natoms, nf_error *err)
{
    char *line;
    r->used = 0;
    while (s->natoms < natoms) {
        int rc = nf_lines_next(&r->in, &line, err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return nf_fail(err, NF_EFORMAT, "%s: ends after %zu of the %zu atoms of the frame at line %ld", r->in.path,
                           s->natoms, natoms, s->line);
        TRY(make_room(s, err));
        TRY(read_atom(r, s, line, err));
    }
    return 0;
}

/* ---- frames ---- */

static int parse_count(const nf_xyz_reader *r, const char *line, size_t *natoms, nf_error *err)
{
    const char *word = nf_skip_blanks(line), *p = word;
    size_t n = 0;
    for (; nf_is_digit(*p) && n <= MAX_ATOMS; p++)
        n = 10 * n + (size_t)(*p - '0');
    if (n > MAX_ATOMS)
        return nf_fail(err, NF_ELIMIT, "%s:%ld: more than %d atoms", NF_AT(&r->in), MAX_ATOMS);
    if (p == word || *nf_skip_blanks(p) != '\0' || n == 0)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: expected the number of atoms, found '%s'", NF_AT(&r->in),
                       nf_excerpt_of(word, strlen(word)).text);
    *natoms = n;
    return 0;
}

static int read_header(nf_xyz_reader *r, nf_structure *s, nf_error *err)
{
    char *line;
    int rc = nf_lines_next(&r->in, &line, err);
    if (rc == 0)
        return nf_fail(err, NF_EFORMAT, "%s: ends after the number of atoms at line %ld", r->in.path, s->line);
    return rc < 0 ? rc : nf_header_parse(s, &r->layout, &r->plain, line, &r->in, err);
}

int nf_xyz_next(nf_xyz_reader *r, nf_structure *s, nf_error *err)
{
    char *line;
    size_t natoms = 0;
    int rc = nf_lines_next_filled(&r->in, &line, err);
    if (rc <= 0)
        return rc;
    nf_structure_clear(s);
    s->line = r->in.number;
    TRY(parse_count(r, line, &natoms, err));
    TRY(read_header(r, s, err));
    TRY(read_atoms(r, s, natoms, err));
    return 1;
}

double nf_xyz_fraction(const nf_xyz_reader *reader)
{
    return nf_lines_fraction(&reader->in);
}
