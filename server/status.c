/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/status.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/host.h"
#include "server/writer.h"

/* ---- pieces; what is not known is null ---- */

static json_t *real_or_null(double x, bool known)
{
    return known && isfinite(x) ? json_real(x) : json_null();
}

static double seconds(uint64_t ns)
{
    return 1e-9 * (double)ns;
}

/* Without memory there is no list, rather than a shorter one. */
static void insert(json_t **list, size_t at, json_t *value)
{
    if (json_array_insert_new(*list, at, value) == 0)
        return;
    json_decref(*list);
    *list = NULL;
}

static void append(json_t **list, json_t *value)
{
    insert(list, json_array_size(*list), value);
}

static json_t *elements_of(const nf_model *model)
{
    json_t *list = json_array();
    if (nf_model_nelements(model) < 100) /* all of them are no news */
        for (size_t e = 0; e < nf_model_nelements(model); e++)
            append(&list, json_string(nf_element_symbol(nf_model_element(model, e))));
    return list;
}

static json_t *paths_of(const nf_service *service)
{
    json_t *list = json_array();
    if (service->now->source != NULL)
        append(&list, nf_json_text(service->now->source));
    for (size_t i = 0; service->now->source == NULL && i < service->options->npaths; i++)
        append(&list, nf_json_text(service->options->paths[i]));
    return list;
}

static json_t *model_of(const nf_service *service)
{
    const nf_model *model = service->now->model;
    return json_pack("{s:o, s:o, s:s, s:i, s:i, s:o, s:f}", "name", nf_json_text(service->options->name), "paths",
                     paths_of(service), "sha256", nf_model_sha256(model), "generation", service->now->number, "members",
                     (int)nf_model_nmembers(model), "elements", elements_of(model), "cutoff", nf_model_cutoff(model));
}

static json_t *place_of(const nf_place *place)
{
    uint64_t now = uv_now(&place->server->loop);
    size_t natoms = place->defaults->natoms;
    return json_pack("{s:o, s:o, s:s, s:f, s:i, s:o}", "address", nf_json_text(place->options->address.text), "model",
                     nf_json_text(place->defaults->service->options->name), "state", nf_place_state(place), "state_s",
                     1e-3 * (double)(now - place->since), "links", place->nopen, "natoms",
                     natoms > 0 ? json_integer((json_int_t)natoms) : json_null());
}

static json_t *latency_of(const nf_meter *m)
{
    bool any = m->steps > 0;
    return json_pack("{s:o, s:o, s:o}", "p50", real_or_null(1e-6 * nf_meter_latency(m, 0.5), any), "p99",
                     real_or_null(1e-6 * nf_meter_latency(m, 0.99), any), "max",
                     real_or_null(1e-6 * (double)m->longest, any));
}

static json_t *link_of(const nf_link *link, uint64_t now)
{
    const nf_meter *m = &link->meter;
    bool any = m->steps > 0, spread = any && nf_model_nmembers(link->options->service->now->model) > 1;
    json_t *o = json_pack("{s:i, s:o, s:o, s:s, s:I, s:I, s:f, s:o, s:f, s:f, s:o, s:o, s:o}", "number", link->number,
                          "address", nf_json_text(link->place->options->address.text), "model",
                          nf_json_text(link->options->service->options->name), "state", nf_link_state_name(link->state),
                          "steps", (json_int_t)m->steps, "structures", (json_int_t)m->structures, "steps_per_s",
                          nf_meter_rate(m, now), "latency_ms", latency_of(m), "waiting_s", seconds(m->waiting),
                          "computing_s", seconds(m->computing), "energy", real_or_null(link->energy, any), "energy_std",
                          real_or_null(link->energy_std, spread), "extrapolated",
                          any ? json_integer(link->nextrapolated) : json_null());
    json_t *natoms = link->options->natoms > 0 ? json_integer((json_int_t)link->options->natoms) : json_null();
    if (json_object_set_new(o, "natoms", natoms) == 0)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *links_of(const nf_server *s)
{
    json_t *list = json_array();
    uint64_t now = nf_server_clock();
    for (const nf_link *link = s->links; link != NULL; link = link->next)
        if (link->state != NF_LINK_CLOSED)
            insert(&list, 0, link_of(link, now)); /* the oldest first */
    return list;
}

static json_t *totals_of(const nf_server *s)
{
    uint64_t steps = s->nsteps, waiting = s->waiting, computing = s->computing;
    long lists = 0;
    for (const nf_link *link = s->links; link != NULL; link = link->next) {
        steps += link->meter.steps;
        waiting += link->meter.waiting;
        computing += link->meter.computing;
    }
    for (size_t i = 0; i < s->options->nservices; i++)
        lists += nf_service_nbuilds(&s->services[i]);
    return json_pack("{s:i, s:I, s:I, s:i, s:I, s:f, s:f}", "links", s->nlinks, "steps", (json_int_t)steps,
                     "structures", (json_int_t)s->nstructures, "failures", s->nfailures, "neighbour_lists",
                     (json_int_t)lists, "waiting_s", seconds(waiting), "computing_s", seconds(computing));
}

/* ---- the snapshot ---- */

static const char *state_of(const nf_server *s)
{
    if (s->leaving)
        return "leaving";
    for (const nf_link *link = s->links; link != NULL; link = link->next)
        if (link->state != NF_LINK_CONNECTING && link->state != NF_LINK_CLOSED)
            return "serving";
    return "waiting";
}

static json_t *started_of(const nf_server *s)
{
    char text[32];
    struct tm when;
    gmtime_r(&s->started, &when);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &when);
    return json_string(text);
}

