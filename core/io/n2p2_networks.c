/* SPDX-License-Identifier: BSD-3-Clause
 *
 * n2p2_networks.c - the architecture of the networks: global lines of input.nn and those of single elements.
 *
 * Programs differ in how they read the lines of an element:
 *
 *     element_nodes_short El n1 n2 ...         n2p2: all hidden layers; up to 2.3.0 it leaves the last one as global
 *     element_nodes_short El layer n           RuNNer, and early versions of n2p2
 *     element_activation_short El a1 a2 ... a  n2p2: layers and output; up to 2.3.0 it ignores the letter of the output
 *     element_activation_short El layer node a RuNNer
 *
 * The number of weights in the file decides what the numbers of nodes mean. Nothing there decides about the letter of
 * the output: only n2p2 reads that form of the line, so what it computes is what the weights were fitted to.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/n2p2.h"

enum { MAX_NODES = 65536 };

/* ---- words ---- */

static int read_layers(const nf_text *text, int i, int *out, nf_error *err)
{
    TRY(nf_text_integer(text, i, out, err));
    return *out >= 1 && *out < N2P2_MAX_LAYERS ? 0 : n2p2_wrong(text, "not between 1 and 31", err);
}

static int read_nodes(const nf_text *text, int i, int *out, nf_error *err)
{
    TRY(nf_text_integer(text, i, out, err));
    return *out >= 1 && *out <= MAX_NODES ? 0 : n2p2_wrong(text, "a layer must have 1 to 65536 nodes", err);
}

static int read_letter(const nf_text *text, int i, char *out, nf_error *err)
{
    const char *word = text->word[i];
    if (strlen(word) != 1 || strchr("ltsprgcSeh", word[0]) == NULL)
        return nf_fail(err, NF_EUNSUPPORTED, "%s:%ld: unknown activation function '%.20s' (known: l t s p r g c S e h)",
                       text->path, text->line, word);
    *out = word[0];
    return 0;
}

/* Letters from word `first` to the end of the line. */
static int read_letters(const nf_text *text, int first, char out[N2P2_MAX_LAYERS + 2], nf_error *err)
{
    int n = text->nwords - first;
    if (n > N2P2_MAX_LAYERS)
        return n2p2_wrong(text, "too many layers", err);
    memset(out, 0, N2P2_MAX_LAYERS + 2);
    for (int l = 0; l < n; l++)
        TRY(read_letter(text, first + l, &out[l], err));
    return 0;
}

/* ---- lines ---- */

int n2p2_take_global_layers(n2p2_potential *p, const nf_text *text, nf_error *err)
{
    TRY(nf_text_require(text, 2, "global_hidden_layers_short N", err));
    return read_layers(text, 1, &p->global.nhidden, err);
}

int n2p2_take_global_nodes(n2p2_potential *p, const nf_text *text, nf_error *err)
{
    int n = text->nwords - 1;
    if (n > N2P2_MAX_LAYERS)
        return n2p2_wrong(text, "too many layers", err);
    for (int l = 0; l < n; l++)
        TRY(read_nodes(text, l + 1, &p->global.nodes[l], err));
    return 0;
}

int n2p2_take_global_activations(n2p2_potential *p, const nf_text *text, nf_error *err)
{
    return read_letters(text, 1, p->global.activations, err);
}

int n2p2_take_element_layers(n2p2_potential *p, const nf_text *text, nf_error *err)
{
    int e;
    TRY(nf_text_require(text, 3, "element_hidden_layers_short El N", err));
    TRY(n2p2_element_word(p, text, 1, &e, err));
    if (p->of[e].own.nhidden != 0)
        return n2p2_wrong(text, "a second line for this element", err);
    return read_layers(text, 2, &p->of[e].own.nhidden, err);
}

