/* SPDX-License-Identifier: BSD-3-Clause
 *
 * kern.h - the table of kernels of one instruction set.
 *
 * Kernels take raw pointers and counts, allocate nothing and cannot fail. Arrays of neighbours and atoms are padded
 * to 8 elements and may be read and written up to there. Lengths in Angstrom.
 */
#ifndef NF_KERN_KERN_H
#define NF_KERN_KERN_H

#include <stddef.h>
#include <stdint.h>

/** Cutoff functions; the numbers are those of n2p2's cutoff_type (notes there: CutoffFunction.h). */
enum k_cutoff_type {
    K_CUT_HARD,
    K_CUT_COS,
    K_CUT_TANHU,
    K_CUT_TANH,
    K_CUT_EXP,
    K_CUT_POLY1,
    K_CUT_POLY2,
    K_CUT_POLY3,
    K_CUT_POLY4,
    K_NCUTOFFS
};

enum k_form { K_EXPONENTIAL, K_COMPACT, K_ASYMMETRIC };

/** One radial factor.
 *
 *  K_EXPONENTIAL   phi(r) = exp(-eta (r - rs)^2) fc(r);   fc is 1 below inner, 0 from rc on
 *  K_COMPACT       phi(r) = core(x), x = |r - c| / w, c = (rl + rc) / 2, w = (rc - rl) / 2;   0 outside (rl, rc)
 *  K_ASYMMETRIC    phi(r) = core((2 - x) x)
 *
 *  Compact ones: Bircher, Singraber, Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021).
 */
struct k_radial {
    double eta, rs, rc, inner;
    int cutoff; /* enum k_cutoff_type; the core of a compact factor: POLY1 to POLY4 or EXP */
    int form;   /* enum k_form */
    double rl;  /* compact factors only; may be negative */
};

/** A(theta) = core(|theta - centre| / width), 0 further away. Radians; the slope is 0 at theta = 0 and pi. */
struct k_window {
    double centre, width;
    int core; /* as in k_radial */
};

enum { K_MAX_RADIAL = 16, K_MAX_ANGLE = 16 };

/** What stands between the two partners of a pair: nothing, a radial factor, exp(-eta r_ab^2) without a cutoff. */
enum k_between { K_NOTHING, K_FACTOR, K_GAUSSIAN };

/** A group of angular functions of one centre: the pairs (a, b) of neighbours of two elements,
 *
 *  G_t = norm_t sum_{pairs} A_i phi_q(r_a) phi_q(r_b) B_q(r_ab),   q = term_radial[t], i = term_angle[t]
 *
 *  A_i = (1 + lambda cos)^zeta, or window i of the angle if compact (the radial factors are compact then too).
 *  B_q by `between`: 1, phi_q (pairs with r_ab < rc only), or the Gaussian.
 *  Behler, J. Chem. Phys. 134, 074106 (2011), eqs. 8 and 9; compact ones as k_radial.
 */
struct k_angular {
    double rc;   /* the largest of the radial factors */
    int between; /* enum k_between */
    int compact;
    int nradial; /* <= K_MAX_RADIAL */
    struct k_radial radial[K_MAX_RADIAL];
    int row_a[K_MAX_RADIAL], row_b[K_MAX_RADIAL]; /* rows of phi of the two elements */
    int nangle;                                   /* <= K_MAX_ANGLE */
    double lambda[K_MAX_ANGLE], zeta[K_MAX_ANGLE];
    int power[K_MAX_ANGLE];              /* zeta if it is an integer, else 0 */
    struct k_window window[K_MAX_ANGLE]; /* in place of the three, if compact */
    int nterm;
    const int *term_radial, *term_angle; /* [nterm] */
    const double *norm;                  /* [nterm] 2^(1 - zeta), times the weight of the pair of elements */
};

/** Neighbours of one element and their radial factors: rows q of phi and dphi/dr, `stride` apart. */
struct k_side {
    int n; /* without padding */
    const double *x, *y, *z, *r, *inv_r;
    const double *phi, *dphi;
    size_t stride;
};

