/* SPDX-License-Identifier: BSD-3-Clause
 *
 * extras.h - the JSON that goes with a reply, in atomic units: i-PI prints its keys and its ffcommittee acts on
 * committee_pot, committee_force, committee_virial (nested lists: flat ones hang i-PI 3.3.1).
 */
#ifndef NF_SERVER_EXTRAS_H
#define NF_SERVER_EXTRAS_H

#include "server/run.h"

typedef struct {
    char *text;
    size_t n, capacity;
} nf_extras_buffer;

/** "none", "summary", "committee"; NULL behind the last. */
const char *nf_extras_name(nf_extras kind);

/** Appends the extras of one result; nothing for NF_EXTRAS_NONE. NF_ENOMEM. */
int nf_extras_write(nf_extras_buffer *out, nf_extras kind, const nf_result *result, size_t natoms);

#endif
