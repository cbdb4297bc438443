/* SPDX-License-Identifier: BSD-3-Clause
 *
 * vec3.h - three numbers and three by three of them.
 */
#ifndef NF_BASE_VEC3_H
#define NF_BASE_VEC3_H

#include <math.h>

static inline double nf_dot3(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static inline double nf_norm3(const double a[3])
{
    return sqrt(nf_dot3(a, a));
}

static inline void nf_cross3(const double a[3], const double b[3], double out[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static inline double nf_det33(const double m[3][3])
{
    double c[3];
    nf_cross3(m[1], m[2], c);
    return nf_dot3(m[0], c);
}

/** out = v m, a row vector times a matrix. */
static inline void nf_row_times33(const double v[3], const double m[3][3], double out[3])
{
    for (int c = 0; c < 3; c++)
        out[c] = v[0] * m[0][c] + v[1] * m[1][c] + v[2] * m[2][c];
}

/** Inverse of a matrix whose determinant is not 0. */
static inline void nf_inverse33(const double m[3][3], double out[3][3])
{
    double det = nf_det33(m);
    for (int i = 0; i < 3; i++) {
        double c[3];
        nf_cross3(m[(i + 1) % 3], m[(i + 2) % 3], c);
        for (int k = 0; k < 3; k++)
            out[k][i] = c[k] / det;
    }
}

#endif
