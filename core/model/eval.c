/* SPDX-License-Identifier: BSD-3-Clause
 *
 * eval.c - nf_eval: lists, one sweep per patch, sums.
 *
 *   1. prepare   per job, serial: check the frame, find or begin a list, a workspace
 *   2. search    tasks: patches of lists that are begun
 *   3. sweep     tasks: a patch of a job: descriptor -> readouts -> pull back -> point forces
 *   4. reduce    by whoever finishes a job's last patch: fixed-point forces, energies and virials in atom order
 *
 * Adjoint 0 is the mean of the members; adjoints 1 .. M are the members themselves where somebody wants them. The
 * mean is pulled back by itself in either case, so that what is asked for never changes the other numbers.
 */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/team.h"
#include "model/evaluation.h"

/* n2p2 counts a value as extrapolated beyond this rounding. */
static const double range_guard = 2.2e-13;

/* Internal code of a patch: numbers that are not finite, where another patch may know why. Becomes NF_EDIVERGED. */
enum { VAGUE = -1000 };

typedef struct {
    evaluation *of;
    size_t patch;
} patch_task;

typedef struct {
    nf_slot *slot;
    size_t patch;
} search_task;

typedef struct {
    nf_arena arena;
    nf_list_scratch search;
} worker;

/* Everything of one call; kept by the team so that a steady state allocates nothing. */
typedef struct {
    pthread_mutex_t lock; /* errors and done */
    void (*done)(void *ctx, nf_job *job);
    void *ctx;
    int nworkers;
    worker *workers;
    size_t n, cap_evaluations, cap_order, nsweep, cap_sweep, nsearch, cap_search;
    evaluation *evaluations;
    evaluation **order;
    patch_task *sweep;
    search_task *search;
} run;

static void run_free(void *data)
{
    run *r = data;
    for (int t = 0; t < r->nworkers; t++) {
        nf_arena_free(&r->workers[t].arena);
        nf_list_scratch_free(&r->workers[t].search);
    }
    pthread_mutex_destroy(&r->lock);
    nf_free(r->workers);
    nf_free(r->evaluations);
    nf_free(r->order);
    nf_free(r->sweep);
    nf_free(r->search);
    nf_free(r);
}

static run *run_of(nf_team *team)
{
    nf_team_memory *memory = nf_team_own_memory(team);
    if (memory->data != NULL)
        return memory->data;
    run *r = nf_calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->workers = nf_calloc((size_t)nf_team_size(team), sizeof *r->workers);
    if (r->workers == NULL) {
        nf_free(r);
        return NULL;
    }
    r->nworkers = nf_team_size(team);
    pthread_mutex_init(&r->lock, NULL);
    memory->data = r;
    memory->destroy = run_free;
    return r;
}

/* Of several errors of a job the one with the lowest rank stays, whatever thread finds it first. */
static void fail_job(run *r, evaluation *e, int code, const nf_error *err, size_t rank)
{
    pthread_mutex_lock(&r->lock);
    if (rank < atomic_load(&e->failed)) {
        e->job->code = code;
        e->job->err = *err;
        e->job->err.code = code;
        atomic_store(&e->code, code);
        atomic_store(&e->failed, rank);
    }
    pthread_mutex_unlock(&r->lock);
}

