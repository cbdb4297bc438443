/* SPDX-License-Identifier: BSD-3-Clause
 *
 * descriptor.h - the family of descriptors: from the points of a patch to numbers that no rotation, translation or
 * exchange of equal atoms changes.
 *
 * Maps work on the centres of one element of a patch, a "block". Values are stored feature by feature, centres in
 * lanes: g[f * ld + a] is feature f of the a-th centre of the block; ld is a multiple of NF_LANES.
 */
#ifndef NF_NEAR_DESCRIPTOR_H
#define NF_NEAR_DESCRIPTOR_H

#include "base/arena.h"
#include "base/spec.h"
#include "geom/patch.h"
#include "kern/kern.h"

typedef struct nf_descriptor nf_descriptor;

typedef struct nf_descriptor_class {
    const char *name, *reference;
    /** From the "descriptor" object of a spec. */
    int (*create)(const json_t *tree, const nf_elements *elements, const nf_kern *kern, nf_descriptor **out,
                  nf_error *err);
    void (*destroy)(nf_descriptor *self);
    /** A small example of the class with made-up parameters, for tests over the registry. New reference. */
    json_t *(*example)(const nf_elements *elements, unsigned seed);

    double (*cutoff)(const nf_descriptor *self);
    size_t (*nfeatures)(const nf_descriptor *self, int element);
    /** Bytes of arena that any of the maps takes for a patch with nbar adjoints. */
    size_t (*scratch)(const nf_descriptor *self, const nf_patch *patch, int nbar);

    /** g = G(points). NF_EDIVERGED if atoms coincide. */
    int (*forward)(const nf_descriptor *self, const nf_patch_view *at, int element, size_t ld, double *g,
                   nf_arena *arena, nf_error *err);
    /** Adds (dG/dpoints)^T g_bar[m] for every adjoint m to out. g_bar[m][f * ld + a]. */
    int (*vjp)(const nf_descriptor *self, const nf_patch_view *at, int element, size_t ld, int nbar,
               const double *const g_bar[], nf_pull *out, nf_arena *arena, nf_error *err);
    /** g_dot = dG/dpoints along velocities of all atoms of the frame and a strain rate. */
    int (*jvp)(const nf_descriptor *self, const nf_patch_view *at, int element, size_t ld, const double (*pos_dot)[3],
               const double strain[3][3], double *g_dot, nf_arena *arena, nf_error *err);
} nf_descriptor_class;

/** Every descriptor starts with its class. */
struct nf_descriptor {
    const nf_descriptor_class *class;
};

const nf_descriptor_class *nf_descriptor_find(const char *name);
/** Class i of the registry, NULL past the last. */
const nf_descriptor_class *nf_descriptor_at(size_t i);

#endif
