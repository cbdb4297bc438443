/* SPDX-License-Identifier: BSD-3-Clause
 *
 * spec.h - a model as data: a JSON tree and named arrays of numbers. Readers of file formats fill it, the classes of
 * descriptors and readouts create themselves from it; neither knows the other. Lengths in Angstrom, energies in eV.
 *
 *     { "units": "bohr,hartree",                    of the files it came from
 *       "sha256": "e3b0...",                        of their bytes
 *       "elements": ["H", "O"],                     by atomic number
 *       "descriptor": {"class": "acsf", "functions": [{"element": "H", "type": 2, ...}, ...]},
 *       "members": [{"source": "nnp-1", "readouts": {"H": {"class": "mlp", ...}, ...}}, ...] }
 *
 * A string in the tree that names an array is the key of that array.
 */
#ifndef NF_BASE_SPEC_H
#define NF_BASE_SPEC_H

#include <jansson.h>

#include "base/status.h"

struct nf_spec_array {
    char *name;
    size_t n;
    double *data;
};

typedef struct nf_spec {
    json_t *tree; /* an object */
    size_t narrays, cap_arrays;
    struct nf_spec_array *arrays;
} nf_spec;

int nf_spec_new(nf_spec *out, nf_error *err);
void nf_spec_free(nf_spec *spec);

/** Room for an array of n zeros under a new name; owned by the spec. NULL without memory. */
double *nf_spec_add(nf_spec *spec, const char *name, size_t n);
/** The array of that name, which must have n elements. NULL (with err) if not. */
const double *nf_spec_get(const nf_spec *spec, const char *name, size_t n, nf_error *err);

/* Members of an object, checked. NF_EFORMAT names the key. */
int nf_spec_number(const json_t *object, const char *key, double *out, nf_error *err);
int nf_spec_integer(const json_t *object, const char *key, int *out, nf_error *err);
const char *nf_spec_string(const json_t *object, const char *key, nf_error *err);

/** Elements of a model, by atomic number. */
typedef struct nf_elements {
    int n;
    int number[118];
} nf_elements;

/** Index of an atomic number, -1 if the model does not have it. */
int nf_elements_find(const nf_elements *elements, int number);

#endif