static void report(run *r, evaluation *e)
{
    if (r->done == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->done(r->ctx, e->job);
    pthread_mutex_unlock(&r->lock);
}

/* ---- 1. prepare ---- */

static bool wants_members(const nf_result *w)
{
    return w->member_forces != NULL || w->member_virial != NULL || w->force_std != NULL;
}

static int check_request(const nf_model *model, const nf_frame *frame, const nf_result *result, nf_error *err)
{
    if (frame->size != sizeof *frame || result->size != sizeof *result)
        return nf_fail(err, NF_EINVAL, "a frame or result was not initialised with NF_FRAME_INIT or NF_RESULT_INIT");
    if (frame->natoms == 0 || frame->pos == NULL || frame->species == NULL)
        return nf_fail(err, NF_EINVAL, "a frame without atoms");
    if (frame->natoms > 1000000000u)
        return nf_fail(err, NF_ELIMIT, "%zu atoms are more than 1e9", frame->natoms);
    if ((result->member_energy != NULL || result->member_forces != NULL || result->member_virial != NULL) &&
        result->nmembers != model->nmembers)
        return nf_fail(err, NF_EINVAL, "the result has room for %zu members, the model has %zu", result->nmembers,
                       model->nmembers);
    return 0;
}

static int prepare_job(evaluation *e, nf_error *err)
{
    nf_model *model = e->calc->model;
    const nf_frame *frame = e->job->frame;
    TRY(check_request(model, frame, e->job->result, err));
    TRY(nf_cell_make(&e->cell, frame->cell, frame->pbc, err));
    e->nmembers = model->nmembers;
    e->nbar = 1 + (model->nmembers > 1 && wants_members(e->job->result) ? model->nmembers : 0);
    TRY(nf_calc_space(e->calc, frame, e->nbar, &e->space, err));
    return nf_calc_list(e->calc, &e->cell, frame->natoms, frame->pos, e->space->element, &e->slot, err);
}

static int fewest_atoms_first(const void *pa, const void *pb)
{
    const evaluation *a = *(evaluation *const *)pa, *b = *(evaluation *const *)pb;
    size_t na = a->job->frame->natoms, nb = b->job->frame->natoms;
    return na != nb ? (na < nb ? -1 : 1) : (a < b ? -1 : a > b);
}

static int add_search(run *r, nf_slot *slot, nf_error *err)
{
    if (NF_GROW(r->search, r->cap_search, r->nsearch + slot->list.npatches))
        return nf_fail_memory(err, "the tasks");
    for (size_t p = 0; p < slot->list.npatches; p++)
        r->search[r->nsearch++] = (search_task){slot, p};
    slot->building = false;
    return 0;
}

static int add_sweep(run *r, evaluation *e, nf_error *err)
{
    size_t n = e->slot->list.npatches;
    if (NF_GROW(r->sweep, r->cap_sweep, r->nsweep + n))
        return nf_fail_memory(err, "the tasks");
    for (size_t p = 0; p < n; p++)
        r->sweep[r->nsweep++] = (patch_task){e, p};
    atomic_store(&e->left, n);
    return 0;
}

/* Before any list is looked for: jobs that share a calc only make its clock run faster. */
static void begin_calcs(run *r)
{
    for (size_t i = 0; i < r->n; i++) {
        r->evaluations[i].calc->spaces_used = 0;
        r->evaluations[i].calc->clock++;
    }
}

/* Jobs that cannot start are reported here; the others become tasks, smallest frame first. */
static void prepare(run *r)
{
    nf_error err;
    begin_calcs(r);
    for (size_t i = 0; i < r->n; i++)
        r->order[i] = &r->evaluations[i];
    if (r->n > 1)
        qsort(r->order, r->n, sizeof *r->order, fewest_atoms_first);
    for (size_t i = 0; i < r->n; i++) {
        evaluation *e = r->order[i];
        int rc = prepare_job(e, &err);
        if (rc == 0 && e->slot->building && (rc = add_search(r, e->slot, &err)) != 0)
            e->slot->list.valid = false;
        if (rc == 0)
            rc = add_sweep(r, e, &err);
        if (rc != 0) {
            fail_job(r, e, rc, &err, 0);
            report(r, e);
        }
    }
}

/* ---- 2. search ---- */

static void search(void *ctx, size_t index, int thread)
{
    run *r = ctx;
    search_task *task = &r->search[index];
    nf_error err;
    int nelements = 0;
    for (size_t i = 0; i < r->n; i++) /* jobs are few, a search is long */
        if (r->evaluations[i].slot == task->slot)
            nelements = r->evaluations[i].calc->model->elements.n;
    int rc = nf_list_patch(&task->slot->list, task->patch, nelements, &r->workers[thread].search, &err);
    if (rc == 0)
        return;
    for (size_t i = 0; i < r->n; i++)
        if (r->evaluations[i].slot == task->slot)
            fail_job(r, &r->evaluations[i], rc, &err, 0);
}

static void drop_failed_lists(run *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->evaluations[i].slot != NULL && atomic_load(&r->evaluations[i].code) != 0)
            r->evaluations[i].slot->list.valid = false;
}

/* ---- 3. sweep ---- */

/* A block: the centres of one element in a patch. */
typedef struct {
    const evaluation *e;
    const nf_patch_view *view;
    int element;
    const int32_t *atom; /* of the block's centres */
    size_t n, ld, nfeatures;
} block;

