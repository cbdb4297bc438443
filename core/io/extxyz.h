/* SPDX-License-Identifier: BSD-3-Clause
 *
 * extxyz.h - frames in and out as extended XYZ, the way ASE reads and writes it; plain XYZ is read too.
 *
 *     2
 *     Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 pbc="T T F"
 *     O 0.0 0.0 0.0  0.1 0.0 0.0
 *     H 0.0 0.0 0.9 -0.1 0.0 0.0
 *
 * Understood in the comment line:
 *     Lattice      9 numbers (a, b, c) or 3 (a box)
 *     pbc          3 of T and F, or one for all; without it all T with a Lattice, all F without
 *     Properties   name:type:columns:...; species or symbols (any case) or Z or numbers, pos or positions,
 * forces or force; without it: element x y z, and what follows on an atom's line is ignored energy       or
 * else free_energy virial       or else stress, as 9 numbers or 6 (xx yy zz yz xz xy); a stress without a
 * volume is just text All the rest passes through as text (structure.h).
 *
 * Stricter than ASE: one error with file and line for anything malformed, and for numbers that are not
 * finite. Limits: 1e8 atoms, 1 MiB per line. Source: https://github.com/libAtoms/extxyz and ase/io/extxyz.py
 * of ASE 3.29.
 */
#ifndef NF_IO_EXTXYZ_H
#define NF_IO_EXTXYZ_H

#include "io/structure.h"

struct nf_lines;

/* ---- reading ---- */

typedef struct nf_xyz_reader nf_xyz_reader;

/** Opens a file, gzipped or not; "-" is the standard input. On failure *out is NULL. */
int nf_xyz_open(nf_xyz_reader **out, const char *path, nf_error *err);
/** Reads from memory, which must stay; `name` is for messages. */
int nf_xyz_open_memory(nf_xyz_reader **out, const char *name, const void *data, size_t size, nf_error *err);
/** Goes on with open lines, which become the reader's, also on failure. */
int nf_xyz_open_lines(nf_xyz_reader **out, struct nf_lines *in, nf_error *err);
/** Reads the next frame into s, whose earlier contents go. 1: got one; 0: end of the file; < 0: error, and
 * neither reader nor s are good for anything but being freed. */
int nf_xyz_next(nf_xyz_reader *reader, nf_structure *s, nf_error *err);
/** How much of the file has been read, 0 to 1; negative where that is not known. */
double nf_xyz_fraction(const nf_xyz_reader *reader);
void nf_xyz_reader_free(nf_xyz_reader *reader);

/* ---- writing ---- */

/** A pair to add to the comment line: one of the three pointers is not NULL. */
typedef struct {
    const char *key;
    size_t n; /* how many numbers, 1 is a scalar */
    const double *real;
    const int *integer;
    const char *string;
} nf_xyz_info;

/** A per-atom property to add: one of the two pointers is not NULL. */
typedef struct {
    const char *name;
    size_t ncols;
    const double *real; /* [natoms][ncols] */
    const int *integer;
} nf_xyz_column;

/** What the caller adds to a structure, in this order. Views: nothing is kept.
 *
 *  What has the same name in the structure stays as ref_<name>: energy -> ref_energy, forces -> ref_forces,
 * virial -> ref_virial or ref_stress, any other likewise; if there is a ref_<name> already, that one stays
 * and the other goes. Energy replaces free_energy too, forces force, virial stress, and the other way round:
 * a file never mixes values of two sources under names that belong together.
 */
typedef struct {
    size_t ninfo;
    const nf_xyz_info *info;
    size_t ncolumns;
    const nf_xyz_column *columns;
} nf_xyz_output;

typedef struct nf_xyz_writer nf_xyz_writer;

/** Creates a file, gzipped if its name ends in .gz; "-" is the standard output. Until nf_xyz_close the text
 * is in a file beside it, so a killed process leaves no half file under that name. On failure *out is NULL.
 */
int nf_xyz_create(nf_xyz_writer **out, const char *path, nf_error *err);
/** Appends a frame; o may be NULL. Numbers are as short as reading them back to the same bits allows. */
int nf_xyz_write(nf_xyz_writer *writer, const nf_structure *s, const nf_xyz_output *o, nf_error *err);
/** Completes the file and frees the writer. After any failure, also an earlier one of nf_xyz_write, what was
 * at `path` before is untouched. */
int nf_xyz_close(nf_xyz_writer *writer, nf_error *err);
/** Frees the writer and leaves no file; NULL is fine. */
void nf_xyz_discard(nf_xyz_writer *writer);

#endif