int n2p2_take_element_nodes(n2p2_potential *p, const nf_text *text, nf_error *err)
{
    n2p2_nodes_line line = {.line = text->line, .n = text->nwords - 2};
    int e;
    TRY(nf_text_require(text, 3, "element_nodes_short El n1 n2 ...", err));
    TRY(n2p2_element_word(p, text, 1, &e, err));
    if (line.n > N2P2_MAX_LAYERS)
        return n2p2_wrong(text, "too many layers", err);
    for (int l = 0; l < line.n; l++)
        TRY(read_nodes(text, l + 2, &line.value[l], err));
    n2p2_own_network *own = &p->of[e].own;
    if (NF_GROW(own->lines, own->cap_lines, own->nlines + 1))
        return nf_fail_memory(err, "a network");
    own->lines[own->nlines++] = line;
    return 0;
}

/* RuNNer's form: a layer, a node, its letter. */
static int take_single_activation(n2p2_own_network *own, const nf_text *text, nf_error *err)
{
    n2p2_node_activation single = {.line = text->line};
    TRY(nf_text_require(text, 5, "element_activation_short El layer node letter", err));
    TRY(nf_text_integer(text, 2, &single.layer, err));
    TRY(nf_text_integer(text, 3, &single.node, err));
    TRY(read_letter(text, 4, &single.letter, err));
    if (NF_GROW(own->single, own->cap_single, own->nsingle + 1))
        return nf_fail_memory(err, "a network");
    own->single[own->nsingle++] = single;
    return 0;
}

int n2p2_take_element_activations(n2p2_potential *p, const nf_text *text, nf_error *err)
{
    int e;
    TRY(nf_text_require(text, 3, "element_activation_short El a1 a2 ...", err));
    TRY(n2p2_element_word(p, text, 1, &e, err));
    n2p2_own_network *own = &p->of[e].own;
    if (strspn(text->word[2], "+-0123456789") > 0)
        return take_single_activation(own, text, err);
    if (own->letters_line != 0)
        return n2p2_wrong(text, "a second line for this element", err);
    own->letters_line = text->line;
    return read_letters(text, 2, own->letters, err);
}

/* ---- what the lines of an element may mean ---- */

static int hidden_layers(const n2p2_potential *p, int e)
{
    return p->of[e].own.nhidden != 0 ? p->of[e].own.nhidden : p->global.nhidden;
}

/* The last line counts, as in n2p2. */
static const n2p2_nodes_line *last_line(const n2p2_own_network *own, int nhidden)
{
    const n2p2_nodes_line *line = own->nlines == 0 ? NULL : &own->lines[own->nlines - 1];
    return line != NULL && line->n == nhidden ? line : NULL;
}

static bool all_layers(const n2p2_potential *p, int e, n2p2_network *out)
{
    const n2p2_nodes_line *line = last_line(&p->of[e].own, out->nhidden);
    if (line == NULL)
        return false;
    memcpy(out->nodes, line->value, (size_t)line->n * sizeof *line->value);
    return true;
}

static bool layer_by_layer(const n2p2_potential *p, int e, n2p2_network *out)
{
    const n2p2_own_network *own = &p->of[e].own;
    for (size_t i = 0; i < own->nlines; i++) {
        const n2p2_nodes_line *line = &own->lines[i];
        if (line->n != 2 || line->value[0] > out->nhidden)
            return false;
        out->nodes[line->value[0] - 1] = line->value[1];
    }
    return true;
}

static bool all_but_the_last(const n2p2_potential *p, int e, n2p2_network *out)
{
    const n2p2_nodes_line *line = last_line(&p->of[e].own, out->nhidden);
    if (line == NULL || out->nhidden != p->global.nhidden)
        return false;
    memcpy(out->nodes, line->value, (size_t)(line->n - 1) * sizeof *line->value);
    return true;
}

