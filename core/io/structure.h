/* SPDX-License-Identifier: BSD-3-Clause
 *
 * structure.h - one frame of a file: atoms, cell, reference values, and all the rest of it as text.
 *
 * What nearfar does not understand is not lost: further key=value pairs of the comment line and further
 * columns are kept as they stand, so that reading and writing a file passes them through.
 *
 *     token   [ atom 0: columns[0] ncols | columns[1] ncols | ... ][ atom 1: ... ]    offsets into text
 *
 * A structure that is all zero is empty and valid. Readers reuse its arrays, which only grow.
 */
#ifndef NF_IO_STRUCTURE_H
#define NF_IO_STRUCTURE_H

#include "nearfar/nearfar.h"

/** A key=value pair of the comment line that is not one of the fields below. */
typedef struct {
    const char *key;   /* without quotes and escapes */
    const char *value; /* as it stands in the file, quotes and all; NULL: the bare word, which means true */
} nf_info;

/** A per-atom property that is not one of the fields below. */
typedef struct {
    const char *name;
    char type;    /* 'R'eal, 'I'nteger, 'S'tring or 'L'ogical */
    size_t ncols; /* tokens per atom */
    size_t first; /* of its tokens among those of an atom */
} nf_column;

typedef struct {
    size_t natoms;
    double (*pos)[3];  /* Angstrom */
    int *species;      /* atomic numbers */
    double cell[3][3]; /* rows, Angstrom; all zero: none */
    bool pbc[3];
    long line; /* where the frame begins in its file, from 1 */

    /* reference values, where the file has them */
    bool has_energy, has_forces, has_virial;
    double energy;          /* eV */
    double (*forces)[3];    /* eV/Angstrom */
    double virial[3][3];    /* -dE/dstrain, eV */
    bool has_stress;        /* the virial was made of `stress`, the file's own numbers, eV/Angstrom^3: */
    double stress[3][3];    /* -virial/volume */
    const char *energy_key; /* static: the file's name for it, "energy" or "free_energy"; NULL: "energy" */
    const char *forces_key; /* likewise "forces" or "force" */

    /* the rest, as text */
    size_t ninfo;
    nf_info *info;
    size_t ncolumns;
    nf_column *columns;
    size_t ntokens; /* per atom, over all columns */
    size_t *token;  /* [natoms][ntokens] */
    char *text;

    /* storage */
    char *comment; /* what info and columns point to */
    struct {
        size_t pos, species, forces, info, columns, token, text, comment;
    } capacity;
} nf_structure;

/** Frees what the structure holds and leaves it empty; NULL is fine. */
void nf_structure_free(nf_structure *s);

/** Empties the structure and keeps its arrays for the next one. */
void nf_structure_clear(nf_structure *s);

/** The structure as a frame to evaluate: a view that lives as long as the structure stays as it is. */
void nf_structure_view(const nf_structure *s, nf_frame *frame);

/** The pair with that key, NULL if there is none. */
const nf_info *nf_structure_info(const nf_structure *s, const char *key);

/** Entry k < column->ncols of an atom in a column of s. */
static inline const char *nf_structure_token(const nf_structure *s, const nf_column *column, size_t atom, size_t k)
{
    return s->text + s->token[atom * s->ntokens + column->first + k];
}

#endif
