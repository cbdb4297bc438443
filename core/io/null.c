/* SPDX-License-Identifier: BSD-3-Clause
 *
 * null.c - the model "null": every element, and zero for every structure. It has no file.
 */
#include <string.h>

#include "io/format.h"

extern const nf_format nf_format_null;

enum { NELEMENTS = 118 };

static bool is_null(const char *path)
{
    return strcmp(path, "null") == 0;
}

/* Adds element z to the list and its readout to the member's. */
static int add_element(json_t *elements, json_t *readouts, int z)
{
    const char *symbol = nf_element_symbol(z);
    return json_array_append_new(elements, json_string(symbol)) |
           json_object_set_new(readouts, symbol, json_pack("{s:s, s:f}", "class", "null", "offset", 0.0));
}

static int read_null(nf_spec *spec, size_t npaths, const char *const paths[], const nf_model_opts *opts, nf_hash *hash,
                     nf_error *err)
{
    json_t *elements = json_array(), *readouts = json_object();
    (void)npaths, (void)paths, (void)opts, (void)hash;
    int bad = 0;
    for (int z = 1; z <= NELEMENTS; z++)
        bad |= add_element(elements, readouts, z);
    bad |= json_object_set_new(spec->tree, "format", json_string("null"));
    bad |= json_object_set_new(spec->tree, "units", json_string("none"));
    bad |= json_object_set_new(spec->tree, "elements", elements);
    bad |= json_object_set_new(spec->tree, "descriptor", json_pack("{s:s}", "class", "null"));
    bad |= json_object_set_new(spec->tree, "members",
                               json_pack("[{s:s, s:f, s:o}]", "source", "null", "scale", 1.0, "readouts", readouts));
    return bad ? nf_fail_memory(err, "a model") : 0;
}

const nf_format nf_format_null = {.name = "null", .built_in = true, .matches = is_null, .read = read_null};
