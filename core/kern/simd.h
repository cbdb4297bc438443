/* SPDX-License-Identifier: BSD-3-Clause
 *
 * simd.h - the vector type of the instruction set a kernel is compiled for, and elementary functions on it.
 *
 * V holds V_LEN doubles (ref: 2, so that gcc and clang make SSE2, NEON or scalar code of it; avx2: 4; avx512: 8).
 * Arithmetic is written with operators; fused operations with v_fma, which fuses where the instruction set does
 * (avx2, avx512) and nowhere else. Sums over neighbours run in NF_LANES = 8 logical lanes folded in one order, so
 * avx2 and avx512 give the same bits. No hardware estimates (rsqrt14 ...): they differ between makers.
 * Method of exp: range reduction and Taylor polynomial as in Cody and Waite, Software Manual for the Elementary
 * Functions (1980), ch. 6.
 */
#ifndef NF_KERN_SIMD_H
#define NF_KERN_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined NF_ISA_avx512
#include <immintrin.h>
enum { V_LEN = 8 };
#elif defined NF_ISA_avx2
#include <immintrin.h>
enum { V_LEN = 4 };
#else
enum { V_LEN = 2 };
#endif

typedef double V __attribute__((vector_size(8 * V_LEN)));
typedef int64_t VI __attribute__((vector_size(8 * V_LEN)));
typedef double V_UNALIGNED __attribute__((vector_size(8 * V_LEN), aligned(8), may_alias));

#define V_INLINE static inline __attribute__((always_inline, unused))

enum { V_PER_BLOCK = 8 / V_LEN }; /* native vectors in a block of NF_LANES */

V_INLINE V v_set(double a)
{
    return a - (V){0};
}

V_INLINE VI vi_set(int64_t a)
{
    return a - (VI){0};
}

V_INLINE V v_load(const double *p)
{
    return *(const V_UNALIGNED *)p;
}

V_INLINE void v_store(double *p, V a)
{
    *(V_UNALIGNED *)p = a;
}

V_INLINE V v_fma(V a, V b, V c)
{
#if defined NF_ISA_avx512
    return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined NF_ISA_avx2
    return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return a * b + c;
#endif
}

V_INLINE V v_sqrt(V a)
{
#if defined NF_ISA_avx512
    return (V)_mm512_sqrt_pd((__m512d)a);
#elif defined NF_ISA_avx2
    return (V)_mm256_sqrt_pd((__m256d)a);
#else
    for (int i = 0; i < V_LEN; i++)
        a[i] = sqrt(a[i]);
    return a;
#endif
}

/** yes where mask is set, else no. */
V_INLINE V v_select(VI mask, V yes, V no)
{
    return (V)((mask & (VI)yes) | (~mask & (VI)no));
}

V_INLINE V v_gather(const double *base, const int32_t *index)
{
#if defined NF_ISA_avx512
    return (V)_mm512_i32gather_pd(_mm256_loadu_si256((const __m256i *)index), base, 8);
#elif defined NF_ISA_avx2
    return (V)_mm256_i32gather_pd(base, _mm_loadu_si128((const __m128i *)index), 8);
#else
    V a = {0};
    for (int i = 0; i < V_LEN; i++)
        a[i] = base[index[i]];
    return a;
#endif
}

V_INLINE void v_scatter_add(double *base, const int32_t *index, V a)
{
    for (int i = 0; i < V_LEN; i++)
        base[index[i]] += a[i];
}

/** A NaN in a stays: a clamp must not make a number of it. */
V_INLINE V v_max(V a, V b)
{
    return v_select(a < b, b, a);
}

V_INLINE V v_min(V a, V b)
{
    return v_select(a > b, b, a);
}

V_INLINE V v_abs(V a)
{
    return (V)((VI)a & vi_set(INT64_MAX));
}