static const struct {
    bool (*apply)(const n2p2_potential *p, int e, n2p2_network *out);
    const char *name;
} readings[N2P2_NREADINGS] = {
    {all_layers, "as the nodes of all hidden layers"},
    {layer_by_layer, "as a layer and its nodes, as in RuNNer"},
    {all_but_the_last, "as n2p2 does, which leaves the last hidden layer as in global_nodes_short"},
};

static bool complete(const n2p2_network *n)
{
    for (int l = 0; l < n->nhidden; l++)
        if (n->nodes[l] == 0)
            return false;
    return n->nhidden > 0;
}

static bool same_nodes(const n2p2_network *a, const n2p2_network *b)
{
    return memcmp(a->nodes, b->nodes, (size_t)a->nhidden * sizeof *a->nodes) == 0;
}

int n2p2_readings(const n2p2_potential *p, int e, n2p2_network out[N2P2_NREADINGS], const char *how[N2P2_NREADINGS])
{
    int n = 0;
    for (int r = 0; r < N2P2_NREADINGS; r++) {
        bool known = false;
        out[n] = (n2p2_network){.nhidden = hidden_layers(p, e)};
        int shared = out[n].nhidden < p->global.nhidden ? out[n].nhidden : p->global.nhidden;
        memcpy(out[n].nodes, p->global.nodes, (size_t)shared * sizeof *out[n].nodes);
        if (!readings[r].apply(p, e, &out[n]) || !complete(&out[n]))
            continue;
        for (int i = 0; i < n; i++)
            known = known || same_nodes(&out[i], &out[n]);
        how[n] = readings[r].name;
        n += !known;
    }
    return n;
}

size_t n2p2_count_weights(const n2p2_network *network, size_t ninputs)
{
    size_t n = 0, before = ninputs;
    for (int l = 0; l < network->nhidden; l++) {
        n += (before + 1) * (size_t)network->nodes[l];
        before = (size_t)network->nodes[l];
    }
    return n + before + 1;
}

/* ---- completeness ---- */

static int count_letters(const char letters[N2P2_MAX_LAYERS + 2])
{
    return (int)strlen(letters);
}

static int check_global(const n2p2_potential *p, const char *path, nf_error *err)
{
    const n2p2_network *g = &p->global;
    if (g->nodes[0] == 0)
        return nf_fail(err, NF_EFORMAT, "%s: the keyword global_nodes_short is missing", path);
    if (!complete(g))
        return nf_fail(err, NF_EFORMAT, "%s: global_nodes_short has fewer than %d values", path, g->nhidden);
    if (g->activations[0] == '\0')
        return nf_fail(err, NF_EFORMAT, "%s: the keyword global_activation_short is missing", path);
    if (count_letters(g->activations) < g->nhidden + 1)
        return nf_fail(err, NF_EFORMAT, "%s: global_activation_short has fewer than %d letters", path, g->nhidden + 1);
    if (g->nodes[g->nhidden] != 0 || count_letters(g->activations) > g->nhidden + 1)
        nf_log_write(&p->log, NF_LOG_WARNING,
                     "%s: global_nodes_short or global_activation_short has more values than "
                     "the %d hidden layers need: the rest is ignored",
                     path, g->nhidden);
    return 0;
}

static int check_element(const n2p2_potential *p, int e, const char *path, nf_error *err)
{
    n2p2_network networks[N2P2_NREADINGS];
    const char *how[N2P2_NREADINGS], *symbol = nf_element_symbol(p->elements.number[e]);
    const n2p2_own_network *own = &p->of[e].own;
    int nhidden = hidden_layers(p, e);
    if (nhidden == 0)
        return nf_fail(err, NF_EFORMAT, "%s: the keyword global_hidden_layers_short is missing", path);
    if (own->letters_line != 0 && count_letters(own->letters) != nhidden + 1)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: element_activation_short: expected %d letters for %s", path,
                       own->letters_line, nhidden + 1, symbol);
    if (n2p2_readings(p, e, networks, how) > 0)
        return 0;
    if (own->nlines == 0)
        return nf_fail(err, NF_EFORMAT, "%s: no numbers of nodes for the %d hidden layers of %s", path, nhidden,
                       symbol);
    return nf_fail(err, NF_EFORMAT, "%s:%ld: element_nodes_short does not fit the %d hidden layers of %s", path,
                   own->lines[own->nlines - 1].line, nhidden, symbol);
}

