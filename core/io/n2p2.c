/* SPDX-License-Identifier: BSD-3-Clause
 *
 * n2p2.c - n2p2/RuNNer directories into a spec: units, the union of the members' symmetry functions, networks.
 */
#include "io/n2p2.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/units.h"
#include "io/format.h"
#include "near/cutoff.h"

enum { MAX_MEMBERS = 256 };

typedef struct {
    double length, energy; /* Angstrom and eV of the file's units */
    const char *name;
} file_units;

static file_units units_of(nf_units units)
{
    switch (units) {
    case NF_UNITS_BOHR_HARTREE:
        return (file_units){NF_BOHR, NF_HARTREE, "bohr,hartree"};
    case NF_UNITS_ANGSTROM_EV:
        return (file_units){1, 1, "angstrom,eV"};
    default:
        return (file_units){1, 1, "reduced"};
    }
}

/* ---- which directories ---- */

static bool exists(const char *folder, const char *name)
{
    char path[4096];
    struct stat info;
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && stat(path, &info) == 0;
}

typedef struct {
    size_t n;
    char *path[MAX_MEMBERS];
} folders;

static void free_folders(folders *f)
{
    for (size_t i = 0; i < f->n; i++)
        nf_free(f->path[i]);
}

static int add_folder(folders *f, const char *path, nf_error *err)
{
    if (f->n == MAX_MEMBERS)
        return nf_fail(err, NF_ELIMIT, "more than %d members in a committee", MAX_MEMBERS);
    f->path[f->n] = nf_strdup(path);
    if (f->path[f->n] == NULL)
        return nf_fail_memory(err, "a committee");
    f->n++;
    return 0;
}

/* A potential, or nnp-1, nnp-2, ... in one directory. */
static int find_folders(folders *f, const char *path, nf_error *err)
{
    char member[4096], name[32];
    if (exists(path, "input.nn") || !exists(path, "nnp-1"))
        return add_folder(f, path, err);
    for (int i = 1;; i++) {
        snprintf(name, sizeof name, "nnp-%d", i);
        if (!exists(path, name))
            return 0;
        snprintf(member, sizeof member, "%s/%s", path, name);
        TRY(add_folder(f, member, err));
    }
}

static bool matches(const char *path)
{
    return exists(path, "input.nn") || exists(path, "nnp-1") || exists(path, "scaling.data");
}

/* ---- the descriptor: every function that some member uses, once ---- */

typedef struct {
    n2p2_function function;
    int cutoff_type;
    double alpha;
} shared_function;

typedef struct {
    size_t n, capacity;
    shared_function *list;
} function_union;

static bool same_function(const shared_function *a, const shared_function *b)
{
    const n2p2_function *f = &a->function, *g = &b->function;
    bool same = f->type == g->type && f->neighbour[0] == g->neighbour[0] && f->neighbour[1] == g->neighbour[1] &&
                f->rc == g->rc;
    if (n2p2_is_compact(f->type))
        return same && f->rl == g->rl && f->angle_left == g->angle_left && f->angle_right == g->angle_right &&
               strcmp(f->subtype, g->subtype) == 0;
    return same && f->eta == g->eta && f->rs == g->rs && f->lambda == g->lambda && f->zeta == g->zeta &&
           a->cutoff_type == b->cutoff_type && a->alpha == b->alpha;
}

/* Index of the function in the union, added if it is new; `from`: functions of this member taken before, which are
 * not given a second time (a file may hold a line twice). */
static int find_function(function_union *u, const shared_function *f, const bool *taken, size_t *index, nf_error *err)
{
    for (size_t i = 0; i < u->n; i++)
        if (!taken[i] && same_function(&u->list[i], f)) {
            *index = i;
            return 0;
        }
    if (NF_GROW(u->list, u->capacity, u->n + 1))
        return nf_fail_memory(err, "symmetry functions");
    u->list[u->n] = *f;
    *index = u->n++;
    return 0;
}

