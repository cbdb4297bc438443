/* SPDX-License-Identifier: BSD-3-Clause
 *
 * host.h - what people want to know about the process and its machine.
 */
#ifndef NF_SERVER_HOST_H
#define NF_SERVER_HOST_H

#include <stddef.h>

/** The processors this process may use: "0-3,8". "?" where the system does not say. */
void nf_host_cpus(char *out, size_t size);
/** Name of the instruction set whose kernels run. */
const char *nf_host_isa(void);
/** Resident memory, kB; 0 where the system does not say. */
long nf_host_resident_kB(void);

#endif
