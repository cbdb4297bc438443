/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bench_latency MODEL STRUCTURE.xyz [SECONDS] - how long a small client waits beside a large one.
 *
 * Two clients put their jobs as the server does: each on a thread of its own, the next job as soon as the one before it
 * is answered, positions moving a little. The small one is a water molecule, the large one the structure. Then what a
 * task that is no patch costs: the search for a list that holds, and the beginning of one.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "io/extxyz.h"
#include "kern/kern.h"
#include "model/stream.h"

enum { MOST = 2000000, STRUCTURES = 64 };

typedef struct {
    nf_stream *stream;
    nf_frame frame;
    const double (*start)[3];
    double (*pos)[3], (*forces)[3];
    nf_result result;
    nf_job job;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool answered;
    double until, *seconds; /* [n] of each answer */
    size_t n;
} client;

static void die(const nf_error *err)
{
    fprintf(stderr, "bench_latency: %s\n", err->msg);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *take(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (p == NULL)
        die(&(nf_error){NF_ENOMEM, "no memory"});
    return p;
}

/* ---- clients ---- */

static client *new_client(const nf_frame *frame)
{
    client *c = take(sizeof *c);
    c->frame = *frame;
    c->start = frame->pos;
    c->pos = take(frame->natoms * sizeof *c->pos);
    c->forces = take(frame->natoms * sizeof *c->forces);
    c->seconds = take(MOST * sizeof *c->seconds);
    c->frame.pos = (const double(*)[3])c->pos;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    return c;
}

static void free_client(client *c)
{
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c->pos);
    free(c->forces);
    free(c->seconds);
    free(c);
}

static void answer(void *ctx, nf_job *job)
{
    client *c = job->user;
    (void)ctx;
    if (job->code != 0)
        die(&job->err);
    pthread_mutex_lock(&c->lock);
    c->answered = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void displace(client *c, nf_rng *rng)
{
    for (size_t i = 0; i < c->frame.natoms; i++)
        for (int a = 0; a < 3; a++)
            c->pos[i][a] = c->start[i][a] + 0.05 * (nf_rng_uniform(rng) - 0.5);
}

static void step(client *c)
{
    nf_job *job = &c->job;
    c->answered = false;
    c->result = (nf_result)NF_RESULT_INIT;
    c->result.forces = c->forces;
    if (nf_stream_put(c->stream, 1, &job) != 0)
        die(&(nf_error){NF_ENOMEM, "no memory"});
    pthread_mutex_lock(&c->lock);
    while (!c->answered)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

static void *live(void *arg)
{
    client *c = arg;
    nf_rng rng = {1};
    while (now() < c->until && c->n < MOST) {
        displace(c, &rng);
        double begin = now();
        step(c);
        c->seconds[c->n++] = now() - begin;
    }
    return NULL;
}

static void *run(void *stream)
{
    nf_stream_run(stream);
    return NULL;
}

/* ---- one scene ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(client *c)
{
    qsort(c->seconds, c->n, sizeof *c->seconds, ascending);
    printf("  %5zu atoms: %7zu answers, ms: p50 %.3f p99 %.3f max %.3f", c->frame.natoms, c->n,
           1e3 * c->seconds[c->n / 2], 1e3 * c->seconds[c->n * 99 / 100], 1e3 * c->seconds[c->n - 1]);
}

static void serve(nf_model *model, int threads, size_t n, client *const clients[], double seconds)
{
    nf_error err;
    nf_team *team;
    nf_calc *calc;
    pthread_t compute;
    if (nf_team_new(&team, threads, &err) || nf_calc_new(&calc, model, NULL, &err))
        die(&err);
    nf_stream *stream = nf_stream_of(team);
    nf_stream_open(stream, answer, NULL);
    pthread_create(&compute, NULL, run, stream);
    for (size_t i = 0; i < n; i++) {
        client *c = clients[i];
        c->stream = stream;
        c->job = (nf_job){.calc = calc, .frame = &c->frame, .result = &c->result, .user = c};
        c->n = 0;
        c->until = now() + 0.5; /* lists, memory */
        live(c);
        c->n = 0;
    }
    for (size_t i = 0; i < n; i++)
        clients[i]->until = now() + seconds;
    for (size_t i = 0; i < n; i++)
        pthread_create(&clients[i]->thread, NULL, live, clients[i]);
    for (size_t i = 0; i < n; i++)
        pthread_join(clients[i]->thread, NULL);
    nf_stream_stop(stream);
    pthread_join(compute, NULL);
    nf_calc_free(calc);
    nf_team_free(team);
}

