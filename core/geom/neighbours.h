/* SPDX-License-Identifier: BSD-3-Clause
 *
 * neighbours.h - the neighbour list of one structure: patches, and the structure they were made for.
 *
 * Making one is two steps, so that the second can be shared by threads: nf_list_begin sorts the atoms into bins
 * (O(N), serial) and cuts them into patches; nf_list_patch searches the neighbours of one patch.
 * A list made for positions X0 in cell h0 holds for X in h while no pair can have come nearer than the cutoff:
 * with F = h0^-1 h and u = X - X0 F, the smallest stretch of F times (cutoff + skin), less 2 max|u|, is at least
 * the cutoff (a homogeneous change of the cell alone never makes a rebuild unless it eats the skin).
 * Source: Allen and Tildesley, Computer Simulation of Liquids, 2nd ed., ch. 5.
 */
#ifndef NF_GEOM_NEIGHBOURS_H
#define NF_GEOM_NEIGHBOURS_H

#include "geom/cell.h"
#include "geom/patch.h"

typedef struct nf_list {
    bool valid;
    size_t natoms, npatches;
    nf_patch *patches;
    double cutoff, skin, radius; /* Angstrom; radius: searched, a rounding above cutoff + skin */
    /* the structure it was made for */
    nf_cell cell;
    double (*pos)[3];
    int *element;
    /* atoms in bins */
    int32_t *order;     /* [natoms] atoms in spatial order */
    int32_t *bin;       /* [natoms] bin of each atom */
    int32_t *start;     /* [nbins + 1] into order */
    int32_t (*wrap)[3]; /* [natoms] lattice shift into the home cell */
    double (*wrapped)[3];
    int nbin[3], reach[3];
    double low[3], width[3]; /* fractional: lower end and width of a bin */
    size_t cap_patches, cap_pos, cap_element, cap_order, cap_bin, cap_start, cap_wrap, cap_wrapped;
} nf_list;

/** Scratch of one thread for nf_list_patch. Zero-initialise; grows. */
typedef struct nf_list_scratch {
    uint64_t *key; /* hash table of points */
    uint32_t *value;
    uint32_t *generation;
    size_t nslots, used;
    uint32_t now;
    struct nf_found *found;
    size_t cap_key, cap_value, cap_generation, cap_found;
} nf_list_scratch;

void nf_list_free(nf_list *list);
void nf_list_scratch_free(nf_list_scratch *scratch);

/** Does the list hold for these positions? element and natoms must be equal too. */
bool nf_list_holds(const nf_list *list, const nf_cell *cell, size_t natoms, const double (*pos)[3], const int *element);

/** Bins the atoms and cuts patches. The list is invalid until all patches were searched and the caller sets `valid`.
 *  element[natoms] are indices of elements. NF_EINVAL: positions that are not finite or absurdly far;
 *  NF_ELIMIT: a cell too thin for the cutoff. */
int nf_list_begin(nf_list *list, const nf_cell *cell, size_t natoms, const double (*pos)[3], const int *element,
                  double cutoff, double skin, nf_error *err);

/** Searches the neighbours of patch `index`. Different patches may be searched at the same time. */
int nf_list_patch(nf_list *list, size_t index, int nelements, nf_list_scratch *scratch, nf_error *err);

/** Bins are numbered in serpentines, so that consecutive atoms are near each other. */
int32_t nf_bin_number(const nf_list *list, const int b[3]);
void nf_bin_coordinates(const nf_list *list, int32_t number, int b[3]);

/** Shortest distance between two atoms in a finished list, Angstrom, and which; HUGE_VAL if none are in reach. */
double nf_list_shortest(const nf_list *list, size_t pair[2]);

#endif
