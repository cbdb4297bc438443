/* SPDX-License-Identifier: BSD-3-Clause
 *
 * null.c - a descriptor without values and a readout that is 0 whatever the values: the pieces of the null model, with
 * which overheads are measured and set-ups tried.
 */
#include <string.h>

#include "base/mem.h"
#include "near/descriptor.h"
#include "near/readout.h"

extern const nf_descriptor_class nf_descriptor_null;
extern const nf_readout_class nf_readout_null;

/* ---- descriptor ---- */

static int descriptor_create(const json_t *tree, const nf_elements *elements, const nf_kern *kern, nf_descriptor **out,
                             nf_error *err)
{
    (void)tree, (void)elements, (void)kern;
    *out = nf_calloc(1, sizeof **out);
    if (*out == NULL)
        return nf_fail_memory(err, "a descriptor");
    (*out)->class = &nf_descriptor_null;
    return 0;
}

static void descriptor_destroy(nf_descriptor *self)
{
    nf_free(self);
}

static json_t *descriptor_example(const nf_elements *elements, unsigned seed)
{
    (void)elements, (void)seed;
    return json_pack("{s:s}", "class", "null");
}

static double descriptor_cutoff(const nf_descriptor *self)
{
    (void)self;
    return 0;
}

static size_t descriptor_nfeatures(const nf_descriptor *self, int element)
{
    (void)self, (void)element;
    return 0;
}

static size_t descriptor_scratch(const nf_descriptor *self, const nf_patch *patch, int nbar)
{
    (void)self, (void)patch, (void)nbar;
    return 0;
}

static int descriptor_forward(const nf_descriptor *self, const nf_patch_view *at, int element, size_t ld, double *g,
                              nf_arena *arena, nf_error *err)
{
    (void)self, (void)at, (void)element, (void)ld, (void)g, (void)arena, (void)err;
    return 0;
}

/* The virials of the centres are written, not added to. */
static int descriptor_vjp(const nf_descriptor *self, const nf_patch_view *at, int element, size_t ld, int nbar,
                          const double *const g_bar[], nf_pull *out, nf_arena *arena, nf_error *err)
{
    (void)self, (void)ld, (void)g_bar, (void)arena, (void)err;
    const nf_patch *p = at->patch;
    for (int m = 0; out->virial != NULL && m < nbar; m++)
        for (uint32_t c = p->element_first[element]; c < p->element_first[element + 1]; c++)
            memset(out->virial[(size_t)m * out->natoms + (size_t)p->centre[c]], 0, sizeof *out->virial);
    return 0;
}

static int descriptor_jvp(const nf_descriptor *self, const nf_patch_view *at, int element, size_t ld,
                          const double (*pos_dot)[3], const double strain[3][3], double *g_dot, nf_arena *arena,
                          nf_error *err)
{
    (void)self, (void)at, (void)element, (void)ld, (void)pos_dot, (void)strain, (void)g_dot, (void)arena, (void)err;
    return 0;
}

const nf_descriptor_class nf_descriptor_null = {
    .name = "null",
    .reference = "none",
    .create = descriptor_create,
    .destroy = descriptor_destroy,
    .example = descriptor_example,
    .cutoff = descriptor_cutoff,
    .nfeatures = descriptor_nfeatures,
    .scratch = descriptor_scratch,
    .forward = descriptor_forward,
    .vjp = descriptor_vjp,
    .jvp = descriptor_jvp,
};

/* ---- readout ---- */

static int readout_create(const json_t *tree, const nf_spec *spec, size_t nfeatures, const nf_kern *kern,
                          nf_readout **out, nf_error *err)
{
    (void)tree, (void)spec, (void)nfeatures, (void)kern;
    *out = nf_calloc(1, sizeof **out);
    if (*out == NULL)
        return nf_fail_memory(err, "a readout");
    (*out)->class = &nf_readout_null;
    return 0;
}

static void readout_destroy(nf_readout *self)
{
    nf_free(self);
}

static json_t *readout_example(nf_spec *spec, size_t nfeatures, unsigned seed)
{
    (void)spec, (void)nfeatures, (void)seed;
    return json_pack("{s:s}", "class", "null");
}

static size_t readout_nparameters(const nf_readout *self)
{
    (void)self;
    return 0;
}

static size_t readout_scratch(const nf_readout *self, size_t ld)
{
    (void)self, (void)ld;
    return 0;
}

static void readout_forward(const nf_readout *self, int n, size_t ld, const double *g, double *y, nf_arena *arena)
{
    (void)self, (void)ld, (void)g, (void)arena;
    memset(y, 0, (size_t)n * sizeof *y);
}

static void readout_vjp(const nf_readout *self, int n, size_t ld, const double *g, const double *y_bar, double *y,
                        double *g_bar, nf_arena *arena)
{
    (void)y_bar, (void)g_bar;
    readout_forward(self, n, ld, g, y, arena);
}

static void readout_jvp(const nf_readout *self, int n, size_t ld, const double *g, const double *g_dot, double *y_dot,
                        nf_arena *arena)
{
    (void)g_dot;
    readout_forward(self, n, ld, g, y_dot, arena);
}

const nf_readout_class nf_readout_null = {
    .name = "null",
    .reference = "none",
    .zero = true,
    .create = readout_create,
    .destroy = readout_destroy,
    .example = readout_example,
    .nparameters = readout_nparameters,
    .scratch = readout_scratch,
    .forward = readout_forward,
    .vjp = readout_vjp,
    .jvp = readout_jvp,
};
