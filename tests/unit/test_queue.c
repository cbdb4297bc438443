/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_queue.c - which task is next: the smallest piece of work, and the oldest for its share.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/queue.h"
#include "suite.h"

enum { MOST = 64 };

/* Groups of one job each with a finished list of whole patches. */
typedef struct {
    nf_queue queue;
    int n;
    struct piece {
        nf_group group;
        nf_job job;
        nf_frame frame;
        nf_slot slot;
    } piece[MOST];
} desk;

static desk d;

static void clear(void)
{
    for (int i = 0; i < d.n; i++) {
        nf_free(d.piece[i].group.entries);
        free(d.piece[i].slot.list.patches);
    }
    memset(&d, 0, sizeof d);
}

static void give_patches(nf_slot *slot, size_t natoms)
{
    slot->list.npatches = (natoms + 63) / 64;
    slot->list.patches = calloc(slot->list.npatches, sizeof *slot->list.patches);
    for (size_t p = 0; p < slot->list.npatches; p++)
        slot->list.patches[p].ncentres = p + 1 < slot->list.npatches ? 64 : natoms - 64 * p;
    slot->ready = true;
}

static struct piece *put(size_t natoms)
{
    struct piece *p = &d.piece[d.n++];
    p->frame.natoms = natoms;
    p->job.frame = &p->frame;
    p->group.n = 1;
    ck_assert_int_eq(NF_GROW(p->group.entries, p->group.cap_entries, 1), 0);
    p->group.entries[0].e.job = &p->job;
    give_patches(&p->slot, natoms);
    nf_queue_add(&d.queue, &p->group);
    return p;
}

static const struct piece *piece_of(const nf_task *task)
{
    for (int i = 0; i < d.n; i++)
        if (task->of == d.piece[i].group.entries)
            return &d.piece[i];
    ck_abort_msg("a task of nobody");
    return NULL;
}

/* What a stream does with a task. */
static const struct piece *complete(const nf_task *task)
{
    const struct piece *p = piece_of(task);
    if (task->kind == NF_TASK_PREPARE) {
        d.queue.preparing = false;
        task->of->e.slot = (nf_slot *)&p->slot;
        nf_queue_activate(task->of);
    } else if (--task->of->left == 0) {
        nf_queue_remove(&d.queue, task->of->group);
    }
    return p;
}

static const struct piece *perform(nf_task *task)
{
    return nf_queue_next(&d.queue, task) ? complete(task) : NULL;
}

static const struct piece *next_finished(void)
{
    for (;;) {
        nf_task task;
        const struct piece *p = perform(&task);
        if (p == NULL || (task.kind == NF_TASK_SWEEP && p->group.entries->left == 0))
            return p;
    }
}

START_TEST(the_smallest_first)
{
    const struct piece *large = put(1000), *middle = put(300), *small = put(40);
    ck_assert_ptr_eq(next_finished(), small);
    ck_assert_ptr_eq(next_finished(), middle);
    ck_assert_ptr_eq(next_finished(), large);
    ck_assert_ptr_null(next_finished());
}
END_TEST

START_TEST(equals_in_the_order_they_came)
{
    const struct piece *p[5];
    for (int i = 0; i < 5; i++)
        p[i] = put(200);
    for (int i = 0; i < 5; i++)
        ck_assert_ptr_eq(next_finished(), p[i]);
}
END_TEST

/* What is nearly done counts as small. */
START_TEST(the_least_left_first)
{
    nf_task task;
    const struct piece *old = put(640);
    for (int i = 0; i < 10; i++) /* prepared, 9 of 10 patches */
        ck_assert_ptr_eq(perform(&task), old);
    put(128);
    ck_assert_ptr_eq(next_finished(), old);
}
END_TEST