int n2p2_check_networks(const n2p2_potential *p, const char *path, nf_error *err)
{
    bool global = p->global.nhidden != 0 || p->global.nodes[0] != 0;
    if (global && p->global.nhidden == 0)
        return nf_fail(err, NF_EFORMAT, "%s: the keyword global_hidden_layers_short is missing", path);
    if (global)
        TRY(check_global(p, path, err));
    for (int e = 0; e < p->elements.n; e++)
        TRY(check_element(p, e, path, err));
    return 0;
}

/* ---- settling ---- */

typedef struct {
    n2p2_potential *p;
    n2p2_element *of;
    const char *symbol;
    char path[4096]; /* of input.nn */
} settling;

/* Which reading has that many weights; says so where that is not plain. */
static int settle_nodes(settling *s, int e, size_t nweights, nf_error *err)
{
    n2p2_network networks[N2P2_NREADINGS];
    const char *how[N2P2_NREADINGS];
    int n = n2p2_readings(s->p, e, networks, how), first = -1, nfit = 0;
    for (int i = n; i-- > 0;)
        if (n2p2_count_weights(&networks[i], s->of->nfunctions) == nweights) {
            first = i;
            nfit++;
        }
    if (first < 0)
        return nf_fail(err, NF_EFORMAT, "%s: no network of %zu weights for %s", s->path, nweights, s->symbol);
    s->of->network = networks[first];
    long line = s->of->own.nlines == 0 ? 0 : s->of->own.lines[s->of->own.nlines - 1].line;
    if (nfit > 1)
        nf_log_write(&s->p->log, NF_LOG_WARNING,
                     "%s:%ld: element_nodes_short has several readings with %zu weights for %s; read %s: compare with "
                     "the program that made the potential",
                     s->path, line, nweights, s->symbol, how[first]);
    else if (how[first] == readings[N2P2_NREADINGS - 1].name)
        nf_log_write(&s->p->log, NF_LOG_WARNING,
                     "%s:%ld: the %zu weights of %s fit element_nodes_short only if it is read %s; write %d as its "
                     "last number to make it plain",
                     s->path, line, nweights, s->symbol, how[first], s->of->network.nodes[s->of->network.nhidden - 1]);
    return 0;
}

/* The letter of a layer without lines of the element; RuNNer goes by the number of the layer, which with fewer hidden
 * layers gives the output the letter of a hidden layer. */
static void set_global_letters(const n2p2_potential *p, n2p2_network *network)
{
    memset(network->activations, 0, sizeof network->activations);
    for (int l = 0; l <= network->nhidden && l <= p->global.nhidden; l++)
        network->activations[l] = p->global.activations[l];
}

static void set_own_letters(settling *s)
{
    const n2p2_own_network *own = &s->of->own;
    n2p2_network *network = &s->of->network;
    int output = network->nhidden;
    char global = output == s->p->global.nhidden ? s->p->global.activations[output] : '\0';
    if (own->letters_line == 0)
        return;
    memcpy(network->activations, own->letters, (size_t)output + 1);
    if (global == '\0' || own->letters[output] == global)
        return;
    nf_log_write(&s->p->log, NF_LOG_WARNING,
                 "%s:%ld: the output of %s has the activation function '%c' of global_activation_short, not '%c': n2p2 "
                 "ignores the last letter here; write '%c' to make it plain",
                 s->path, own->letters_line, s->symbol, global, own->letters[output], global);
    network->activations[output] = global;
}

