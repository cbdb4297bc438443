/* SPDX-License-Identifier: BSD-3-Clause
 *
 * main.c - the commands, as a table.
 */
#include <stdio.h>
#include <string.h>

#include "cli/common.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", "answer i-PI, ASE or another driver over a socket", cmd_run},
    {"eval", "energies, forces and virials of the frames of a file", cmd_eval},
    {"inspect", "say what is in a model or a data file", cmd_inspect},
    {"bench", "time evaluations of a structure", cmd_bench},
};

enum { NCOMMANDS = sizeof commands / sizeof *commands };

static void usage(FILE *to)
{
    fprintf(to, "nearfar %s: energies, forces and virials of machine-learning potentials\n\n", nf_version());
    for (int i = 0; i < NCOMMANDS; i++)
        fprintf(to, "  nearfar %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\n  nearfar COMMAND --help says more\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    for (int i = 0; i < NCOMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--version") == 0) {
        printf("nearfar %s\n", nf_version());
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    fprintf(stderr, "nearfar: there is no command '%s'\n\n", argv[1]);
    usage(stderr);
    return 2;
}
