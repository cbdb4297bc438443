/* SPDX-License-Identifier: BSD-3-Clause
 *
 * readout.h - the family of readouts: from the descriptor values of atoms of one element to one number an atom.
 * Knows neither descriptors nor geometry. Layout as in descriptor.h: g[f * ld + a], a < n.
 */
#ifndef NF_NEAR_READOUT_H
#define NF_NEAR_READOUT_H

#include "base/arena.h"
#include "base/spec.h"
#include "kern/kern.h"

typedef struct nf_readout nf_readout;

typedef struct nf_readout_class {
    const char *name, *reference;
    bool zero; /* y = 0 whatever the values */
    /** From one object of "readouts" in a spec and the spec's arrays. */
    int (*create)(const json_t *tree, const nf_spec *spec, size_t nfeatures, const nf_kern *kern, nf_readout **out,
                  nf_error *err);
    void (*destroy)(nf_readout *self);
    /** A small example for tests: adds its arrays to the spec, returns its object. */
    json_t *(*example)(nf_spec *spec, size_t nfeatures, unsigned seed);

    size_t (*nparameters)(const nf_readout *self);
    /** Bytes of arena that any of the maps takes for rows of ld atoms. */
    size_t (*scratch)(const nf_readout *self, size_t ld);

    /** y[a] of n atoms. */
    void (*forward)(const nf_readout *self, int n, size_t ld, const double *g, double *y, nf_arena *arena);
    /** y as forward, and g_bar[f * ld + a] += y_bar[a] dy/dg. */
    void (*vjp)(const nf_readout *self, int n, size_t ld, const double *g, const double *y_bar, double *y,
                double *g_bar, nf_arena *arena);
    /** y_dot[a] = dy/dg g_dot. */
    void (*jvp)(const nf_readout *self, int n, size_t ld, const double *g, const double *g_dot, double *y_dot,
                nf_arena *arena);
} nf_readout_class;

struct nf_readout {
    const nf_readout_class *class;
};

const nf_readout_class *nf_readout_find(const char *name);
const nf_readout_class *nf_readout_at(size_t i);

#endif
