/* SPDX-License-Identifier: BSD-3-Clause
 *
 * nearest.h - which of the known words a mistyped one was meant to be.
 */
#ifndef NF_SERVER_NEAREST_H
#define NF_SERVER_NEAREST_H

#include <stddef.h>

/** A search: give `typed` and its length, try every known word, read `best`. */
typedef struct {
    const char *typed;
    size_t n;
    const char *best; /* NULL: none is near */
    size_t edits;     /* from typed to best */
} nf_nearest;

/** Keeps `word` if it is nearer than what was tried before, and at most a third of its letters, or one, away. Letters put
 *  in, taken out, changed, or swapped with a neighbour count (Damerau's distance), capitals do not. Words above 32
 *  letters are never near. */
void nf_nearest_try(nf_nearest *search, const char *word);

#endif