static void count_extrapolated(const block *b, const double *g, const nf_range *range, int *count)
{
    memset(count, 0, b->n * sizeof *count);
    for (size_t i = 0; i < range->n; i++) {
        const double *row = g + (size_t)range->feature[i] * b->ld;
        double low = range->low[i] - range_guard, high = range->high[i] + range_guard;
        for (size_t a = 0; a < b->n; a++)
            count[a] += row[a] < low || row[a] > high;
    }
}

static void note_extrapolated(const block *b, const double *g, nf_arena *arena)
{
    const nf_model *model = b->e->calc->model;
    size_t mark = nf_arena_mark(arena);
    int *count = nf_arena_take(arena, b->n * sizeof *count);
    for (size_t m = 0; m < b->e->nmembers; m++) {
        count_extrapolated(b, g, &model->members[m].range[b->element], count);
        for (size_t a = 0; a < b->n; a++) {
            int *worst = &b->e->space->extrapolated[b->atom[a]];
            if (m == 0 || count[a] > *worst)
                *worst = count[a];
        }
    }
    nf_arena_rewind(arena, mark);
}

/* Energies of member m's atoms, and its adjoint g_bar[nfeatures][ld], zeroed first. */
static void member_energies(const block *b, size_t m, const double *g, double *g_bar, nf_arena *arena)
{
    const nf_member *member = &b->e->calc->model->members[m];
    const nf_readout *readout = member->readout[b->element];
    size_t mark = nf_arena_mark(arena);
    double *y = nf_arena_doubles(arena, b->ld), *y_bar = nf_arena_doubles(arena, b->ld);
    memset(g_bar, 0, b->nfeatures * b->ld * sizeof *g_bar);
    for (size_t a = 0; a < b->ld; a++)
        y_bar[a] = member->scale;
    readout->class->vjp(readout, (int)b->n, b->ld, g, y_bar, y, g_bar, arena);
    double *energy = b->e->space->atom_energy + m * b->e->job->frame->natoms;
    for (size_t a = 0; a < b->n; a++)
        energy[b->atom[a]] = y[a] * member->scale;
    nf_arena_rewind(arena, mark);
}

/* g_bar[0]: mean over members; g_bar[1 + m]: member m, if nbar says so. */
static void adjoints(const block *b, const double *g, double **g_bar, nf_arena *arena)
{
    size_t size = b->nfeatures * b->ld, M = b->e->nmembers;
    if (M == 1) {
        member_energies(b, 0, g, g_bar[0], arena);
        return;
    }
    size_t mark = nf_arena_mark(arena);
    double *one = nf_arena_doubles(arena, size);
    memset(g_bar[0], 0, size * sizeof *g_bar[0]);
    for (size_t m = 0; m < M; m++) {
        double *own = b->e->nbar > 1 ? g_bar[1 + m] : one;
        member_energies(b, m, g, own, arena);
        for (size_t i = 0; i < size; i++)
            g_bar[0][i] += own[i];
    }
    for (size_t i = 0; i < size; i++)
        g_bar[0][i] /= (double)M;
    nf_arena_rewind(arena, mark);
}

/* A value that is not finite would hide in an activation function. */
static int check_values(const double *g, size_t n, nf_error *err)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += g[i] * 0;
    if (sum == 0)
        return 0;
    nf_fail(err, NF_EDIVERGED, "a descriptor value is not finite: the structure is unphysical for this model");
    return VAGUE;
}

static int sweep_block(const block *b, nf_pull *pull, nf_arena *arena, nf_error *err)
{
    const nf_descriptor *descriptor = b->e->calc->model->descriptor;
    size_t mark = nf_arena_mark(arena), size = b->nfeatures * b->ld;
    double *g = nf_arena_doubles(arena, size);
    double **g_bar = nf_arena_take(arena, b->e->nbar * sizeof *g_bar);
    memset(g, 0, size * sizeof *g);
    TRY(descriptor->class->forward(descriptor, b->view, b->element, b->ld, g, arena, err));
    TRY(check_values(g, size, err));
    for (size_t m = 0; m < b->e->nbar; m++)
        g_bar[m] = nf_arena_doubles(arena, size);
    note_extrapolated(b, g, arena);
    adjoints(b, g, g_bar, arena);
    int rc = descriptor->class->vjp(descriptor, b->view, b->element, b->ld, pull->nbar, (const double *const *)g_bar,
                                    pull, arena, err);
    nf_arena_rewind(arena, mark);
    return rc;
}

