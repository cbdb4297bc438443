/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A POSDATA message as jobs: equal structures next to each other are one, and every one has its entry in the reply.
 * Whether it comes over the socket or through shared memory makes no difference.
 */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "potential.h"
#include "segments.h"
#include "server/request.h"
#include "suite.h"

enum { ATOMS = 3, MOST = 8 };

static const int ohh[ATOMS] = {8, 1, 1};
static nf_service_options model;
static nf_service service;
static nf_team *team;
static nf_link_options *options;

static void setup(void)
{
    const nf_place_options place = {.natoms = ATOMS, .species = ohh, .extras = NF_EXTRAS_SUMMARY};
    model = (nf_service_options){.name = "oh", .model = potential_load(&potential_plain)};
    ck_assert_int_eq(nf_service_open(&service, &model, NULL, NULL), 0);
    ck_assert_int_eq(nf_team_new(&team, 1, NULL), 0);
    ck_assert_int_eq(nf_link_options_new(&options, &place, &service, NULL), 0);
}

static void teardown(void)
{
    nf_link_options_free(options);
    nf_team_free(team);
    nf_service_close(&service);
    nf_model_free(model.model);
}

/* Structures by letter, Bohr; a capital letter has another cell, which alone makes no difference to a cluster's energy. */
static void cell_of(char letter, double h[9])
{
    memcpy(h, (double[9]){letter < 'a' ? 40 : 30, 0, 0, 0, 30, 0, 0, 0, 30}, sizeof(double[9]));
}

static void positions_of(char letter, double x[3 * ATOMS])
{
    memcpy(x, (double[3 * ATOMS]){0, 0, 0, 1.8, 0, 0, 0, 1.8 + 0.1 * ((letter | 32) - 'a'), 0},
           sizeof(double[3 * ATOMS]));
}

static int receive(nf_request *r, const char *letters, nf_error *err)
{
    size_t n = strlen(letters);
    nf_request_begin(r, options, n, true);
    for (size_t k = 0; k < n; k++) {
        double h[9];
        cell_of(letters[k], h);
        TRY(nf_request_cell(r, k, h, err));
    }
    for (size_t k = 0; k < n; k++) {
        double x[3 * ATOMS];
        positions_of(letters[k], x);
        TRY(nf_request_positions(r, 3 * ATOMS * k, 3 * ATOMS, (const unsigned char *)x, err));
    }
    return nf_request_complete(r, err);
}

static void evaluate(nf_request *r)
{
    nf_job *jobs[MOST];
    for (size_t j = 0; j < r->njobs; j++)
        jobs[j] = &r->jobs[j];
    ck_assert_int_eq(nf_eval(team, r->njobs, jobs, NULL, NULL), 0);
}

static const struct {
    const char *letters;
    size_t njobs, job_of[MOST];
} batches[] = {
    {"a", 1, {0}},
    {"aaaa", 1, {0, 0, 0, 0}},
    {"abbb", 2, {0, 1, 1, 1}},
    {"abcd", 4, {0, 1, 2, 3}},
    {"aabbaa", 3, {0, 0, 1, 1, 2, 2}},
    {"aAaA", 4, {0, 1, 2, 3}},
    {"abAA", 3, {0, 1, 2, 2}},
};

START_TEST(copies_are_one_job)
{
    nf_request r = {0};
    const char *letters = batches[_i].letters;
    ck_assert_int_eq(receive(&r, letters, NULL), 0);
    ck_assert_uint_eq(r.njobs, batches[_i].njobs);
    ck_assert_mem_eq(r.job_of, batches[_i].job_of, strlen(letters) * sizeof *r.job_of);
    for (size_t j = 0; j < r.njobs; j++)
        ck_assert_int_eq(r.jobs[j].judge, j == 0);
    evaluate(&r);
    ck_assert_int_eq(nf_request_encode(&r, NULL), 0);
    for (size_t k = 0; letters[k] != '\0'; k++)
        for (size_t i = 0; i < k; i++)
            if (letters[i] == letters[k]) {
                ck_assert_mem_eq(r.wire[i].forces, r.wire[k].forces, sizeof(double[3 * ATOMS]));
                ck_assert_mem_eq(&r.wire[i].energy, &r.wire[k].energy, sizeof(double));
                ck_assert_mem_eq(r.wire[i].virial, r.wire[k].virial, sizeof r.wire[k].virial);
                ck_assert_uint_eq(r.wire[i].nextras, r.wire[k].nextras);
                ck_assert_mem_eq(r.wire[i].extras, r.wire[k].extras, r.wire[k].nextras);
            }
    nf_request_free(&r);
}
END_TEST

/* ---- past the socket's buffer ---- */

static int receive_in_place(nf_request *r, const char *letters, nf_error *err)
{
    size_t n = strlen(letters), each = 3 * ATOMS;
    nf_request_begin(r, options, n, true);
    for (size_t k = 0; k < n; k++) {
        double h[9];
        cell_of(letters[k], h);
        TRY(nf_request_cell(r, k, h, err));
    }
    for (size_t k = 0; k < n; k++) {
        double *pos = nf_request_room(r, (k + 1) * each * sizeof *pos - 3, err);
        if (pos == NULL)
            return NF_ENOMEM;
        positions_of(letters[k], pos + k * each);
        TRY(nf_request_positions(r, k * each, each, NULL, err));
    }
    return nf_request_complete(r, err);
}

