/* SPDX-License-Identifier: BSD-3-Clause
 *
 * outside.h - how those who look at a running server (control.h, http.h) see it: two callbacks, on the loop thread.
 */
#ifndef NF_SERVER_OUTSIDE_H
#define NF_SERVER_OUTSIDE_H

#include <jansson.h>

/** The end of a reload. 0: text says what serves now; else text is the reason and the old model goes on. */
typedef void nf_outside_done(void *done_ctx, int code, const char *text);

typedef struct nf_outside {
    void *ctx;
    /** The snapshot (docs/monitoring.md), a new reference; NULL without memory. */
    json_t *(*status)(void *ctx);
    /** Loads a model beside the one that serves as `model` (NULL: the only one) from `path` (NULL: the files it came
     *  from), checks it and swaps it in between two jobs. `done` is called once, whatever happens; the names are gone when this returns. */
    void (*reload)(void *ctx, const char *model, const char *path, nf_outside_done *done, void *done_ctx);
} nf_outside;

#endif
