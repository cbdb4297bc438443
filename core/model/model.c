/* SPDX-License-Identifier: BSD-3-Clause
 *
 * model.c - from spec to parts, and what one may ask of a model.
 */
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/format.h"

static int read_elements(nf_model *m, nf_error *err)
{
    const json_t *list = json_object_get(m->spec.tree, "elements");
    size_t n = json_array_size(list);
    if (n < 1 || n > NF_MAX_ELEMENTS)
        return nf_fail(err, NF_EFORMAT, "a model of %zu elements", n);
    for (size_t e = 0; e < n; e++) {
        const char *symbol = json_string_value(json_array_get(list, e));
        int z = symbol == NULL ? 0 : nf_element_number(symbol);
        if (z == 0 || (e > 0 && z <= m->elements.number[e - 1]))
            return nf_fail(err, NF_EFORMAT, "element '%s' is unknown or out of order", symbol == NULL ? "?" : symbol);
        m->elements.number[e] = z;
    }
    m->elements.n = (int)n;
    return 0;
}

static int make_descriptor(nf_model *m, nf_error *err)
{
    const json_t *tree = json_object_get(m->spec.tree, "descriptor");
    const char *name = nf_spec_string(tree, "class", err);
    const nf_descriptor_class *class = name == NULL ? NULL : nf_descriptor_find(name);
    if (class == NULL)
        return nf_fail(err, NF_EUNSUPPORTED, "unknown descriptor '%s'", name == NULL ? "?" : name);
    TRY(class->create(tree, &m->elements, m->kern, &m->descriptor, err));
    m->cutoff = class->cutoff(m->descriptor);
    return 0;
}

static int copy_bounds(const nf_spec *spec, const json_t *tree, nf_range *range, nf_error *err)
{
    const char *low = nf_spec_string(tree, "low", err), *high = nf_spec_string(tree, "high", err);
    if (low == NULL || high == NULL)
        return NF_EFORMAT;
    const double *from = nf_spec_get(spec, low, range->n, err), *to = nf_spec_get(spec, high, range->n, err);
    if (from == NULL || to == NULL)
        return NF_EFORMAT;
    memcpy(range->low, from, range->n * sizeof *from);
    memcpy(range->high, to, range->n * sizeof *to);
    return 0;
}

static int make_range(const nf_model *m, const json_t *tree, size_t nfeatures, nf_range *range, nf_error *err)
{
    const json_t *select = json_object_get(tree, "select");
    range->n = json_array_size(select);
    if (range->n == 0)
        return 0;
    range->feature = nf_calloc(range->n, sizeof *range->feature);
    range->low = nf_calloc(range->n, sizeof *range->low);
    range->high = nf_calloc(range->n, sizeof *range->high);
    if (range->feature == NULL || range->low == NULL || range->high == NULL)
        return nf_fail_memory(err, "a model");
    for (size_t i = 0; i < range->n; i++) {
        range->feature[i] = (int)json_integer_value(json_array_get(select, i));
        if (range->feature[i] < 0 || (size_t)range->feature[i] >= nfeatures)
            return nf_fail(err, NF_EFORMAT, "a training range of feature %d of %zu", range->feature[i], nfeatures);
    }
    return copy_bounds(&m->spec, tree, range, err);
}

static int make_readout(nf_model *m, nf_member *member, const json_t *readouts, int e, nf_error *err)
{
    const json_t *tree = json_object_get(readouts, nf_element_symbol(m->elements.number[e]));
    const char *name = nf_spec_string(tree, "class", err);
    const nf_readout_class *class = name == NULL ? NULL : nf_readout_find(name);
    size_t nfeatures = m->descriptor->class->nfeatures(m->descriptor, e);
    if (class == NULL)
        return nf_fail(err, NF_EUNSUPPORTED, "no readout for element %s", nf_element_symbol(m->elements.number[e]));
    TRY(nf_spec_number(tree, "offset", &member->offset[e], err));
    TRY(make_range(m, tree, nfeatures, &member->range[e], err));
    return class->create(tree, &m->spec, nfeatures, m->kern, &member->readout[e], err);
}

static int make_member(nf_model *m, nf_member *member, const json_t *tree, nf_error *err)
{
    size_t n = (size_t)m->elements.n;
    const char *source = nf_spec_string(tree, "source", err);
    if (source == NULL)
        return NF_EFORMAT;
    TRY(nf_spec_number(tree, "scale", &member->scale, err));
    member->source = nf_strdup(source);
    member->readout = nf_calloc(n, sizeof *member->readout);
    member->range = nf_calloc(n, sizeof *member->range);
    member->offset = nf_calloc(n, sizeof *member->offset);
    if (member->source == NULL || member->readout == NULL || member->range == NULL || member->offset == NULL)
        return nf_fail_memory(err, "a model");
    for (int e = 0; e < m->elements.n; e++)
        TRY(make_readout(m, member, json_object_get(tree, "readouts"), e, err));
    return 0;
}