/* RuNNer's lines for one layer, whose nodes must come out alike: layers are computed as a whole. */
static int set_single_letters(settling *s, int layer, char *nodes, int n, nf_error *err)
{
    const n2p2_own_network *own = &s->of->own;
    long line = 0;
    memset(nodes, s->of->network.activations[layer - 1], (size_t)n);
    for (size_t i = 0; i < own->nsingle; i++) {
        const n2p2_node_activation *a = &own->single[i];
        if (a->layer != layer)
            continue;
        if (a->node < 1 || a->node > n)
            return nf_fail(err, NF_EFORMAT, "%s:%ld: node %d of %d in layer %d of %s", s->path, a->line, a->node, n,
                           layer, s->symbol);
        nodes[a->node - 1] = a->letter;
        line = a->line;
    }
    for (int k = 1; k < n; k++)
        if (nodes[k] != nodes[0])
            return nf_fail(err, NF_EUNSUPPORTED,
                           "%s:%ld: different activation functions within a layer (layer %d of %s) are not supported",
                           s->path, line, layer, s->symbol);
    s->of->network.activations[layer - 1] = nodes[0];
    return 0;
}

static int set_all_single_letters(settling *s, nf_error *err)
{
    const n2p2_network *network = &s->of->network;
    const n2p2_own_network *own = &s->of->own;
    for (size_t i = 0; i < own->nsingle; i++)
        if (own->single[i].layer < 1 || own->single[i].layer > network->nhidden + 1)
            return nf_fail(err, NF_EFORMAT, "%s:%ld: layer %d of the %d of %s", s->path, own->single[i].line,
                           own->single[i].layer, network->nhidden + 1, s->symbol);
    char *nodes = own->nsingle == 0 ? NULL : nf_calloc(MAX_NODES, 1);
    if (own->nsingle > 0 && nodes == NULL)
        return nf_fail_memory(err, "a network");
    int rc = 0;
    for (int l = 1; rc == 0 && own->nsingle > 0 && l <= network->nhidden + 1; l++)
        rc = set_single_letters(s, l, nodes, l > network->nhidden ? 1 : network->nodes[l - 1], err);
    nf_free(nodes);
    return rc;
}

/* An output that got its letter from a hidden layer is as RuNNer has it and hardly meant. */
static void warn_of_output(const settling *s)
{
    const n2p2_network *network = &s->of->network, *global = &s->p->global;
    const n2p2_own_network *own = &s->of->own;
    char output = network->activations[network->nhidden];
    if (network->nhidden >= global->nhidden || own->letters_line != 0 || own->nsingle > 0 ||
        output == global->activations[global->nhidden])
        return;
    nf_log_write(
        &s->p->log, NF_LOG_WARNING,
        "%s: the output of %s, which has %d hidden layers, gets letter %d of global_activation_short, '%c', as "
        "in RuNNer; write element_activation_short %s %d 1 %c to make it plain",
        s->path, s->symbol, network->nhidden, network->nhidden + 1, output, s->symbol, network->nhidden + 1, output);
}

static int settle_activations(settling *s, nf_error *err)
{
    n2p2_network *network = &s->of->network;
    set_global_letters(s->p, network);
    set_own_letters(s);
    TRY(set_all_single_letters(s, err));
    for (int l = 0; l <= network->nhidden; l++)
        if (network->activations[l] == '\0')
            return nf_fail(err, NF_EFORMAT,
                           "%s: no activation function for layer %d of %s: element_activation_short is "
                           "missing",
                           s->path, l + 1, s->symbol);
    warn_of_output(s);
    return 0;
}

int n2p2_settle_network(n2p2_potential *p, int e, size_t nweights, nf_error *err)
{
    settling s = {.p = p, .of = &p->of[e], .symbol = nf_element_symbol(p->elements.number[e])};
    snprintf(s.path, sizeof s.path, "%s/input.nn", p->folder);
    TRY(settle_nodes(&s, e, nweights, err));
    return settle_activations(&s, err);
}
