/* SPDX-License-Identifier: BSD-3-Clause */
#include "potential.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "eval.h"
#include "scratch.h"
#include "specimen.h"

const potential_recipe potential_plain = {
    .seed = 1,
    .nelements = 2,
    .elements = {8, 1},
    .nfunctions = 13,
    .types = POTENTIAL_ALL_TYPES,
    .shifted = true,
    .rc = {4.5, 6.0},
    .cutoff_type = 6,
    .scale = true,
    .center = true,
    .nhidden = 2,
    .nodes = {5, 4},
    .activations = "ttl",
};

static int below(nf_rng *rng, int n)
{
    return (int)(nf_rng_next(rng) % (uint64_t)n);
}

static bool coin(nf_rng *rng)
{
    return nf_rng_next(rng) >> 63;
}

/* ---- chance ---- */

potential_recipe potential_random(unsigned seed)
{
    static const int table[] = {1, 6, 8, 16, 29};
    static char letters[64][5];
    nf_rng rng = {seed * 7919u + 5};
    potential_recipe p = {.seed = seed, .types = 1 + below(&rng, 7), .shifted = coin(&rng), .rc = {4.0, 5.5}};
    p.nelements = 1 + (size_t)below(&rng, 3);
    int first = below(&rng, 5);
    for (size_t e = 0; e < p.nelements; e++)
        p.elements[e] = table[(first + 2 * (int)e) % 5];
    p.nfunctions = 4 + below(&rng, 12);
    p.cutoff_type = 1 + below(&rng, 8);
    p.alpha = coin(&rng) ? nf_rng_between(&rng, 0, 0.6) : 0;
    p.scale = coin(&rng);
    p.center = coin(&rng);
    p.sigma = !p.scale && !p.center;
    p.scale_min = coin(&rng) ? -1 : 0;
    p.scale_max = 1;
    p.normalised = coin(&rng);
    p.offsets = coin(&rng);
    p.nhidden = 1 + below(&rng, 3);
    char *out = letters[seed % 64];
    for (int l = 0; l < p.nhidden; l++) {
        p.nodes[l] = 1 + below(&rng, 9);
        out[l] = "ttspgcS"[below(&rng, 7)];
    }
    out[p.nhidden] = "lltp"[below(&rng, 4)];
    out[p.nhidden + 1] = '\0';
    p.activations = out;
    return p;
}

/* ---- input.nn ---- */

static const char *symbol(const potential_recipe *p, nf_rng *rng)
{
    return nf_element_symbol(p->elements[below(rng, (int)p->nelements)]);
}

static int choose_type(const potential_recipe *p, nf_rng *rng)
{
    static const int types[3] = {2, 3, 9};
    for (;;) {
        int k = below(rng, 3);
        if (p->types & (1 << k))
            return types[k];
    }
}

static void write_function(FILE *file, const potential_recipe *p, int element, nf_rng *rng)
{
    static const double etas[] = {0, 0.005, 0.02, 0.07, 0.15, 0.5}, zetas[] = {1, 1.5, 2, 3, 4, 16, 0.75};
    const char *centre = nf_element_symbol(p->elements[element]);
    int type = choose_type(p, rng);
    double eta = etas[below(rng, 6)] + 1e-3 * nf_rng_uniform(rng), rc = p->rc[below(rng, 2)];
    double rs = p->shifted && coin(rng) ? nf_rng_between(rng, 0.2, 2) : 0;
    const char *a = symbol(p, rng), *b = symbol(p, rng);
    if (type == 2)
        fprintf(file, "symfunction_short %s 2 %s %.17g %.17g %.17g\n", centre, a, eta, rs, rc);
    else
        fprintf(file, "symfunction_short %s %d %s %s %.17g %d %.17g %.17g%s", centre, type, a, b, eta,
                coin(rng) ? 1 : -1, zetas[below(rng, 7)], rc, rs == 0 ? "\n" : "");
    if (type != 2 && rs != 0)
        fprintf(file, " %.17g\n", rs);
}

static void write_network(FILE *file, const potential_recipe *p)
{
    fprintf(file, "global_hidden_layers_short %d\nglobal_nodes_short", p->nhidden);
    for (int l = 0; l < p->nhidden; l++)
        fprintf(file, " %d", p->nodes[l]);
    fprintf(file, "\nglobal_activation_short");
    for (const char *c = p->activations; *c != '\0'; c++)
        fprintf(file, " %c", *c);
    fprintf(file, "\n");
}

static void write_scaling_keywords(FILE *file, const potential_recipe *p)
{
    if (p->scale)
        fprintf(file, "scale_symmetry_functions\n");
    if (p->center)
        fprintf(file, "center_symmetry_functions\n");
    if (p->sigma)
        fprintf(file, "scale_symmetry_functions_sigma\n");
    if (p->scale_min != 0 || p->scale_max != 0)
        fprintf(file, "scale_min_short %.17g\nscale_max_short %.17g\n", p->scale_min, p->scale_max);
}

static FILE *create(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_msg(file != NULL, "cannot create %s", path);
    return file;
}

