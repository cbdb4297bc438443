/* SPDX-License-Identifier: BSD-3-Clause
 *
 * names.c - descriptor values by name, from the model's spec: "G2 O eta=0.5 rs=0 rc=6.35 inner=0 cutoff=poly2".
 *
 * Whatever numbers, words and flags an entry of "functions" has besides its element, type and neighbours are named in
 * the order of the spec. The order of the entries of an element is the order of its values.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"

/* Text as long as it may be, and room for the beginning of it. */
typedef struct {
    char *out;
    size_t size, length;
} words;

static __attribute__((format(printf, 2, 3))) void say(words *w, const char *format, ...)
{
    va_list args;
    char nothing[1];
    bool room = w->length < w->size;
    va_start(args, format);
    int n = vsnprintf(room ? w->out + w->length : nothing, room ? w->size - w->length : 0, format, args);
    va_end(args);
    w->length += n > 0 ? (size_t)n : 0;
}

static const json_t *find_function(const nf_model *model, const char *symbol, size_t index)
{
    const json_t *descriptor = json_object_get(model->spec.tree, "descriptor"),
                 *list = json_object_get(descriptor, "functions");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *function = json_array_get(list, i);
        const char *element = json_string_value(json_object_get(function, "element"));
        if (element != NULL && strcmp(element, symbol) == 0 && index-- == 0)
            return function;
    }
    return NULL;
}

static void say_value(words *w, const char *key, const json_t *value)
{
    static const char *const said[] = {"element", "type", "neighbours"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (strcmp(key, said[i]) == 0)
            return;
    if (json_is_number(value))
        say(w, " %s=%.6g", key, json_number_value(value));
    else if (json_is_string(value))
        say(w, " %s=%s", key, json_string_value(value));
    else if (json_is_true(value))
        say(w, " %s", key);
}

static void say_function(words *w, const json_t *function)
{
    const json_t *neighbours = json_object_get(function, "neighbours"), *type = json_object_get(function, "type");
    if (json_is_string(type))
        say(w, "%s", json_string_value(type));
    else
        say(w, "G%d", (int)json_integer_value(type));
    for (size_t i = 0; i < json_array_size(neighbours); i++) {
        const char *symbol = json_string_value(json_array_get(neighbours, i));
        say(w, " %s", symbol == NULL ? "?" : symbol);
    }
    void *at = json_object_iter((json_t *)function);
    for (; at != NULL; at = json_object_iter_next((json_t *)function, at))
        say_value(w, json_object_iter_key(at), json_object_iter_value(at));
}

int nf_model_feature_name(const nf_model *model, int atomic_number, size_t index, char *out, size_t size)
{
    words w = {out, size, 0};
    const char *symbol = nf_element_symbol(atomic_number);
    if (symbol == NULL || index >= nf_model_nfeatures(model, atomic_number))
        return NF_EINVAL;
    const json_t *function = find_function(model, symbol, index);
    if (function != NULL)
        say_function(&w, function);
    else
        say(&w, "%s %zu", model->descriptor->class->name, index);
    return (int)w.length;
}
