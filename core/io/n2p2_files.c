/* SPDX-License-Identifier: BSD-3-Clause
 *
 * n2p2_files.c - scaling.data and weights.ZZZ.data.
 */
#include <stdint.h>
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
    int rc = nf_text_open(text, path, p->hash, err);
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

/* The file gives w[in][out] of a layer, then its biases; we keep w[out][in]. Returns the place of number k in
 * `weights`, and the number of inputs of its layer. */
static double *place_of(double *weights, const n2p2_network *network, size_t ninputs, size_t k, size_t *nin)
{
    *nin = ninputs;
    for (int l = 0; l <= network->nhidden; l++) {
        size_t nout = l == network->nhidden ? 1 : (size_t)network->nodes[l];
        if (k < *nin * nout)
            return weights + (k % nout) * *nin + k / nout;
        if (k < (*nin + 1) * nout)
            return weights + k;
        k -= (*nin + 1) * nout;
        weights += (*nin + 1) * nout;
        *nin = nout;
    }
    return NULL;
}

/* Numbers of weights that the lines of input.nn allow. */
typedef struct {
    int n;
    size_t count[N2P2_NREADINGS], least, most;
    char text[80]; /* "16" or "16 or 20" */
} expected_weights;

static void expect_weights(const n2p2_potential *p, int e, expected_weights *out)
{
    n2p2_network networks[N2P2_NREADINGS];
    const char *how[N2P2_NREADINGS];
    size_t used = 0;
    *out = (expected_weights){.n = n2p2_readings(p, e, networks, how), .least = SIZE_MAX};
    for (int i = 0; i < out->n; i++) {
        size_t n = out->count[i] = n2p2_count_weights(&networks[i], p->of[e].nfunctions);
        out->least = n < out->least ? n : out->least;
        out->most = n > out->most ? n : out->most;
        used += (size_t)snprintf(out->text + used, sizeof out->text - used, "%s%zu", i == 0 ? "" : " or ", n);
    }
}

typedef struct {
    size_t n, capacity;
    double *value;
} number_list;

static int read_numbers(nf_text *text, const expected_weights *expected, number_list *out, nf_error *err)
{
    int rc;
    if (expected->least > strlen(text->at))
        return nf_fail(err, NF_EFORMAT, "%s: far fewer numbers than the %s weights of the network in input.nn",
                       text->path, expected->text);
    while ((rc = nf_text_next(text, "#", err)) > 0) {
        if (out->n == expected->most)
            return nf_fail(err, NF_EFORMAT, "%s:%ld: more numbers than the %s weights of the network in input.nn",
                           text->path, text->line, expected->text);
        if (NF_GROW(out->value, out->capacity, out->n + 1))
            return nf_fail_memory(err, text->path);
        TRY(nf_text_number(text, 0, &out->value[out->n++], err));
    }
    TRY(rc);
    for (int i = 0; i < expected->n; i++)
        if (out->n == expected->count[i])
            return 0;
    return nf_fail(err, NF_EFORMAT, "%s: %zu weights, the network in input.nn has %s", text->path, out->n,
                   expected->text);
}

/* normalize_nodes: what reaches a node is divided by the number of nodes before it, bias included. */
static int place_weights(n2p2_potential *p, int e, const number_list *numbers, nf_error *err)
{
    n2p2_element *of = &p->of[e];
    size_t nin;
    of->nweights = numbers->n;
    of->weights = nf_calloc(numbers->n, sizeof *of->weights);
    if (of->weights == NULL)
        return nf_fail_memory(err, "a network");
    for (size_t k = 0; k < numbers->n; k++) {
        double *place = place_of(of->weights, &of->network, of->nfunctions, k, &nin);
        *place = p->normalize_nodes ? numbers->value[k] / (double)nin : numbers->value[k];
    }
    return 0;
}

static int read_weights(n2p2_potential *p, nf_text *text, int e, nf_error *err)
{
    expected_weights expected;
    number_list numbers = {0};
    expect_weights(p, e, &expected);
    int rc = read_numbers(text, &expected, &numbers, err);
    if (rc == 0)
        rc = n2p2_settle_network(p, e, numbers.n, err);
    if (rc == 0)
        rc = place_weights(p, e, &numbers, err);
    nf_free(numbers.value);
    return rc;
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
        nf_free(p->of[e].own.lines);
        nf_free(p->of[e].own.single);
        nf_free(p->of[e].weights);
    }
}
