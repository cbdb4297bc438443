/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_stream.c - jobs that come while others are under way: who is answered when, who is disturbed by whom, and what
 * is left when the stream stops.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "eval.h"
#include "model/stream.h"
#include "potential.h"
#include "specimen.h"
#include "suite.h"

enum { CLIENTS = 5, LARGE = 500, SMALL = 3 };

/* A driver: as soon as it is answered it asks again, `steps` times; -1: until the stream stops. */
typedef struct {
    struct office *office;
    specimen s;
    answer want, got;
    nf_job job;
    int steps, answered, wrong;
    int large_before; /* answers of client 0 when this one had its last */
} client;

typedef struct office {
    lab l;
    nf_stream *stream;
    pthread_t thread;
    pthread_mutex_t lock;
    int nclients, busy; /* busy: clients with steps left */
    client client[CLIENTS];
} office;

static office o;

static void *run(void *ctx)
{
    nf_stream_run(ctx);
    return NULL;
}

static void ask(client *c)
{
    nf_job *job = &c->job;
    *job = (nf_job){.calc = o.l.calc, .frame = &c->s.frame, .result = &c->got.r, .user = c};
    ck_assert_int_eq(nf_stream_put(o.stream, 1, &job), 0);
}

/* The stream ends with the last client that counts its steps. */
static void answered(void *ctx, nf_job *job)
{
    client *c = job->user;
    (void)ctx;
    pthread_mutex_lock(&o.lock);
    c->answered++;
    c->wrong += job->code != 0 || !same_answer(&c->want, &c->got);
    c->large_before = o.client[0].answered;
    bool more = c->steps < 0 || c->answered < c->steps, last = !more && --o.busy == 0;
    pthread_mutex_unlock(&o.lock);
    if (more)
        ask(c);
    if (last)
        nf_stream_stop(o.stream);
}

static void open_office(nf_model *model, int nthreads)
{
    memset(&o, 0, sizeof o);
    pthread_mutex_init(&o.lock, NULL);
    lab_open(&o.l, model, nthreads, 1.0);
    o.stream = nf_stream_of(o.l.team);
    ck_assert_ptr_nonnull(o.stream);
}

static client *add_client(const potential_recipe *p, size_t natoms, int steps)
{
    unsigned seed = (unsigned)o.nclients + 1;
    client *c = &o.client[o.nclients++];
    specimen_make(&c->s, CLUSTER, natoms, p->nelements, p->elements, seed);
    lab_eval(&o.l, &c->s.frame, &c->want);
    answer_prepare(&c->got, o.l.model, natoms);
    c->steps = steps;
    o.busy += steps > 0;
    return c;
}

static void serve(void)
{
    nf_stream_open(o.stream, answered, NULL);
    for (int i = 0; i < o.nclients; i++)
        ask(&o.client[i]);
    ck_assert_int_eq(pthread_create(&o.thread, NULL, run, o.stream), 0);
    pthread_join(o.thread, NULL);
    for (int i = 0; i < o.nclients; i++) {
        client *c = &o.client[i];
        ck_assert_int_eq(c->wrong, 0);
        ck_assert(c->steps < 0 || c->answered == c->steps);
    }
}

static void close_office(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        answer_free(&o.client[i].want);
        answer_free(&o.client[i].got);
    }
    lab_close(&o.l);
    pthread_mutex_destroy(&o.lock);
}

/* Every number of three threads and clients of all sizes, at any moment, is what nf_eval gives. */
START_TEST(the_same_bits)
{
    potential_recipe p = potential_plain;
    open_office(_i % 2 == 0 ? potential_load(&p) : potential_committee(&p, 3), 1 + _i / 2);
    static const size_t sizes[CLIENTS] = {LARGE, 3, 40, 3, 130};
    static const int steps[CLIENTS] = {2, 30, 10, 30, 5};
    for (int i = 0; i < CLIENTS; i++)
        add_client(&p, sizes[i], steps[i]);
    serve();
    close_office();
}
END_TEST

/* Small jobs, each put when the one before it is answered, are all done before the large one that came first. */
START_TEST(small_ones_do_not_wait)
{
    potential_recipe p = potential_plain;
    open_office(potential_load(&p), _i);
    const client *large = add_client(&p, LARGE, 1), *small = add_client(&p, SMALL, 10);
    serve();
    ck_assert_int_eq(large->answered, 1);
    ck_assert_int_eq(small->large_before, 0);
    close_office();
}
END_TEST

