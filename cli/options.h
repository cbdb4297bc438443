/* SPDX-License-Identifier: BSD-3-Clause
 *
 * options.h - options of a command as a table: one text feeds parsing and help. Examples are in examples.h.
 */
#ifndef NF_CLI_OPTIONS_H
#define NF_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    OPTION_FLAG,  /* bool */
    OPTION_INT,   /* int, from low to high */
    OPTION_REAL,  /* double, from low to high */
    OPTION_TEXT,  /* const char * */
    OPTION_CHOICE /* int: index into choices, separated by '|' */
} option_kind;

typedef struct {
    const char *name; /* without dashes */
    char letter;      /* short form, 0: none */
    option_kind kind;
    void *target;
    double low, high;
    const char *choices;
    const char *argument; /* name of the value in the help; NULL for flags */
    const char *help;
} option;

/** Parses argv[1..]; options may stand anywhere. Positional arguments are moved to argv[0..*npositional).
 *  0, or -1 after a sentence on stderr, or 1 if --help was asked for and answered. */
int options_parse(const char *command, const char *usage, const option *options, size_t n, int argc, char **argv,
                  int *npositional);

#endif
