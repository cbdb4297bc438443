/* SPDX-License-Identifier: BSD-3-Clause
 *
 * schedule.h - the compute thread: evaluates whatever is ready, together, and reports each request when it is done.
 */
#ifndef NF_SERVER_SCHEDULE_H
#define NF_SERVER_SCHEDULE_H

#include "server/request.h"

typedef struct nf_schedule nf_schedule;

/** Starts the thread and its team. `wake` is called on it whenever requests are done. options are borrowed. */
int nf_schedule_new(nf_schedule **out, const nf_run_options *options, void (*wake)(void *ctx), void *ctx,
                    nf_error *err);
/** Ends the thread once its evaluation is done; NULL is fine. */
void nf_schedule_free(nf_schedule *s);

nf_calc *nf_schedule_calc(nf_schedule *s);
int nf_schedule_threads(const nf_schedule *s);
/** Hands over a list of requests (linked by `next`), to be evaluated together. */
void nf_schedule_put(nf_schedule *s, nf_request *list);
/** Takes back what is done: a list, NULL if there is nothing. */
nf_request *nf_schedule_take_done(nf_schedule *s);

#endif
