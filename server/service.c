/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/service.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* ---- generations ---- */

static void free_generation(nf_generation *g)
{
    if (g == NULL)
        return;
    nf_calc_free(g->calc);
    nf_model_free(g->model);
    nf_free(g->source);
    nf_free(g);
}

/* Takes one reference to the model. */
static int make_generation(nf_generation **out, nf_model *model, const nf_calc_opts *options, nf_error *err)
{
    nf_generation *g = nf_calloc(1, sizeof *g);
    if (g == NULL)
        return nf_fail_memory(err, "a model's evaluation");
    g->owners = 1;
    g->number = 1;
    int rc = nf_calc_new(&g->calc, model, options, err);
    if (rc != 0) {
        free_generation(g);
        return rc;
    }
    g->model = nf_model_ref(model);
    *out = g;
    return 0;
}

int nf_service_open(nf_service *s, const nf_service_options *options, const nf_calc_opts *calc_options, nf_error *err)
{
    *s = (nf_service){.options = options, .calc_options = calc_options};
    return make_generation(&s->now, options->model, calc_options, err);
}

void nf_service_close(nf_service *s)
{
    assert(s->under == NULL);
    nf_service_release(s, s->now);
    s->now = NULL;
}

nf_generation *nf_service_current(nf_service *s)
{
    s->now->owners++;
    return s->now;
}

void nf_service_release(nf_service *s, nf_generation *g)
{
    if (g == NULL || --g->owners > 0)
        return;
    s->nbuilds += nf_calc_nbuilds(g->calc);
    free_generation(g);
}

long nf_service_nbuilds(const nf_service *s)
{
    return s->nbuilds + (s->now == NULL ? 0 : nf_calc_nbuilds(s->now->calc));
}

bool nf_service_any_species(const nf_service *s)
{
    return s->options->npaths == 1 && strcmp(s->options->paths[0], "null") == 0;
}

static void list_elements(const nf_model *model, bool known[128])
{
    memset(known, 0, 128 * sizeof *known);
    for (size_t e = 0; e < nf_model_nelements(model); e++)
        known[nf_model_element(model, e)] = true;
}

int nf_service_check_species(const nf_model *model, size_t natoms, const int *species, nf_error *err)
{
    bool known[128];
    list_elements(model, known);
    for (size_t i = 0; i < natoms; i++)
        if (!known[species[i]])
            return nf_fail(err, NF_EINVAL, "atom %zu is %s, which the model does not know", i + 1,
                           nf_element_symbol(species[i]));
    return 0;
}

/* ---- reload ---- */

typedef struct nf_reload {
    uv_work_t work;
    nf_service *service; /* NULL: forgotten */
    nf_service_options options;
    const nf_calc_opts *calc_options;
    char *path;
    const char *one[1]; /* the path as a list */
    nf_trial trial;
    void (*done)(void *ctx, int code, const char *text);
    void *ctx;
    nf_generation *fresh;
    bool tried;
    double energy; /* eV, of the trial */
    nf_error err;
    int code;
} reload;

static void free_reload(reload *r)
{
    free_generation(r->fresh);
    nf_free(r->trial.pos);
    nf_free(r->trial.species);
    nf_free(r->path);
    nf_free(r);
}

static int check_elements(const nf_model *model, const nf_trial *trial, nf_error *err)
{
    bool known[128];
    list_elements(model, known);
    for (int z = 1; z < 119; z++)
        if (trial->element[z] && !known[z])
            return nf_fail(err, NF_EINVAL, "it does not know %s, which is being served", nf_element_symbol(z));
    return 0;
}

