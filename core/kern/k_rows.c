/* SPDX-License-Identifier: BSD-3-Clause
 *
 * k_rows.c - what is done to whole arrays of positions or forces: as fast as memory is.
 */
#include "kern/kernels.h"
#include "kern/simd.h"

/* One unsigned comparison does for both bounds; a loop without branches that compilers make vectors of. */
int KERN(outside)(size_t n, int low, int high, const int *x)
{
    unsigned out = 0;
    for (size_t k = 0; k < n; k++)
        out |= (unsigned)x[k] - (unsigned)low > (unsigned)high - (unsigned)low;
    return out != 0;
}

void KERN(scale)(size_t n, double a, double *x)
{
    size_t k = 0;
    for (; k + V_LEN <= n; k += V_LEN)
        v_store(x + k, v_set(a) * v_load(x + k));
    for (; k < n; k++)
        x[k] *= a;
}

int KERN(beyond)(size_t n, double limit, const double *x)
{
    size_t k = 0;
    VI within = vi_set(-1), within_too = vi_set(-1); /* two chains */
    int all = 1;
    for (; k + 2 * V_LEN <= n; k += 2 * V_LEN) {
        V a = v_load(x + k), b = v_load(x + k + V_LEN);
        within &= (a < limit) & (a > -limit);
        within_too &= (b < limit) & (b > -limit);
    }
    within &= within_too;
    for (int i = 0; i < V_LEN; i++)
        all &= within[i] != 0;
    for (; k < n; k++)
        all &= x[k] < limit && x[k] > -limit;
    return !all;
}
