/* SPDX-License-Identifier: BSD-3-Clause
 *
 * k_rows.c - what is done to whole arrays of positions or forces: as fast as memory is.
 */
#include <float.h>

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

typedef double V_ANYWHERE __attribute__((vector_size(8 * V_LEN), aligned(1), may_alias));

/* The largest is a number as long as all of them are. */
double KERN(take)(size_t n, double a, const void *from, double *to)
{
    const char *x = from;
    V most = v_set(0), factor = v_set(a);
    VI finite = vi_set(-1);
    double largest = 0, one;
    int all = 1;
    size_t k = 0;
    for (; k + V_LEN <= n; k += V_LEN) {
        V y = factor * *(const V_ANYWHERE *)(x + 8 * k), size = v_abs(y);
        v_store(to + k, y);
        finite &= size <= v_set(DBL_MAX);
        most = v_select(most < size, size, most);
    }
    for (int i = 0; i < V_LEN; i++) {
        all &= finite[i] != 0;
        largest = largest < most[i] ? most[i] : largest;
    }
    for (; k < n; k++) {
        memcpy(&one, x + 8 * k, sizeof one);
        to[k] = a * one;
        all &= fabs(to[k]) <= DBL_MAX;
        largest = largest < fabs(to[k]) ? fabs(to[k]) : largest;
    }
    return all ? largest : HUGE_VAL;
}

void KERN(scale)(size_t n, double a, double *x)
{
    size_t k = 0;
    for (; k + V_LEN <= n; k += V_LEN)
        v_store(x + k, v_set(a) * v_load(x + k));
    for (; k < n; k++)
        x[k] *= a;
}