static void fill(segments *s, nf_shm *shm, const char *letters)
{
    size_t n = strlen(letters);
    segments_make(s, ATOMS, n);
    nf_shm_init(shm);
    nf_shm_begin(shm, ATOMS, n);
    for (ipi_segment i = 0; i < IPI_SEGMENTS; i++)
        ck_assert_int_eq(nf_shm_open(shm, i, s->name[i], strlen(s->name[i]), getuid(), NULL), 0);
    for (size_t k = 0; k < n; k++) {
        cell_of(letters[k], s->at[IPI_SEGMENT_CELLS] + 9 * k);
        positions_of(letters[k], s->at[IPI_SEGMENT_POSITIONS] + 3 * ATOMS * k);
    }
}

static int receive_shared(nf_request *r, const nf_shm *shm, const char *letters, nf_error *err)
{
    nf_request_begin(r, options, strlen(letters), true);
    TRY(nf_request_read(r, shm, err));
    return nf_request_complete(r, err);
}

static void ck_same_input(const nf_request *a, const nf_request *b)
{
    ck_assert_uint_eq(a->njobs, b->njobs);
    ck_assert_mem_eq(a->pos, b->pos, 3 * ATOMS * a->nstructures * sizeof *a->pos);
    for (size_t k = 0; k < a->nstructures; k++)
        ck_assert_mem_eq(a->frames[k].cell, b->frames[k].cell, sizeof a->frames[k].cell);
}

START_TEST(in_place_is_the_same)
{
    nf_request a = {0}, b = {0};
    const char *letters = batches[_i].letters;
    ck_assert_int_eq(receive(&a, letters, NULL), 0);
    ck_assert_int_eq(receive_in_place(&b, letters, NULL), 0);
    ck_same_input(&a, &b);
    nf_request_free(&a);
    nf_request_free(&b);
}
END_TEST

static void answer(nf_request *r)
{
    evaluate(r);
    ck_assert_int_eq(nf_request_encode(r, NULL), 0);
}

START_TEST(shared_is_the_same)
{
    nf_request a = {0}, b = {0};
    segments s;
    nf_shm shm;
    const char *letters = batches[_i].letters;
    fill(&s, &shm, letters);
    ck_assert_int_eq(receive(&a, letters, NULL), 0);
    ck_assert_int_eq(receive_shared(&b, &shm, letters, NULL), 0);
    ck_same_input(&a, &b);
    answer(&a);
    answer(&b);
    ck_assert_int_eq(nf_request_write(&b, &shm, NULL), 0);
    for (size_t k = 0; letters[k] != '\0'; k++) {
        ck_assert_mem_eq(&s.at[IPI_SEGMENT_ENERGIES][k], &a.wire[k].energy, sizeof(double));
        ck_assert_mem_eq(&s.at[IPI_SEGMENT_FORCES][3 * ATOMS * k], a.wire[k].forces, sizeof(double[3 * ATOMS]));
        ck_assert_mem_eq(&s.at[IPI_SEGMENT_VIRIALS][9 * k], a.wire[k].virial, sizeof(double[9]));
    }
    size_t numbers = 4 + a.nstructures * (10 + 3 * ATOMS) * sizeof(double);
    ck_assert_uint_eq(b.nreply, a.nreply - numbers);
    ck_assert_mem_eq(b.reply + IPI_HEADER, a.reply + IPI_HEADER + numbers, b.nreply - IPI_HEADER);
    nf_shm_close(&shm);
    segments_remove(&s);
    nf_request_free(&a);
    nf_request_free(&b);
}
END_TEST

/* A link's next structures may come the other way. */
START_TEST(shared_is_forgotten)
{
    nf_request r = {0};
    segments s;
    nf_shm shm;
    fill(&s, &shm, "ab");
    ck_assert_int_eq(receive_shared(&r, &shm, "ab", NULL), 0);
    ck_assert(r.shared);
    ck_assert_int_eq(receive(&r, "ab", NULL), 0);
    ck_assert(!r.shared);
    nf_shm_close(&shm);
    segments_remove(&s);
    nf_request_free(&r);
}
END_TEST

START_TEST(shared_survives_no_memory)
{
    segments s;
    nf_shm shm;
    fill(&s, &shm, "abb");
    for (long n = 0;; n++) {
        nf_request r = {0};
        nf_error err;
        nf_mem_fail_after(n);
        int rc = receive_shared(&r, &shm, "abb", &err);
        int hit = nf_mem_fail_stop();
        ck_assert_int_eq(rc, hit ? NF_ENOMEM : 0);
        nf_request_free(&r);
        if (!hit)
            break;
    }
    nf_shm_close(&shm);
    segments_remove(&s);
}
END_TEST

START_TEST(survives_no_memory)
{
    for (long n = 0;; n++) {
        nf_request r = {0};
        nf_error err;
        nf_mem_fail_after(n);
        int rc = receive(&r, "abb", &err);
        int hit = nf_mem_fail_stop();
        ck_assert_int_eq(rc, hit ? NF_ENOMEM : 0);
        nf_request_free(&r);
        if (!hit)
            break;
    }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("request");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, copies_are_one_job, 0, sizeof batches / sizeof *batches);
    tcase_add_loop_test(t, in_place_is_the_same, 0, sizeof batches / sizeof *batches);
    tcase_add_loop_test(t, shared_is_the_same, 0, sizeof batches / sizeof *batches);
    tcase_add_test(t, shared_is_forgotten);
    tcase_add_test(t, survives_no_memory);
    tcase_add_test(t, shared_survives_no_memory);
    suite_add_tcase(s, t);
    return s;
}
