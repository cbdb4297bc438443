/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A metric is a row of a table: where its value stands in the snapshot, and in which units.
 */
#include "server/metrics.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"

/* What a row is about: the server, or each object of a list with these of its keys as labels. */
typedef struct {
    const char *list; /* NULL: the snapshot itself */
    const char *labels[3];
} subject;

static const subject whole = {NULL, {NULL}};
static const subject models = {"models", {"name"}};
static const subject addresses = {"addresses", {"address", "model"}};
static const subject links = {"links", {"number", "address"}};

typedef struct {
    const char *name, *type, *help;
    const subject *of;
    const char *key, *inner; /* inner: a key of the object that `key` is */
    double factor;           /* to the unit in the name */
} metric;

static const metric metrics[] = {
    {"nearfar_uptime_seconds", "gauge", "Seconds since the start.", &whole, "uptime_s", NULL, 1},
    {"nearfar_threads", "gauge", "Worker threads.", &whole, "threads", NULL, 1},
    {"nearfar_resident_memory_bytes", "gauge", "Resident memory.", &whole, "resident_kB", NULL, 1024},
    {"nearfar_links", "gauge", "Open connections to drivers.", &whole, "totals", "links", 1},
    {"nearfar_steps_total", "counter", "Replies sent.", &whole, "totals", "steps", 1},
    {"nearfar_structures_total", "counter", "Structures answered.", &whole, "totals", "structures", 1},
    {"nearfar_failures_total", "counter", "Requests and connections that failed.", &whole, "totals", "failures", 1},
    {"nearfar_neighbour_lists_total", "counter", "Neighbour lists made.", &whole, "totals", "neighbour_lists", 1},
    {"nearfar_waiting_seconds_total", "counter", "Time that links waited for their drivers.", &whole, "totals",
     "waiting_s", 1},
    {"nearfar_computing_seconds_total", "counter", "Time that links waited for evaluations.", &whole, "totals",
     "computing_s", 1},
    {"nearfar_model_generation", "gauge", "1, and one more with each reload.", &models, "generation", NULL, 1},
    {"nearfar_model_members", "gauge", "Members of the committee.", &models, "members", NULL, 1},
    {"nearfar_address_links", "gauge", "Open connections of an address.", &addresses, "links", NULL, 1},
    {"nearfar_address_state_seconds", "gauge", "Since when the address is in its state.", &addresses, "state_s", NULL,
     1},
    {"nearfar_link_steps_total", "counter", "Replies sent over a link.", &links, "steps", NULL, 1},
    {"nearfar_link_structures_total", "counter", "Structures answered over a link.", &links, "structures", NULL, 1},
    {"nearfar_link_atoms", "gauge", "Atoms of a structure.", &links, "natoms", NULL, 1},
    {"nearfar_link_steps_per_second", "gauge", "Replies a second, over the last ten seconds or so.", &links,
     "steps_per_s", NULL, 1},
    {"nearfar_link_latency_p50_seconds", "gauge", "Median time from the last position to the reply.", &links,
     "latency_ms", "p50", 1e-3},
    {"nearfar_link_latency_p99_seconds", "gauge", "99 of 100 replies took at most this.", &links, "latency_ms", "p99",
     1e-3},
    {"nearfar_link_latency_max_seconds", "gauge", "Longest time to a reply.", &links, "latency_ms", "max", 1e-3},
    {"nearfar_link_waiting_seconds_total", "counter", "Time between a reply and the next positions.", &links,
     "waiting_s", NULL, 1},
    {"nearfar_link_computing_seconds_total", "counter", "Time between positions and reply.", &links, "computing_s",
     NULL, 1},
    {"nearfar_link_energy_electronvolts", "gauge", "Energy of the last structure.", &links, "energy", NULL, 1},
    {"nearfar_link_energy_std_electronvolts", "gauge", "Spread of the committee over the last structure.", &links,
     "energy_std", NULL, 1},
    {"nearfar_link_extrapolated", "gauge", "Descriptor values outside the training range, in the last structure.",
     &links, "extrapolated", NULL, 1},
};

/* Constants of a kind: 1, with words as labels. */
static const struct {
    const char *name, *help;
    const subject *of;
    const char *labels[4]; /* beyond those of the subject */
} facts[] = {
    {"nearfar_build_info", "Version and instruction set.", &whole, {"nearfar", "isa"}},
    {"nearfar_state", "What the server is at: waiting, serving, leaving.", &whole, {"state"}},
    {"nearfar_model_info", "The model that serves.", &models, {"sha256"}},
    {"nearfar_address_state", "What the address is at: waiting, connected, listening, done.", &addresses, {"state"}},
    {"nearfar_link_state", "What the link is at.", &links, {"state"}},
};

