/* SPDX-License-Identifier: BSD-3-Clause
 *
 * mlp.c - feed-forward networks of Behler and Parrinello, Phys. Rev. Lett. 98, 146401 (2007), atoms in lanes.
 *
 *   x_i = (g_select(i) - shift_i) scale_i + base        y = layer_L( ... layer_1(x)), layer(x) = act(W x + b)
 *
 * In a spec: {"class": "mlp", "nodes": [27, 20, 20, 1], "activations": "ttl", "select": [feature, ...], "base": b,
 * "shift": ARRAY, "scale": ARRAY, "weights": ARRAY}; weights layer by layer, w[out][in] and then the biases.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "near/readout.h"

enum { MAX_LAYERS = 64, MAX_NODES = 1 << 20 };

/* The letters of n2p2 and RuNNer, in the order of enum k_activation. */
static const char letters[] = "ltsprgcSeh";

typedef struct {
    nf_readout base;
    const nf_kern *kern;
    int nlayers; /* of weights */
    int nodes[MAX_LAYERS + 1];
    int activation[MAX_LAYERS];
    int *select;                                         /* [nodes[0]] */
    const double *weight[MAX_LAYERS], *bias[MAX_LAYERS]; /* into `numbers` */
    double *shift, *scale, *numbers;
    double offset;
    size_t nnumbers, nvalues; /* nvalues: sum of nodes */
} mlp;

extern const nf_readout_class nf_readout_mlp;

/* ---- create ---- */

static int read_nodes(mlp *s, const json_t *tree, nf_error *err)
{
    const json_t *nodes = json_object_get(tree, "nodes");
    const char *activations = nf_spec_string(tree, "activations", err);
    if (activations == NULL)
        return NF_EFORMAT;
    size_t n = json_array_size(nodes);
    if (n < 2 || n > MAX_LAYERS + 1 || strlen(activations) != n - 1)
        return nf_fail(err, NF_EFORMAT, "a network of %zu layers with activations '%s'", n, activations);
    s->nlayers = (int)n - 1;
    for (size_t l = 0; l < n; l++) {
        json_int_t count = json_integer_value(json_array_get(nodes, l));
        if (count < 1 || count > MAX_NODES)
            return nf_fail(err, NF_EFORMAT, "layer %zu of a network has %lld nodes", l, (long long)count);
        s->nodes[l] = (int)count;
        s->nvalues += (size_t)count;
    }
    for (int l = 0; l < s->nlayers; l++) {
        const char *letter = strchr(letters, activations[l]);
        if (letter == NULL)
            return nf_fail(err, NF_EUNSUPPORTED, "unknown activation function '%c'", activations[l]);
        s->activation[l] = (int)(letter - letters);
    }
    return s->nodes[s->nlayers] == 1 ? 0
                                     : nf_fail(err, NF_EFORMAT, "the last layer of a network has more than one node");
}

static int read_select(mlp *s, const json_t *tree, size_t nfeatures, nf_error *err)
{
    const json_t *select = json_object_get(tree, "select");
    if (json_array_size(select) != (size_t)s->nodes[0])
        return nf_fail(err, NF_EFORMAT, "a network of %d inputs selects %zu features", s->nodes[0],
                       json_array_size(select));
    for (int i = 0; i < s->nodes[0]; i++) {
        json_int_t f = json_integer_value(json_array_get(select, (size_t)i));
        if (f < 0 || (size_t)f >= nfeatures)
            return nf_fail(err, NF_EFORMAT, "a network selects feature %lld of %zu", (long long)f, nfeatures);
        s->select[i] = (int)f;
    }
    return 0;
}

/* A copy of a named array that holds finite numbers only. */
static int read_array(const nf_spec *spec, const json_t *tree, const char *key, size_t n, double *out, nf_error *err)
{
    const char *name = nf_spec_string(tree, key, err);
    if (name == NULL)
        return NF_EFORMAT;
    const double *data = nf_spec_get(spec, name, n, err);
    if (data == NULL)
        return NF_EFORMAT;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(data[i]))
            return nf_fail(err, NF_EFORMAT, "number %zu of array %s is not finite", i + 1, name);
    memcpy(out, data, n * sizeof *out);
    return 0;
}

static void place_weights(mlp *s)
{
    const double *at = s->numbers;
    for (int l = 0; l < s->nlayers; l++) {
        s->weight[l] = at;
        at += (size_t)s->nodes[l] * (size_t)s->nodes[l + 1];
        s->bias[l] = at;
        at += s->nodes[l + 1];
    }
}

