/* SPDX-License-Identifier: BSD-3-Clause
 *
 * acsf_create.c - from a list of symmetry functions to radial rows and angular groups.
 *
 * An entry of "functions": {"element": "H", "type": 2, "neighbours": ["O"], "eta": 1/A^2, "rs": A, "rc": A,
 * "inner": A, "cutoff": "tanhu"}; types 3 and 9 have two neighbours, "lambda" and "zeta" as well. The order of the
 * entries of an element is the order of its features.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "near/acsf.h"
#include "near/cutoff.h"

extern const nf_descriptor_class nf_descriptor_acsf;

static const char *const cutoff_names[K_NCUTOFFS] = {"hard",  "cos",   "tanhu", "tanh", "exp",
                                                     "poly1", "poly2", "poly3", "poly4"};

const char *nf_cutoff_name(int type)
{
    return type >= 0 && type < K_NCUTOFFS ? cutoff_names[type] : NULL;
}

int nf_cutoff_find(const char *name)
{
    for (int i = 0; i < K_NCUTOFFS; i++)
        if (strcmp(cutoff_names[i], name) == 0)
            return i;
    return -1;
}

/* ---- reading one function ---- */

static int read_element(const json_t *value, const nf_elements *elements, int *out, nf_error *err)
{
    const char *symbol = json_string_value(value);
    *out = symbol == NULL ? -1 : nf_elements_find(elements, nf_element_number(symbol));
    if (*out < 0)
        return nf_fail(err, NF_EFORMAT, "'%s' is not an element of this model", symbol == NULL ? "?" : symbol);
    return 0;
}

static int read_radial(const json_t *tree, struct k_radial *out, nf_error *err)
{
    const char *name = nf_spec_string(tree, "cutoff", err);
    if (name == NULL)
        return NF_EFORMAT;
    out->cutoff = nf_cutoff_find(name);
    if (out->cutoff < 0)
        return nf_fail(err, NF_EUNSUPPORTED, "unknown cutoff function '%s'", name);
    TRY(nf_spec_number(tree, "eta", &out->eta, err));
    TRY(nf_spec_number(tree, "rs", &out->rs, err));
    TRY(nf_spec_number(tree, "rc", &out->rc, err));
    TRY(nf_spec_number(tree, "inner", &out->inner, err));
    if (!(out->rc > 0) || !(out->inner >= 0) || !(out->inner < out->rc) || !isfinite(out->rc) || !isfinite(out->eta) ||
        !isfinite(out->rs))
        return nf_fail(err, NF_EFORMAT, "a symmetry function with cutoff %g, inner cutoff %g, eta %g, rs %g", out->rc,
                       out->inner, out->eta, out->rs);
    return 0;
}

static int read_angle(const json_t *tree, acsf_function *out, nf_error *err)
{
    TRY(nf_spec_number(tree, "lambda", &out->lambda, err));
    TRY(nf_spec_number(tree, "zeta", &out->zeta, err));
    if (!isfinite(out->lambda) || !(out->zeta > 0) || !isfinite(out->zeta))
        return nf_fail(err, NF_EFORMAT, "a symmetry function with lambda %g and zeta %g", out->lambda, out->zeta);
    return 0;
}

static int read_function(const json_t *tree, const nf_elements *elements, acsf_function *out, nf_error *err)
{
    const json_t *neighbours = json_object_get(tree, "neighbours");
    TRY(nf_spec_integer(tree, "type", &out->type, err));
    if (out->type != 2 && out->type != 3 && out->type != 9)
        return nf_fail(err, NF_EUNSUPPORTED, "symmetry function type %d", out->type);
    size_t wanted = out->type == 2 ? 1 : 2;
    if (json_array_size(neighbours) != wanted)
        return nf_fail(err, NF_EFORMAT, "a symmetry function of type %d has %zu neighbour elements", out->type, wanted);
    for (size_t i = 0; i < wanted; i++)
        TRY(read_element(json_array_get(neighbours, i), elements, &out->neighbour[i], err));
    if (wanted == 2 && out->neighbour[0] > out->neighbour[1]) {
        int first = out->neighbour[0];
        out->neighbour[0] = out->neighbour[1];
        out->neighbour[1] = first;
    }
    TRY(read_radial(tree, &out->radial, err));
    return wanted == 2 ? read_angle(tree, out, err) : 0;
}

static int count_functions(acsf *s, const json_t *list, const nf_elements *elements, nf_error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        int e;
        TRY(read_element(json_object_get(json_array_get(list, i), "element"), elements, &e, err));
        s->centres[e].nfeatures++;
    }
    for (int e = 0; e < s->nelements; e++) {
        acsf_centre *c = &s->centres[e];
        size_t n = c->nfeatures + 1;
        c->functions = nf_calloc(n, sizeof *c->functions);
        c->sums = nf_calloc(n, sizeof *c->sums);
        c->groups = nf_calloc(n, sizeof *c->groups);
        c->nrows = nf_calloc((size_t)s->nelements, sizeof *c->nrows);
        c->rows = nf_calloc((size_t)s->nelements, sizeof *c->rows);
        if (c->functions == NULL || c->sums == NULL || c->groups == NULL || c->nrows == NULL || c->rows == NULL)
            return nf_fail_memory(err, "symmetry functions");
        for (int k = 0; k < s->nelements; k++)
            if ((c->rows[k] = nf_calloc(n, sizeof *c->rows[k])) == NULL)
                return nf_fail_memory(err, "symmetry functions");
    }
    return 0;
}

