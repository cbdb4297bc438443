/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Elements of a PDB file. They have columns of their own, 77-78, which few programs fill. Else the atom's
 * name tells, columns 13-16:
 *
 *     " CA "  " H1 "  one letter in column 14: carbon, hydrogen
 *     "CA  "  "CL1 "  two letters from column 13: calcium, chlorine
 *     "HG11"  "1HB "  names of hydrogens that need four columns
 *     "   O"  "  Na"  the symbol alone at the right, as i-PI writes it
 *
 * Source: PDB file format 3.3, https://www.wwpdb.org/documentation/file-format;
 * ipi/utils/io/backends/io_pdb.py (3.3.1).
 */
#include <string.h>

#include "base/status.h"
#include "io/species_atoms.h"
#include "io/symbols.h"
#include "io/words.h"

enum { SERIAL_END = 11, NAME = 12, NAME_WIDTH = 4, ELEMENT = 76, ELEMENT_WIDTH = 2 };

struct pdb {
    nf_symbols symbols;
    const nf_lines *in;
};

/* Some columns of a line, and where in them the first word is. */
struct field {
    char text[NAME_WIDTH + 1];
    size_t first, n;
};

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool begins_with(const char *line, const char *record)
{
    return strncmp(line, record, strlen(record)) == 0;
}

bool nf_species_is_pdb(const char *line)
{
    static const char *const records[] = {"ATOM  ", "HETATM", "CRYST1", "TITLE ", "HEADER", "REMARK",
                                          "MODEL ", "COMPND", "AUTHOR", "SOURCE", "KEYWDS", "EXPDTA",
                                          "REVDAT", "OBSLTE", "SPLIT ", "CAVEAT", "NUMMDL", "SEQRES"};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        if (begins_with(line, records[i]))
            return true;
    return false;
}

static struct field cut(const char *line, size_t column, size_t width)
{
    struct field f = {0};
    size_t length = strlen(line);
    for (size_t k = 0; k < width && column + k < length; k++)
        f.text[k] = line[column + k];
    const char *word = nf_skip_blanks(f.text);
    f.first = (size_t)(word - f.text);
    f.n = (size_t)(nf_word_end(word) - word);
    return f;
}

/* Hydrogens are many and mercury is rare, but the standard says mercury: neither is a safe guess. */
static int element_at_left(const struct pdb *pdb, const struct field *name)
{
    const char *word = name->text;
    int two = nf_symbols_find(&pdb->symbols, word, 2), one = nf_symbols_find(&pdb->symbols, word, 1);
    if (nf_is_digit(*word))
        return nf_symbols_find(&pdb->symbols, word + 1, 1);
    if (*word == 'H' && is_upper(word[1]) && name->n == NAME_WIDTH)
        return one;
    if (*word == 'H' && is_upper(word[1]) && name->n > 2 && two != 0)
        return 0;
    return two != 0 ? two : one;
}

static int element_of_name(const struct pdb *pdb, const struct field *name)
{
    const char *word = name->text + name->first;
    bool symbol = is_upper(*word) && is_lower(word[1]);
    int one = nf_symbols_find(&pdb->symbols, word, 1);
    int two = symbol ? nf_symbols_find(&pdb->symbols, word, 2) : 0;
    if (name->n == 0)
        return 0;
    if (name->first == 0)
        return element_at_left(pdb, name);
    if (name->first == 1)
        return two != 0 ? two : one;
    return name->n == 1 ? one : two;
}

static bool is_letters(const struct field *f)
{
    for (size_t k = 0; k < f->n; k++)
        if (!is_upper(f->text[f->first + k]) && !is_lower(f->text[f->first + k]))
            return false;
    return f->n > 0;
}

/* Serial numbers of six digits and more push what follows to the right. */
static size_t shift_of(const char *line)
{
    size_t shift = 0;
    while (strlen(line) > SERIAL_END + shift && nf_is_digit(line[SERIAL_END + shift]))
        shift++;
    return shift;
}

static int element_of(const struct pdb *pdb, const char *line, int *number, nf_error *err)
{
    size_t shift = shift_of(line);
    struct field name = cut(line, NAME + shift, NAME_WIDTH), element = cut(line, ELEMENT + shift, ELEMENT_WIDTH);
    if (is_letters(&element)) {
        const char *symbol = element.text + element.first;
        *number = nf_symbols_find(&pdb->symbols, symbol, element.n);
        if (*number == 0)
            return nf_fail(err, NF_EFORMAT, "%s:%ld: '%s' in columns 77-78 is no element", NF_AT(pdb->in), symbol);
        return 0;
    }
    *number = element_of_name(pdb, &name);
    if (*number == 0)
        return nf_fail(err, NF_EFORMAT,
                       "%s:%ld: cannot tell the element of atom '%s'; write its symbol into columns 77-78",
                       NF_AT(pdb->in), nf_excerpt_of(name.text, NAME_WIDTH).text);
    return 0;
}

int nf_species_pdb(nf_atoms *atoms, nf_lines *in, nf_error *err)
{
    struct pdb pdb = {.in = in};
    char *line;
    int rc, number;
    nf_symbols_init(&pdb.symbols);
    while ((rc = nf_lines_next(in, &line, err)) > 0 && !(begins_with(line, "END") && atoms->n > 0)) {
        if (!begins_with(line, "ATOM  ") && !begins_with(line, "HETATM"))
            continue;
        TRY(element_of(&pdb, line, &number, err));
        TRY(nf_atoms_add(atoms, number, in->path, err));
    }
    return rc < 0 ? rc : 0;
}
