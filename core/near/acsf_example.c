/* SPDX-License-Identifier: BSD-3-Clause
 *
 * acsf_example.c - made-up symmetry functions of every type, for tests over the registry. Functions of one element
 * share radial factors, angles and groups here and there, as those of real models do.
 */
#include <string.h>

#include "base/rng.h"
#include "near/acsf.h"
#include "near/cutoff.h"

static const char *random_element(const nf_elements *elements, nf_rng *rng)
{
    return nf_element_symbol(elements->number[nf_rng_next(rng) % (uint64_t)elements->n]);
}

static void add_neighbours(json_t *f, const acsf_type *type, const nf_elements *elements, nf_rng *rng)
{
    if (type->weighted)
        return;
    const char *a = random_element(elements, rng), *b = random_element(elements, rng);
    json_object_set_new(f, "neighbours", type->angular ? json_pack("[ss]", a, b) : json_pack("[s]", a));
}

static void add_exponential(json_t *f, const acsf_type *type, int index, nf_rng *rng)
{
    static const double zetas[] = {1, 2, 4, 1.5, 16, 3};
    int cutoff = (int)(nf_rng_next(rng) % (K_NCUTOFFS - 1)) + 1, whole = cutoff == K_CUT_TANH || cutoff == K_CUT_TANHU;
    double rc = index % 3 == 2 ? 4.5 : 4.0, eta = nf_rng_between(rng, 0.01, 0.8), shift = nf_rng_between(rng, 0.2, 1.5);
    json_t *keys = json_pack("{s:f, s:f, s:f, s:f, s:s}", "eta", eta, "rs",
                             index % 2 == 1 && type->between != K_GAUSSIAN ? shift : 0.0, "rc", rc, "inner",
                             whole ? 0.0 : 0.2 * rc, "cutoff", nf_cutoff_name(cutoff));
    json_object_update(f, keys);
    json_decref(keys);
    if (type->angular) {
        json_object_set_new(f, "lambda", json_real(nf_rng_next(rng) % 2 ? 1 : -1));
        json_object_set_new(f, "zeta", json_real(zetas[nf_rng_next(rng) % 6]));
    }
}

/* Windows at the ends, over the ends and in between. POLY1 has a kink in its second derivative. */
static void add_compact(json_t *f, const acsf_type *type, nf_rng *rng)
{
    static const double rl[] = {-4.5, -2.0, 0, 0.4},
                        angles[][2] = {{-90, 90}, {90, 270}, {0, 180}, {0, 120}, {50, 170}};
    int core = K_CUT_EXP + (int)(nf_rng_next(rng) % 5), kind = (int)(nf_rng_next(rng) % 4);
    json_t *keys = json_pack("{s:s, s:b, s:f, s:f}", "core", nf_cutoff_name(core), "asymmetric",
                             core != K_CUT_EXP && nf_rng_next(rng) % 2, "rl", rl[kind], "rc", kind == 3 ? 4.0 : 4.5);
    json_object_update(f, keys);
    json_decref(keys);
    if (type->angular) {
        const double *window = angles[nf_rng_next(rng) % 5];
        json_object_set_new(f, "angle_left", json_real(window[0]));
        json_object_set_new(f, "angle_right", json_real(window[1]));
    }
}

static json_t *example_function(const nf_elements *elements, int centre, const acsf_type *type, int index, nf_rng *rng)
{
    json_t *f = json_pack("{s:s, s:o}", "element", nf_element_symbol(elements->number[centre]), "type",
                          type->number > 0 ? json_integer(type->number) : json_string(type->name));
    add_neighbours(f, type, elements, rng);
    if (type->compact)
        add_compact(f, type, rng);
    else
        add_exponential(f, type, index, rng);
    return f;
}

json_t *acsf_example(const nf_elements *elements, unsigned seed)
{
    nf_rng rng = {seed};
    json_t *list = json_array();
    const acsf_type *type;
    for (int e = 0; e < elements->n; e++)
        for (int round = 0; round < 2; round++)
            for (int i = 0; (type = acsf_type_at((size_t)i)) != NULL; i++)
                json_array_append_new(list, example_function(elements, e, type, i + round, &rng));
    return json_pack("{s:s, s:o}", "class", "acsf", "functions", list);
}