static int prepare(mlp *s, const json_t *tree, const nf_spec *spec, size_t nfeatures, nf_error *err)
{
    TRY(read_nodes(s, tree, err));
    size_t nin = (size_t)s->nodes[0];
    for (int l = 0; l < s->nlayers; l++)
        s->nnumbers += ((size_t)s->nodes[l] + 1) * (size_t)s->nodes[l + 1];
    s->select = nf_calloc(nin, sizeof *s->select);
    s->shift = nf_calloc(nin, sizeof *s->shift);
    s->scale = nf_calloc(nin, sizeof *s->scale);
    s->numbers = nf_calloc(s->nnumbers, sizeof *s->numbers);
    if (s->select == NULL || s->shift == NULL || s->scale == NULL || s->numbers == NULL)
        return nf_fail_memory(err, "a network");
    TRY(read_select(s, tree, nfeatures, err));
    TRY(nf_spec_number(tree, "base", &s->offset, err));
    TRY(read_array(spec, tree, "shift", nin, s->shift, err));
    TRY(read_array(spec, tree, "scale", nin, s->scale, err));
    TRY(read_array(spec, tree, "weights", s->nnumbers, s->numbers, err));
    place_weights(s);
    return 0;
}

static void mlp_destroy(nf_readout *self)
{
    mlp *s = (mlp *)self;
    if (s == NULL)
        return;
    nf_free(s->select);
    nf_free(s->shift);
    nf_free(s->scale);
    nf_free(s->numbers);
    nf_free(s);
}

static int mlp_create(const json_t *tree, const nf_spec *spec, size_t nfeatures, const nf_kern *kern, nf_readout **out,
                      nf_error *err)
{
    mlp *s = nf_calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL)
        return nf_fail_memory(err, "a network");
    s->base.class = &nf_readout_mlp;
    s->kern = kern;
    int rc = prepare(s, tree, spec, nfeatures, err);
    if (rc == 0)
        *out = &s->base;
    else
        mlp_destroy(&s->base);
    return rc;
}

static size_t mlp_nparameters(const nf_readout *self)
{
    return ((const mlp *)self)->nnumbers;
}

/* ---- maps ---- */

/* Values and slopes of all layers: rows of ld, layer after layer. */
typedef struct {
    double *value[MAX_LAYERS + 1], *slope[MAX_LAYERS + 1];
} tape;

static size_t mlp_scratch(const nf_readout *self, size_t ld)
{
    const mlp *s = (const mlp *)self;
    return 3 * nf_arena_round(s->nvalues * ld * sizeof(double)) + 4 * NF_ARENA_STEP;
}

static void take_tape(const mlp *s, size_t ld, tape *t, nf_arena *arena)
{
    double *value = nf_arena_doubles(arena, s->nvalues * ld), *slope = nf_arena_doubles(arena, s->nvalues * ld);
    for (int l = 0; l <= s->nlayers; l++) {
        t->value[l] = value;
        t->slope[l] = slope;
        value += (size_t)s->nodes[l] * ld;
        slope += (size_t)s->nodes[l] * ld;
    }
}

static void scale_inputs(const mlp *s, int n, size_t ld, const double *g, double *x)
{
    for (int i = 0; i < s->nodes[0]; i++) {
        const double *row = g + (size_t)s->select[i] * ld;
        for (int a = 0; a < n; a++)
            x[(size_t)i * ld + (size_t)a] = (row[a] - s->shift[i]) * s->scale[i] + s->offset;
        for (size_t a = (size_t)n; a < ld; a++)
            x[(size_t)i * ld + a] = 0;
    }
}

static void run(const mlp *s, int n, size_t ld, const double *g, tape *t)
{
    scale_inputs(s, n, ld, g, t->value[0]);
    for (int l = 0; l < s->nlayers; l++) {
        int nout = s->nodes[l + 1];
        s->kern->dense(nout, s->nodes[l], s->weight[l], s->bias[l], t->value[l], t->value[l + 1], n, ld);
        for (int o = 0; o < nout; o++)
            s->kern->activate(s->activation[l], n, t->value[l + 1] + (size_t)o * ld, t->slope[l + 1] + (size_t)o * ld);
    }
}

static void multiply(size_t n, const double *a, double *b)
{
    for (size_t i = 0; i < n; i++)
        b[i] *= a[i];
}

static void mlp_forward(const nf_readout *self, int n, size_t ld, const double *g, double *y, nf_arena *arena)
{
    const mlp *s = (const mlp *)self;
    size_t mark = nf_arena_mark(arena);
    tape t;
    take_tape(s, ld, &t, arena);
    run(s, n, ld, g, &t);
    memcpy(y, t.value[s->nlayers], (size_t)n * sizeof *y);
    nf_arena_rewind(arena, mark);
}

