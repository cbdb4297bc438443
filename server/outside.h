/* SPDX-License-Identifier: BSD-3-Clause
 *
 * outside.h - how those who look at a running server see it: a snapshot, and the exchange of a model. All calls are on
 * the loop thread.
 */
#ifndef NF_SERVER_OUTSIDE_H
#define NF_SERVER_OUTSIDE_H

#include <jansson.h>

typedef struct nf_outside {
    void *ctx;
    /** The snapshot of docs/monitoring.md: a new reference; NULL without memory. */
    json_t *(*status)(void *ctx);
    /** Loads a model beside the one that serves as `model` (NULL: the only one), from `path` (NULL: the files it came
     *  from), tries it and swaps it in between two requests. `done` is called once, now or later: code 0 and what serves
     *  from now on, or the reason why nothing has changed. */
    void (*reload)(void *ctx, const char *model, const char *path,
                   void (*done)(void *done_ctx, int code, const char *text), void *done_ctx);
} nf_outside;

#endif
