/* SPDX-License-Identifier: BSD-3-Clause
 *
 * serving.h - what `nearfar run` and `nearfar listen` have in common: options, models, addresses, the server.
 */
#ifndef NF_CLI_SERVING_H
#define NF_CLI_SERVING_H

#include "cli/options.h"
#include "cli/placement.h"

enum { SERVING_OPTIONS = 32 };

typedef struct {
    placement_defaults defaults;
    placement at;
    int extras, units, threads, log_format;
    double wait, skin;
    bool reconnect, allow_remote, print_ipi;
    struct nf_replay *playing;
    const char *control, *http, *record, *replay, *config; /* config: words of it are in place of it */
} serving;

/** How one of the two commands differs. */
typedef struct {
    const char *name, *usage;
    bool listen;
} serving_kind;

/** The whole command; returns the exit status. */
int serving_main(const serving_kind *kind, int argc, char **argv);

#endif
