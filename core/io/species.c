/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/species.h"

#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/extxyz.h"
#include "io/species_atoms.h"
#include "io/words.h"

/* ---- atoms ---- */

static int reserve(nf_atoms *atoms, size_t n, const char *what, nf_error *err)
{
    size_t most = atoms->most > 0 ? atoms->most : NF_SPECIES_MAX;
    if (n > most)
        return nf_fail(err, NF_ELIMIT, "%s: more than %zu atoms", what, most);
    return NF_GROW(atoms->number, atoms->capacity, n) < 0 ? nf_fail_memory(err, "the list of elements") : 0;
}

int nf_atoms_add(nf_atoms *atoms, int number, const char *what, nf_error *err)
{
    TRY(reserve(atoms, atoms->n + 1, what, err));
    atoms->number[atoms->n++] = number;
    return 0;
}

int nf_atoms_repeat(nf_atoms *atoms, size_t first, size_t times, const char *what, nf_error *err)
{
    size_t group = atoms->n - first;
    size_t total = times > NF_SPECIES_MAX ? SIZE_MAX : first + group * times;
    TRY(reserve(atoms, total, what, err));
    for (; atoms->n < total; atoms->n += group)
        memcpy(atoms->number + atoms->n, atoms->number + first, group * sizeof *atoms->number);
    return 0;
}

static int finish(nf_atoms *atoms, int rc, const char *what, int **species, size_t *n, nf_error *err)
{
    if (rc == 0 && atoms->n == 0)
        rc = nf_fail(err, NF_EFORMAT, "%s: no atoms; write a list such as 'O H H * 64'", what);
    *species = rc == 0 ? atoms->number : NULL;
    *n = rc == 0 ? atoms->n : 0;
    if (rc < 0)
        nf_free(atoms->number);
    return rc;
}

/* ---- files ---- */

static int read_xyz(nf_atoms *atoms, nf_lines *in, nf_error *err)
{
    nf_xyz_reader *reader;
    nf_structure s = {0};
    TRY(nf_xyz_open_lines(&reader, in, err));
    int rc = nf_xyz_next(reader, &s, err);
    if (rc > 0) {
        *atoms = (nf_atoms){.number = s.species, .n = s.natoms, .capacity = s.capacity.species};
        s.species = NULL;
        rc = 0;
    }
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
    return rc;
}

/* Says by its first line what a file is. */
static int read_lines(nf_atoms *atoms, nf_lines *in, nf_error *err)
{
    char *line;
    int rc = nf_lines_next_filled(in, &line, err);
    if (rc <= 0)
        return rc;
    nf_lines_unread(in);
    if (nf_is_digit(*nf_skip_blanks(line)))
        return read_xyz(atoms, in, err);
    return nf_species_is_pdb(line) ? nf_species_pdb(atoms, in, err) : nf_species_list(atoms, in, err);
}

int nf_species_parse_file(int **species, size_t *n, const char *name, const void *data, size_t size, nf_error *err)
{
    nf_lines in;
    nf_atoms atoms = {0};
    *species = NULL;
    *n = 0;
    TRY(nf_lines_open_memory(&in, name, data, size, err));
    int rc = read_lines(&atoms, &in, err);
    nf_lines_close(&in);
    return finish(&atoms, rc, name, species, n, err);
}

static int read_file(int **species, size_t *n, const char *path, nf_error *err)
{
    nf_lines in;
    nf_atoms atoms = {0};
    *species = NULL;
    *n = 0;
    TRY(nf_lines_open(&in, path, err));
    int rc = read_lines(&atoms, &in, err);
    nf_lines_close(&in);
    return finish(&atoms, rc, path, species, n, err);
}

static int read_list(int **species, size_t *n, const char *list, size_t most, const char *what, nf_error *err)
{
    nf_atoms atoms = {.most = most};
    *species = NULL;
    *n = 0;
    int rc = nf_species_list_text(&atoms, list, what, err);
    return finish(&atoms, rc, what, species, n, err);
}

int nf_species_parse_list(int **species, size_t *n, const char *list, size_t most, nf_error *err)
{
    return read_list(species, n, list, most, "list of elements", err);
}

int nf_species_read(int **species, size_t *n, const char *spec, nf_error *err)
{
    struct stat is;
    if (stat(spec, &is) != 0 || S_ISDIR(is.st_mode))
        return read_list(species, n, spec, 0, "no such file, and as a list of elements", err);
    return read_file(species, n, spec, err);
}