/* Exact in any order: integers. */
static int add_to_owners(const evaluation *e, const nf_patch *patch, const nf_pull *pull)
{
    size_t natoms = e->job->frame->natoms;
    int overflow = pull->overflow;
    for (int m = 0; m < pull->nbar; m++)
        for (size_t p = 0; p < patch->npoints; p++) {
            int64_t *to = e->space->force[(size_t)m * natoms + (size_t)patch->owner[p]];
            const int64_t *from = pull->point[(size_t)m * patch->npoints + p];
            for (int a = 0; a < 3; a++) {
                int64_t old = __atomic_fetch_add(&to[a], from[a], __ATOMIC_RELAXED), sum;
                overflow |= __builtin_add_overflow(old, from[a], &sum);
            }
        }
    return overflow;
}

static size_t bytes_of_patch(const evaluation *e, const nf_patch *patch)
{
    const nf_model *model = e->calc->model;
    size_t readout = 0, features = 0, ld = nf_padded(patch->ncentres);
    for (int k = 0; k < model->elements.n; k++) {
        size_t n = model->descriptor->class->nfeatures(model->descriptor, k);
        features = n > features ? n : features;
        for (size_t m = 0; m < e->nmembers; m++) {
            const nf_readout *r = model->members[m].readout[k];
            size_t bytes = r->class->scratch(r, ld);
            readout = bytes > readout ? bytes : readout;
        }
    }
    size_t values = (e->nbar + 2) * nf_arena_round(features * ld * sizeof(double));
    size_t points = nf_arena_round(e->nbar * patch->npoints * sizeof(int64_t[3]));
    return points + values + readout + model->descriptor->class->scratch(model->descriptor, patch, (int)e->nbar) +
           nf_arena_round(e->nbar * sizeof(double *)) + 8 * nf_arena_round(ld * sizeof(double));
}

static int sweep_patch(evaluation *e, size_t index, nf_arena *arena, nf_error *err)
{
    const nf_list *list = &e->slot->list;
    const nf_patch *patch = &list->patches[index];
    const nf_frame *frame = e->job->frame;
    const nf_model *model = e->calc->model;
    arena->used = 0;
    if (nf_arena_reserve(arena, bytes_of_patch(e, patch)))
        return nf_fail_memory(err, "an evaluation");
    nf_patch_view view = {patch,        frame->pos, (const double(*)[3])e->cell.h, e->space->element, model->elements.n,
                          model->cutoff};
    if (e->visit != NULL)
        return e->visit(e, &view, arena, err);
    size_t npoints = e->nbar * patch->npoints;
    nf_pull pull = {(int)e->nbar,   nf_arena_take(arena, npoints * sizeof(int64_t[3])),
                    patch->npoints, e->space->virial,
                    frame->natoms,  0};
    memset(pull.point, 0, npoints * sizeof *pull.point);
    for (int k = 0; k < model->elements.n; k++) {
        size_t begin = patch->element_first[k], n = patch->element_first[k + 1] - begin;
        block b = {e,
                   &view,
                   k,
                   patch->centre + begin,
                   n,
                   nf_padded(n),
                   model->descriptor->class->nfeatures(model->descriptor, k)};
        if (n > 0)
            TRY(sweep_block(&b, &pull, arena, err));
    }
    if (add_to_owners(e, patch, &pull)) {
        nf_fail(err, NF_EDIVERGED,
                "forces beyond 2.5e5 eV/Angstrom or not finite: the structure is unphysical for "
                "this model");
        return VAGUE;
    }
    return 0;
}

/* ---- 4. reduce ---- */

/* After the report the frame and the result are the caller's again. */
static void finish(run *r, evaluation *e)
{
    nf_error err;
    if (atomic_load(&e->code) == 0 && e->visit == NULL) {
        int rc = nf_reduce(e, &err);
        if (rc == 0)
            rc = nf_judge(e, &err);
        if (rc != 0)
            fail_job(r, e, rc, &err, 0);
    }
    report(r, e);
}

static void sweep(void *ctx, size_t index, int thread)
{
    run *r = ctx;
    patch_task *task = &r->sweep[index];
    evaluation *e = task->of;
    nf_error err;
    if (task->patch < atomic_load(&e->failed)) { /* else nothing that it finds would be said */
        int rc = sweep_patch(e, task->patch, &r->workers[thread].arena, &err);
        if (rc == VAGUE)
            fail_job(r, e, NF_EDIVERGED, &err, task->patch + e->slot->list.npatches);
        else if (rc != 0)
            fail_job(r, e, rc, &err, task->patch);
    }
    if (atomic_fetch_sub(&e->left, 1) == 1)
        finish(r, e);
}

