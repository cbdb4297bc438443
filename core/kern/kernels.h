/* SPDX-License-Identifier: BSD-3-Clause
 *
 * kernels.h - names of the kernels of the instruction set being compiled: KERN(radial) is radial_avx2 there.
 */
#ifndef NF_KERN_KERNELS_H
#define NF_KERN_KERNELS_H

#include "kern/kern.h"

#define KERN_JOIN_(name, isa) k_##name##_##isa
#define KERN_JOIN(name, isa)  KERN_JOIN_(name, isa)
#define KERN(name)            KERN_JOIN(name, NF_ISA)

void KERN(radial)(int n, const double *r, int nq, const struct k_radial *par, double *phi, double *dphi, size_t stride);
double KERN(sum)(int n, const double *a);
double KERN(dot)(int n, const double *a, const double *b);
void KERN(axpy)(int n, double a, const double *x, double *y);
void KERN(scale)(size_t n, double a, double *x);
int KERN(outside)(size_t n, int low, int high, const int *x);
double KERN(take)(size_t n, double a, const void *from, double *to);
void KERN(angular)(const struct k_angular *group, const struct k_side *a, const struct k_side *b, int same, double *g,
                   const struct k_scratch *tmp);
void KERN(angular_vjp)(const struct k_angular *group, const struct k_side *a, const struct k_side *b, int same,
                       int nbar, const double *g_bar, const struct k_side_bar *a_bar, const struct k_side_bar *b_bar,
                       const struct k_scratch *tmp);
void KERN(angular_jvp)(const struct k_angular *group, const struct k_side *a, const struct k_side *b, int same,
                       const struct k_side_dot *a_dot, const struct k_side_dot *b_dot, double *g_dot,
                       const struct k_scratch *tmp);
void KERN(dense)(int nout, int nin, const double *w, const double *bias, const double *x, double *y, int n, size_t ld);
void KERN(dense_back)(int nout, int nin, const double *w, const double *y_bar, double *x_bar, int n, size_t ld);
void KERN(activate)(int activation, int n, double *z, double *slope);

#endif