static int read_functions(acsf *s, const json_t *list, const nf_elements *elements, nf_error *err)
{
    TRY(count_functions(s, list, elements, err));
    int seen[NF_MAX_ELEMENTS] = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *tree = json_array_get(list, i);
        int e;
        TRY(read_element(json_object_get(tree, "element"), elements, &e, err));
        acsf_function *f = &s->centres[e].functions[seen[e]];
        f->feature = seen[e]++;
        TRY(read_function(tree, elements, f, err));
        s->cutoff = fmax(s->cutoff, f->radial.rc);
    }
    return 0;
}

/* ---- sorting out what is shared ---- */

static int same_radial(const struct k_radial *a, const struct k_radial *b)
{
    return a->eta == b->eta && a->rs == b->rs && a->rc == b->rc && a->inner == b->inner && a->cutoff == b->cutoff;
}

/* Number of the row with these parameters, made if it is new. */
static int row_of(acsf_centre *c, int element, const struct k_radial *par)
{
    int n = c->nrows[element];
    for (int q = 0; q < n; q++)
        if (same_radial(&c->rows[element][q], par))
            return q;
    c->rows[element][n] = *par;
    c->nrows[element] = n + 1;
    if (n + 1 > c->max_rows)
        c->max_rows = n + 1;
    return n;
}

static int find_radial(const struct k_angular *k, const struct k_radial *par)
{
    for (int q = 0; q < k->nradial; q++)
        if (same_radial(&k->radial[q], par))
            return q;
    return -1;
}

static int find_angle(const struct k_angular *k, double lambda, double zeta)
{
    for (int i = 0; i < k->nangle; i++)
        if (k->lambda[i] == lambda && k->zeta[i] == zeta)
            return i;
    return -1;
}

/* Does the function belong into the group, and is there room for it? */
static int fits(const acsf_group *g, const acsf_function *f)
{
    const struct k_angular *k = &g->par[0];
    if (g->a != f->neighbour[0] || g->b != f->neighbour[1] || k->narrow != (f->type == 3) || k->rc != f->radial.rc)
        return 0;
    return (find_radial(k, &f->radial) >= 0 || k->nradial < K_MAX_RADIAL) &&
           (find_angle(k, f->lambda, f->zeta) >= 0 || k->nangle < K_MAX_ANGLE);
}

static int open_group(acsf_centre *c, const acsf_function *f, acsf_group **out)
{
    acsf_group *g = &c->groups[c->ngroups++];
    g->a = f->neighbour[0];
    g->b = f->neighbour[1];
    g->par[0].narrow = f->type == 3;
    g->par[0].rc = f->radial.rc;
    g->feature = nf_calloc(c->nfeatures, sizeof *g->feature);
    g->term_radial = nf_calloc(c->nfeatures, sizeof *g->term_radial);
    g->term_angle = nf_calloc(c->nfeatures, sizeof *g->term_angle);
    g->norm = nf_calloc(c->nfeatures, sizeof *g->norm);
    *out = g;
    return g->feature && g->term_radial && g->term_angle && g->norm ? 0 : NF_ENOMEM;
}

static int add_radial(acsf_centre *c, acsf_group *g, const struct k_radial *par)
{
    struct k_angular *k = &g->par[0];
    int q = find_radial(k, par);
    if (q >= 0)
        return q;
    q = k->nradial++;
    k->radial[q] = *par;
    k->row_a[q] = row_of(c, g->a, par);
    k->row_b[q] = row_of(c, g->b, par);
    return q;
}

static int add_angle(struct k_angular *k, double lambda, double zeta)
{
    int i = find_angle(k, lambda, zeta);
    if (i >= 0)
        return i;
    i = k->nangle++;
    k->lambda[i] = lambda;
    k->zeta[i] = zeta;
    k->power[i] = zeta == floor(zeta) && zeta < 1000 ? (int)zeta : 0;
    return i;
}

static int add_angular(acsf_centre *c, const acsf_function *f, nf_error *err)
{
    acsf_group *g = NULL;
    for (size_t i = 0; i < c->ngroups && g == NULL; i++)
        if (fits(&c->groups[i], f))
            g = &c->groups[i];
    if (g == NULL && open_group(c, f, &g))
        return nf_fail_memory(err, "symmetry functions");
    int t = g->nterm++;
    g->feature[t] = f->feature;
    g->term_radial[t] = add_radial(c, g, &f->radial);
    g->term_angle[t] = add_angle(&g->par[0], f->lambda, f->zeta);
    g->norm[t] = exp2(1 - f->zeta);
    if (g->nterm > c->max_terms)
        c->max_terms = g->nterm;
    return 0;
}

