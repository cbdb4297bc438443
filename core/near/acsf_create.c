/* SPDX-License-Identifier: BSD-3-Clause
 *
 * acsf_create.c - from a list of symmetry functions to radial rows and angular groups. The order of the entries of an
 * element in "functions" is the order of its features.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "near/acsf.h"

extern const nf_descriptor_class nf_descriptor_acsf;

/* ---- reading ---- */

/* Puts the number of the function before its message. */
static int blame(int code, size_t i, nf_error *err)
{
    nf_error why = err == NULL ? (nf_error){0} : *err;
    return nf_fail(err, code, "symmetry function %zu: %s", i + 1, why.msg);
}

static int count_functions(acsf *s, const json_t *list, const nf_elements *elements, nf_error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        int e, rc = acsf_read_element(json_array_get(list, i), elements, &e, err);
        if (rc < 0)
            return blame(rc, i, err);
        s->centres[e].nfeatures++;
    }
    for (int e = 0; e < s->nelements; e++) {
        acsf_centre *c = &s->centres[e];
        size_t n = c->nfeatures + 1;
        c->functions = nf_calloc(n, sizeof *c->functions);
        c->nrows = nf_calloc((size_t)s->nelements, sizeof *c->nrows);
        c->rows = nf_calloc((size_t)s->nelements, sizeof *c->rows);
        if (c->functions == NULL || c->nrows == NULL || c->rows == NULL)
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
        TRY(acsf_read_element(tree, elements, &e, err));
        acsf_function *f = &s->centres[e].functions[seen[e]];
        f->feature = seen[e]++;
        int rc = acsf_read_function(tree, elements, f, err);
        if (rc < 0)
            return blame(rc, i, err);
        s->cutoff = fmax(s->cutoff, f->radial.rc);
    }
    return 0;
}

/* ---- sorting out what is shared ---- */

static int same_radial(const struct k_radial *a, const struct k_radial *b)
{
    return a->form == b->form && a->eta == b->eta && a->rs == b->rs && a->rc == b->rc && a->inner == b->inner &&
           a->cutoff == b->cutoff && a->rl == b->rl;
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

static int same_window(const struct k_window *a, const struct k_window *b)
{
    return a->centre == b->centre && a->width == b->width && a->core == b->core;
}

static int find_angle(const struct k_angular *k, const acsf_function *f)
{
    for (int i = 0; i < k->nangle; i++)
        if (k->compact ? same_window(&k->window[i], &f->window) : k->lambda[i] == f->lambda && k->zeta[i] == f->zeta)
            return i;
    return -1;
}

/* Does the function belong into the group over elements a and b, and is there room for it? Compact functions differ in
 * rc more than in angles, which cost most: they share a group. */
static int fits(const acsf_group *g, const acsf_function *f, int a, int b)
{
    const struct k_angular *k = &g->par[0];
    if (g->a != a || g->b != b || k->between != f->type->between || k->compact != f->type->compact)
        return 0;
    if (!k->compact && k->rc != f->radial.rc)
        return 0;
    return (find_radial(k, &f->radial) >= 0 || k->nradial < K_MAX_RADIAL) &&
           (find_angle(k, f) >= 0 || k->nangle < K_MAX_ANGLE);
}

static int open_group(acsf_centre *c, const acsf_function *f, int a, int b, acsf_group **out)
{
    if (NF_GROW(c->groups, c->cap_groups, c->ngroups + 1) < 0)
        return NF_ENOMEM;
    acsf_group *g = *out = &c->groups[c->ngroups++];
    memset(g, 0, sizeof *g);
    g->a = a;
    g->b = b;
    g->par[0].between = f->type->between;
    g->par[0].compact = f->type->compact;
    g->feature = nf_calloc(c->nfeatures, sizeof *g->feature);
    g->term_radial = nf_calloc(c->nfeatures, sizeof *g->term_radial);
    g->term_angle = nf_calloc(c->nfeatures, sizeof *g->term_angle);
    g->norm = nf_calloc(c->nfeatures, sizeof *g->norm);
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
    k->rc = fmax(k->rc, par->rc);
    k->row_a[q] = row_of(c, g->a, par);
    k->row_b[q] = row_of(c, g->b, par);
    return q;
}

static int add_angle(struct k_angular *k, const acsf_function *f)
{
    int i = find_angle(k, f);
    if (i >= 0)
        return i;
    i = k->nangle++;
    k->window[i] = f->window;
    k->lambda[i] = f->lambda;
    k->zeta[i] = f->zeta;
    k->power[i] = f->zeta == floor(f->zeta) && f->zeta < 1000 ? (int)f->zeta : 0;
    return i;
}

/* The contribution of the pairs of neighbours of elements a and b. */
static int add_term(acsf_centre *c, const acsf_function *f, int a, int b, double weight, nf_error *err)
{
    acsf_group *g = NULL;
    for (size_t i = 0; i < c->ngroups && g == NULL; i++)
        if (fits(&c->groups[i], f, a, b))
            g = &c->groups[i];
    if (g == NULL && open_group(c, f, a, b, &g) < 0)
        return nf_fail_memory(err, "symmetry functions");
    int t = g->nterm++;
    g->feature[t] = f->feature;
    g->term_radial[t] = add_radial(c, g, &f->radial);
    g->term_angle[t] = add_angle(&g->par[0], f);
    g->norm[t] = weight * (f->type->compact ? 1 : exp2(1 - f->zeta));
    if (g->nterm > c->max_terms)
        c->max_terms = g->nterm;
    return 0;
}

static int add_sum(acsf_centre *c, const acsf_function *f, int element, double weight, nf_error *err)
{
    if (NF_GROW(c->sums, c->cap_sums, c->nsums + 1) < 0)
        return nf_fail_memory(err, "symmetry functions");
    c->sums[c->nsums++] = (acsf_sum){f->feature, element, row_of(c, element, &f->radial), weight};
    return 0;
}

/* A function over all elements: each element or pair of elements with its atomic numbers as weight. */
static int add_weighted(acsf_centre *c, const acsf_function *f, const nf_elements *elements, nf_error *err)
{
    for (int a = 0; a < elements->n; a++) {
        double weight = elements->number[a];
        if (!f->type->angular)
            TRY(add_sum(c, f, a, weight, err));
        for (int b = a; f->type->angular && b < elements->n; b++)
            TRY(add_term(c, f, a, b, weight * elements->number[b], err));
    }
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

static int sort_out(acsf_centre *c, const nf_elements *elements, nf_error *err)
{
    for (size_t i = 0; i < c->nfeatures; i++) {
        const acsf_function *f = &c->functions[i];
        if (f->type->weighted)
            TRY(add_weighted(c, f, elements, err));
        else if (f->type->angular)
            TRY(add_term(c, f, f->neighbour[0], f->neighbour[1], 1, err));
        else
            TRY(add_sum(c, f, f->neighbour[0], 1, err));
    }
    for (size_t g = 0; g < c->ngroups; g++)
        close_group(&c->groups[g]);
    return 0;
}

/* ---- the class's create and destroy ---- */

static int prepare(acsf *s, const json_t *tree, const nf_elements *elements, nf_error *err)
{
    s->centres = nf_calloc((size_t)elements->n, sizeof *s->centres);
    if (s->centres == NULL)
        return nf_fail_memory(err, "symmetry functions");
    s->nelements = elements->n;
    const json_t *list = json_object_get(tree, "functions");
    TRY(read_functions(s, list, elements, err));
    for (int e = 0; e < s->nelements; e++)
        TRY(sort_out(&s->centres[e], elements, err));
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
