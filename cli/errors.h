/* SPDX-License-Identifier: BSD-3-Clause
 *
 * errors.h - root-mean-square and mean absolute errors against the references of a file.
 */
#ifndef NF_CLI_ERRORS_H
#define NF_CLI_ERRORS_H

#include "io/structure.h"

typedef struct {
    double square, absolute, n;
} error_sum;

typedef struct {
    error_sum energy; /* eV/atom */
    error_sum force;  /* eV/Angstrom, components */
    error_sum virial; /* eV/atom, components */
} error_sums;

void errors_add(error_sums *sums, const nf_structure *reference, const nf_result *result);
/** A table on stderr; nothing where there were no references. */
void errors_print(const error_sums *sums, long nframes);

#endif
