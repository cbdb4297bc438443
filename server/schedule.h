/* SPDX-License-Identifier: BSD-3-Clause
 *
 * schedule.h - the compute side: takes requests at any moment and hands each back when it is done.
 */
#ifndef NF_SERVER_SCHEDULE_H
#define NF_SERVER_SCHEDULE_H

#include "server/request.h"

typedef struct nf_schedule nf_schedule;

/** Starts the thread and a team of so many threads (0: all processors of this process). `wake` is called on any of them
 *  whenever a request is done. */
int nf_schedule_new(nf_schedule **out, int threads, void (*wake)(void *ctx), void *ctx, nf_error *err);
/** From here on wake is not called and nothing is handed back: what is under way is dropped. Does not wait; the
 *  requests are the schedule's until nf_schedule_free. */
void nf_schedule_stop(nf_schedule *s);
/** Stops; waits for every thread to end the patch it is at. NULL is fine. */
void nf_schedule_free(nf_schedule *s);

int nf_schedule_threads(const nf_schedule *s);
/** Hands over a list of requests (linked by `next`), each one piece of work. */
void nf_schedule_put(nf_schedule *s, nf_request *list);
/** Takes back what is done: a list, NULL if there is nothing. */
nf_request *nf_schedule_take_done(nf_schedule *s);

#endif
