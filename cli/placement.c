/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/common.h"
#include "io/species.h"
#include "server/extras.h"
#include "server/link_options.h"
#include "server/nearest.h"

/* ---- values ---- */

static int parse_links(nf_place_options *place, const char *text, nf_error *err)
{
    char *end;
    if (strcmp(text, "auto") == 0) {
        place->links = 0;
        return 0;
    }
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < 1 || n > 128)
        return nf_fail(err, NF_EINVAL, "--links is auto or a number from 1 to 128, not '%.40s'", text);
    place->links = (int)n;
    return 0;
}

/* "TTF" */
static int parse_pbc(nf_place_options *place, const char *text, nf_error *err)
{
    if (strlen(text) != 3 || strspn(text, "TF") != 3)
        return nf_fail(err, NF_EINVAL, "--pbc is three of T and F, as TTF, not '%.40s'", text);
    for (int d = 0; d < 3; d++)
        place->pbc[d] = text[d] == 'T';
    return 0;
}

static int parse_extras(nf_place_options *place, const char *text, nf_error *err)
{
    for (nf_extras kind = NF_EXTRAS_NONE; nf_extras_name(kind) != NULL; kind++)
        if (strcmp(text, nf_extras_name(kind)) == 0) {
            place->extras = kind;
            return 0;
        }
    return nf_fail(err, NF_EINVAL, "extras are none, summary or committee, not '%.40s'", text);
}

static int parse_directory(nf_place_options *place, const char *text, nf_error *err)
{
    struct stat is;
    if (stat(text, &is) != 0 || !S_ISDIR(is.st_mode))
        return nf_fail(err, NF_EINVAL, "--driver-dir: %.200s is no directory", text);
    place->driver_dir = text;
    return 0;
}

static int parse_trust(nf_place_options *place, const char *text, nf_error *err)
{
    place->trust_species = strcmp(text, "true") == 0 || text[0] == '\0';
    if (!place->trust_species && strcmp(text, "false") != 0)
        return nf_fail(err, NF_EINVAL, "trust-species is true or false, not '%.40s'", text);
    return 0;
}

/* Species are read last, by their own owner. */
static const struct key {
    const char *name;
    int (*parse)(nf_place_options *place, const char *text, nf_error *err);
    const char *help;
} keys[] = {
    {"species", NULL, "elements in the driver's order there: a file or a list"},
    {"extras", parse_extras, "none, summary or committee"},
    {"links", parse_links, "connections to that address, or auto"},
    {"pbc", parse_pbc, "periodic directions, as TTF"},
    {"trust-species", parse_trust, "do not judge by the first frame"},
    {"driver-dir", parse_directory, "where that driver runs: a file EXIT there stops i-PI"},
};

enum { NKEYS = sizeof keys / sizeof *keys };

const char *placement_key(size_t i, const char **help)
{
    *help = i < NKEYS ? keys[i].help : NULL;
    return i < NKEYS ? keys[i].name : NULL;
}

/* ---- addresses ---- */

static int unknown_key(const char *word, const char *key, nf_error *err)
{
    nf_nearest search = {.typed = key, .n = strlen(key)};
    for (size_t i = 0; i < NKEYS; i++)
        nf_nearest_try(&search, keys[i].name);
    return nf_fail(err, NF_EINVAL, "%.100s: '%.40s' is no option of an address%s%s%s", word, key,
                   search.best == NULL ? "" : ", did you mean '", search.best == NULL ? "" : search.best,
                   search.best == NULL ? "" : "'?");
}

/* One of `key=value` or `key` behind an address; *species is where the value of that key goes. */
static int take_option(nf_place_options *place, const char **species, char *item, nf_error *err)
{
    char *value = strchr(item, '=');
    if (value != NULL)
        *value++ = '\0';
    for (size_t i = 0; i < NKEYS; i++)
        if (strcmp(keys[i].name, item) == 0) {
            if (value == NULL && keys[i].parse != parse_trust)
                return nf_fail(err, NF_EINVAL, "%.100s: %s needs a value", place->address.text, item);
            if (keys[i].parse == NULL)
                *species = value;
            return keys[i].parse == NULL ? 0 : keys[i].parse(place, value == NULL ? "" : value, err);
        }
    return unknown_key(place->address.text, item, err);
}

