/* SPDX-License-Identifier: BSD-3-Clause
 *
 * k_dense.c - layers of small networks, atoms in lanes: an atom's bits depend on that atom alone.
 *
 * Activation functions: letters and definitions as in n2p2 and RuNNer (Behler, Int. J. Quantum Chem. 115, 1032 (2015)).
 */
#include "kern/kernels.h"
#include "kern/simd.h"

enum { TILE = 4 }; /* outputs that are held in registers */

V_INLINE void dense_tile(int nin, int tile, const double *w, size_t w_out, size_t w_in, const double *start,
                         const double *x, double *y, size_t ld)
{
    V sum[TILE];
    for (int t = 0; t < tile; t++)
        sum[t] = v_set(start == NULL ? 0 : start[t]);
    for (int i = 0; i < nin; i++) {
        V xi = v_load(x + (size_t)i * ld);
        for (int t = 0; t < tile; t++)
            sum[t] = v_fma(v_set(w[(size_t)t * w_out + (size_t)i * w_in]), xi, sum[t]);
    }
    for (int t = 0; t < tile; t++)
        v_store(y + (size_t)t * ld, sum[t]);
}

/* y[o] = start[o] + sum_i w[o * w_out + i * w_in] x[i]. */
V_INLINE void product(int nout, int nin, const double *w, size_t w_out, size_t w_in, const double *start,
                      const double *x, double *y, int n, size_t ld)
{
    for (int k = 0; k < n; k += V_LEN) {
        int o = 0;
        for (; o + TILE <= nout; o += TILE)
            dense_tile(nin, TILE, w + (size_t)o * w_out, w_out, w_in, start == NULL ? NULL : start + o, x + k,
                       y + (size_t)o * ld + k, ld);
        for (; o < nout; o++)
            dense_tile(nin, 1, w + (size_t)o * w_out, w_out, w_in, start == NULL ? NULL : start + o, x + k,
                       y + (size_t)o * ld + k, ld);
    }
}

void KERN(dense)(int nout, int nin, const double *w, const double *bias, const double *x, double *y, int n, size_t ld)
{
    product(nout, nin, w, (size_t)nin, 1, bias, x, y, n, ld);
}

void KERN(dense_back)(int nout, int nin, const double *w, const double *y_bar, double *x_bar, int n, size_t ld)
{
    product(nin, nout, w, 1, (size_t)nin, NULL, y_bar, x_bar, n, ld);
}

/* ---- activations: y and dy/dz of one z; the rare ones by libm, a lane at a time ---- */

typedef struct {
    double y, slope;
} value;

static value logistic(double z)
{
    double y = 1 / (1 + exp(-z));
    return (value){y, y * (1 - y)};
}

static value rare(int activation, double z)
{
    value v;
    switch (activation) {
    case K_ACT_LOGISTIC:
        return logistic(z);
    case K_ACT_SOFTPLUS:
        return (value){z > 0 ? z + log1p(exp(-z)) : log1p(exp(z)), logistic(z).y};
    case K_ACT_RELU:
        return (value){z < 0 ? 0 : z, z > 0}; /* NaN stays */
    case K_ACT_GAUSSIAN:
        v.y = exp(-0.5 * z * z);
        return (value){v.y, -z * v.y};
    case K_ACT_COS:
        return (value){cos(z), -sin(z)};
    case K_ACT_REVLOGISTIC:
        v = logistic(z);
        return (value){1 - v.y, -v.slope};
    case K_ACT_EXP:
        v.y = exp(-z);
        return (value){v.y, -v.y};
    case K_ACT_HARMONIC:
        return (value){z * z, 2 * z};
    default:
        return (value){z, 1};
    }
}

static void activate_tanh(int n, double *z, double *slope)
{
    for (int k = 0; k < n; k += V_LEN) {
        V t = v_tanh(v_load(z + k));
        v_store(z + k, t);
        v_store(slope + k, v_set(1) - t * t);
    }
}

void KERN(activate)(int activation, int n, double *z, double *slope)
{
    if (activation == K_ACT_TANH) {
        activate_tanh(n, z, slope);
        return;
    }
    for (int k = 0; k < n; k++) {
        value v = rare(activation, z[k]);
        z[k] = v.y;
        slope[k] = v.slope;
    }
}
