/* SPDX-License-Identifier: BSD-3-Clause
 *
 * k_radial.c - radial factors of a row of neighbours, and sums over rows in 8 logical lanes.
 */
#include "kern/kernels.h"
#include "kern/radial.h"

static void store(double *phi, double *dphi, size_t at, v_pair f)
{
    v_store(phi + at, f.value);
    v_store(dphi + at, f.slope);
}

/* Of factors that follow each other, those with one cutoff function share it. */
void KERN(radial)(int n, const double *r, int nq, const struct k_radial *par, double *phi, double *dphi, size_t stride)
{
    for (int k = 0; k < (n + 7) / 8 * 8; k += V_LEN) { /* the padding too: sums run over whole blocks of 8 */
        V d = v_load(r + k);
        v_pair fc = {0};
        const struct k_radial *last = NULL;
        for (int q = 0; q < nq; q++) {
            size_t at = (size_t)q * stride + (size_t)k;
            if (par[q].form != K_EXPONENTIAL) {
                store(phi, dphi, at, v_compact_radial(&par[q], d));
                continue;
            }
            if (last == NULL || !same_cutoff(&par[q], last))
                fc = v_cutoff(&par[q], d);
            last = &par[q];
            store(phi, dphi, at, v_radial(&par[q], d, fc));
        }
    }
}

/* Rows are zero in their padding, so whole blocks are summed. */
double KERN(sum)(int n, const double *a)
{
    V lanes[V_PER_BLOCK] = {0};
    double out[8];
    for (int k = 0; k < n; k += 8)
        for (int s = 0; s < V_PER_BLOCK; s++)
            lanes[s] += v_load(a + k + s * V_LEN);
    for (int s = 0; s < V_PER_BLOCK; s++)
        v_store(out + s * V_LEN, lanes[s]);
    return v_fold8(out);
}

double KERN(dot)(int n, const double *a, const double *b)
{
    V lanes[V_PER_BLOCK] = {0};
    double out[8];
    for (int k = 0; k < n; k += 8)
        for (int s = 0; s < V_PER_BLOCK; s++)
            lanes[s] = v_fma(v_load(a + k + s * V_LEN), v_load(b + k + s * V_LEN), lanes[s]);
    for (int s = 0; s < V_PER_BLOCK; s++)
        v_store(out + s * V_LEN, lanes[s]);
    return v_fold8(out);
}

void KERN(axpy)(int n, double a, const double *x, double *y)
{
    for (int k = 0; k < n; k += V_LEN)
        v_store(y + k, v_fma(v_set(a), v_load(x + k), v_load(y + k)));
}
