/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/link_options.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/species.h"
#include "io/words.h"
#include "protocol/ipi.h"
#include "server/extras.h"
#include "server/nearest.h"

/* ---- values ---- */

typedef int parser(nf_link_options *o, const char *value, const nf_link_origin *origin, nf_error *err);

static int parse_batch(nf_link_options *o, const char *value, const nf_link_origin *origin, nf_error *err)
{
    (void)origin;
    o->batch = ipi_batch_size(value, strlen(value));
    if (o->batch < 1 || o->batch > NF_LINK_BATCH_MOST)
        return nf_fail(err, NF_EFORMAT, "not a whole number from 1 to %d", NF_LINK_BATCH_MOST);
    return 0;
}

/* Devices and pipes could block or never end; "-" would be the standard input. */
static bool is_file(const char *path)
{
    struct stat is;
    return strcmp(path, "-") != 0 && stat(path, &is) == 0 && S_ISREG(is.st_mode);
}

/* A driver on another machine has no business with the files of this one. */
static int parse_species(nf_link_options *o, const char *value, const nf_link_origin *origin, nf_error *err)
{
    int rc = origin->local && is_file(value)
                 ? nf_species_read(&o->own, &o->natoms, value, err)
                 : nf_species_parse_list(&o->own, &o->natoms, value, NF_LINK_ATOMS_MOST, err);
    o->species = o->own;
    if (rc == NF_ELIMIT || o->natoms > NF_LINK_ATOMS_MOST)
        return nf_fail(err, NF_ELIMIT, "more than %d atoms, which only --species gives", NF_LINK_ATOMS_MOST);
    return rc;
}

static int parse_model(nf_link_options *o, const char *value, const nf_link_origin *origin, nf_error *err)
{
    for (size_t i = 0; i < origin->nservices; i++)
        if (strcmp(origin->services[i].options->name, value) == 0) {
            o->service = &origin->services[i];
            return 0;
        }
    return nf_fail(err, NF_EINVAL, "no model of that name is served here");
}

static int parse_bool(bool *out, const char *value, nf_error *err)
{
    *out = strcmp(value, "true") == 0;
    if (!*out && strcmp(value, "false") != 0)
        return nf_fail(err, NF_EFORMAT, "neither true nor false");
    return 0;
}

/* nf_link_wants_errors has looked already, since the other keys may be wrong. */
static int parse_errors(nf_link_options *o, const char *value, const nf_link_origin *origin, nf_error *err)
{
    bool wants;
    (void)o;
    (void)origin;
    return parse_bool(&wants, value, err);
}

static int parse_trust(nf_link_options *o, const char *value, const nf_link_origin *origin, nf_error *err)
{
    (void)origin;
    return parse_bool(&o->trust_species, value, err);
}

static int parse_extras(nf_link_options *o, const char *value, const nf_link_origin *origin, nf_error *err)
{
    (void)origin;
    for (nf_extras kind = NF_EXTRAS_NONE; nf_extras_name(kind) != NULL; kind++)
        if (strcmp(value, nf_extras_name(kind)) == 0) {
            o->extras = kind;
            return 0;
        }
    return nf_fail(err, NF_EFORMAT, "not none, summary or committee");
}

/* No kind of model has charges, so that 0 is the only charge of a system. */
static int parse_charge(nf_link_options *o, const char *value, const nf_link_origin *origin, nf_error *err)
{
    char *end;
    (void)origin;
    o->charge = strtod(value, &end);
    if (end == value || *end != '\0' || !isfinite(o->charge))
        return nf_fail(err, NF_EFORMAT, "not a number");
    if (o->charge != 0)
        return nf_fail(err, NF_EUNSUPPORTED, "this model has no charges: leave the charge out, or give 0");
    return 0;
}

static int parse_part(nf_link_options *o, const char *value, const nf_link_origin *origin, nf_error *err)
{
    (void)o;
    (void)value;
    (void)origin;
    return nf_fail(err, NF_EUNSUPPORTED, "this model has no parts that could be asked for alone: leave it out");
}

/* In the order in which they are parsed. */
static const struct key {
    const char *name;
    parser *parse;
    const char *help;
} keys[] = {
    {"batch_size", parse_batch, "structures in one message; i-PI writes it itself"},
    {"extras", parse_extras, "JSON with each answer: none, summary, committee"},
    {"charge", parse_charge, "of the whole system, in e; 0 for a model without charges"},
    {"part", parse_part, "reserved for models with parts"},
    {"species", parse_species, "a list as O H H * 64 without commas, or a file (unix sockets only)"},
    {"model", parse_model, "name of one of the models that are served"},
    {"trust_species", parse_trust, "true: do not judge by the first structure whether the elements fit"},
    {"errors", parse_errors, "true: say ERROR with the reason before a link is closed"},
};

