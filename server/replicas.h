/* SPDX-License-Identifier: BSD-3-Clause
 *
 * replicas.h - does one link carry several replicas of the system in turn? No message says how many beads a driver has.
 *
 * Successive structures of one trajectory go on in their direction: from one step to the next few coordinates turn
 * round. Structures of different replicas, taken in turn, turn round all the time: of three independent values the
 * middle one is an extreme in 2 of 3 cases. Two steps in a row in which more than a third of the coordinates turn are
 * replicas; one alone may be a small molecule at the end of its swing. An atom that is wrapped into the cell jumps, and
 * counts as one of many.
 */
#ifndef NF_SERVER_REPLICAS_H
#define NF_SERVER_REPLICAS_H

#include <stdbool.h>
#include <stddef.h>

enum { NF_REPLICAS_ATOMS = 64 };

/** All zero has seen nothing. */
typedef struct {
    bool several;   /* the link carries at least two */
    int turns;      /* steps in a row that turn round */
    size_t natoms;  /* of the structure seen last; 0: none */
    bool have_step; /* two structures were seen */
    double last[NF_REPLICAS_ATOMS][3], step[NF_REPLICAS_ATOMS][3];
} nf_replicas;

/** The next structure of the link; at most NF_REPLICAS_ATOMS atoms are looked at, evenly spread. A structure like the
 *  last one says nothing. */
void nf_replicas_see(nf_replicas *replicas, size_t natoms, const double (*pos)[3]);

#endif