/** Tangents of a side's displacements and distances. */
struct k_side_dot {
    const double *x, *y, *z, *r;
};

/** Gradient with respect to a side's displacements d_k: along[k] d_k + (x, y, z)[k]. */
struct k_side_bar {
    double *along, *x, *y, *z;
};

/** Scratch of the angular kernels for sides of at most n neighbours. */
struct k_scratch {
    int32_t *index; /* [n + 8] */
    double *r2;     /* [n + 8] */
    double *sums;   /* [8 * max(nterm, 4 nbar)] */
    double *weight; /* [nbar * nterm] */
};

enum k_activation {
    K_ACT_IDENTITY,
    K_ACT_TANH,
    K_ACT_LOGISTIC,
    K_ACT_SOFTPLUS,
    K_ACT_RELU,
    K_ACT_GAUSSIAN,
    K_ACT_COS,
    K_ACT_REVLOGISTIC,
    K_ACT_EXP,
    K_ACT_HARMONIC,
    K_NACTIVATIONS
};

typedef struct nf_kern {
    const char *name;

    /** phi[q][k] and dphi[q][k] (stride apart) of nq radial factors at r[n]. */
    void (*radial)(int n, const double *r, int nq, const struct k_radial *par, double *phi, double *dphi,
                   size_t stride);
    /** Sum of the n values of a row, and sum of products of two rows. */
    double (*sum)(int n, const double *a);
    double (*dot)(int n, const double *a, const double *b);
    /** y[k] += a x[k]. */
    void (*axpy)(int n, double a, const double *x, double *y);

    /** to[k] = a from[k] of n doubles that may lie anywhere, also at `to`. The largest |to[k]|; infinite if one is no number. */
    double (*take)(size_t n, double a, const void *from, double *to);
    /** x[k] *= a. */
    void (*scale)(size_t n, double a, double *x);
    /** Is any of x[n] below low or above high? */
    int (*outside)(size_t n, int low, int high, const int *x);

    /** g[t] += the group's functions. same: a and b are one side, pairs are taken once. */
    void (*angular)(const struct k_angular *group, const struct k_side *a, const struct k_side *b, int same, double *g,
                    const struct k_scratch *tmp);
    /** Adds the gradient of sum_t g_bar[m][t] g[t] for each adjoint m; a_bar[m] and b_bar[m] are one if same. */
    void (*angular_vjp)(const struct k_angular *group, const struct k_side *a, const struct k_side *b, int same,
                        int nbar, const double *g_bar, const struct k_side_bar *a_bar, const struct k_side_bar *b_bar,
                        const struct k_scratch *tmp);
    /** g_dot[t] += the derivative along the tangents. */
    void (*angular_jvp)(const struct k_angular *group, const struct k_side *a, const struct k_side *b, int same,
                        const struct k_side_dot *a_dot, const struct k_side_dot *b_dot, double *g_dot,
                        const struct k_scratch *tmp);

    /** y[o][k] = bias[o] + sum_i w[o][i] x[i][k]; k < n atoms in lanes, rows `ld` apart. bias may be NULL. */
    void (*dense)(int nout, int nin, const double *w, const double *bias, const double *x, double *y, int n, size_t ld);
    /** x_bar[i][k] = sum_o w[o][i] y_bar[o][k]. */
    void (*dense_back)(int nout, int nin, const double *w, const double *y_bar, double *x_bar, int n, size_t ld);
    /** y = act(z) in place, slope = act'(z). */
    void (*activate)(int activation, int n, double *z, double *slope);
} nf_kern;

/** The fastest table this processor runs; the environment variable NEARFAR_ISA names another. */
const nf_kern *nf_kern_select(void);
/** Table i, NULL past the last; and whether this processor runs it. */
const nf_kern *nf_kern_table(int i);
int nf_kern_runs_here(const nf_kern *kern);

#endif
