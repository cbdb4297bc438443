/* SPDX-License-Identifier: BSD-3-Clause
 *
 * listing.h - a finished neighbour list of a frame, below the level of nf_eval.
 */
#ifndef NF_TEST_LISTING_H
#define NF_TEST_LISTING_H

#include "geom/neighbours.h"
#include "specimen.h"

typedef struct {
    nf_cell cell;
    nf_list list;
    int element[SPECIMEN_MAX]; /* index of the species in `elements` */
    int nelements;
} listing;

/** Fails the test on an error. */
void listing_make(listing *l, const nf_frame *frame, int nelements, const int *elements, double cutoff, double skin);
void listing_free(listing *l);
/** How a patch sees the frame, which may have moved since. */
nf_patch_view listing_view(const listing *l, size_t patch, const nf_frame *frame, const double (*h)[3]);

#endif