/* The oldest one and an endless crowd, of small ones or of large ones: it gets half of the work. */
START_TEST(the_oldest_has_its_share)
{
    static const size_t sizes[] = {3, 40, 64, 200, 600};
    nf_task task;
    size_t others = 0;
    const struct piece *old = put(640), *p = NULL;
    struct piece *crowd = put(sizes[_i]);
    do {
        p = perform(&task);
        others += task.kind == NF_TASK_SWEEP && p != old ? p->slot.list.patches[task.patch].ncentres : 0;
        if (crowd->group.entries->left == 0 && p == crowd && task.kind == NF_TASK_SWEEP)
            nf_queue_add(&d.queue, &crowd->group);
    } while (old->group.entries->left > 0 || old->group.entries->e.slot == NULL);
    ck_assert_uint_le(others, 640 + 64);
    ck_assert_uint_ge(others, 320);
}
END_TEST

/* One of an endless crowd: done, it comes again. */
static void complete_again(const nf_task *task)
{
    complete(task);
    if (task->kind == NF_TASK_SWEEP && task->of->left == 0)
        nf_queue_add(&d.queue, task->of->group);
}

/* Two threads in turn, each with a task under way: while small ones prepare one after the other the oldest, of which
 * nothing but its long preparation can be done, keeps its claim. */
START_TEST(the_oldest_is_prepared)
{
    nf_task task[2];
    bool busy[2] = {false, false};
    size_t others = 0;
    const struct piece *old = put(100000);
    put(600);
    put(3);
    put(40);
    for (int t = 0; old->group.entries->e.slot == NULL; t = 1 - t) {
        if (busy[t])
            complete_again(&task[t]);
        busy[t] = nf_queue_next(&d.queue, &task[t]);
        if (busy[t] && task[t].kind == NF_TASK_SWEEP)
            others += task[t].of->e.slot->list.patches[task[t].patch].ncentres;
        ck_assert_uint_le(others, 1000);
    }
}
END_TEST

START_TEST(one_prepares_at_a_time)
{
    nf_task a, b;
    put(10);
    put(20);
    ck_assert(nf_queue_next(&d.queue, &a));
    ck_assert_int_eq(a.kind, NF_TASK_PREPARE);
    ck_assert(!nf_queue_next(&d.queue, &b));
    d.queue.preparing = false;
    ck_assert(nf_queue_next(&d.queue, &b));
    ck_assert_ptr_ne(a.of, b.of);
}
END_TEST

/* Both search the list that both need; no sweep begins before it is found. */
START_TEST(a_list_is_searched_once)
{
    nf_task task;
    struct piece *p = put(128);
    const struct piece *q = put(128);
    p->slot.ready = false;
    for (int prepared = 0; nf_queue_next(&d.queue, &task);) {
        ck_assert_int_ne(task.kind, NF_TASK_SWEEP);
        if (task.kind == NF_TASK_PREPARE) {
            d.queue.preparing = false;
            task.of->e.slot = &p->slot;
            nf_queue_activate(task.of);
            ck_assert_int_le(++prepared, 2);
        }
    }
    ck_assert_uint_eq(p->slot.next, 2);
    p->slot.ready = true;
    ck_assert_uint_eq(nf_queue_count(&d.queue, &p->slot), 4);
    ck_assert(nf_queue_next(&d.queue, &task));
    ck_assert_int_eq(task.kind, NF_TASK_SWEEP);
    nf_entry *failed = nf_queue_take_failed(&d.queue, &p->slot);
    ck_assert(failed != NULL && failed->next != NULL && failed->next->next == NULL);
    ck_assert(failed == p->group.entries || failed == q->group.entries);
    ck_assert(!nf_queue_next(&d.queue, &task));
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("queue");
    TCase *t = tcase_create("unit");
    tcase_add_checked_fixture(t, clear, clear);
    tcase_add_test(t, the_smallest_first);
    tcase_add_test(t, equals_in_the_order_they_came);
    tcase_add_test(t, the_least_left_first);
    tcase_add_loop_test(t, the_oldest_has_its_share, 0, 5);
    tcase_add_test(t, the_oldest_is_prepared);
    tcase_add_test(t, one_prepares_at_a_time);
    tcase_add_test(t, a_list_is_searched_once);
    suite_add_tcase(s, t);
    return s;
}
