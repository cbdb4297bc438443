/* SPDX-License-Identifier: BSD-3-Clause
 *
 * radial.h - cutoff functions and radial factors on vectors, for the kernels that need them.
 *
 * Cutoff functions: Behler, J. Chem. Phys. 134, 074106 (2011), eqs. 4 and 5; the polynomial and exponential ones as
 * defined by n2p2 (Singraber, Behler, Dellago, J. Chem. Theory Comput. 15, 1827 (2019)). Compact functions: Bircher,
 * Singraber, Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021).
 */
#ifndef NF_KERN_RADIAL_H
#define NF_KERN_RADIAL_H

#include "kern/kern.h"
#include "kern/simd.h"

typedef struct {
    V value, slope;
} v_pair;

/* ((e + 1/e) / (e - 1/e))^3: makes the tanh^3 cutoff 1 at r = 0. */
static const double tanh_norm = 2.263753795225351;

V_INLINE v_pair cut_tanh(V r, double rc, double norm)
{
    V t = v_tanh(v_set(1) - r * v_set(1 / rc)), t2 = t * t;
    return (v_pair){v_set(norm) * t2 * t, v_set(-3 * norm / rc) * t2 * (v_set(1) - t2)};
}

V_INLINE v_pair cut_cos(V x, V per_length)
{
    V s = v_sin_quarter(v_set(1) - x), c = v_sin_quarter(x); /* cos(pi x / 2), sin(pi x / 2) */
    return (v_pair){s * s, v_set(-3.14159265358979324) * s * c * per_length};
}

V_INLINE v_pair cut_exp(V x, V per_length)
{
    V q = v_set(1) / (x * x - v_set(1));
    V f = v_exp(v_max(v_set(1) + q, v_set(-700)));
    return (v_pair){f, v_set(-2) * x * q * q * f * per_length};
}

/* With y = 1 - x as a factor: no digits are lost near the cutoff. */
V_INLINE v_pair cut_poly(int cutoff, V x, V per_length)
{
    V one = v_set(1), y = one - x, x2 = x * x, y2 = y * y, f, d;
    switch (cutoff) {
    case K_CUT_POLY1:
        f = y2 * v_fma(v_set(2), x, one);
        d = v_set(-6) * x * y;
        break;
    case K_CUT_POLY2:
        f = y2 * y * v_fma(v_fma(v_set(6), x, v_set(3)), x, one);
        d = v_set(-30) * x2 * y2;
        break;
    case K_CUT_POLY3:
        f = v_fma(v_fma(v_fma(v_set(20), x, v_set(10)), x, v_set(4)), x, one);
        f = y2 * y2 * f;
        d = v_set(-140) * (x2 * x) * (y2 * y);
        break;
    default:
        f = v_fma(v_fma(v_fma(v_fma(v_set(70), x, v_set(35)), x, v_set(15)), x, v_set(5)), x, one);
        f = y2 * y2 * y * f;
        d = v_set(-630) * (x2 * x2) * (y2 * y2);
    }
    return (v_pair){f, d * per_length};
}

/** fc(r) and dfc/dr; 0 from rc on. */
V_INLINE v_pair v_cutoff(const struct k_radial *par, V r)
{
    V per_length = v_set(1 / (par->rc - par->inner));
    V x = v_max((r - v_set(par->inner)) * per_length, v_set(0));
    v_pair f;
    switch (par->cutoff) {
    case K_CUT_HARD:
        f = (v_pair){v_set(1), v_set(0)};
        break;
    case K_CUT_COS:
        f = cut_cos(v_min(x, v_set(1)), per_length);
        break;
    case K_CUT_TANHU:
        f = cut_tanh(r, par->rc, 1);
        break;
    case K_CUT_TANH:
        f = cut_tanh(r, par->rc, tanh_norm);
        break;
    case K_CUT_EXP:
        f = cut_exp(v_min(x, v_set(1 - 0x1p-53)), per_length); /* x may round to 1 below rc */
        break;
    default:
        f = cut_poly(par->cutoff, x, per_length);
    }
    VI inside = r < v_set(par->rc);
    return (v_pair){v_select(inside, f.value, v_set(0)), v_select(inside, f.slope, v_set(0))};
}

/** core(|t|), or core((2 - |t|) |t|) if asymmetric; 0 from |t| = 1 on. The slope is times per_length. */
V_INLINE v_pair v_compact(int core, int asymmetric, V t, V per_length)
{
    V one = v_set(1), size = v_abs(t), x = v_min(size, one);
    V chain = v_select(t < v_set(0), -per_length, per_length);
    if (asymmetric) {
        chain = chain * (v_set(2) * (one - x));
        x = (v_set(2) - x) * x;
    }
    v_pair f = core == K_CUT_EXP ? cut_exp(v_min(x, v_set(1 - 0x1p-53)), chain) : cut_poly(core, x, chain);
    VI inside = size < one;
    return (v_pair){v_select(inside, f.value, v_set(0)), v_select(inside, f.slope, v_set(0))};
}

/** A compact radial factor and its slope. */
V_INLINE v_pair v_compact_radial(const struct k_radial *par, V r)
{
    double centre = 0.5 * (par->rl + par->rc), per_length = 2 / (par->rc - par->rl);
    return v_compact(par->cutoff, par->form == K_ASYMMETRIC, (r - v_set(centre)) * v_set(per_length),
                     v_set(per_length));
}

/** An angular window and its slope. */
V_INLINE v_pair v_window(const struct k_window *w, V theta)
{
    V per_radian = v_set(1 / w->width);
    return v_compact(w->core, 0, (theta - v_set(w->centre)) * per_radian, per_radian);
}

/** An exponential radial factor phi(r) and dphi/dr, given the cutoff function there. */
V_INLINE v_pair v_radial(const struct k_radial *par, V r, v_pair fc)
{
    V d = r - v_set(par->rs), e = v_exp(v_set(-par->eta) * (d * d));
    return (v_pair){e * fc.value, e * v_fma(v_set(-2 * par->eta) * d, fc.value, fc.slope)};
}

/** Of exponential factors. */
V_INLINE int same_cutoff(const struct k_radial *a, const struct k_radial *b)
{
    return a->rc == b->rc && a->inner == b->inner && a->cutoff == b->cutoff;
}

#endif