/* An endless crowd of small ones: the large one is answered. */
START_TEST(a_crowd_starves_nobody)
{
    potential_recipe p = potential_plain;
    open_office(potential_load(&p), _i);
    add_client(&p, LARGE, 2);
    for (int i = 1; i < CLIENTS; i++)
        add_client(&p, i % 2 == 0 ? 40 : SMALL, -1);
    serve();
    close_office();
}
END_TEST

/* ---- what fails ---- */

enum { BEADS = 12 };

typedef struct {
    specimen s;
    answer got;
    nf_job job, *put;
} bead;

static bead beads[BEADS];
static atomic_int reports;

static void count(void *ctx, nf_job *job)
{
    (void)job;
    if (atomic_fetch_add(&reports, 1) + 1 == *(const int *)ctx)
        nf_stream_stop(o.stream);
}

static void put_bead(bead *b)
{
    answer_prepare(&b->got, o.l.model, b->s.frame.natoms);
    b->job = (nf_job){.calc = o.l.calc, .frame = &b->s.frame, .result = &b->got.r};
    b->put = &b->job;
    ck_assert_int_eq(nf_stream_put(o.stream, 1, &b->put), 0);
}

static void free_beads(void)
{
    for (int i = 0; i < BEADS; i++)
        answer_free(&beads[i].got);
    memset(beads, 0, sizeof beads);
}

static void collapse(specimen *s)
{
    for (int d = 0; d < 3; d++)
        s->frame.cell[d][d] = 0.3;
}

/* Beads of four kinds: good; a list that cannot be had; no number; two atoms at one place. Each gets its own sentence,
 * whatever the threads do. */
START_TEST(failures_disturb_nobody)
{
    static const int codes[4] = {0, NF_ELIMIT, NF_EINVAL, NF_EDIVERGED};
    static const char *const words[4] = {"", "atom 2 has more than", "atom 8", "atoms 3 and 21"};
    potential_recipe p = potential_plain;
    int expected = BEADS;
    open_office(potential_load(&p), _i);
    client *good = add_client(&p, 60, 1);
    for (int round = 0; round < 5; round++) {
        nf_stream_open(o.stream, count, &expected);
        atomic_store(&reports, 0);
        for (int i = 0; i < BEADS; i++) {
            specimen *s = &beads[i].s;
            specimen_copy(s, &good->s);
            if (i % 4 == 1)
                collapse(s);
            else if (i % 4 == 2)
                s->pos[7][0] = NAN;
            else if (i % 4 == 3)
                memcpy(s->pos[20], s->pos[2], sizeof s->pos[2]);
            for (int d = 0; d < 3; d++)
                s->frame.pbc[d] = i % 4 == 1;
            put_bead(&beads[i]);
        }
        nf_stream_run(o.stream);
        for (int i = 0; i < BEADS; i++) {
            const nf_job *job = &beads[i].job;
            ck_assert_msg(job->code == codes[i % 4], "bead %d: code %d, %s", i, job->code, job->err.msg);
            ck_assert_msg(strstr(job->err.msg, words[i % 4]) != NULL, "bead %d: %s", i, job->err.msg);
            ck_assert(job->code != 0 || same_answer(&beads[i].got, &good->want));
        }
    }
    free_beads();
    close_office();
}
END_TEST

/* Beads that one list serves: it is searched once, and the others wait for it. */
START_TEST(a_list_is_made_once)
{
    potential_recipe p = potential_plain;
    specimen first;
    int expected = BEADS;
    open_office(potential_load(&p), _i);
    specimen_make(&first, CUBIC, 60, p.nelements, p.elements, 1);
    nf_stream_open(o.stream, count, &expected);
    atomic_store(&reports, 0);
    for (int i = 0; i < BEADS; i++) {
        specimen_copy(&beads[i].s, &first);
        beads[i].s.pos[i][0] += 0.02;
        put_bead(&beads[i]);
    }
    nf_stream_run(o.stream);
    ck_assert_int_eq(nf_calc_nbuilds(o.l.calc), 1);
    for (int i = 0; i < BEADS; i++) {
        answer want = {0};
        lab_eval(&o.l, &beads[i].s.frame, &want);
        ck_assert_int_eq(beads[i].job.code, 0);
        ck_assert(same_answer(&want, &beads[i].got));
        answer_free(&want);
    }
    ck_assert_int_eq(nf_calc_nbuilds(o.l.calc), 1);
    free_beads();
    close_office();
}
END_TEST