static int apply_defaults(nf_place_options *place, const placement_defaults *d, nf_error *err)
{
    place->extras = d->extras;
    place->trust_species = d->trust_species;
    TRY(parse_links(place, d->links, err));
    TRY(parse_pbc(place, d->pbc, err));
    return d->driver_dir == NULL ? 0 : parse_directory(place, d->driver_dir, err);
}

static int read_species(placement *p, size_t i, const char *text, nf_error *err)
{
    if (text == NULL)
        return 0;
    TRY(nf_species_read(&p->species[i], &p->places[i].natoms, text, err));
    p->places[i].species = p->species[i];
    return 0;
}

static int add_place(placement *p, char *word, const placement_defaults *defaults, nf_error *err)
{
    if (p->nplaces == NF_RUN_PLACES)
        return nf_fail(err, NF_ELIMIT, "more than %d addresses", NF_RUN_PLACES);
    nf_place_options *place = &p->places[p->nplaces];
    const char *species = defaults->species;
    char *rest = strchr(word, ',');
    if (rest != NULL)
        *rest++ = '\0';
    TRY(nf_address_parse(&place->address, word, err));
    TRY(apply_defaults(place, defaults, err));
    while (rest != NULL) {
        char *item = rest;
        rest = strchr(item, ',');
        if (rest != NULL)
            *rest++ = '\0';
        TRY(take_option(place, &species, item, err));
    }
    place->service = p->nservices == 0 ? 0 : p->nservices - 1;
    return read_species(p, p->nplaces++, species, err);
}

/* ---- models ---- */

static bool exists(const char *path)
{
    struct stat is;
    return stat(path, &is) == 0;
}

/* Cuts NAME= off a word, unless that is part of the path of a file. */
static const char *split_name(char **word)
{
    size_t n = strcspn(*word, "=/");
    char *name = *word;
    if ((*word)[n] != '=' || n == 0 || exists(*word))
        return NULL;
    name[n] = '\0';
    *word += n + 1;
    return name;
}

static bool name_taken(const placement *p, const char *name)
{
    for (size_t i = 0; i < p->nservices; i++)
        if (strcmp(p->names[i], name) == 0)
            return true;
    return false;
}

/* The last part of a path without slashes at its end; -2, -3 ... where that is taken. */
static void find_name(placement *p, const char *path)
{
    size_t end = strlen(path), begin;
    char *out = p->names[p->nservices], base[PLACEMENT_NAME - 12];
    while (end > 1 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--)
        continue;
    snprintf(base, sizeof base, "%.*s", (int)(end - begin), path + begin);
    snprintf(out, PLACEMENT_NAME, "%s", base);
    for (int k = 2; name_taken(p, out); k++)
        snprintf(out, PLACEMENT_NAME, "%s-%d", base, k);
}

static bool same_paths(const nf_service_options *a, size_t n, const char *const *paths)
{
    bool same = a->npaths == n;
    for (size_t i = 0; same && i < n; i++)
        same = strcmp(a->paths[i], paths[i]) == 0;
    return same;
}

