/* SPDX-License-Identifier: BSD-3-Clause
 *
 * select.c - which table of kernels runs on this processor.
 */
#include <stdlib.h>
#include <string.h>

#include "kern/kern.h"

extern const nf_kern nf_kern_ref;
#if defined NF_HAVE_avx2
extern const nf_kern nf_kern_avx2, nf_kern_avx512;
#endif

/* Fastest last. */
static const nf_kern *const tables[] = {
    &nf_kern_ref,
#if defined NF_HAVE_avx2
    &nf_kern_avx2,
    &nf_kern_avx512,
#endif
};

enum { NTABLES = sizeof tables / sizeof *tables };

const nf_kern *nf_kern_table(int i)
{
    return i >= 0 && i < NTABLES ? tables[i] : NULL;
}

int nf_kern_runs_here(const nf_kern *kern)
{
    if (kern == &nf_kern_ref)
        return 1;
#if defined NF_HAVE_avx2
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (kern == &nf_kern_avx2)
        return avx2;
    if (kern == &nf_kern_avx512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return 0;
}

const nf_kern *nf_kern_select(void)
{
    const char *wanted = getenv("NEARFAR_ISA");
    const nf_kern *best = tables[0];
    for (int i = 0; i < NTABLES; i++) {
        if (!nf_kern_runs_here(tables[i]))
            continue;
        if (wanted != NULL && strcmp(wanted, tables[i]->name) == 0)
            return tables[i];
        best = tables[i];
    }
    return best;
}
