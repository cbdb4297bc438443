/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stream.h - evaluations on a team, new ones at any moment. Internal: nf_eval is a stream that ends when it is empty,
 * the server's lasts as long as the server.
 *
 * The unit is a patch: whatever is put is looked at as soon as a thread has finished the one it is at.
 */
#ifndef NF_MODEL_STREAM_H
#define NF_MODEL_STREAM_H

#include "model/evaluation.h"

typedef struct nf_stream nf_stream;

/** Called once per job with its result or its error, on any thread of the team; the job's frame and result are the
 *  caller's again. */
typedef void nf_done(void *ctx, nf_job *job);

/** The stream of a team, which lives as long as the team does. NULL without memory. */
nf_stream *nf_stream_of(nf_team *team);

/** Evaluates n jobs as nf_eval does; visit may be NULL. NF_ENOMEM: none of them was begun or reported. */
int nf_stream_once(nf_stream *s, size_t n, nf_job *const job[], nf_visit *visit, void *visit_ctx, nf_done *done,
                   void *ctx);

/** Opens the stream: what is put from now on is reported to `done`, possibly by several threads at a time. What
 *  calculators have to log is logged on the team's threads too, one message at a time. */
void nf_stream_open(nf_stream *s, nf_done *done, void *ctx);
/** Lends the calling thread to the stream until nf_stream_stop. */
void nf_stream_run(nf_stream *s);
/** Puts n jobs, which count as one piece of work. From any thread. NF_ENOMEM: none of them was begun.
 *
 *  The jobs may be of several calcs, of any models. A calc may be made on any thread while the stream runs, and freed as
 *  soon as the last of its jobs is reported, by `done` already. */
int nf_stream_put(nf_stream *s, size_t n, nf_job *const job[]);
/** Ends the stream: every thread leaves after the task it is at, and jobs that are not done are forgotten. Does not
 *  wait. From any thread, once. */
void nf_stream_stop(nf_stream *s);

#endif