/* ---- models that come and go ---- */

enum { GENERATIONS = 4, KINDS = 4, STAYS = 3, MIXED = 12, SPOILT = 4 /* a job that fails */ };

/* A potential, a committee and the null model, loaded while the stream runs, with calcs of their own; and the calc that
 * stays. Their jobs are put as one list, in turn. */
typedef struct {
    nf_calc *calc[KINDS];
    atomic_int open[KINDS]; /* jobs not reported */
    specimen s[MIXED];
    answer want[MIXED], got[MIXED];
    nf_job job[MIXED], *put[MIXED];
} generation;

static generation generations[GENERATIONS];
static atomic_int calcs_left, wrong_answers;

/* The last job of a calc frees it and, with it, its model. */
static void reported(void *ctx, nf_job *job)
{
    generation *g = job->user;
    size_t i = (size_t)(job - g->job), kind = i % KINDS;
    bool right = i == SPOILT ? job->code == NF_EINVAL : job->code == 0 && same_answer(&g->want[i], &g->got[i]);
    (void)ctx;
    atomic_fetch_add(&wrong_answers, !right);
    if (atomic_fetch_sub(&g->open[kind], 1) > 1)
        return;
    if (kind != STAYS)
        nf_calc_free(g->calc[kind]);
    if (atomic_fetch_sub(&calcs_left, 1) == 1)
        nf_stream_stop(o.stream);
}

static nf_model *load_kind(int kind, unsigned seed)
{
    potential_recipe p = potential_plain;
    p.seed = seed;
    p.nfunctions = 3;
    p.nodes[0] = p.nodes[1] = 3;
    if (kind == STAYS)
        return nf_model_ref(o.l.model);
    return kind == 0 ? potential_load(&p) : kind == 1 ? potential_committee(&p, 2) : load_model("null", 0);
}

/* What nf_eval gives, on a thread of its own. */
static void make_jobs(generation *g, int kind, nf_model *model, unsigned seed)
{
    lab l;
    lab_open(&l, model, 1, 1.0);
    for (size_t i = (size_t)kind; i < MIXED; i += KINDS) {
        const potential_recipe *p = &potential_plain;
        specimen_make(&g->s[i], i % 2 == 0 ? CLUSTER : CUBIC, 3 + 7 * i, p->nelements, p->elements, seed + (unsigned)i);
        lab_eval(&l, &g->s[i].frame, &g->want[i]);
        answer_prepare(&g->got[i], model, g->s[i].frame.natoms);
        g->job[i] = (nf_job){.calc = g->calc[kind], .frame = &g->s[i].frame, .result = &g->got[i].r, .user = g};
        g->put[i] = &g->job[i];
    }
    lab_close(&l);
}

static void begin_generation(generation *g, unsigned seed)
{
    nf_error err;
    for (int kind = 0; kind < KINDS; kind++) {
        nf_model *model = load_kind(kind, seed);
        g->calc[kind] = o.l.calc;
        if (kind != STAYS)
            ck_assert_int_eq(nf_calc_new(&g->calc[kind], model, NULL, &err), 0);
        atomic_store(&g->open[kind], MIXED / KINDS);
        make_jobs(g, kind, model, seed);
    }
    g->s[SPOILT].pos[1][1] = NAN;
    ck_assert_int_eq(nf_stream_put(o.stream, MIXED, g->put), 0);
}

/* Calcs are made and their models loaded on one thread while the stream works for others, and freed by whoever has the
 * last of their jobs. */
START_TEST(models_come_and_go)
{
    potential_recipe p = potential_plain;
    open_office(potential_load(&p), _i);
    atomic_store(&calcs_left, GENERATIONS * KINDS);
    atomic_store(&wrong_answers, 0);
    nf_stream_open(o.stream, reported, NULL);
    ck_assert_int_eq(pthread_create(&o.thread, NULL, run, o.stream), 0);
    for (unsigned k = 0; k < GENERATIONS; k++)
        begin_generation(&generations[k], 100 * k + 1);
    pthread_join(o.thread, NULL);
    ck_assert_int_eq(wrong_answers, 0);
    for (int k = 0; k < GENERATIONS; k++)
        for (int i = 0; i < MIXED; i++) {
            answer_free(&generations[k].want[i]);
            answer_free(&generations[k].got[i]);
        }
    close_office();
}
END_TEST