static void scene(nf_model *model, int threads, const char *name, size_t n, client *const clients[], double seconds)
{
    printf("%d thread%s, %-9s", threads, threads == 1 ? " " : "s", name);
    serve(model, threads, n, clients, seconds);
    for (size_t i = 0; i < n; i++)
        report(clients[i]);
    printf("\n");
    fflush(stdout);
}

static void clients_of(nf_model *model, const nf_frame *frame, double seconds)
{
    static const double water[3][3] = {{0, 0, 0}, {0.76, 0.59, 0}, {-0.76, 0.59, 0}};
    static const int species[3] = {8, 1, 1};
    nf_frame small = NF_FRAME_INIT;
    small.natoms = 3;
    small.pos = water;
    small.species = species;
    client *both[2] = {new_client(&small), new_client(frame)};
    for (int threads = 1; threads <= 2; threads++) {
        scene(model, threads, "alone", 1, &both[0], seconds);
        scene(model, threads, "alone", 1, &both[1], seconds);
        scene(model, threads, "together", 2, both, seconds);
    }
    free_client(both[0]);
    free_client(both[1]);
}

/* ---- what is no patch ---- */

typedef struct {
    nf_calc *calc;
    nf_cell cell;
    const int *element;
    size_t natoms;
} listing;

static double find(const listing *l, const double (*pos)[3], bool *fresh)
{
    nf_error err;
    nf_slot *slot;
    double begin = now();
    if (nf_calc_list(l->calc, &l->cell, l->natoms, pos, l->element, &slot, fresh, &err))
        die(&err);
    double seconds = now() - begin;
    nf_calc_release(l->calc, slot, NULL);
    return seconds;
}

/* Different structures in turn, each with a list of its own. */
static void lists_of(nf_model *model, const nf_frame *frame)
{
    nf_error err;
    listing l = {.natoms = frame->natoms};
    nf_workspace *space;
    nf_rng rng = {1};
    bool fresh;
    double begun = HUGE_VAL, found = HUGE_VAL;
    double(*pos)[3] = take(STRUCTURES * l.natoms * sizeof *pos);
    if (nf_calc_new(&l.calc, model, NULL, &err) || nf_cell_make(&l.cell, frame->cell, frame->pbc, &err) ||
        nf_calc_space(l.calc, frame, 1, &space, &err))
        die(&err);
    l.element = space->element;
    for (size_t i = 0; i < STRUCTURES * l.natoms; i++)
        for (int a = 0; a < 3; a++)
            pos[i][a] = frame->pos[i % l.natoms][a] + 3 * nf_rng_uniform(&rng);
    for (int round = 0; round < 10; round++) {
        double sum = 0;
        for (size_t k = 0; k < STRUCTURES; k++)
            sum += find(&l, (const double(*)[3])pos + k * l.natoms, &fresh);
        begun = round == 0 ? sum / STRUCTURES : begun;
        found = round > 0 && sum / STRUCTURES < found ? sum / STRUCTURES : found;
    }
    printf("%zu atoms, %d different structures in turn: %.1f us to begin a list, %.2f us to find it again%s\n",
           l.natoms, STRUCTURES, 1e6 * begun, 1e6 * found, fresh ? " (not found)" : "");
    nf_calc_release(l.calc, NULL, space);
    nf_calc_free(l.calc);
    free(pos);
}

int main(int argc, char **argv)
{
    nf_error err;
    nf_model *model;
    nf_xyz_reader *reader;
    nf_structure structure = {0};
    nf_frame frame;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_latency MODEL STRUCTURE.xyz [SECONDS]\n");
        return 2;
    }
    if (nf_model_load(&model, 1, (const char *const *)&argv[1], NULL, &err) || nf_xyz_open(&reader, argv[2], &err) ||
        nf_xyz_next(reader, &structure, &err) < 0)
        die(&err);
    nf_structure_view(&structure, &frame);
    lists_of(model, &frame);
    double seconds = argc > 3 ? atof(argv[3]) : 20;
    if (seconds > 0)
        clients_of(model, &frame, seconds);
    nf_structure_free(&structure);
    nf_xyz_reader_free(reader);
    nf_model_free(model);
    return 0;
}