static void mlp_vjp(const nf_readout *self, int n, size_t ld, const double *g, const double *y_bar, double *y,
                    double *g_bar, nf_arena *arena)
{
    const mlp *s = (const mlp *)self;
    size_t mark = nf_arena_mark(arena);
    tape t;
    take_tape(s, ld, &t, arena);
    run(s, n, ld, g, &t);
    memcpy(y, t.value[s->nlayers], (size_t)n * sizeof *y);
    double *bar = nf_arena_doubles(arena, s->nvalues * ld), *next = bar + ld;
    memset(bar, 0, ld * sizeof *bar);
    memcpy(bar, y_bar, (size_t)n * sizeof *bar);
    for (int l = s->nlayers; l-- > 0;) { /* bar: with respect to the values of layer l + 1 */
        for (int o = 0; o < s->nodes[l + 1]; o++)
            multiply((size_t)n, t.slope[l + 1] + (size_t)o * ld, bar + (size_t)o * ld);
        s->kern->dense_back(s->nodes[l + 1], s->nodes[l], s->weight[l], bar, next, n, ld);
        bar = next;
        next = bar + (size_t)s->nodes[l] * ld;
    }
    for (int i = 0; i < s->nodes[0]; i++)
        for (int a = 0; a < n; a++)
            g_bar[(size_t)s->select[i] * ld + (size_t)a] += bar[(size_t)i * ld + (size_t)a] * s->scale[i];
    nf_arena_rewind(arena, mark);
}

static void mlp_jvp(const nf_readout *self, int n, size_t ld, const double *g, const double *g_dot, double *y_dot,
                    nf_arena *arena)
{
    const mlp *s = (const mlp *)self;
    size_t mark = nf_arena_mark(arena);
    tape t;
    take_tape(s, ld, &t, arena);
    run(s, n, ld, g, &t);
    double *dot = nf_arena_doubles(arena, s->nvalues * ld), *next = dot + (size_t)s->nodes[0] * ld;
    memset(dot, 0, (size_t)s->nodes[0] * ld * sizeof *dot);
    for (int i = 0; i < s->nodes[0]; i++)
        for (int a = 0; a < n; a++)
            dot[(size_t)i * ld + (size_t)a] = g_dot[(size_t)s->select[i] * ld + (size_t)a] * s->scale[i];
    for (int l = 0; l < s->nlayers; l++) {
        s->kern->dense(s->nodes[l + 1], s->nodes[l], s->weight[l], NULL, dot, next, n, ld);
        for (int o = 0; o < s->nodes[l + 1]; o++)
            multiply((size_t)n, t.slope[l + 1] + (size_t)o * ld, next + (size_t)o * ld);
        dot = next;
        next = dot + (size_t)s->nodes[l + 1] * ld;
    }
    memcpy(y_dot, dot, (size_t)n * sizeof *y_dot);
    nf_arena_rewind(arena, mark);
}

/* ---- example ---- */

static json_t *mlp_example(nf_spec *spec, size_t nfeatures, unsigned seed)
{
    nf_rng rng = {seed};
    char name[3][32];
    static const char *const keys[3] = {"shift", "scale", "weights"};
    size_t n[3] = {nfeatures, nfeatures, (nfeatures + 1) * 7 + 8 * 5 + 6};
    for (int k = 0; k < 3; k++) {
        snprintf(name[k], sizeof name[k], "example%u/%s", seed, keys[k]);
        double *data = nf_spec_add(spec, name[k], n[k]);
        for (size_t i = 0; data != NULL && i < n[k]; i++)
            data[i] = k == 1 ? nf_rng_between(&rng, 0.5, 2) : 0.4 * nf_rng_normal(&rng);
    }
    json_t *select = json_array();
    for (size_t f = 0; f < nfeatures; f++)
        json_array_append_new(select, json_integer((json_int_t)(nfeatures - 1 - f)));
    return json_pack("{s:s, s:[I,i,i,i], s:s, s:o, s:f, s:s, s:s, s:s}", "class", "mlp", "nodes", (json_int_t)nfeatures,
                     7, 5, 1, "activations", "tpl", "select", select, "base", 0.1, "shift", name[0], "scale", name[1],
                     "weights", name[2]);
}

const nf_readout_class nf_readout_mlp = {
    .name = "mlp",
    .reference = "doi:10.1103/PhysRevLett.98.146401",
    .create = mlp_create,
    .destroy = mlp_destroy,
    .example = mlp_example,
    .nparameters = mlp_nparameters,
    .scratch = mlp_scratch,
    .forward = mlp_forward,
    .vjp = mlp_vjp,
    .jvp = mlp_jvp,
};