/** Sum of a block of 8 logical lanes, always in this order. */
V_INLINE double v_fold8(const double a[8])
{
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* ---- exp, expm1, tanh, sin, angle ---- */

/* x = k ln 2 + r, |r| <= ln 2 / 2. Returns e^r - 1 and k in the low bits of *k_bits. */
V_INLINE V v_exp_reduced(V x, VI *k_bits)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    V k = v_fma(x, v_set(1.4426950408889634), v_set(magic));
    *k_bits = (VI)k;
    k = k - v_set(magic);
    V r = v_fma(k, v_set(-6.93147180369123816490e-01), x);
    r = v_fma(k, v_set(-1.90821492927058770002e-10), r);
    static const double c[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                               1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                               1.0 / 120,        1.0 / 24,        1.0 / 6,        0.5};
    V p = v_set(c[0]);
    for (int i = 1; i < 12; i++)
        p = v_fma(p, r, v_set(c[i]));
    return v_fma(p * r, r, r);
}

V_INLINE V v_power_of_two(VI k_bits)
{
    return (V)((k_bits + vi_set(1023)) << 52);
}

V_INLINE V v_clamp_exponent(V x)
{
    return v_min(v_max(x, v_set(-700)), v_set(700));
}

/** e^x; arguments are taken as at least -700 and at most 700. */
V_INLINE V v_exp(V x)
{
    VI k;
    V p = v_exp_reduced(v_clamp_exponent(x), &k);
    V s = v_power_of_two(k);
    return v_fma(p, s, s);
}

/** e^x - 1, accurate near 0. */
V_INLINE V v_expm1(V x)
{
    VI k;
    V p = v_exp_reduced(v_clamp_exponent(x), &k);
    V s = v_power_of_two(k);
    return v_fma(p, s, s - v_set(1));
}

V_INLINE V v_tanh(V x)
{
    V e = v_expm1(v_set(2) * v_min(v_max(x, v_set(-20)), v_set(20)));
    return e / (e + v_set(2));
}

/** sin(pi/2 t), 0 <= t <= 1, by its Taylor series. */
V_INLINE V v_sin_quarter(V t)
{
    static const double c[] = {/* (-1)^n (pi/2)^(2n+1) / (2n+1)!, n = 10 ... 0 */
                               2.571422892860474e-16,  -4.377065467313742e-14, 6.0669357311061955e-12,
                               -6.688035109811468e-10, 5.692172921967927e-08,  -3.598843235212085e-06,
                               0.00016044118478735983, -0.004681754135318688,  0.07969262624616705,
                               -0.6459640975062463,    1.5707963267948966};
    V t2 = t * t, p = v_set(c[0]);
    for (int i = 1; i < 11; i++)
        p = v_fma(p, t2, v_set(c[i]));
    return p * t;
}

/* atan(t), |t| <= tan(pi/8): t + t^3 P(t^2), P by interpolation in Chebyshev points, to 4e-17 of it. */
V_INLINE V v_atan_reduced(V t)
{
    static const double c[] = {-0.019176872294336067, 0.039231646190551486, -0.05085449318930035, 0.05858148832731273,
                               -0.06664511438164644,  0.07692183190171728,  -0.09090904578095735, 0.11111111015255669,
                               -0.14285714284666534,  0.1999999999999552,   -0.3333333333333333};
    V t2 = t * t, p = v_set(c[0]);
    for (int i = 1; i < 11; i++)
        p = v_fma(p, t2, v_set(c[i]));
    return v_fma(p * t2, t, t);
}

/** The angle in [0, pi] of the direction (cosine, sine) of any length, sine >= 0: atan2(sine, cosine). */
V_INLINE V v_angle(V sine, V cosine)
{
    const double pi = 3.14159265358979324, tan_eighth = 0.41421356237309503; /* tan(pi/8) */
    V size = v_abs(cosine), low = v_min(sine, size), high = v_max(sine, size);
    VI past = low > v_set(tan_eighth) * high; /* atan(q) = pi/4 + atan((q - 1) / (q + 1)) */
    V a = v_atan_reduced(v_select(past, low - high, low) / v_select(past, low + high, high));
    a = v_select(past, v_set(pi / 4) + a, a);
    a = v_select(sine > size, v_set(pi / 2) - a, a);
    return v_select(cosine < v_set(0), v_set(pi) - a, a);
}

#endif
