/* SPDX-License-Identifier: BSD-3-Clause
 *
 * common.h - what the commands share. A command returns the exit status.
 */
#ifndef NF_CLI_COMMON_H
#define NF_CLI_COMMON_H

#include "base/status.h"

#define UNITS_CHOICES "bohr,hartree|angstrom,eV|reduced"

typedef enum { CLI_LOG_TEXT, CLI_LOG_JSON } cli_log_kind; /* in the order of LOG_CHOICES */
#define LOG_CHOICES "text|json"

/** From here on, what cli_log and cli_fail write is lines of text, or JSON objects {"time", "level", "message"}, a line
 *  each; levels are info, warning, error. */
void cli_log_format(cli_log_kind kind);
/** Log to stderr, a line an event. On any thread. */
void cli_log(void *ctx, int level, const char *message);
/** The first lines of a command: "nearfar VERSION: text" on stderr. */
void cli_greet(const char *text);
/** "nearfar: sentence" on stderr; returns the exit status 1. */
int cli_fail(const nf_error *err);
/** Seconds of a clock that only goes forward. */
double cli_seconds(void);
/** Loads a model with warnings on stderr. */
int cli_load(nf_model **model, int n, char **paths, int units, nf_error *err);
/** One line: members, elements, cutoff, features, units. */
void cli_describe(const nf_model *model, char *out, size_t size);

int cmd_run(int argc, char **argv);
int cmd_listen(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_bench(int argc, char **argv);

#endif
