/* SPDX-License-Identifier: BSD-3-Clause
 *
 * species_atoms.h - the growing list of elements that the readers of species.h fill.
 */
#ifndef NF_IO_SPECIES_ATOMS_H
#define NF_IO_SPECIES_ATOMS_H

#include "io/lines.h"

enum { NF_SPECIES_MAX = 100000000 };

typedef struct {
    int *number;
    size_t n, capacity;
    size_t most; /* atoms that are taken; 0: NF_SPECIES_MAX */
} nf_atoms;

/** One more atom. `what` names the source for the message of NF_ELIMIT. */
int nf_atoms_add(nf_atoms *atoms, int number, const char *what, nf_error *err);
/** Appends atoms first .. n-1 until they are there `times` >= 1 times. */
int nf_atoms_repeat(nf_atoms *atoms, size_t first, size_t times, const char *what, nf_error *err);

/** Appends a list, which may have several lines. */
int nf_species_list_text(nf_atoms *atoms, const char *list, const char *what, nf_error *err);
/** Append what is left in `in`. */
int nf_species_list(nf_atoms *atoms, nf_lines *in, nf_error *err);
int nf_species_pdb(nf_atoms *atoms, nf_lines *in, nf_error *err);
/** Whether a line is a record of a PDB file. */
bool nf_species_is_pdb(const char *line);

#endif
