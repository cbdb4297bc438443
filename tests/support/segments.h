/* SPDX-License-Identifier: BSD-3-Clause
 *
 * segments.h - a driver's six segments of shared memory, for tests.
 */
#ifndef NF_TESTS_SEGMENTS_H
#define NF_TESTS_SEGMENTS_H

#include <stddef.h>

#include "protocol/ipi.h"

typedef struct {
    char name[IPI_SEGMENTS][64]; /* no other test's */
    size_t count[IPI_SEGMENTS];  /* doubles */
    double *at[IPI_SEGMENTS];    /* mapped */
} segments;

/** Makes them, for so many structures, all zeros; fails the test if it cannot. */
void segments_make(segments *s, size_t natoms, size_t nstructures);
/** Unmaps and removes them. */
void segments_remove(segments *s);

#endif