enum { NKEYS = sizeof keys / sizeof *keys };

const char *nf_link_options_key(size_t i, const char **help)
{
    *help = i < NKEYS ? keys[i].help : NULL;
    return i < NKEYS ? keys[i].name : NULL;
}

/* ---- items ---- */

/* The last value of each key, as i-PI appends its own to what the user wrote. */
typedef struct {
    const nf_link_origin *origin;
    char *value[NKEYS]; /* NULL: not asked for */
} items;

/* <parameters> passes quotes on; one pair around a word is none of it. */
static void unquote(const char **p, size_t *n)
{
    if (*n >= 2 && ((*p)[0] == '\'' || (*p)[0] == '"') && (*p)[*n - 1] == (*p)[0]) {
        (*p)++;
        *n -= 2;
    }
}

static void report_unknown(const nf_link_origin *origin, const char *key, size_t n)
{
    nf_nearest search = {.typed = key, .n = n};
    for (size_t i = 0; i < NKEYS; i++)
        nf_nearest_try(&search, keys[i].name);
    if (origin->unknown != NULL)
        origin->unknown(origin->ctx, nf_excerpt_of(key, n).text, search.best);
}

/* Its number, or NKEYS. */
static size_t find_key(const char *key, size_t n)
{
    size_t k = 0;
    while (k < NKEYS && (strlen(keys[k].name) != n || memcmp(keys[k].name, key, n) != 0))
        k++;
    return k;
}

/* value NULL: the item has no colon. */
static int keep_item(items *all, const char *key, size_t nkey, const char *value, size_t nvalue, nf_error *err)
{
    unquote(&key, &nkey);
    size_t k = find_key(key, nkey);
    if (k == NKEYS) {
        report_unknown(all->origin, key, nkey);
        return 0;
    }
    if (value == NULL)
        nvalue = 0;
    else
        unquote(&value, &nvalue);
    nf_free(all->value[k]);
    all->value[k] = nf_calloc(nvalue + 1, 1);
    if (all->value[k] == NULL)
        return nf_fail_memory(err, "the parameters of INIT");
    if (nvalue > 0)
        memcpy(all->value[k], value, nvalue);
    return 0;
}

static int split_text(items *all, const char *text, nf_error *err)
{
    ipi_param p;
    while (ipi_init_next(&text, &p))
        TRY(keep_item(all, p.key, p.nkey, p.value, p.nvalue, err));
    return 0;
}

/* ---- JSON ---- */

/* "O H H" of ["O", "H", "H"]; room for n bytes and a NUL. */
static bool join(char *out, size_t n, const json_t *list)
{
    size_t used = 0, i;
    const json_t *word;
    out[0] = '\0';
    json_array_foreach(list, i, word)
    {
        size_t length = json_string_length(word);
        if (!json_is_string(word) || used + length + 1 > n)
            return false;
        memcpy(out + used, json_string_value(word), length);
        used += length;
        out[used++] = ' ';
        out[used] = '\0';
    }
    return true;
}

static int keep_list(items *all, const char *key, const json_t *list, nf_error *err)
{
    enum { room = 2 * IPI_INIT_MAX }; /* an INIT has no room for more */
    char *text = nf_calloc(room + 1, 1);
    if (text == NULL)
        return nf_fail_memory(err, "the parameters of INIT");
    int rc = join(text, room, list)
                 ? keep_item(all, key, strlen(key), text, strlen(text), err)
                 : nf_fail(err, NF_EFORMAT, "the list of '%s' in the driver's INIT has more than words in it",
                           nf_excerpt_of(key, strlen(key)).text);
    nf_free(text);
    return rc;
}

static int keep_json(items *all, const char *key, const json_t *value, nf_error *err)
{
    if (find_key(key, strlen(key)) == NKEYS) {
        report_unknown(all->origin, key, strlen(key));
        return 0;
    }
    if (json_is_string(value))
        return keep_item(all, key, strlen(key), json_string_value(value), json_string_length(value), err);
    if (json_is_array(value))
        return keep_list(all, key, value, err);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text == NULL)
        return nf_fail_memory(err, "the parameters of INIT");
    int rc = keep_item(all, key, strlen(key), text, strlen(text), err);
    free(text);
    return rc;
}