/* ---- the calls ---- */

static int fail_all(size_t n, nf_job *const job[], void (*done)(void *, nf_job *), void *ctx)
{
    for (size_t i = 0; i < n; i++) {
        job[i]->code = nf_fail_memory(&job[i]->err, "an evaluation");
        if (done != NULL)
            done(ctx, job[i]);
    }
    return NF_ENOMEM;
}

static void execute(run *r, nf_team *team)
{
    r->nsweep = r->nsearch = 0;
    prepare(r);
    nf_team_run(team, r->nsearch, search, r);
    nf_team_run(team, r->nsweep, sweep, r);
    drop_failed_lists(r);
    for (size_t i = 0; i < r->n; i++) {
        nf_calc_trim(r->evaluations[i].calc);
        nf_judge_log(r->evaluations[i].calc);
    }
}

static int start(run *r, size_t n, nf_job *const job[])
{
    if (NF_GROW(r->evaluations, r->cap_evaluations, n) || NF_GROW(r->order, r->cap_order, n))
        return NF_ENOMEM;
    r->n = n;
    for (size_t i = 0; i < n; i++) {
        evaluation *e = &r->evaluations[i];
        memset(e, 0, sizeof *e);
        e->job = job[i];
        atomic_init(&e->failed, SIZE_MAX);
        e->calc = job[i]->calc;
        job[i]->code = 0;
        job[i]->err = (nf_error){0};
    }
    return 0;
}

int nf_eval(nf_team *team, size_t n, nf_job *const job[], void (*done)(void *ctx, nf_job *job), void *ctx)
{
    run *r = run_of(team);
    if (r == NULL || start(r, n, job) != 0)
        return fail_all(n, job, done, ctx);
    r->done = done;
    r->ctx = ctx;
    execute(r, team);
    for (size_t i = 0; i < n; i++)
        if (atomic_load(&r->evaluations[i].code) != 0)
            return atomic_load(&r->evaluations[i].code);
    return 0;
}

int nf_visit_patches(nf_team *team, nf_calc *calc, const nf_frame *frame, nf_visit *visit, void *ctx, nf_error *err)
{
    nf_result result = NF_RESULT_INIT;
    nf_job job = {.calc = calc, .frame = frame, .result = &result}, *jobs = &job;
    run *r = run_of(team);
    if (r == NULL || start(r, 1, &jobs) != 0)
        return nf_fail_memory(err, "an evaluation");
    r->done = NULL;
    r->evaluations[0].visit = visit;
    r->evaluations[0].visit_ctx = ctx;
    execute(r, team);
    if (err != NULL)
        *err = job.err;
    return job.code;
}

/* ---- descriptor values alone ---- */

typedef struct {
    size_t stride;
    double *out;
} feature_table;

static int copy_features(evaluation *e, const nf_patch_view *view, nf_arena *arena, nf_error *err)
{
    const nf_descriptor *descriptor = e->calc->model->descriptor;
    const feature_table *table = e->visit_ctx;
    const nf_patch *patch = view->patch;
    for (int k = 0; k < view->nelements; k++) {
        size_t begin = patch->element_first[k], n = patch->element_first[k + 1] - begin, ld = nf_padded(n);
        size_t nfeatures = descriptor->class->nfeatures(descriptor, k), mark = nf_arena_mark(arena);
        double *g = nf_arena_doubles(arena, nfeatures * ld);
        if (n == 0)
            continue;
        memset(g, 0, nfeatures * ld * sizeof *g);
        TRY(descriptor->class->forward(descriptor, view, k, ld, g, arena, err));
        TRY(check_values(g, nfeatures * ld, err));
        for (size_t a = 0; a < n; a++)
            for (size_t f = 0; f < nfeatures; f++)
                table->out[(size_t)patch->centre[begin + a] * table->stride + f] = g[f * ld + a];
        nf_arena_rewind(arena, mark);
    }
    return 0;
}

int nf_features(nf_team *team, nf_calc *calc, const nf_frame *frame, size_t stride, double *out, nf_error *err)
{
    feature_table table = {stride, out};
    for (int e = 0; e < calc->model->elements.n; e++)
        if (calc->model->descriptor->class->nfeatures(calc->model->descriptor, e) > stride)
            return nf_fail(err, NF_EINVAL, "a stride of %zu is smaller than the number of descriptor values", stride);
    return nf_visit_patches(team, calc, frame, copy_features, &table, err);
}
