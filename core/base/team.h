/* SPDX-License-Identifier: BSD-3-Clause
 *
 * team.h - worker threads that share the tasks of one call and sleep in between: the driver needs the node too.
 */
#ifndef NF_BASE_TEAM_H
#define NF_BASE_TEAM_H

#include "base/status.h"

/** Runs task(ctx, index, thread) for every index below ntasks, each once, in about ascending order; the calling
 *  thread takes part as thread 0. Returns when all are done. */
void nf_team_run(nf_team *team, size_t ntasks, void (*task)(void *ctx, size_t index, int thread), void *ctx);

/** A place where the caller of nf_team_run keeps working memory between calls; freed with the team by `destroy`. */
typedef struct nf_team_memory {
    void *data;
    void (*destroy)(void *data);
} nf_team_memory;

nf_team_memory *nf_team_own_memory(nf_team *team);

#endif