/* Makes a model of the paths from number `first` on; one that is there already is taken again. */
static int add_service(placement *p, size_t first, const char *name, size_t *number, nf_error *err)
{
    size_t n = p->npaths - first;
    for (size_t i = 0; i < p->nservices; i++)
        if (same_paths(&p->services[i], n, p->paths + first) && (name == NULL || strcmp(name, p->names[i]) == 0)) {
            p->npaths = first;
            *number = i;
            return 0;
        }
    if (p->nservices == PLACEMENT_MODELS)
        return nf_fail(err, NF_ELIMIT, "more than %d models", PLACEMENT_MODELS);
    if (name != NULL && name_taken(p, name))
        return nf_fail(err, NF_EINVAL, "two models are called '%.60s'", name);
    if (name != NULL)
        snprintf(p->names[p->nservices], PLACEMENT_NAME, "%s", name);
    else
        find_name(p, p->paths[first]);
    *number = p->nservices++;
    p->services[*number] =
        (nf_service_options){.name = p->names[*number], .npaths = n, .paths = (const char *const *)p->paths + first};
    return 0;
}

static int add_path(placement *p, const char *path, nf_error *err)
{
    if (p->npaths == PLACEMENT_PATHS)
        return nf_fail(err, NF_ELIMIT, "more than %d models", PLACEMENT_PATHS);
    if (path[0] == '\0')
        return nf_fail(err, NF_EINVAL, "a model needs a path");
    p->paths[p->npaths++] = path;
    return 0;
}

/* ---- the words ---- */

static int read_run(placement *p, int n, char **words, const placement_defaults *defaults, nf_error *err)
{
    size_t first = 0, unserved = 0; /* paths of a model whose address comes; places before the first model */
    const char *name = NULL;
    size_t number = 0;
    for (int i = 0; i < n; i++) {
        if (!nf_address_looks(words[i])) {
            const char *given = split_name(&words[i]);
            name = given != NULL ? given : name;
            TRY(add_path(p, words[i], err));
            continue;
        }
        if (p->npaths > first)
            TRY(add_service(p, first, name, &number, err));
        else if (p->nservices == 0)
            unserved++;
        first = p->npaths;
        name = NULL;
        TRY(add_place(p, words[i], defaults, err));
        p->places[p->nplaces - 1].service = number;
    }
    if (p->npaths > first && (unserved == 0 || p->nservices > 0))
        return nf_fail(err, NF_EINVAL, "no address behind the model '%.100s': a model comes before its address",
                       p->paths[first]);
    return p->npaths > first ? add_service(p, first, name, &number, err) : 0;
}

static int read_listen(placement *p, int n, char **words, const placement_defaults *defaults, nf_error *err)
{
    for (int i = 0; i < n; i++) {
        if (nf_address_looks(words[i])) {
            TRY(add_place(p, words[i], defaults, err));
            p->places[p->nplaces - 1].service = 0;
            continue;
        }
        size_t first = p->npaths, number;
        const char *name = split_name(&words[i]);
        for (char *path = words[i]; path != NULL;) {
            char *next = name == NULL ? NULL : strchr(path, ',');
            if (next != NULL)
                *next++ = '\0';
            TRY(add_path(p, path, err));
            path = next;
        }
        TRY(add_service(p, first, name, &number, err));
    }
    return 0;
}

int placement_read(placement *p, int n, char **words, bool listen, const placement_defaults *defaults, nf_error *err)
{
    TRY(listen ? read_listen(p, n, words, defaults, err) : read_run(p, n, words, defaults, err));
    if (p->nplaces == 0)
        return nf_fail(err, NF_EINVAL,
                       listen ? "no address: where shall clients connect? unix:NAME, unix:/path or tcp:HOST:PORT"
                              : "no address: where does the driver listen? unix:NAME, unix:/path, tcp:HOST:PORT or "
                                "shm:NAME");
    return 0;
}

/* ---- the places of a recording ---- */

static int take_recorded_model(placement *p, const json_t *model, int n, char **words, nf_error *err)
{
    const json_t *paths = json_object_get(model, "paths"), *path;
    const char *name = json_string_value(json_object_get(model, "name"));
    size_t first = p->npaths, i, number;
    if (n > 0) {
        for (int k = 0; k < n; k++)
            TRY(add_path(p, words[k], err));
    } else {
        json_array_foreach(paths, i, path)
        {
            TRY(add_path(p, json_is_string(path) ? json_string_value(path) : "", err));
        }
    }
    if (p->npaths == first || name == NULL)
        return nf_fail(err, NF_EFORMAT, "the recording does not say which models were served");
    TRY(add_service(p, first, name, &number, err));
    placement_set_units(p, (int)json_integer_value(json_object_get(model, "units")));
    return 0;
}

