/* SPDX-License-Identifier: BSD-3-Clause */
#include "example.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "model/model.h"
#include "near/readout.h"
#include "specimen.h"

const int example_elements[EXAMPLE_NELEMENTS] = {1, 6, 8};
static const nf_elements elements = {EXAMPLE_NELEMENTS, {1, 6, 8}};

enum { NSAMPLES = 4, NATOMS = 30 };

/* Sums of the features of one element over atoms. */
typedef struct {
    size_t n, nfeatures;
    double *sum, *squares;
} statistics;

static double mean(const statistics *s, size_t f)
{
    return s->n > 0 ? s->sum[f] / (double)s->n : 0;
}

static double deviation(const statistics *s, size_t f)
{
    double m = mean(s, f), variance = s->n > 0 ? s->squares[f] / (double)s->n - m * m : 1;
    return variance > 1e-12 * (1 + m * m) ? sqrt(variance) : 1;
}

static double *add_array(nf_spec *spec, json_t *readout, const char *key, int element, size_t n)
{
    char name[32];
    snprintf(name, sizeof name, "%s/%d", key, element);
    json_object_set_new(readout, key, json_string(name));
    double *data = nf_spec_add(spec, name, n);
    ck_assert_ptr_nonnull(data);
    return data;
}

static json_t *readout(nf_spec *spec, int element, const statistics *s, unsigned seed)
{
    const nf_readout_class *class = s->nfeatures == 0 ? nf_readout_find("null") : nf_readout_at(0);
    json_t *tree = class->example(spec, s->nfeatures, seed * EXAMPLE_NELEMENTS + (unsigned)element);
    double *shift = add_array(spec, tree, "shift", element, s->nfeatures);
    double *scale = add_array(spec, tree, "scale", element, s->nfeatures);
    double *low = add_array(spec, tree, "low", element, s->nfeatures);
    double *high = add_array(spec, tree, "high", element, s->nfeatures);
    for (size_t i = 0; i < s->nfeatures; i++) {
        size_t f = (size_t)json_integer_value(json_array_get(json_object_get(tree, "select"), i));
        shift[i] = mean(s, f);
        scale[i] = 0.3 / deviation(s, f);
        low[i] = mean(s, f) - deviation(s, f);
        high[i] = mean(s, f) + deviation(s, f);
    }
    json_object_set_new(tree, "offset", json_real(0.25 * element));
    return tree;
}

static nf_model *build(const nf_descriptor_class *class, const statistics s[], unsigned seed)
{
    nf_spec spec;
    nf_error err = {0};
    nf_model *model;
    json_t *symbols = json_array(), *readouts = json_object();
    ck_assert_int_eq(nf_spec_new(&spec, &err), 0);
    for (int e = 0; e < EXAMPLE_NELEMENTS; e++) {
        const char *symbol = nf_element_symbol(example_elements[e]);
        json_array_append_new(symbols, json_string(symbol));
        json_object_set_new(readouts, symbol, readout(&spec, e, &s[e], seed));
    }
    json_t *members = json_pack("[{s:s, s:f, s:o}]", "source", "example", "scale", 1.0, "readouts", readouts);
    json_object_set_new(spec.tree, "elements", symbols);
    json_object_set_new(spec.tree, "descriptor", class->example(&elements, seed));
    json_object_set_new(spec.tree, "members", members);
    int rc = nf_model_create(&model, &spec, NF_UNITS_ANGSTROM_EV, &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    return model;
}

static void allocate(statistics s[], const nf_descriptor_class *class, unsigned seed)
{
    nf_error err = {0};
    nf_descriptor *d;
    json_t *tree = class->example(&elements, seed);
    int rc = class->create(tree, &elements, nf_kern_table(0), &d, &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    for (int e = 0; e < EXAMPLE_NELEMENTS; e++) {
        s[e].nfeatures = class->nfeatures(d, e);
        s[e].sum = calloc(s[e].nfeatures + 1, sizeof(double));
        s[e].squares = calloc(s[e].nfeatures + 1, sizeof(double));
    }
    class->destroy(d);
    json_decref(tree);
}

static void collect(statistics s[], lab *l, unsigned seed)
{
    static specimen at;
    double *g;
    specimen_make(&at, seed % 2 ? CLUSTER : CUBIC, NATOMS, EXAMPLE_NELEMENTS, example_elements, seed);
    size_t stride = lab_features(l, &at.frame, &g);
    for (size_t i = 0; i < at.frame.natoms; i++) {
        statistics *of = &s[nf_elements_find(&elements, at.species[i])];
        of->n++;
        for (size_t f = 0; f < of->nfeatures; f++) {
            of->sum[f] += g[i * stride + f];
            of->squares[f] += g[i * stride + f] * g[i * stride + f];
        }
    }
    free(g);
}

nf_model *example_model(const nf_descriptor_class *class, unsigned seed)
{
    statistics s[EXAMPLE_NELEMENTS] = {{0}};
    lab l;
    allocate(s, class, seed);
    lab_open(&l, build(class, s, seed), 1, 0.5);
    for (unsigned k = 0; k < NSAMPLES; k++)
        collect(s, &l, k);
    lab_close(&l);
    nf_model *model = build(class, s, seed);
    for (int e = 0; e < EXAMPLE_NELEMENTS; e++) {
        free(s[e].sum);
        free(s[e].squares);
    }
    return model;
}
