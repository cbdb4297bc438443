/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rng.h - SplitMix64: small, seeded, the same on every machine.
 * Source: Steele, Lea, Flood, OOPSLA 2014, doi:10.1145/2660193.2660195.
 */
#ifndef NF_BASE_RNG_H
#define NF_BASE_RNG_H

#include <math.h>
#include <stdint.h>

typedef struct {
    uint64_t state;
} nf_rng;

static inline uint64_t nf_rng_next(nf_rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/** Uniform in [0, 1). */
static inline double nf_rng_uniform(nf_rng *rng)
{
    return (double)(nf_rng_next(rng) >> 11) * 0x1p-53;
}

static inline double nf_rng_between(nf_rng *rng, double low, double high)
{
    return low + (high - low) * nf_rng_uniform(rng);
}

/** Standard normal deviate (Box and Muller, 1958). */
static inline double nf_rng_normal(nf_rng *rng)
{
    double u = 1.0 - nf_rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * nf_rng_uniform(rng));
}

#endif