/* The symmetry functions depend on the seed alone, so that members of a committee may share them. */
static void write_input(const potential_recipe *p, const char *folder)
{
    FILE *file = create(folder, "input.nn");
    nf_rng rng = {p->seed};
    fprintf(file, "number_of_elements %zu\nelements", p->nelements);
    for (size_t e = 0; e < p->nelements; e++)
        fprintf(file, " %s", nf_element_symbol(p->elements[e]));
    fprintf(file, " # random\ncutoff_type %d %.17g\n", p->cutoff_type, p->alpha);
    if (p->normalised)
        fprintf(file, "mean_energy -0.75\nconv_energy 3.5\nconv_length 1.75\n");
    for (size_t e = 0; p->offsets && e < p->nelements; e++)
        fprintf(file, "atom_energy %s %.17g\n", nf_element_symbol(p->elements[e]), -1.5 * (double)(e + 1));
    write_scaling_keywords(file, p);
    write_network(file, p);
    for (size_t e = 0; e < p->nelements; e++)
        for (int f = 0; f < p->nfunctions; f++)
            write_function(file, p, (int)e, &rng);
    fclose(file);
}

/* ---- weights and scaling ---- */

static void write_weights(const potential_recipe *p, const char *folder, int number, nf_rng *rng)
{
    char name[32];
    snprintf(name, sizeof name, "weights.%03d.data", number);
    FILE *file = create(folder, name);
    int nin = p->nfunctions;
    for (int l = 0; l <= p->nhidden; l++) {
        int nout = l < p->nhidden ? p->nodes[l] : 1;
        for (int k = 0; k < (nin + 1) * nout; k++)
            fprintf(file, "%.17g\n", nf_rng_normal(rng) * 1.2 / sqrt(nin + 1));
        nin = nout;
    }
    fclose(file);
}

typedef struct {
    double low, high, sum, square;
    double n;
} statistics;

static void gather(const potential_recipe *p, lab *l, statistics *of)
{
    static specimen s;
    for (int k = 0; k < NSPECIMENS; k++) {
        double *g;
        specimen_make(&s, (enum specimen_kind)k, 12, p->nelements, p->elements, p->seed + 17);
        size_t stride = lab_features(l, &s.frame, &g);
        for (size_t i = 0; i < s.frame.natoms; i++)
            for (int f = 0; f < p->nfunctions; f++) {
                size_t e = 0;
                while (p->elements[e] != s.species[i])
                    e++;
                statistics *st = &of[e * (size_t)p->nfunctions + (size_t)f];
                double x = g[i * stride + (size_t)f];
                st->low = st->n == 0 ? x : fmin(st->low, x);
                st->high = st->n == 0 ? x : fmax(st->high, x);
                st->sum += x;
                st->square += x * x;
                st->n++;
            }
        free(g);
    }
}

static size_t rank(const potential_recipe *p, size_t e)
{
    size_t r = 1;
    for (size_t k = 0; k < p->nelements; k++)
        r += p->elements[k] < p->elements[e];
    return r;
}

static void write_scaling(const potential_recipe *p, const char *folder, const statistics *of)
{
    FILE *file = create(folder, "scaling.data");
    fprintf(file, "# random potential\n");
    for (size_t e = 0; e < p->nelements; e++)
        for (int f = 0; f < p->nfunctions; f++) {
            statistics s = of[e * (size_t)p->nfunctions + (size_t)f];
            double n = s.n > 0 ? s.n : 1, mean = s.sum / n, sigma = sqrt(fmax(s.square / n - mean * mean, 0));
            if (!(s.high - s.low > 1e-2))
                s.high = s.low + 1;
            fprintf(file, "%zu %d %.17g %.17g %.17g %.17g\n", rank(p, e), f + 1, s.low, s.high, mean, fmax(sigma, 0.1));
        }
    fclose(file);
}

static void write_member(const potential_recipe *p, const char *folder, unsigned member)
{
    size_t n = p->nelements * (size_t)p->nfunctions;
    statistics *of = calloc(n, sizeof *of);
    nf_rng rng = {p->seed * 31u + 1000003u * (member + 1)};
    write_input(p, folder);
    for (size_t e = 0; e < p->nelements; e++)
        write_weights(p, folder, p->elements[e], &rng);
    write_scaling(p, folder, of);
    lab l;
    lab_open(&l, load_model(folder, NF_UNITS_ANGSTROM_EV), 1, 1.0);
    gather(p, &l, of);
    lab_close(&l);
    for (size_t k = 0; k < n; k++)
        of[k].high += 0.1 * member * (of[k].high - of[k].low);
    write_scaling(p, folder, of);
    free(of);
}

void potential_write(const potential_recipe *p, const char *folder)
{
    write_member(p, folder, 0);
}

nf_model *potential_load(const potential_recipe *p)
{
    scratch s;
    scratch_begin(&s);
    potential_write(p, s.path);
    nf_model *model = load_model(s.path, NF_UNITS_ANGSTROM_EV);
    scratch_end(&s);
    return model;
}

nf_model *potential_committee(const potential_recipe *p, int nmembers)
{
    scratch s;
    scratch_begin(&s);
    for (int m = 0; m < nmembers; m++) {
        char name[32], path[1024];
        snprintf(name, sizeof name, "nnp-%d", m + 1);
        snprintf(path, sizeof path, "%s/%s", s.path, name);
        scratch_mkdir(&s, name);
        write_member(p, path, (unsigned)m);
    }
    nf_model *model = load_model(s.path, NF_UNITS_ANGSTROM_EV);
    scratch_end(&s);
    return model;
}
