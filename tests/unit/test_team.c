/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_team.c - threads come when they are called, no call is lost, and nobody stays behind.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/team.h"
#include "suite.h"

enum { LOT = 5000 };

static nf_team *make_team(int nthreads)
{
    nf_error err = {0};
    nf_team *team;
    ck_assert_msg(nf_team_new(&team, nthreads, &err) == 0, "%s", err.msg);
    return team;
}

/* A heap of tasks; the last one dismisses the team. */
typedef struct {
    nf_team *team;
    atomic_int left, done;
    atomic_ulong threads;
} heap;

static bool take(heap *h)
{
    int n = atomic_load(&h->left);
    while (n > 0)
        if (atomic_compare_exchange_weak(&h->left, &n, n - 1))
            return true;
    return false;
}

static void dig(void *ctx, int thread)
{
    heap *h = ctx;
    atomic_fetch_or(&h->threads, 1ul << thread);
    while (take(h))
        if (atomic_fetch_add(&h->done, 1) + 1 == LOT)
            nf_team_dismiss(h->team);
}

START_TEST(one_thread_does_all)
{
    heap h = {make_team(1), LOT, 0, 0};
    nf_team_work(h.team, dig, &h);
    ck_assert_int_eq(h.done, LOT);
    nf_team_free(h.team);
}
END_TEST

static void *bring(void *ctx)
{
    heap *h = ctx;
    for (int i = 0; i < LOT; i++) {
        atomic_fetch_add(&h->left, 1);
        nf_team_call(h->team, (size_t)(i % 3));
        if (i % 3 == 0)
            nf_team_call(h->team, 1);
    }
    return NULL;
}

/* Tasks come one by one from outside: a lost call would leave the last ones lying, for ever. */
START_TEST(no_call_is_lost)
{
    for (int round = 0; round < 5; round++) {
        heap h = {make_team(_i), 0, 0, 0};
        pthread_t other;
        ck_assert_int_eq(pthread_create(&other, NULL, bring, &h), 0);
        nf_team_work(h.team, dig, &h);
        pthread_join(other, NULL);
        ck_assert_int_eq(h.done, LOT);
        nf_team_free(h.team);
    }
}
END_TEST

typedef struct {
    nf_team *team;
    pthread_mutex_t lock;
    pthread_cond_t all;
    int here, wanted;
} gathering;

/* Nobody leaves before all are here. */
static void gather(void *ctx, int thread)
{
    gathering *g = ctx;
    pthread_mutex_lock(&g->lock);
    g->here++;
    if (thread == 0)
        nf_team_call(g->team, (size_t)g->wanted);
    pthread_cond_broadcast(&g->all);
    while (g->here < g->wanted)
        pthread_cond_wait(&g->all, &g->lock);
    pthread_mutex_unlock(&g->lock);
    nf_team_dismiss(g->team);
}

START_TEST(all_come_when_called)
{
    gathering g = {make_team(_i), PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, _i};
    for (int round = 0; round < 50; round++) {
        g.here = 0;
        nf_team_work(g.team, gather, &g);
        ck_assert_int_eq(g.here, _i);
    }
    nf_team_free(g.team);
}
END_TEST

static void count_entry(void *ctx, int thread)
{
    (void)thread;
    ++*(int *)ctx;
}

START_TEST(dismissed_before_it_begins)
{
    int entries = 0;
    nf_team *team = make_team(2);
    nf_team_dismiss(team);
    nf_team_work(team, count_entry, &entries);
    ck_assert_int_eq(entries, 0);
    heap h = {team, LOT, 0, 0};
    nf_team_work(team, dig, &h);
    ck_assert_int_eq(h.done, LOT);
    nf_team_free(team);
}
END_TEST

/* One small task is done by the caller alone. */
START_TEST(nobody_is_woken_without_a_call)
{
    heap h = {make_team(4), 1, LOT - 1, 0};
    nf_team_work(h.team, dig, &h);
    ck_assert_uint_eq(h.threads, 1);
    nf_team_free(h.team);
}
END_TEST

static void count_task(void *ctx, size_t index, int thread)
{
    atomic_int *times = ctx;
    (void)thread;
    atomic_fetch_add(&times[index], 1);
}

START_TEST(each_task_once)
{
    static atomic_int times[LOT];
    nf_team *team = make_team(_i);
    nf_team_run(team, 0, count_task, times);
    for (int round = 1; round <= 20; round++) {
        nf_team_run(team, LOT, count_task, times);
        nf_team_run(team, 1, count_task, times);
        ck_assert_int_eq(times[0], 2 * round);
        for (int i = 1; i < LOT; i++)
            ck_assert_int_eq(times[i], round);
    }
    for (int i = 0; i < LOT; i++)
        times[i] = 0;
    nf_team_free(team);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("team");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, one_thread_does_all);
    tcase_add_loop_test(t, no_call_is_lost, 1, 5);
    tcase_add_loop_test(t, all_come_when_called, 1, 6);
    tcase_add_test(t, dismissed_before_it_begins);
    tcase_add_test(t, nobody_is_woken_without_a_call);
    tcase_add_loop_test(t, each_task_once, 1, 5);
    suite_add_tcase(s, t);
    return s;
}
