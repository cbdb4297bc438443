/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cutoff.h - names of the cutoff functions (enum k_cutoff_type) in a spec.
 */
#ifndef NF_NEAR_CUTOFF_H
#define NF_NEAR_CUTOFF_H

/** "tanhu" of a number; NULL if there is none. */
const char *nf_cutoff_name(int type);
/** The number of a name, -1 if there is none. */
int nf_cutoff_find(const char *name);

#endif
