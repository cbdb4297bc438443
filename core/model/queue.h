/* SPDX-License-Identifier: BSD-3-Clause
 *
 * queue.h - jobs under way, and which task is next. No threads here: the stream's lock guards all of it.
 *
 * A group is what was put together: its jobs count as one piece of work. The next task is of the group with the least
 * work left, so that a small one is never kept waiting by a large one; but the oldest group gets at least half of the
 * work, so that a crowd of small ones never keeps it waiting either. Within a group jobs go one after the other.
 *
 *     waiting -> (prepare) -> active: search patches of its list, then sweep its own -> all handed out
 */
#ifndef NF_MODEL_QUEUE_H
#define NF_MODEL_QUEUE_H

#include "model/evaluation.h"

/* A job in the queue. */
typedef struct nf_entry {
    evaluation e;
    struct nf_group *group;
    struct nf_entry *next;    /* in waiting or active */
    size_t number;            /* in the order given */
    size_t next_patch, left;  /* to sweep: the first not begun, number not done */
    size_t natoms, remaining; /* atoms not handed out */
} nf_entry;

typedef struct nf_group {
    struct nf_group *newer;
    nf_entry *entries; /* [n] */
    size_t n, cap_entries;
    size_t nopen;     /* jobs not reported */
    size_t remaining; /* atoms not handed out */
    nf_entry *waiting, *active, **active_end;
} nf_group;

typedef struct {
    enum { NF_TASK_PREPARE, NF_TASK_SEARCH, NF_TASK_SWEEP } kind;
    nf_entry *of;
    size_t patch;
} nf_task;

typedef struct {
    nf_group *oldest;
    bool preparing; /* a task that prepares is under way: one at a time */
    nf_group *served;
    size_t owed; /* work handed out past `served`, the oldest group with work not handed out */
} nf_queue;

/** Adds a group whose entries have their evaluations' job, calc and visit; the smallest frames first. */
void nf_queue_add(nf_queue *q, nf_group *group);
/** Takes out a group without open jobs. */
void nf_queue_remove(nf_queue *q, nf_group *group);

/** Hands out the next task; false if there is none until one under way is done. */
bool nf_queue_next(nf_queue *q, nf_task *task);

/** The entry is prepared: its patches are tasks. Returns how many threads find work in it. */
size_t nf_queue_activate(nf_entry *entry);
/** The entry is to be prepared (once more). */
void nf_queue_wait(nf_entry *entry);
/** The entry has no further work: it has failed. */
void nf_queue_drop(nf_entry *entry);
/** Takes out all active entries of a slot whose search has failed; a list, linked by next. */
nf_entry *nf_queue_take_failed(nf_queue *q, const nf_slot *slot);
bool nf_queue_has_waiting(const nf_queue *q);
/** Patches to sweep of all entries with this slot, whose search is done. */
size_t nf_queue_count(const nf_queue *q, const nf_slot *slot);

#endif