static int split_json(items *all, const char *text, nf_error *err)
{
    json_error_t why;
    const char *key;
    json_t *value, *root = json_loads(text, 0, &why);
    int rc = 0;
    if (root == NULL && json_error_code(&why) == json_error_out_of_memory)
        return nf_fail_memory(err, "the parameters of INIT");
    if (root == NULL) { /* any text will do as an INIT: what it says is left aside */
        report_unknown(all->origin, text, strlen(text));
        return 0;
    }
    json_object_foreach(root, key, value)
    {
        if (rc == 0)
            rc = keep_json(all, key, value, err);
    }
    json_decref(root);
    return rc;
}

/* ---- the whole ---- */

static int split(items *all, const char *text, nf_error *err)
{
    return *nf_skip_blanks(text) == '{' ? split_json(all, text, err) : split_text(all, text, err);
}

/* Printable, whatever a peer has put into names and values. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

static int complain(const char *key, const char *value, nf_error *err)
{
    nf_error why = *err;
    make_printable(why.msg);
    return nf_fail(err, why.code, "%s : %s in the driver's INIT: %s", key, nf_excerpt_of(value, strlen(value)).text,
                   why.msg);
}

static int parse_items(nf_link_options *o, const items *all, nf_error *err)
{
    for (size_t k = 0; k < NKEYS; k++)
        if (all->value[k] != NULL && keys[k].parse(o, all->value[k], all->origin, err) < 0)
            return complain(keys[k].name, all->value[k], err);
    return 0;
}

static nf_link_options *copy_of(const nf_link_options *o)
{
    nf_link_options *copy = nf_calloc(1, sizeof *copy);
    if (copy == NULL)
        return NULL;
    *copy = *o;
    copy->owners = 1;
    copy->own = NULL;
    copy->any = false;
    return copy;
}

int nf_link_options_new(nf_link_options **out, const nf_place_options *place, nf_service *service, nf_error *err)
{
    nf_link_options o = {
        .service = service, .extras = place->extras, .natoms = place->natoms, .species = place->species, .batch = 1};
    o.trust_species = place->trust_species;
    memcpy(o.pbc, place->pbc, sizeof o.pbc);
    *out = copy_of(&o);
    return *out != NULL ? 0 : nf_fail_memory(err, "the options of a link");
}

int nf_link_options_any(nf_link_options **out, const nf_link_options *options, size_t natoms, nf_error *err)
{
    int *species = nf_calloc(natoms, sizeof *species);
    nf_link_options *o = species == NULL ? NULL : copy_of(options);
    if (o == NULL) {
        nf_free(species);
        return nf_fail_memory(err, "the options of a link");
    }
    for (size_t i = 0; i < natoms; i++)
        species[i] = 1;
    o->natoms = natoms;
    o->species = o->own = species;
    o->any = true;
    *out = o;
    return 0;
}

/* The elements of the command line too: an INIT may have chosen another model. */
static int check_elements(const nf_link_options *o, nf_error *err)
{
    if (o->service == NULL || o->natoms == 0)
        return 0;
    nf_error why;
    int rc = nf_service_check_species(o->service->now->model, o->natoms, o->species, &why);
    return rc == 0 ? 0 : nf_fail(err, rc, "species in the driver's INIT: %s", why.msg);
}

static int read_items(nf_link_options **out, const nf_link_options *defaults, const items *all, nf_error *err)
{
    nf_error why = {0};
    nf_link_options *o = copy_of(defaults);
    if (o == NULL)
        return nf_fail_memory(err, "the options of a link");
    int rc = parse_items(o, all, &why);
    if (rc == 0)
        rc = check_elements(o, &why);
    if (rc < 0) {
        nf_link_options_free(o);
        return nf_fail(err, rc, "%s", why.msg);
    }
    *out = o;
    return 0;
}

int nf_link_options_read(nf_link_options **out, nf_link_options *defaults, const char *text,
                         const nf_link_origin *origin, nf_error *err)
{
    items all = {.origin = origin};
    *out = NULL;
    int rc = split(&all, text, err);
    if (rc == 0)
        rc = read_items(out, defaults, &all, err);
    for (size_t k = 0; k < NKEYS; k++)
        nf_free(all.value[k]);
    return rc;
}

bool nf_link_wants_errors(const char *text)
{
    json_t *root = *nf_skip_blanks(text) == '{' ? json_loads(text, 0, NULL) : NULL;
    bool wants = json_is_true(json_object_get(root, "errors"));
    json_decref(root);
    return wants;
}

nf_link_options *nf_link_options_ref(nf_link_options *o)
{
    o->owners++;
    return o;
}

void nf_link_options_free(nf_link_options *o)
{
    if (o == NULL || --o->owners > 0)
        return;
    nf_free(o->own);
    nf_free(o);
}
