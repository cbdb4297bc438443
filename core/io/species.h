/* SPDX-License-Identifier: BSD-3-Clause
 *
 * species.h - the order of the elements of a simulation, from what a user has at hand.
 *
 * The i-PI protocol sends positions and no elements. The user names a file (extended or plain XYZ, i-PI's
 * XYZ, PDB, a text file with a list) or writes the list itself:
 *
 *     list   = group { (";" | newline) group }        a group also ends after its "* n"
 *     group  = item { (blank | ",") item } [ " * " n ]     a blank before the star: the whole group n times
 *     item   = symbol | symbol"*"n                         no blanks: the one symbol n times
 *
 *     O H H * 64          64 times O H H
 *     O H*2 * 64; Na; Cl  the same, then Na Cl
 */
#ifndef NF_IO_SPECIES_H
#define NF_IO_SPECIES_H

#include "nearfar/nearfar.h"

/** Atomic numbers of the atoms of `spec`: the path of a file if there is one, else a list.
 *
 *  Of a file with several frames the first counts. *species is the caller's, to be freed with nf_free; on
 *  failure it is NULL. At most 1e8 atoms.
 */
int nf_species_read(int **species, size_t *n, const char *spec, nf_error *err);
/** The same for a list alone of at most `most` atoms (0: 1e8), above which no memory is taken. NF_ELIMIT. */
int nf_species_parse_list(int **species, size_t *n, const char *list, size_t most, nf_error *err);
/** The same for the contents of a file; `name` is for messages. */
int nf_species_parse_file(int **species, size_t *n, const char *name, const void *data, size_t size, nf_error *err);

#endif