static json_t *snapshot(void *ctx)
{
    const nf_server *s = ctx;
    char cpus[128];
    json_t *models = json_array(), *places = json_array();
    for (size_t i = 0; i < s->options->nservices; i++)
        append(&models, model_of(&s->services[i]));
    for (size_t p = 0; p < s->options->nplaces; p++)
        append(&places, place_of(&s->places[p]));
    nf_host_cpus(cpus, sizeof cpus);
    return json_pack("{s:s, s:i, s:s, s:s, s:o, s:f, s:i, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "nearfar", nf_version(),
                     "pid", (int)getpid(), "command", s->options->command, "state", state_of(s), "started",
                     started_of(s), "uptime_s", seconds(nf_server_clock() - s->started_ns), "threads",
                     nf_schedule_threads(s->schedule), "isa", nf_host_isa(), "cpus", cpus, "resident_kB",
                     (json_int_t)nf_host_resident_kB(), "models", models, "addresses", places, "links", links_of(s),
                     "totals", totals_of(s));
}

/* ---- exchange of a model ---- */

static nf_service *find_service(nf_server *s, const char *name)
{
    if (name == NULL)
        return s->options->nservices == 1 ? &s->services[0] : NULL;
    for (size_t i = 0; i < s->options->nservices; i++)
        if (strcmp(s->services[i].options->name, name) == 0)
            return &s->services[i];
    return NULL;
}

static void note_elements(bool element[128], const nf_link_options *o, const nf_service *service)
{
    if (o->service == service && !nf_service_any_species(service))
        for (size_t i = 0; i < o->natoms; i++)
            element[o->species[i]] = true;
}

void nf_status_elements(const nf_service *service, bool element[128])
{
    const nf_server *s = service->ctx;
    for (size_t p = 0; p < s->options->nplaces; p++)
        note_elements(element, s->places[p].defaults, service);
    for (const nf_link *link = s->links; link != NULL; link = link->next)
        if (link->state != NF_LINK_CLOSED)
            note_elements(element, link->options, service);
}

/* Without memory there is no structure to try. */
static void copy_structure(nf_trial *trial, const nf_request *r)
{
    size_t n = r->natoms;
    trial->pos = nf_calloc(n, sizeof *trial->pos);
    trial->species = nf_calloc(n, sizeof *trial->species);
    if (trial->pos == NULL || trial->species == NULL)
        return;
    memcpy(trial->pos, r->frames[0].pos, n * sizeof *trial->pos);
    memcpy(trial->species, r->frames[0].species, n * sizeof *trial->species);
    memcpy(trial->cell, r->frames[0].cell, sizeof trial->cell);
    memcpy(trial->pbc, r->frames[0].pbc, sizeof trial->pbc);
    trial->natoms = n;
}

/* The structure of a link that was answered last and is not being received or computed anew. */
static bool is_still(const nf_link *link, const nf_service *service)
{
    return link->options->service == service && link->meter.steps > 0 && !link->away &&
           link->request.options == link->options &&
           (link->state == NF_LINK_READY || link->state == NF_LINK_HAVE_DATA || link->state == NF_LINK_WANT_INIT);
}

static nf_trial gather_trial(const nf_server *s, const nf_service *service)
{
    nf_trial trial = {0};
    nf_status_elements(service, trial.element);
    for (const nf_link *link = s->links; link != NULL && trial.pos == NULL; link = link->next)
        if (is_still(link, service))
            copy_structure(&trial, &link->request);
    return trial;
}

static void reload(void *ctx, const char *model, const char *path, nf_outside_done *done, void *done_ctx)
{
    nf_server *s = ctx;
    nf_service *service = find_service(s, model);
    if (service == NULL) {
        done(done_ctx, NF_EINVAL,
             model == NULL ? "several models are served: say which one by its name"
                           : "no model of that name is served here");
        return;
    }
    if (nf_service_any_species(service)) {
        done(done_ctx, NF_EINVAL, "the null model stays: its links have no elements that another one could use");
        return;
    }
    nf_trial trial = gather_trial(s, service);
    nf_service_reload(service, &s->loop, path, &trial, done, done_ctx);
}

nf_outside nf_status_outside(nf_server *server)
{
    return (nf_outside){.ctx = server, .status = snapshot, .reload = reload};
}