/* The features that member p's networks of element e take, in order. New reference, NULL on failure. */
static json_t *select_functions(function_union *u, const n2p2_potential *p, int e, nf_error *err)
{
    const n2p2_element *of = &p->of[e];
    json_t *select = json_array();
    bool *taken = nf_calloc(u->n + of->nfunctions, sizeof *taken);
    int rc = select == NULL || taken == NULL ? nf_fail_memory(err, "symmetry functions") : 0;
    for (size_t k = 0; rc == 0 && k < of->nfunctions; k++) {
        shared_function f = {of->functions[k], p->cutoff_type, p->alpha};
        size_t index = 0;
        rc = find_function(u, &f, taken, &index, err);
        if (rc == 0) {
            taken[index] = true;
            rc = json_array_append_new(select, json_integer((json_int_t)index)) ? nf_fail_memory(err, "a model") : 0;
        }
    }
    nf_free(taken);
    if (rc == 0)
        return select;
    json_decref(select);
    return NULL;
}

static bool ignores_alpha(int cutoff_type)
{
    static const char *const whole[] = {"tanhu", "tanh", "hard"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strcmp(nf_cutoff_name(cutoff_type), whole[i]) == 0)
            return true;
    return false;
}

static int set_real(json_t *tree, const char *key, double value)
{
    return json_object_set_new(tree, key, json_real(value));
}

static int describe_exponential(json_t *tree, const shared_function *s, double L)
{
    const n2p2_function *f = &s->function;
    double rc = f->rc * L, inner = ignores_alpha(s->cutoff_type) ? 0 : s->alpha * rc;
    int bad = set_real(tree, "eta", f->eta / (L * L)) | set_real(tree, "rs", f->rs * L) | set_real(tree, "rc", rc) |
              set_real(tree, "inner", inner) |
              json_object_set_new(tree, "cutoff", json_string(nf_cutoff_name(s->cutoff_type)));
    if (n2p2_is_angular(f->type))
        bad |= set_real(tree, "lambda", f->lambda) | set_real(tree, "zeta", f->zeta);
    return bad;
}

/* "p2a" is the asymmetric "poly2"; all that begins with e is "exp". */
static int describe_compact(json_t *tree, const n2p2_function *f, double L)
{
    char core[] = "poly0";
    core[4] = f->subtype[1];
    bool poly = f->subtype[0] == 'p';
    int bad = json_object_set_new(tree, "core", json_string(poly ? core : "exp")) |
              json_object_set_new(tree, "asymmetric", json_boolean(poly && f->subtype[2] == 'a')) |
              set_real(tree, "rl", f->rl * L) | set_real(tree, "rc", f->rc * L);
    if (n2p2_is_angular(f->type))
        bad |= set_real(tree, "angle_left", f->angle_left) | set_real(tree, "angle_right", f->angle_right);
    return bad;
}

/* New reference, NULL without memory. */
static json_t *describe_function(const shared_function *s, const file_units *units)
{
    const n2p2_function *f = &s->function;
    json_t *neighbours = json_array();
    for (int i = 0; i < 2 && f->neighbour[i] != 0; i++)
        json_array_append_new(neighbours, json_string(nf_element_symbol(f->neighbour[i])));
    json_t *tree = json_pack("{s:s, s:i, s:o}", "element", nf_element_symbol(f->element), "type", f->type, "neighbours",
                             neighbours);
    if (tree == NULL)
        return NULL;
    int bad = n2p2_is_compact(f->type) ? describe_compact(tree, f, units->length)
                                       : describe_exponential(tree, s, units->length);
    if (bad == 0)
        return tree;
    json_decref(tree);
    return NULL;
}

