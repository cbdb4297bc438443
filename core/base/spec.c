/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/spec.h"

#include <string.h>

#include "base/mem.h"

int nf_spec_new(nf_spec *out, nf_error *err)
{
    *out = (nf_spec){.tree = json_object()};
    return out->tree != NULL ? 0 : nf_fail_memory(err, "a model");
}

void nf_spec_free(nf_spec *spec)
{
    for (size_t i = 0; i < spec->narrays; i++) {
        nf_free(spec->arrays[i].name);
        nf_free(spec->arrays[i].data);
    }
    nf_free(spec->arrays);
    json_decref(spec->tree);
    *spec = (nf_spec){0};
}

double *nf_spec_add(nf_spec *spec, const char *name, size_t n)
{
    if (NF_GROW(spec->arrays, spec->cap_arrays, spec->narrays + 1))
        return NULL;
    struct nf_spec_array a = {nf_strdup(name), n, nf_calloc(n, sizeof(double))};
    if (a.name == NULL || a.data == NULL) {
        nf_free(a.name);
        nf_free(a.data);
        return NULL;
    }
    spec->arrays[spec->narrays++] = a;
    return a.data;
}

const double *nf_spec_get(const nf_spec *spec, const char *name, size_t n, nf_error *err)
{
    for (size_t i = 0; i < spec->narrays; i++) {
        const struct nf_spec_array *a = &spec->arrays[i];
        if (strcmp(a->name, name) != 0)
            continue;
        if (a->n == n)
            return a->data;
        nf_fail(err, NF_EFORMAT, "array %s has %zu numbers, expected %zu", name, a->n, n);
        return NULL;
    }
    nf_fail(err, NF_EFORMAT, "array %s is missing", name);
    return NULL;
}

int nf_spec_number(const json_t *object, const char *key, double *out, nf_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value))
        return nf_fail(err, NF_EFORMAT, "key '%s' is missing or is no number", key);
    *out = json_number_value(value);
    return 0;
}

int nf_spec_integer(const json_t *object, const char *key, int *out, nf_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return nf_fail(err, NF_EFORMAT, "key '%s' is missing or is no integer", key);
    *out = (int)json_integer_value(value);
    return 0;
}

const char *nf_spec_string(const json_t *object, const char *key, nf_error *err)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL)
        nf_fail(err, NF_EFORMAT, "key '%s' is missing or is no string", key);
    return text;
}

int nf_elements_find(const nf_elements *elements, int number)
{
    for (int e = 0; e < elements->n; e++)
        if (elements->number[e] == number)
            return e;
    return -1;
}
