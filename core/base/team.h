/* SPDX-License-Identifier: BSD-3-Clause
 *
 * team.h - worker threads that sleep while there is nothing to do: the driver needs the node too.
 *
 * What there is to do is the business of `body`: it takes work wherever it keeps it and returns when it finds none.
 * Whoever makes work for others calls them.
 */
#ifndef NF_BASE_TEAM_H
#define NF_BASE_TEAM_H

#include "base/status.h"

/** Lends the calling thread to the team, as thread 0, until nf_team_dismiss. body(ctx, thread) runs on it at once, and
 *  again on as many of the threads as are called. Returns when all have left body. */
void nf_team_work(nf_team *team, void (*body)(void *ctx, int thread), void *ctx);

/** There is work for n more threads: those that sleep run body, those that are in it look again before they sleep.
 *  From any thread. */
void nf_team_call(nf_team *team, size_t n);

/** Ends nf_team_work once body returns everywhere; the next one if none is under way. From any thread. */
void nf_team_dismiss(nf_team *team);

/** nf_team_work for a given number of tasks: task(ctx, index, thread) for every index below ntasks, each once, in about
 *  ascending order. Returns when all are done. */
void nf_team_run(nf_team *team, size_t ntasks, void (*task)(void *ctx, size_t index, int thread), void *ctx);

/** A place where the caller of nf_team_work keeps working memory between calls; freed with the team by `destroy`. */
typedef struct nf_team_memory {
    void *data;
    void (*destroy)(void *data);
} nf_team_memory;

nf_team_memory *nf_team_own_memory(nf_team *team);

#endif