/* ---- labels, written once for each object ---- */

typedef struct {
    nf_writer text;
    size_t n, *ends; /* of object i in text */
} labels;

static const char *label(const char *key)
{
    static const char *const other[][2] = {{"number", "link"}, {"name", "model"}, {"nearfar", "version"}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (strcmp(key, other[i][0]) == 0)
            return other[i][1];
    return key;
}

static void put_escaped(nf_writer *out, const char *value)
{
    for (;;) {
        size_t n = strcspn(value, "\\\"\n");
        nf_writer_add(out, value, n);
        if (value[n] == '\0')
            return;
        nf_writer_print(out, "\\%c", value[n] == '\n' ? 'n' : value[n]);
        value += n + 1;
    }
}

static void put_labels(nf_writer *out, bool first, const char *const *keys, size_t most, const json_t *object)
{
    for (size_t i = 0; i < most && keys[i] != NULL; i++) {
        const json_t *value = json_object_get(object, keys[i]);
        nf_writer_print(out, "%c%s=\"", first ? '{' : ',', label(keys[i]));
        if (json_is_integer(value))
            nf_writer_integer(out, json_integer_value(value));
        if (json_is_string(value))
            put_escaped(out, json_string_value(value));
        nf_writer_add(out, "\"", 1);
        first = false;
    }
}

static const json_t *object_at(const subject *of, const json_t *snapshot, size_t i)
{
    return of->list == NULL ? snapshot : json_array_get(json_object_get(snapshot, of->list), i);
}

static int make_labels(labels *l, const subject *of, const json_t *snapshot)
{
    *l = (labels){.n = of->list == NULL ? 1 : json_array_size(json_object_get(snapshot, of->list))};
    l->ends = nf_calloc(l->n + 1, sizeof *l->ends);
    for (size_t i = 0; i < l->n && l->ends != NULL; i++) {
        put_labels(&l->text, true, of->labels, 3, object_at(of, snapshot, i));
        l->ends[i + 1] = l->text.n;
    }
    return l->ends == NULL || l->text.failed ? NF_ENOMEM : 0;
}

static void free_labels(labels *l)
{
    nf_writer_free(&l->text);
    nf_free(l->ends);
}

/* name{label="value", which still has to be closed where there are labels; whether there are. */
static bool begin_sample(nf_writer *out, const char *name, const labels *l, size_t i)
{
    size_t n = l->ends[i + 1] - l->ends[i];
    nf_writer_add(out, name, strlen(name));
    if (n > 0)
        nf_writer_add(out, l->text.bytes + l->ends[i], n);
    return n > 0;
}

/* ---- all lines of a name, which belong together ---- */

static void put_head(nf_writer *out, const char *name, const char *type, const char *help)
{
    nf_writer_print(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_metric(nf_writer *out, const metric *m, const labels *l, const json_t *snapshot)
{
    put_head(out, m->name, m->type, m->help);
    for (size_t i = 0; i < l->n; i++) {
        const json_t *value = json_object_get(object_at(m->of, snapshot, i), m->key);
        value = m->inner == NULL ? value : json_object_get(value, m->inner);
        if (!json_is_number(value))
            continue;
        if (begin_sample(out, m->name, l, i))
            nf_writer_add(out, "}", 1);
        nf_writer_add(out, " ", 1);
        nf_writer_number(out, m->factor * json_number_value(value));
        nf_writer_add(out, "\n", 1);
    }
}

static void put_fact(nf_writer *out, size_t which, const labels *l, const json_t *snapshot)
{
    put_head(out, facts[which].name, "gauge", facts[which].help);
    for (size_t i = 0; i < l->n; i++) {
        bool others = begin_sample(out, facts[which].name, l, i);
        put_labels(out, !others, facts[which].labels, 4, object_at(facts[which].of, snapshot, i));
        nf_writer_add(out, "} 1\n", 4);
    }
}

static void put_subject(nf_writer *out, const subject *of, const json_t *snapshot)
{
    labels l;
    if (make_labels(&l, of, snapshot) != 0)
        out->failed = true;
    for (size_t i = 0; i < sizeof facts / sizeof *facts && !out->failed; i++)
        if (facts[i].of == of)
            put_fact(out, i, &l, snapshot);
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics && !out->failed; i++)
        if (metrics[i].of == of)
            put_metric(out, &metrics[i], &l, snapshot);
    free_labels(&l);
}

void nf_metrics(nf_writer *out, const json_t *snapshot)
{
    static const subject *const subjects[] = {&whole, &models, &addresses, &links};
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        put_subject(out, subjects[i], snapshot);
}