static void close_group(acsf_group *g)
{
    struct k_angular *k = &g->par[0];
    k->nterm = g->nterm;
    k->term_radial = g->term_radial;
    k->term_angle = g->term_angle;
    k->norm = g->norm;
    g->par[1] = *k;
    memcpy(g->par[1].row_a, k->row_b, sizeof k->row_b);
    memcpy(g->par[1].row_b, k->row_a, sizeof k->row_a);
}

static int sort_out(acsf_centre *c, nf_error *err)
{
    for (size_t i = 0; i < c->nfeatures; i++) {
        const acsf_function *f = &c->functions[i];
        if (f->type == 2)
            c->sums[c->nsums++] = (acsf_sum){f->feature, f->neighbour[0], row_of(c, f->neighbour[0], &f->radial)};
        else
            TRY(add_angular(c, f, err));
    }
    for (size_t g = 0; g < c->ngroups; g++)
        close_group(&c->groups[g]);
    return 0;
}

/* ---- the class's create, destroy and example ---- */

static int prepare(acsf *s, const json_t *tree, const nf_elements *elements, nf_error *err)
{
    s->centres = nf_calloc((size_t)elements->n, sizeof *s->centres);
    if (s->centres == NULL)
        return nf_fail_memory(err, "symmetry functions");
    s->nelements = elements->n;
    const json_t *list = json_object_get(tree, "functions");
    TRY(read_functions(s, list, elements, err));
    for (int e = 0; e < s->nelements; e++)
        TRY(sort_out(&s->centres[e], err));
    if (!(s->cutoff > 0))
        return nf_fail(err, NF_EFORMAT, "a model without symmetry functions");
    return 0;
}

int acsf_create(const json_t *tree, const nf_elements *elements, const nf_kern *kern, nf_descriptor **out,
                nf_error *err)
{
    acsf *s = nf_calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL)
        return nf_fail_memory(err, "symmetry functions");
    s->base.class = &nf_descriptor_acsf;
    s->kern = kern;
    int rc = prepare(s, tree, elements, err);
    if (rc == 0)
        *out = &s->base;
    else
        acsf_destroy(&s->base);
    return rc;
}

static void free_centre(acsf_centre *c, int nelements)
{
    for (size_t g = 0; c->groups != NULL && g < c->ngroups; g++) {
        nf_free(c->groups[g].feature);
        nf_free(c->groups[g].term_radial);
        nf_free(c->groups[g].term_angle);
        nf_free(c->groups[g].norm);
    }
    for (int e = 0; c->rows != NULL && e < nelements; e++)
        nf_free(c->rows[e]);
    nf_free(c->functions);
    nf_free(c->sums);
    nf_free(c->groups);
    nf_free(c->nrows);
    nf_free(c->rows);
}

void acsf_destroy(nf_descriptor *self)
{
    acsf *s = (acsf *)self;
    if (s == NULL)
        return;
    for (int e = 0; s->centres != NULL && e < s->nelements; e++)
        free_centre(&s->centres[e], s->nelements);
    nf_free(s->centres);
    nf_free(s);
}

static json_t *example_function(const nf_elements *elements, int centre, int index, nf_rng *rng)
{
    static const int types[] = {2, 2, 3, 3, 9, 9};
    static const double zetas[] = {1, 2, 4, 1.5, 16, 3};
    int type = types[index % 6], cutoff = (int)(nf_rng_next(rng) % (K_NCUTOFFS - 1)) + 1;
    double rc = index % 3 == 2 ? 4.5 : 4.0, rs = index % 2 == 1 ? nf_rng_between(rng, 0.2, 1.5) : 0;
    const char *e[3];
    e[0] = nf_element_symbol(elements->number[centre]);
    for (int i = 1; i < 3; i++)
        e[i] = nf_element_symbol(elements->number[nf_rng_next(rng) % (uint64_t)elements->n]);
    json_t *neighbours = type == 2 ? json_pack("[s]", e[1]) : json_pack("[ss]", e[1], e[2]);
    json_t *f =
        json_pack("{s:s, s:i, s:o, s:f, s:f, s:f, s:f, s:s}", "element", e[0], "type", type, "neighbours", neighbours,
                  "eta", nf_rng_between(rng, 0.01, 0.8), "rs", rs, "rc", rc, "inner",
                  cutoff == K_CUT_TANH || cutoff == K_CUT_TANHU ? 0.0 : 0.2 * rc, "cutoff", cutoff_names[cutoff]);
    if (type != 2) {
        json_object_set_new(f, "lambda", json_real(nf_rng_next(rng) % 2 ? 1 : -1));
        json_object_set_new(f, "zeta", json_real(zetas[nf_rng_next(rng) % 6]));
    }
    return f;
}

json_t *acsf_example(const nf_elements *elements, unsigned seed)
{
    nf_rng rng = {seed};
    json_t *list = json_array();
    for (int e = 0; e < elements->n; e++)
        for (int i = 0; i < 14; i++)
            json_array_append_new(list, example_function(elements, e, i, &rng));
    return json_pack("{s:s, s:o}", "class", "acsf", "functions", list);
}