static int add_descriptor(nf_spec *spec, const function_union *unions, int nelements, const file_units *units,
                          nf_error *err)
{
    json_t *list = json_array();
    for (int e = 0; e < nelements; e++)
        for (size_t i = 0; i < unions[e].n; i++)
            if (json_array_append_new(list, describe_function(&unions[e].list[i], units)) != 0) {
                json_decref(list);
                return nf_fail_memory(err, "a model");
            }
    json_t *descriptor = json_pack("{s:s, s:o}", "class", "acsf", "functions", list);
    if (descriptor == NULL || json_object_set_new(spec->tree, "descriptor", descriptor) != 0)
        return nf_fail_memory(err, "a model");
    return 0;
}

/* ---- networks ---- */

/* Gs = (G - shift) factor + base: n2p2's variants of scaling. */
static double factor_of(const n2p2_potential *p, const n2p2_scaling *s)
{
    double range = p->scale_max - p->scale_min;
    if (p->scale)
        return range / (s->high - s->low);
    if (p->center || !p->sigma)
        return 1;
    return range / s->sigma;
}

static double shift_of(const n2p2_potential *p, const n2p2_scaling *s)
{
    if (p->center)
        return s->mean;
    if (p->scale)
        return s->low;
    return p->sigma ? s->mean : 0;
}

static double base_of(const n2p2_potential *p)
{
    return p->scale || (p->sigma && !p->center) ? p->scale_min : 0;
}

typedef struct {
    nf_spec *spec;
    size_t member;
    const char *element;
} place;

/* A named array of the spec; its name is written to `name`. */
static double *add_array(const place *at, const char *key, size_t n, char name[64])
{
    snprintf(name, 64, "%zu/%s/%s", at->member, at->element, key);
    return nf_spec_add(at->spec, name, n);
}

static json_t *node_counts(const n2p2_potential *p, int e)
{
    json_t *nodes = json_array();
    const n2p2_network *network = &p->of[e].network;
    json_array_append_new(nodes, json_integer((json_int_t)p->of[e].nfunctions));
    for (int l = 0; l < network->nhidden; l++)
        json_array_append_new(nodes, json_integer(network->nodes[l]));
    json_array_append_new(nodes, json_integer(1));
    return nodes;
}

static json_t *describe_network(const place *at, const n2p2_potential *p, int e, json_t *select,
                                const file_units *units)
{
    const n2p2_element *of = &p->of[e];
    char names[5][64];
    double *shift = add_array(at, "shift", of->nfunctions, names[0]);
    double *scale = add_array(at, "scale", of->nfunctions, names[1]);
    double *low = add_array(at, "low", of->nfunctions, names[2]);
    double *high = add_array(at, "high", of->nfunctions, names[3]);
    double *weights = add_array(at, "weights", of->nweights, names[4]);
    if (shift == NULL || scale == NULL || low == NULL || high == NULL || weights == NULL) {
        json_decref(select);
        return NULL;
    }
    for (size_t k = 0; k < of->nfunctions; k++) {
        const n2p2_scaling *s = &of->scaling[k];
        shift[k] = shift_of(p, s);
        scale[k] = factor_of(p, s);
        low[k] = s->low;
        high[k] = s->high;
    }
    memcpy(weights, of->weights, of->nweights * sizeof *weights);
    return json_pack("{s:s, s:o, s:s, s:o, s:f, s:f, s:s, s:s, s:s, s:s, s:s}", "class", "mlp", "nodes",
                     node_counts(p, e), "activations", of->network.activations, "select", select, "base", base_of(p),
                     "offset", (p->mean_energy + of->atom_energy) * units->energy, "shift", names[0], "scale", names[1],
                     "low", names[2], "high", names[3], "weights", names[4]);
}