/* The last structure that was seen has to have an energy and forces in the new model. */
static int try_structure(reload *r, nf_calc *calc, nf_error *err)
{
    const nf_trial *t = &r->trial;
    nf_team *team;
    if (t->natoms == 0)
        return 0;
    double(*forces)[3] = nf_calloc(t->natoms, sizeof *forces);
    if (forces == NULL)
        return nf_fail_memory(err, "a trial");
    nf_frame frame = NF_FRAME_INIT;
    nf_result result = NF_RESULT_INIT;
    frame.natoms = t->natoms;
    frame.pos = (const double(*)[3])t->pos;
    frame.species = t->species;
    memcpy(frame.cell, t->cell, sizeof t->cell);
    memcpy(frame.pbc, t->pbc, sizeof t->pbc);
    result.forces = forces;
    nf_job job = {.calc = calc, .frame = &frame, .result = &result}, *jobs[] = {&job};
    int rc = nf_team_new(&team, 1, err);
    if (rc == 0) {
        rc = nf_eval(team, 1, jobs, NULL, NULL);
        if (rc != 0)
            nf_fail(err, rc, "the structure that was served last: %s", job.err.msg);
        nf_team_free(team);
    }
    r->energy = result.energy;
    r->tried = rc == 0;
    nf_free(forces);
    return rc;
}

static int load(reload *r, nf_error *err)
{
    nf_model *model;
    nf_model_opts opts = NF_MODEL_OPTS_INIT;
    opts.units = r->options.units;
    TRY(nf_model_load(&model, r->options.npaths, r->options.paths, &opts, err));
    int rc = check_elements(model, &r->trial, err);
    if (rc == 0)
        rc = make_generation(&r->fresh, model, r->calc_options, err);
    if (rc == 0)
        rc = try_structure(r, r->fresh->calc, err);
    nf_model_free(model);
    return rc;
}

/* On a thread of libuv. */
static void on_work(uv_work_t *work)
{
    reload *r = work->data;
    r->code = load(r, &r->err);
}

static void swap_in(nf_service *s, reload *r)
{
    char text[200];
    nf_generation *before = s->now;
    r->fresh->number = before->number + 1;
    r->fresh->source = r->path;
    r->path = NULL;
    s->now = r->fresh;
    r->fresh = NULL;
    nf_service_release(s, before);
    int n =
        snprintf(text, sizeof text, "generation %d of model %s serves from now on", s->now->number, s->options->name);
    if (r->tried && n > 0 && n < (int)sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, "; the structure that was served last has %.6f eV", r->energy);
    r->done(r->ctx, 0, text);
}

static void after_work(uv_work_t *work, int status)
{
    reload *r = work->data;
    nf_service *s = r->service;
    if (s != NULL) {
        s->under = NULL;
        if (status < 0)
            r->done(r->ctx, NF_EIO, uv_strerror(status));
        else if (r->code != 0)
            r->done(r->ctx, r->code, r->err.msg);
        else
            swap_in(s, r);
    }
    free_reload(r);
}

static int begin_reload(reload *r, const char *path)
{
    const nf_service *s = r->service;
    r->options = *s->options;
    r->calc_options = s->calc_options;
    if (path == NULL)
        path = s->now->source;
    if (path == NULL)
        return 0;
    size_t n = strlen(path) + 1;
    r->path = nf_calloc(n, 1);
    if (r->path == NULL)
        return NF_ENOMEM;
    memcpy(r->path, path, n);
    r->one[0] = r->path;
    r->options.npaths = 1;
    r->options.paths = r->one;
    return 0;
}

void nf_service_reload(nf_service *s, uv_loop_t *loop, const char *path, nf_trial *trial,
                       void (*done)(void *ctx, int code, const char *text), void *ctx)
{
    reload *r = s->under == NULL ? nf_calloc(1, sizeof *r) : NULL;
    if (r == NULL) {
        nf_free(trial->pos);
        nf_free(trial->species);
        done(ctx, NF_EINVAL, s->under != NULL ? "a reload of this model is under way: try again" : "out of memory");
        return;
    }
    r->service = s;
    r->trial = *trial;
    r->done = done;
    r->ctx = ctx;
    r->work.data = r;
    int rc = begin_reload(r, path);
    if (rc == 0 && uv_queue_work(loop, &r->work, on_work, after_work) == 0) {
        s->under = r;
        return;
    }
    done(ctx, NF_ENOMEM, "out of memory");
    free_reload(r);
}

void nf_service_forget_reload(nf_service *s)
{
    reload *r = s->under;
    if (r == NULL)
        return;
    s->under = NULL;
    r->service = NULL;
    r->done(r->ctx, NF_EINVAL, "the server is leaving");
}