static const char *recorded(const json_t *place, const char *key)
{
    return json_string_value(json_object_get(place, key));
}

/* Nobody connects to a recorded address: its name alone counts. */
static int take_recorded_place(placement *p, const json_t *place, nf_error *err)
{
    const char *address = recorded(place, "address"), *extras = recorded(place, "extras"),
               *pbc = recorded(place, "pbc");
    json_int_t model = json_integer_value(json_object_get(place, "model"));
    if (address == NULL || pbc == NULL || p->nplaces == NF_RUN_PLACES || model < 0 || (size_t)model >= p->nservices)
        return nf_fail(err, NF_EFORMAT, "the recording does not say what was served where");
    nf_place_options *to = &p->places[p->nplaces];
    *to = (nf_place_options){.address = {.text = address, .local = strncmp(address, "tcp:", 4) != 0},
                             .service = (size_t)model,
                             .trust_species = json_is_true(json_object_get(place, "trust_species")),
                             .extras = NF_EXTRAS_BY_MODEL};
    TRY(parse_pbc(to, pbc, err));
    if (extras != NULL)
        TRY(parse_extras(to, extras, err));
    size_t i = p->nplaces++;
    if (recorded(place, "species") == NULL)
        return 0;
    TRY(nf_species_parse_list(&p->species[i], &to->natoms, recorded(place, "species"), NF_LINK_ATOMS_MOST, err));
    to->species = p->species[i];
    return 0;
}

int placement_of_recording(placement *p, const json_t *header, int n, char **words, nf_error *err)
{
    const json_t *models = json_object_get(header, "models"), *places = json_object_get(header, "addresses"), *one;
    size_t i, nmodels = json_array_size(models);
    if (n > 0 && nmodels > 1 && (size_t)n != nmodels)
        return nf_fail(err, NF_EINVAL, "the recording is of %zu models: name as many, or none", nmodels);
    json_array_foreach(models, i, one)
    {
        bool each = nmodels > 1 && n > 0;
        TRY(take_recorded_model(p, one, each ? 1 : n, each ? words + i : words, err));
    }
    json_array_foreach(places, i, one)
    {
        TRY(take_recorded_place(p, one, err));
    }
    return p->nplaces > 0 ? 0 : nf_fail(err, NF_EFORMAT, "the recording does not say what was served where");
}

void placement_set_units(placement *p, int units)
{
    for (size_t i = 0; i < p->nservices; i++)
        p->services[i].units = (nf_units)units;
}

int placement_load(placement *p, nf_error *err)
{
    if (p->nservices == 0)
        return nf_fail(err, NF_EINVAL, "no model: name a directory with input.nn, scaling.data and weights.*.data");
    for (size_t i = 0; i < p->nservices; i++) {
        nf_service_options *s = &p->services[i];
        nf_model_opts opts = NF_MODEL_OPTS_INIT;
        opts.units = s->units;
        opts.log = cli_log;
        TRY(nf_model_load(&s->model, s->npaths, s->paths, &opts, err));
    }
    for (size_t i = 0; i < p->nplaces; i++) {
        const nf_place_options *place = &p->places[i];
        nf_error why;
        if (nf_service_check_species(p->services[place->service].model, place->natoms, place->species, &why) != 0)
            return nf_fail(err, why.code, "--species: %s", why.msg);
    }
    return 0;
}

void placement_free(placement *p)
{
    for (size_t i = 0; i < p->nservices; i++)
        nf_model_free(p->services[i].model);
    for (size_t i = 0; i < p->nplaces; i++)
        nf_free(p->species[i]);
}