static int add_member(nf_spec *spec, function_union *unions, const n2p2_potential *p, size_t index,
                      const file_units *units, nf_error *err)
{
    json_t *readouts = json_object();
    for (int e = 0; e < p->elements.n; e++) {
        place at = {spec, index, nf_element_symbol(p->elements.number[e])};
        json_t *select = select_functions(&unions[e], p, e, err);
        if (select == NULL) {
            json_decref(readouts);
            return NF_ENOMEM;
        }
        if (json_object_set_new(readouts, at.element, describe_network(&at, p, e, select, units)) != 0) {
            json_decref(readouts);
            return nf_fail_memory(err, "a model");
        }
    }
    json_t *member = json_pack("{s:s, s:f, s:o}", "source", p->folder, "scale", units->energy / p->conv_energy,
                               "readouts", readouts);
    if (member == NULL || json_array_append_new(json_object_get(spec->tree, "members"), member) != 0)
        return nf_fail_memory(err, "a model");
    return 0;
}

/* ---- a whole committee ---- */

static int read_potential(n2p2_potential *p, const char *folder, const nf_model_opts *opts, nf_hash *hash,
                          nf_error *err)
{
    p->folder = folder;
    p->hash = hash;
    p->log = (nf_log){opts->log, opts->log_ctx};
    TRY(n2p2_read_settings(p, err));
    TRY(n2p2_read_scaling(p, err));
    return n2p2_read_weights(p, err);
}

static int begin_spec(nf_spec *spec, const nf_elements *elements, const file_units *units, nf_error *err)
{
    json_t *symbols = json_array();
    for (int e = 0; e < elements->n; e++)
        json_array_append_new(symbols, json_string(nf_element_symbol(elements->number[e])));
    int bad = json_object_set_new(spec->tree, "format", json_string("n2p2")) |
              json_object_set_new(spec->tree, "units", json_string(units->name)) |
              json_object_set_new(spec->tree, "elements", symbols) |
              json_object_set_new(spec->tree, "members", json_array()); /* each takes its value, whatever happens */
    return bad != 0 ? nf_fail_memory(err, "a model") : 0;
}

static int same_elements(const nf_elements *first, const n2p2_potential *p, const char *folder, nf_error *err)
{
    if (first->n == p->elements.n && memcmp(first->number, p->elements.number, (size_t)first->n * sizeof(int)) == 0)
        return 0;
    return nf_fail(err, NF_EFORMAT,
                   "%s: the members of a committee must have the same elements, the first one has others", folder);
}

static int read_member(nf_spec *spec, function_union *unions, nf_elements *elements, const folders *f, size_t i,
                       const nf_model_opts *opts, nf_hash *hash, nf_error *err)
{
    file_units units = units_of(opts->units);
    n2p2_potential *p = nf_calloc(1, sizeof *p);
    if (p == NULL)
        return nf_fail_memory(err, "a model");
    int rc = read_potential(p, f->path[i], opts, hash, err);
    if (rc == 0 && i == 0) {
        *elements = p->elements;
        rc = begin_spec(spec, elements, &units, err);
    }
    if (rc == 0)
        rc = same_elements(elements, p, f->path[i], err);
    if (rc == 0)
        rc = add_member(spec, unions, p, i, &units, err);
    n2p2_free(p);
    nf_free(p);
    return rc;
}

static int read_committee(nf_spec *spec, size_t npaths, const char *const paths[], const nf_model_opts *opts,
                          nf_hash *hash, nf_error *err)
{
    folders f = {0};
    nf_elements elements = {0};
    file_units units = units_of(opts->units);
    function_union *unions = nf_calloc(118, sizeof *unions);
    int rc = unions == NULL ? nf_fail_memory(err, "a model") : 0;
    for (size_t i = 0; rc == 0 && i < npaths; i++)
        rc = find_folders(&f, paths[i], err);
    for (size_t i = 0; rc == 0 && i < f.n; i++)
        rc = read_member(spec, unions, &elements, &f, i, opts, hash, err);
    if (rc == 0)
        rc = add_descriptor(spec, unions, elements.n, &units, err);
    for (int e = 0; unions != NULL && e < 118; e++)
        nf_free(unions[e].list);
    nf_free(unions);
    free_folders(&f);
    return rc;
}

const nf_format nf_format_n2p2 = {.name = "n2p2", .matches = matches, .read = read_committee};