/* ---- the end ---- */

/* The stream stops in the middle of beads with lists of their own; the calc and the team are good afterwards. */
START_TEST(a_stopped_stream_leaves_nothing_behind)
{
    potential_recipe p = potential_plain;
    open_office(potential_load(&p), 1 + _i % 3);
    int after = 1 + _i / 3;
    nf_stream_open(o.stream, count, &after);
    atomic_store(&reports, 0);
    for (unsigned i = 0; i < BEADS; i++) {
        specimen_make(&beads[i].s, CUBIC, 60, p.nelements, p.elements, i + 1);
        put_bead(&beads[i]);
    }
    nf_stream_run(o.stream);
    ck_assert_int_ge(reports, after);
    ck_assert_int_lt(reports, BEADS);
    int served = reports;
    for (int i = 0; i < BEADS; i++) {
        answer again = {0}, fresh = {0};
        lab l;
        lab_open(&l, nf_model_ref(o.l.model), 1, 1.0);
        lab_eval(&o.l, &beads[i].s.frame, &again);
        lab_eval(&l, &beads[i].s.frame, &fresh);
        ck_assert(same_answer(&again, &fresh));
        lab_close(&l);
        answer_free(&again);
        answer_free(&fresh);
    }
    ck_assert_int_eq(reports, served);
    free_beads();
    close_office();
}
END_TEST

START_TEST(stopped_before_it_runs)
{
    potential_recipe p = potential_plain;
    int after = 1;
    open_office(potential_load(&p), 2);
    nf_stream_open(o.stream, count, &after);
    atomic_store(&reports, 0);
    specimen_make(&beads[0].s, CUBIC, 60, p.nelements, p.elements, 1);
    put_bead(&beads[0]);
    nf_stream_stop(o.stream);
    nf_stream_run(o.stream);
    ck_assert_int_eq(reports, 0);
    free_beads();
    close_office();
}
END_TEST

/* ---- memory ---- */

/* Clients of two sizes that have been served before: nothing is allocated. */
START_TEST(steady_state)
{
    potential_recipe p = potential_plain;
    open_office(potential_load(&p), 1);
    add_client(&p, 130, 5);
    add_client(&p, SMALL, 20);
    serve();
    for (int i = 0; i < 2; i++) {
        o.client[i].answered = 0;
        o.busy++;
    }
    nf_mem_fail_after(0);
    serve();
    ck_assert_int_eq(nf_mem_fail_stop(), 0);
    close_office();
}
END_TEST

/* Lists of one moving structure that it has left behind are not kept. */
START_TEST(old_lists_are_used_again)
{
    potential_recipe p = potential_plain;
    specimen s;
    answer a = {0};
    nf_rng rng = {5};
    open_office(potential_load(&p), 1);
    specimen_make(&s, CUBIC, 40, p.nelements, p.elements, 1);
    for (int step = 0; step < 400; step++) {
        s.pos[step % 40][0] += 0.3 * nf_rng_uniform(&rng);
        lab_eval(&o.l, &s.frame, &a);
    }
    ck_assert_int_ge(nf_calc_nbuilds(o.l.calc), 5);
    ck_assert_uint_le(o.l.calc->nslots, 8);
    answer_free(&a);
    close_office();
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("stream");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, the_same_bits, 0, 6);
    tcase_add_loop_test(t, small_ones_do_not_wait, 1, 3);
    tcase_add_loop_test(t, a_crowd_starves_nobody, 1, 3);
    tcase_add_loop_test(t, failures_disturb_nobody, 1, 4);
    tcase_add_loop_test(t, a_list_is_made_once, 1, 4);
    tcase_add_loop_test(t, a_stopped_stream_leaves_nothing_behind, 0, 9);
    tcase_add_test(t, stopped_before_it_runs);
    tcase_add_test(t, steady_state);
    tcase_add_test(t, old_lists_are_used_again);
    suite_add_tcase(s, t);
    t = tcase_create("models"); /* CK_RUN_CASE=models: with a thread sanitizer the others take minutes */
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, models_come_and_go, 1, 4);
    suite_add_tcase(s, t);
    return s;
}
