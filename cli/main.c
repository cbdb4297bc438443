/* SPDX-License-Identifier: BSD-3-Clause
 *
 * main.c - the commands, as a table.
 */
#include <stdio.h>
#include <string.h>

#include "cli/common.h"
#include "cli/examples.h"
#include "server/nearest.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", "answer i-PI, ASE or another driver over a socket", cmd_run},
    {"listen", "let clients in C, Python or ASE connect", cmd_listen},
    {"eval", "energies, forces and virials of the frames of a file", cmd_eval},
    {"status", "look at a running server, have it load another model", cmd_status},
    {"inspect", "say what is in a model or a data file", cmd_inspect},
    {"bench", "time evaluations of a structure", cmd_bench},
};

enum { NCOMMANDS = sizeof commands / sizeof *commands };

static void usage(FILE *to)
{
    fprintf(to, "nearfar %s: energies, forces and virials of machine-learning potentials\n\n", nf_version());
    for (int i = 0; i < NCOMMANDS; i++)
        fprintf(to, "  nearfar %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\n  nearfar COMMAND --help says more, and nearfar --version what this is\n");
}

static int unknown_command(const char *name)
{
    nf_nearest search = {.typed = name, .n = strlen(name)};
    for (int i = 0; i < NCOMMANDS; i++)
        nf_nearest_try(&search, commands[i].name);
    if (search.best != NULL) {
        fprintf(stderr, "nearfar: there is no command '%s', did you mean '%s'? (nearfar --help)\n", name, search.best);
        return 2;
    }
    fprintf(stderr, "nearfar: there is no command '%s'\n\n", name);
    usage(stderr);
    return 2;
}

static int run_command(int argc, char **argv)
{
    for (int i = 0; i < NCOMMANDS; i++)
        if (strcmp(argv[0], commands[i].name) == 0)
            return commands[i].run(argc, argv);
    return unknown_command(argv[0]);
}

/* `nearfar help run` is `nearfar run --help`. */
static int help(int argc, char **argv)
{
    char *ask[] = {argc > 0 ? argv[0] : NULL, (char[]){"--help"}, NULL};
    if (argc > 0)
        return run_command(2, ask);
    usage(stdout);
    examples_print("");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("nearfar %s\n", nf_version());
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return help(argc - 2, argv + 2);
    return run_command(argc - 1, argv + 1);
}
