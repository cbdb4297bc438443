/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/traffic.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/connect.h"
#include "server/extras.h"
#include "server/host.h"
#include "server/record.h"
#include "server/replay.h"
#include "server/writer.h"

/* ---- the header of a recording: enough to serve the same again ---- */

static json_t *species_text(size_t natoms, const int *species)
{
    char *text = natoms == 0 ? NULL : nf_calloc(4 * natoms + 1, 1);
    size_t n = 0;
    if (text == NULL)
        return json_null();
    for (size_t i = 0; i < natoms; i++)
        n += (size_t)snprintf(text + n, 5, "%s%s", i > 0 ? " " : "", nf_element_symbol(species[i]));
    json_t *out = json_string(text);
    nf_free(text);
    return out;
}

static json_t *model_of(const nf_service_options *model)
{
    json_t *paths = json_array();
    for (size_t i = 0; i < model->npaths; i++)
        json_array_append_new(paths, nf_json_text(model->paths[i]));
    return json_pack("{s:o, s:o, s:s, s:i}", "name", nf_json_text(model->name), "paths", paths, "sha256",
                     nf_model_sha256(model->model), "units", (int)model->units);
}

/* What a link gets that asks for nothing; null: that depends on the model it asks for. */
static json_t *extras_of(const nf_run_options *o, const nf_place_options *place)
{
    nf_extras kind = place->extras;
    if (kind == NF_EXTRAS_BY_MODEL && o->listen)
        return json_null();
    if (kind == NF_EXTRAS_BY_MODEL)
        kind = nf_model_nmembers(o->services[place->service].model) > 1 ? NF_EXTRAS_SUMMARY : NF_EXTRAS_NONE;
    return json_string(nf_extras_name(kind));
}

static json_t *place_of(const nf_run_options *o, const nf_place_options *place)
{
    char pbc[4] = "";
    for (int d = 0; d < 3; d++)
        pbc[d] = place->pbc[d] ? 'T' : 'F';
    return json_pack("{s:o, s:i, s:o, s:o, s:s, s:b}", "address", nf_json_text(place->address.text), "model",
                     (int)place->service, "species", species_text(place->natoms, place->species), "extras",
                     extras_of(o, place), "pbc", pbc, "trust_species", (int)place->trust_species);
}

static json_t *make_header(const nf_server *s)
{
    const nf_run_options *o = s->options;
    char when[32];
    struct tm utc;
    json_t *models = json_array(), *places = json_array();
    for (size_t i = 0; i < o->nservices; i++)
        json_array_append_new(models, model_of(&o->services[i]));
    for (size_t p = 0; p < o->nplaces; p++)
        json_array_append_new(places, place_of(o, &o->places[p]));
    gmtime_r(&s->started, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_pack("{s:s, s:s, s:s, s:i, s:b, s:o, s:o}", "nearfar", nf_version(), "time", when, "isa", nf_host_isa(),
                     "threads", nf_schedule_threads(s->schedule), "listen", (int)o->listen, "models", models,
                     "addresses", places);
}

/* ---- recording ---- */

void nf_traffic_link(const nf_link *link)
{
    nf_server *s = link->server;
    const nf_address *address = &link->place->options->address;
    if (s->record == NULL)
        return;
    if (address->shared)
        nf_server_log(s, NF_LOG_WARNING, "link %d: what goes through shared memory is not recorded", link->number);
    else
        nf_record_link(s->record, (uint32_t)link->number, address->text, link->accepted);
}

static nf_record *record_of(const nf_link *link)
{
    return link->place->options->address.shared ? NULL : link->server->record;
}

void nf_traffic_received(const nf_link *link, const void *bytes, size_t n)
{
    nf_record_received(record_of(link), (uint32_t)link->number, bytes, n);
}

void nf_traffic_sent(const nf_link *link, const void *bytes, size_t n)
{
    nf_record_sent(record_of(link), (uint32_t)link->number, bytes, n);
}

void nf_traffic_closed(nf_server *s, const nf_link *link, int code, const char *text)
{
    if (link->state != NF_LINK_CONNECTING)
        nf_record_closed(record_of(link), (uint32_t)link->number, code, text);
    if (s->playing)
        nf_replay_closed(s->options->replay, link->number, code, text);
}

/* ---- replay ---- */

bool nf_traffic_playing(const nf_server *s)
{
    return s->playing;
}

static nf_place *find_place(nf_server *s, const char *address)
{
    for (size_t p = 0; p < s->options->nplaces; p++)
        if (strcmp(s->places[p].options->address.text, address) == 0)
            return &s->places[p];
    return NULL;
}

static int serve_end(void *ctx, int fd, const char *address)
{
    nf_server *s = ctx;
    nf_place *place = find_place(s, address);
    nf_link *link = place == NULL ? NULL : nf_server_add_link(s, place, false);
    if (link == NULL) {
        close(fd);
        return -1;
    }
    int number = link->number;
    place->nopen++;
    nf_connect_adopt(link, fd);
    return number;
}

static void on_played(void *ctx, const nf_replay_outcome *outcome)
{
    nf_server *s = ctx;
    s->playing = false;
    for (int i = 0; i < outcome->nlines; i++)
        nf_server_log(s, NF_LOG_INFO, "%s", outcome->line[i]);
    if (outcome->code == 0 && outcome->ndifferent == 0)
        nf_server_log(s, NF_LOG_INFO, "%s", outcome->verdict);
    else if (s->code == 0)
        s->code = nf_fail(s->err, outcome->code != 0 ? outcome->code : NF_EFORMAT, "%s", outcome->verdict);
    nf_server_end_if_idle(s);
}

static int start_replay(nf_server *s, const json_t *header)
{
    nf_replay_options options = {.loop = &s->loop, .serve = serve_end, .done = on_played, .ctx = s};
    nf_log log = {s->options->log, s->options->log_ctx};
    for (size_t p = 0; p < s->options->nplaces; p++) {
        s->places[p].done = true; /* nobody is called */
        s->places[p].since = uv_now(&s->loop);
    }
    nf_replay_warn(s->options->replay, header, &log);
    s->playing = true;
    nf_replay_start(s->options->replay, &options);
    return 0;
}

int nf_traffic_start(nf_server *s, nf_error *err)
{
    const nf_run_options *o = s->options;
    nf_log log = {o->log, o->log_ctx};
    if (o->record == NULL && o->replay == NULL)
        return 0;
    json_t *header = make_header(s);
    if (header == NULL)
        return nf_fail_memory(err, "a recording");
    int rc = o->record == NULL ? 0 : nf_record_open(&s->record, o->record, header, &log, err);
    if (rc == 0 && o->replay != NULL)
        rc = start_replay(s, header);
    json_decref(header);
    return rc;
}

void nf_traffic_end(nf_server *s)
{
    nf_record_close(s->record);
    s->record = NULL;
}
