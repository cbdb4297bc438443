/* SPDX-License-Identifier: BSD-3-Clause
 *
 * n2p2_files.c - scaling.data and weights.ZZZ.data.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/n2p2.h"
#include "io/text.h"

static int with_text(n2p2_potential *p, const char *path, int index, nf_error *err,
                     int (*read)(n2p2_potential *p, nf_text *text, int index, nf_error *err))
{
    nf_text *text = nf_calloc(1, sizeof *text);
    if (text == NULL)
        return nf_fail_memory(err, path);
    int rc = nf_text_open(text, path, err);
    if (rc == 0)
        rc = read(p, text, index, err);
    nf_text_close(text);
    nf_free(text);
    return rc;
}

/* ---- scaling.data: element, function, min, max, mean [, sigma]; RuNNer adds a last line of two energies ---- */

static int take_scaling(n2p2_potential *p, const nf_text *text, nf_error *err)
{
    int e, f;
    TRY(nf_text_require(text, 5, "element function min max mean [sigma]", err));
    TRY(nf_text_integer(text, 0, &e, err));
    TRY(nf_text_integer(text, 1, &f, err));
    if (e < 1 || e > p->elements.n)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: element %d of %d", text->path, text->line, e, p->elements.n);
    n2p2_element *of = &p->of[e - 1];
    if (f < 1 || (size_t)f > of->nfunctions)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: symmetry function %d of the %zu that input.nn gives element %s",
                       text->path, text->line, f, of->nfunctions, nf_element_symbol(p->elements.number[e - 1]));
    n2p2_scaling *s = &of->scaling[f - 1];
    if (s->seen)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: element %d, function %d again", text->path, text->line, e, f);
    s->seen = true;
    TRY(nf_text_number(text, 2, &s->low, err));
    TRY(nf_text_number(text, 3, &s->high, err));
    TRY(nf_text_number(text, 4, &s->mean, err));
    s->has_sigma = text->nwords > 5;
    if (s->has_sigma)
        TRY(nf_text_number(text, 5, &s->sigma, err));
    if (s->high < s->low)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: max %g is below min %g", text->path, text->line, s->high, s->low);
    if (p->scale && s->high == s->low)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: max equals min (%g): the function cannot be scaled", text->path,
                       text->line, s->low);
    bool by_sigma = p->sigma && !p->scale && !p->center;
    if (by_sigma && !(s->has_sigma && s->sigma > 0))
        return nf_fail(err, NF_EFORMAT, "%s:%ld: scale_symmetry_functions_sigma needs a positive sigma", text->path,
                       text->line);
    return 0;
}

static int read_scaling(n2p2_potential *p, nf_text *text, int unused, nf_error *err)
{
    int rc;
    (void)unused;
    while ((rc = nf_text_next(text, "#", err)) > 0)
        if (text->nwords != 2)
            TRY(take_scaling(p, text, err));
    TRY(rc);
    for (int e = 0; e < p->elements.n; e++)
        for (size_t f = 0; f < p->of[e].nfunctions; f++)
            if (!p->of[e].scaling[f].seen)
                return nf_fail(err, NF_EFORMAT, "%s: no line for element %d (%s), symmetry function %zu", text->path,
                               e + 1, nf_element_symbol(p->elements.number[e]), f + 1);
    return 0;
}

int n2p2_read_scaling(n2p2_potential *p, nf_error *err)
{
    char path[4096];
    for (int e = 0; e < p->elements.n; e++) {
        p->of[e].scaling = nf_calloc(p->of[e].nfunctions, sizeof *p->of[e].scaling);
        if (p->of[e].scaling == NULL)
            return nf_fail_memory(err, "scaling.data");
    }
    snprintf(path, sizeof path, "%s/scaling.data", p->folder);
    return with_text(p, path, 0, err, read_scaling);
}

/* ---- weights.ZZZ.data ---- */

/* The file gives w[in][out] of a layer, then its biases; we keep w[out][in]. */
static double *place_of(n2p2_element *of, const int nodes[], int nlayers, size_t k)
{
    double *layer = of->weights;
    for (int l = 0; l < nlayers; l++) {
        size_t nin = (size_t)nodes[l], nout = (size_t)nodes[l + 1];
        if (k < nin * nout)
            return layer + (k % nout) * nin + k / nout;
        if (k < (nin + 1) * nout)
            return layer + k;
        k -= (nin + 1) * nout;
        layer += (nin + 1) * nout;
    }
    return NULL;
}

static int read_weights(n2p2_potential *p, nf_text *text, int e, nf_error *err)
{
    n2p2_element *of = &p->of[e];
    int nodes[N2P2_MAX_LAYERS + 2], nlayers = p->nhidden + 1, rc;
    nodes[0] = (int)of->nfunctions;
    memcpy(nodes + 1, p->nodes, (size_t)p->nhidden * sizeof *nodes);
    nodes[nlayers] = 1;
    of->nweights = 0;
    for (int l = 0; l < nlayers; l++)
        of->nweights += ((size_t)nodes[l] + 1) * (size_t)nodes[l + 1];
    if (of->nweights > strlen(text->at)) /* before memory is asked for: layers may be absurd */
        return nf_fail(err, NF_EFORMAT, "%s: far fewer numbers than the %zu weights of the network in input.nn",
                       text->path, of->nweights);
    of->weights = nf_calloc(of->nweights, sizeof *of->weights);
    if (of->weights == NULL)
        return nf_fail_memory(err, text->path);
    size_t k = 0;
    while ((rc = nf_text_next(text, "#", err)) > 0) {
        if (k == of->nweights)
            return nf_fail(err, NF_EFORMAT, "%s:%ld: more numbers than the %zu weights of the network in input.nn",
                           text->path, text->line, of->nweights);
        TRY(nf_text_number(text, 0, place_of(of, nodes, nlayers, k++), err));
    }
    TRY(rc);
    if (k < of->nweights)
        return nf_fail(err, NF_EFORMAT, "%s: %zu weights, the network in input.nn has %zu", text->path, k,
                       of->nweights);
    return 0;
}

int n2p2_read_weights(n2p2_potential *p, nf_error *err)
{
    for (int e = 0; e < p->elements.n; e++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/weights.%03d.data", p->folder, p->elements.number[e]);
        TRY(with_text(p, path, e, err, read_weights));
    }
    return 0;
}

void n2p2_free(n2p2_potential *p)
{
    for (int e = 0; e < 118; e++) {
        nf_free(p->of[e].functions);
        nf_free(p->of[e].scaling);
        nf_free(p->of[e].weights);
    }
}
