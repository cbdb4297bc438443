/* SPDX-License-Identifier: BSD-3-Clause
 *
 * patch.h - about 64 neighbouring centres and every point they see: the unit of work, of memory and of cache.
 *
 *     centres   atoms of one frame, consecutive in space, grouped by element
 *     points    (owner atom, lattice shift): centres, other atoms and periodic images alike
 *     near      per centre, indices into points within cutoff + skin, sorted by (element, atom, image)
 *
 * Stage zero of every model, with its maps: nf_patch_environment is the forward map p = x_owner + shift, compacted to
 * r < cutoff; nf_patch_pull its vjp (to owners, and p (x) p_bar to the virial); nf_patch_tangent its jvp. Nothing
 * behind this file knows cells, images or frames.
 *
 * A displacement is (x_j - x_i) + S with S the lattice vector between the two atoms *as given*, so its bits depend on
 * the frame alone, never on the age of the list, on the wrapping or on the patch an atom falls into.
 */
#ifndef NF_GEOM_PATCH_H
#define NF_GEOM_PATCH_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

enum {
    NF_LANES = 8,        /* blocks of neighbours and atoms start at multiples of this and are padded to it */
    NF_PATCH_LARGE = 64, /* centres of a patch ... */
    NF_PATCH_SMALL = 32, /* ... in frames below NF_PATCH_CHANGE atoms, so that two threads have work */
    NF_PATCH_CHANGE = 512,
    NF_MAX_ELEMENTS = 118,
    NF_MAX_NEIGHBOURS = 8192 /* within cutoff + skin: more is a collapsed structure */
};

/** Rounds up to whole lanes. */
static inline size_t nf_padded(size_t n)
{
    return (n + NF_LANES - 1) / NF_LANES * NF_LANES;
}

typedef struct nf_patch {
    size_t ncentres, npoints, nnear, nshifts;
    int32_t *centre;      /* [ncentres] atom */
    uint32_t *home;       /* [ncentres] point of the centre itself */
    uint32_t *first;      /* [ncentres + 1] into near */
    uint32_t *near;       /* points */
    int32_t *owner;       /* [npoints] atom */
    uint32_t *shift;      /* [npoints] into shifts */
    int32_t (*shifts)[3]; /* lattice shift of a point relative to its owner as given */
    int max_near;         /* most neighbours of a centre */
    /* centres of element e are element_first[e] .. element_first[e+1) */
    uint32_t element_first[NF_MAX_ELEMENTS + 1];
    size_t cap_centre, cap_home, cap_first, cap_near, cap_owner, cap_shift, cap_shifts;
} nf_patch;

void nf_patch_free(nf_patch *patch);

/** The frame a patch is looked at in. Borrowed views. */
typedef struct nf_patch_view {
    const nf_patch *patch;
    const double (*pos)[3]; /* [natoms] Angstrom */
    const double (*h)[3];   /* completed cell */
    const int *element;     /* [natoms] element index */
    int nelements;
    double cutoff;
} nf_patch_view;

/** Neighbours of one centre with r < cutoff, structure of arrays, one padded block per element.
 *
 *  Element e occupies [first[e], first[e] + count[e]); first[e] is a multiple of NF_LANES and the padding behind a
 *  block lies at r = 2 cutoff, where every cutoff function is 0. Arrays live in the arena.
 */
typedef struct nf_environment {
    int n;             /* padded length of the arrays */
    double *x, *y, *z; /* displacement from the centre, Angstrom */
    double *r, *inv_r;
    uint32_t *point; /* index into the patch's points; UINT32_MAX in the padding */
    int first[NF_MAX_ELEMENTS], count[NF_MAX_ELEMENTS];
} nf_environment;

struct nf_arena;

/** Longest padded environment of a patch. */
int nf_patch_max_environment(const nf_patch *patch, int nelements);
/** Bytes of arena that an environment and its scratch take. */
size_t nf_environment_bytes(const nf_patch *patch, int nelements);

/** Fills env for centre c, in the arena. NF_EDIVERGED if two atoms coincide. */
int nf_patch_environment(const nf_patch_view *view, size_t c, nf_environment *env, struct nf_arena *arena,
                         nf_error *err);

/** Where gradients of a patch go: one set per adjoint. */
typedef struct nf_pull {
    int nbar;
    int64_t (*point)[3]; /* [nbar][npoints][3], units of 2^-44 eV/Angstrom: forces, not gradients */
    size_t npoints;
    double (*virial)[9]; /* [nbar][natoms][9], of the centre's own atomic energy; NULL: not wanted */
    size_t natoms;
    int overflow; /* set if a contribution left the range */
} nf_pull;

/** Adds the gradient bar[b][3][n] (of adjoint b with respect to x, y, z of the environment) to the points. */
void nf_patch_pull(const nf_patch_view *view, size_t c, const nf_environment *env, const double *bar, nf_pull *out);

/** Tangent of the environment's displacements: dot[3][n] = v_j - v_i + d strain. Padding gets 0. */
void nf_patch_tangent(const nf_patch_view *view, size_t c, const nf_environment *env, const double (*pos_dot)[3],
                      const double strain[3][3], double *dot);

/** Fixed point forces: exact sums in any order. */
#define NF_FORCE_UNIT 0x1p-44

#endif
