/* SPDX-License-Identifier: BSD-3-Clause */
#include "model/queue.h"

#include <stdlib.h>

/* What tasks cost, in centres swept. */
enum { PREPARED_ATOMS = 256, SEARCHED_CENTRES = 8 };

/* ---- groups ---- */

static int fewest_atoms_first(const void *pa, const void *pb)
{
    const nf_entry *a = pa, *b = pb;
    if (a->natoms != b->natoms)
        return a->natoms < b->natoms ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

static void sort_entries(nf_group *g)
{
    bool sorted = true;
    for (size_t i = 0; i < g->n; i++) {
        g->entries[i].number = i;
        g->entries[i].natoms = g->entries[i].e.job->frame->natoms;
        sorted = sorted && (i == 0 || g->entries[i].natoms >= g->entries[i - 1].natoms);
    }
    if (!sorted)
        qsort(g->entries, g->n, sizeof *g->entries, fewest_atoms_first);
}

void nf_queue_add(nf_queue *q, nf_group *g)
{
    sort_entries(g);
    g->newer = NULL;
    g->nopen = g->n;
    g->remaining = 0;
    g->waiting = g->active = NULL;
    g->active_end = &g->active;
    for (size_t i = g->n; i-- > 0;) {
        g->entries[i].group = g;
        g->entries[i].remaining = 0;
        nf_queue_wait(&g->entries[i]);
    }
    nf_group **end = &q->oldest;
    while (*end != NULL)
        end = &(*end)->newer;
    *end = g;
}

void nf_queue_remove(nf_queue *q, nf_group *g)
{
    nf_group **at = &q->oldest;
    while (*at != g)
        at = &(*at)->newer;
    *at = g->newer;
    if (q->served == g)
        q->served = NULL;
}

/* ---- entries ---- */

void nf_queue_wait(nf_entry *entry)
{
    nf_group *g = entry->group;
    g->remaining += entry->natoms - entry->remaining;
    entry->remaining = entry->natoms;
    entry->next = g->waiting;
    g->waiting = entry;
}

void nf_queue_drop(nf_entry *entry)
{
    entry->group->remaining -= entry->remaining;
    entry->remaining = 0;
}

size_t nf_queue_activate(nf_entry *entry)
{
    nf_group *g = entry->group;
    const nf_slot *slot = entry->e.slot;
    entry->next_patch = 0;
    entry->left = slot->list.npatches;
    entry->next = NULL;
    *g->active_end = entry;
    g->active_end = &entry->next;
    return slot->ready ? entry->left : slot->list.npatches - slot->next;
}

/* `at` points to the entry in the list of active ones. */
static void take_out(nf_group *g, nf_entry **at)
{
    nf_entry *entry = *at;
    *at = entry->next;
    if (g->active_end == &entry->next)
        g->active_end = at;
}

nf_entry *nf_queue_take_failed(nf_queue *q, const nf_slot *slot)
{
    nf_entry *taken = NULL;
    for (nf_group *g = q->oldest; g != NULL; g = g->newer)
        for (nf_entry **at = &g->active; *at != NULL;) {
            nf_entry *entry = *at;
            if (entry->e.slot != slot) {
                at = &entry->next;
                continue;
            }
            take_out(g, at);
            entry->next = taken;
            taken = entry;
        }
    return taken;
}

bool nf_queue_has_waiting(const nf_queue *q)
{
    for (const nf_group *g = q->oldest; g != NULL; g = g->newer)
        if (g->waiting != NULL)
            return true;
    return false;
}

size_t nf_queue_count(const nf_queue *q, const nf_slot *slot)
{
    size_t n = 0;
    for (const nf_group *g = q->oldest; g != NULL; g = g->newer)
        for (const nf_entry *entry = g->active; entry != NULL; entry = entry->next)
            if (entry->e.slot == slot)
                n += entry->left;
    return n;
}

/* ---- the next task ---- */

/* Where in the list of active entries the first with a task is; at its end if none has. */
static nf_entry **find_active(nf_group *g)
{
    nf_entry **at = &g->active;
    while (*at != NULL) {
        const nf_slot *slot = (*at)->e.slot;
        if (slot->ready || slot->next < slot->list.npatches)
            break;
        at = &(*at)->next;
    }
    return at;
}

/* Something not handed out, which may have to wait for another task that prepares. */
static bool has_work(nf_group *g)
{
    return g->waiting != NULL || *find_active(g) != NULL;
}

static bool has_task(const nf_queue *q, nf_group *g)
{
    return (g->waiting != NULL && !q->preparing) || *find_active(g) != NULL;
}

static nf_task first_task(nf_group *g)
{
    nf_entry *active = *find_active(g);
    if (active == NULL)
        return (nf_task){NF_TASK_PREPARE, g->waiting, 0};
    if (!active->e.slot->ready)
        return (nf_task){NF_TASK_SEARCH, active, active->e.slot->next};
    return (nf_task){NF_TASK_SWEEP, active, active->next_patch};
}

static size_t cost_of(const nf_task *task)
{
    if (task->kind == NF_TASK_PREPARE)
        return 1 + task->of->natoms / PREPARED_ATOMS;
    size_t centres = task->of->e.slot->list.patches[task->patch].ncentres;
    return task->kind == NF_TASK_SWEEP ? centres : 1 + centres / SEARCHED_CENTRES;
}

static void hand_out_sweep(nf_group *g, nf_entry *entry)
{
    size_t centres = entry->e.slot->list.patches[entry->next_patch].ncentres;
    entry->remaining -= centres;
    g->remaining -= centres;
    if (++entry->next_patch == entry->e.slot->list.npatches)
        take_out(g, find_active(g));
}

static void hand_out(nf_queue *q, const nf_task *task)
{
    nf_group *g = task->of->group;
    if (task->kind == NF_TASK_PREPARE) {
        q->preparing = true;
        g->waiting = task->of->next;
    } else if (task->kind == NF_TASK_SEARCH) {
        task->of->e.slot->next++;
    } else {
        hand_out_sweep(g, task->of);
    }
}

/* The oldest group has been passed over for as much as its next task costs. */
static bool is_due(const nf_queue *q, nf_group *oldest)
{
    if (!has_task(q, oldest))
        return false;
    nf_task next = first_task(oldest);
    return q->owed >= cost_of(&next);
}

bool nf_queue_next(nf_queue *q, nf_task *task)
{
    nf_group *oldest = NULL, *smallest = NULL;
    for (nf_group *g = q->oldest; g != NULL; g = g->newer) {
        if (oldest == NULL && has_work(g))
            oldest = g;
        if ((smallest == NULL || g->remaining < smallest->remaining) && has_task(q, g))
            smallest = g;
    }
    if (smallest == NULL)
        return false;
    if (oldest != q->served)
        q->owed = 0;
    q->served = oldest;
    *task = first_task(is_due(q, oldest) ? oldest : smallest);
    size_t cost = cost_of(task);
    q->owed = task->of->group != oldest ? q->owed + cost : q->owed > cost ? q->owed - cost : 0;
    hand_out(q, task);
    return true;
}