static int make_members(nf_model *m, nf_error *err)
{
    const json_t *list = json_object_get(m->spec.tree, "members");
    size_t n = json_array_size(list);
    if (n == 0)
        return nf_fail(err, NF_EFORMAT, "a model without members");
    m->members = nf_calloc(n, sizeof *m->members);
    if (m->members == NULL)
        return nf_fail_memory(err, "a model");
    for (m->nmembers = 0; m->nmembers < n;) {
        size_t i = m->nmembers++;
        TRY(make_member(m, &m->members[i], json_array_get(list, i), err));
    }
    return 0;
}

static bool is_zero(const nf_model *m)
{
    bool zero = m->cutoff == 0;
    for (size_t i = 0; i < m->nmembers; i++)
        for (int e = 0; e < m->elements.n; e++)
            zero = zero && m->members[i].readout[e]->class->zero && m->members[i].offset[e] == 0;
    return zero;
}

int nf_model_create(nf_model **out, nf_spec *spec, nf_units units, nf_error *err)
{
    *out = NULL;
    nf_model *m = nf_calloc(1, sizeof *m);
    if (m == NULL) {
        nf_spec_free(spec);
        return nf_fail_memory(err, "a model");
    }
    m->spec = *spec;
    *spec = (nf_spec){0};
    atomic_init(&m->owners, 1);
    m->units = units;
    m->kern = nf_kern_select();
    int rc = read_elements(m, err);
    if (rc == 0)
        rc = make_descriptor(m, err);
    if (rc == 0)
        rc = make_members(m, err);
    if (rc != 0) {
        nf_model_free(m);
        return rc;
    }
    m->zero = is_zero(m);
    *out = m;
    return 0;
}

int nf_model_load(nf_model **out, size_t npaths, const char *const paths[], const nf_model_opts *opts, nf_error *err)
{
    nf_model_opts defaults = NF_MODEL_OPTS_INIT;
    nf_spec spec = {0};
    *out = NULL;
    if (npaths == 0 || paths == NULL)
        return nf_fail(err, NF_EINVAL, "no model was named");
    if (opts == NULL)
        opts = &defaults;
    int rc = nf_spec_new(&spec, err);
    if (rc == 0)
        rc = nf_format_read(&spec, npaths, paths, opts, err);
    if (rc != 0) {
        nf_spec_free(&spec);
        return rc;
    }
    rc = nf_model_create(out, &spec, opts->units, err);
    if (rc != 0 && rc != NF_ENOMEM && err != NULL) {
        nf_error inner = *err;
        return nf_fail(err, rc, "%.80s: %.150s", paths[0], inner.msg);
    }
    return rc;
}

nf_model *nf_model_ref(nf_model *model)
{
    atomic_fetch_add(&model->owners, 1);
    return model;
}

static void free_member(nf_member *member, int nelements)
{
    for (int e = 0; e < nelements; e++) {
        if (member->readout != NULL && member->readout[e] != NULL)
            member->readout[e]->class->destroy(member->readout[e]);
        if (member->range != NULL) {
            nf_free(member->range[e].feature);
            nf_free(member->range[e].low);
            nf_free(member->range[e].high);
        }
    }
    nf_free(member->source);
    nf_free(member->readout);
    nf_free(member->range);
    nf_free(member->offset);
}

void nf_model_free(nf_model *model)
{
    if (model == NULL || atomic_fetch_sub(&model->owners, 1) > 1)
        return;
    for (size_t i = 0; i < model->nmembers; i++)
        free_member(&model->members[i], model->elements.n);
    nf_free(model->members);
    if (model->descriptor != NULL)
        model->descriptor->class->destroy(model->descriptor);
    nf_spec_free(&model->spec);
    nf_free(model);
}

/* ---- questions ---- */

size_t nf_model_nmembers(const nf_model *model)
{
    return model->nmembers;
}

size_t nf_model_nelements(const nf_model *model)
{
    return (size_t)model->elements.n;
}

int nf_model_element(const nf_model *model, size_t index)
{
    return index < (size_t)model->elements.n ? model->elements.number[index] : 0;
}

double nf_model_cutoff(const nf_model *model)
{
    return model->cutoff;
}

nf_units nf_model_units(const nf_model *model)
{
    return model->units;
}

size_t nf_model_nfeatures(const nf_model *model, int atomic_number)
{
    int e = nf_elements_find(&model->elements, atomic_number);
    return e < 0 ? 0 : model->descriptor->class->nfeatures(model->descriptor, e);
}

size_t nf_model_nparameters(const nf_model *model)
{
    size_t n = 0;
    for (int e = 0; e < model->elements.n; e++)
        n += model->members[0].readout[e]->class->nparameters(model->members[0].readout[e]);
    return n;
}

const char *nf_model_sha256(const nf_model *model)
{
    const char *text = json_string_value(json_object_get(model->spec.tree, "sha256"));
    return text == NULL ? "" : text;
}

char *nf_model_describe(const nf_model *model)
{
    return json_dumps(model->spec.tree, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
}

void nf_string_free(char *text)
{
    free(text);
}
