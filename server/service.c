/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/service.h"

#include <assert.h>
#include <pthread.h>
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

/* Owned by the loop while it waits, by the thread while it loads: whoever comes last frees it. The thread is never waited
 * for, since a file may take for ever. */
typedef struct nf_reload {
    uv_async_t loaded; /* the thread is done */
    pthread_mutex_t lock;
    bool forgotten, finished; /* guarded by lock: by the loop, and by the thread */
    nf_service *service;
    nf_units units;
    nf_calc_opts calc_options;
    char **paths; /* [npaths] own */
    size_t npaths;
    bool given; /* the path was named by who asked for the reload */
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
    for (size_t i = 0; r->paths != NULL && i < r->npaths; i++)
        nf_free(r->paths[i]);
    nf_free(r->paths);
    pthread_mutex_destroy(&r->lock);
    nf_free(r);
}

static int check_elements(const nf_model *model, const bool element[128], nf_error *err)
{
    bool known[128];
    list_elements(model, known);
    for (int z = 1; z < 119; z++)
        if (element[z] && !known[z])
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
    opts.units = r->units;
    TRY(nf_model_load(&model, r->npaths, (const char *const *)r->paths, &opts, err));
    int rc = check_elements(model, r->trial.element, err);
    if (rc == 0)
        rc = make_generation(&r->fresh, model, &r->calc_options, err);
    if (rc == 0)
        rc = try_structure(r, r->fresh->calc, err);
    nf_model_free(model);
    return rc;
}

/* On a thread of its own. */
static void *work(void *arg)
{
    reload *r = arg;
    int code = load(r, &r->err);
    pthread_mutex_lock(&r->lock);
    r->code = code;
    r->finished = true;
    bool forgotten = r->forgotten;
    if (!forgotten)
        uv_async_send(&r->loaded); /* with the lock held: once it is forgotten the loop may be gone */
    pthread_mutex_unlock(&r->lock);
    if (forgotten)
        free_reload(r);
    return NULL;
}

/* Links may have come since that use other elements. */
static int check_once_more(const nf_service *s, reload *r)
{
    bool element[128] = {0};
    s->elements_in_use(s, element);
    return check_elements(r->fresh->model, element, &r->err);
}

static void swap_in(nf_service *s, reload *r)
{
    char text[200];
    nf_generation *before = s->now;
    r->fresh->number = before->number + 1;
    if (r->given) {
        r->fresh->source = r->paths[0];
        r->paths[0] = NULL;
    }
    s->now = r->fresh;
    r->fresh = NULL;
    nf_service_release(s, before);
    int n =
        snprintf(text, sizeof text, "generation %d of model %s serves from now on", s->now->number, s->options->name);
    if (r->tried && n > 0 && n < (int)sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, "; the structure that was served last has %.6f eV", r->energy);
    r->done(r->ctx, 0, text);
}

/* The handle is closed: the thread may still load. */
static void on_let_go(uv_handle_t *handle)
{
    reload *r = handle->data;
    pthread_mutex_lock(&r->lock);
    bool finished = r->finished;
    r->forgotten = true;
    pthread_mutex_unlock(&r->lock);
    if (finished)
        free_reload(r);
}

static void on_loaded(uv_async_t *loaded)
{
    reload *r = loaded->data;
    nf_service *s = r->service;
    pthread_mutex_lock(&r->lock); /* the thread has let go of it: what it wrote is ours */
    pthread_mutex_unlock(&r->lock);
    s->under = NULL;
    if (r->code == 0)
        r->code = check_once_more(s, r);
    if (r->code == 0)
        swap_in(s, r);
    else
        r->done(r->ctx, r->code, r->err.msg);
    uv_close((uv_handle_t *)loaded, on_let_go);
}

static char *copy_text(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = nf_calloc(n, 1);
    if (copy != NULL)
        memcpy(copy, text, n);
    return copy;
}

/* The path that is given, or the one of the last reload, or those of the command line. */
static int copy_paths(reload *r, const nf_service *s, const char *path)
{
    const char *one[1] = {path != NULL ? path : s->now->source};
    const char *const *paths = one[0] != NULL ? one : s->options->paths;
    r->npaths = one[0] != NULL ? 1 : s->options->npaths;
    r->given = one[0] != NULL;
    r->paths = nf_calloc(r->npaths, sizeof *r->paths);
    for (size_t i = 0; r->paths != NULL && i < r->npaths; i++)
        if ((r->paths[i] = copy_text(paths[i])) == NULL)
            return NF_ENOMEM;
    return r->paths != NULL ? 0 : NF_ENOMEM;
}

/* The thread has not begun: a code is returned and nothing is left behind, or it has. */
static int start_thread(reload *r, uv_loop_t *loop)
{
    pthread_attr_t detached;
    pthread_t thread;
    if (uv_async_init(loop, &r->loaded, on_loaded) != 0)
        return NF_ENOMEM;
    r->loaded.data = r;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &detached, work, r);
    pthread_attr_destroy(&detached);
    if (rc == 0)
        return 0;
    r->finished = true;
    uv_close((uv_handle_t *)&r->loaded, on_let_go);
    return NF_EIO;
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
    pthread_mutex_init(&r->lock, NULL);
    r->service = s;
    r->units = s->options->units;
    r->calc_options = *s->calc_options;
    r->trial = *trial;
    r->done = done;
    r->ctx = ctx;
    int rc = copy_paths(r, s, path);
    if (rc != 0) {
        free_reload(r);
    } else {
        s->under = r;
        rc = start_thread(r, loop);
    }
    if (rc == 0)
        return;
    s->under = NULL;
    done(ctx, rc, "out of memory, or of threads");
}

void nf_service_forget_reload(nf_service *s)
{
    reload *r = s->under;
    if (r == NULL)
        return;
    s->under = NULL;
    uv_close((uv_handle_t *)&r->loaded, on_let_go);
    r->done(r->ctx, NF_EINVAL, "the server is leaving");
}
