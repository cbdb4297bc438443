/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/examples.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *command, *line, *meaning;
} examples[] = {
    {"", "nearfar inspect MODEL", "what a model is, and whether nearfar can run it"},
    {"", "nearfar eval MODEL in.xyz -o out.xyz", "evaluate a file"},
    {"", "nearfar run MODEL unix:water -s start.xyz", "answer i-PI or ASE; start.xyz gives the elements"},
    {"run", "nearfar run MODEL unix:water -s 'O H H * 64'", "i-PI with <address>water</address>"},
    {"run", "nearfar run MODEL unix:water -s start.xyz --print-ipi", "the block for i-PI's input"},
    {"run", "nearfar run MODEL tcp:localhost:31415 -s start.xyz", "ASE's SocketIOCalculator(port=31415)"},
    {"run", "nearfar run MODEL unix:water", "with <parameters> { species : O H H * 64 } in <ffsocket>"},
    {"run", "nearfar run MODEL unix:slab -s slab.xyz --pbc TTF", "not periodic along the third cell vector"},
    {"run", "nearfar run nnp-1 nnp-2 nnp-3 unix:water -s start.xyz", "a committee of three"},
    {"run", "nearfar run WATER unix:w,species=w.xyz SLAB unix:s,species=s.xyz,pbc=TTF", "two simulations at once"},
    {"run", "nearfar run MODEL unix:water -s start.xyz --reconnect", "stay while i-PI is restarted"},
    {"listen", "nearfar listen unix:forces MODEL", "clients connect to /tmp/ipi_forces and name their species"},
    {"listen", "nearfar listen tcp:localhost:31500 water=nnp-1,nnp-2 slab=SLAB", "a committee and a model, by name"},
    {"eval", "nearfar eval MODEL in.xyz -o out.xyz", "energies, forces, virials and spreads of all frames"},
    {"eval", "nearfar eval MODEL test.xyz", "errors against the references in the file"},
    {"eval", "nearfar eval nnp-1 nnp-2 in.xyz -o out.xyz", "a committee of two"},
    {"eval", "nearfar eval MODEL in.xyz --features out.npz", "descriptor values for numpy"},
    {"status", "nearfar status --watch", "again each second"},
    {"status", "nearfar status --reload retrained/nnp-1", "another model, without an end to the dynamics"},
    {"status", "nearfar status unix:/run/user/1000/nearfar/4711.sock --json", "one of several, for programs"},
    {"inspect", "nearfar inspect MODEL", "elements, cutoffs, descriptors, and whether nearfar can run it"},
    {"inspect", "nearfar inspect MODEL --json", "the same for programs"},
    {"inspect", "nearfar inspect data.xyz", "frames, elements and references of a file"},
    {"bench", "nearfar bench MODEL water.xyz", "microseconds an atom"},
    {"bench", "nearfar bench MODEL small.xyz large.xyz --threads 1", "two structures, one thread"},
};

enum { NEXAMPLES = sizeof examples / sizeof *examples };

void examples_print(const char *command)
{
    bool any = false;
    for (int i = 0; i < NEXAMPLES; i++) {
        if (strcmp(examples[i].command, command) != 0)
            continue;
        if (!any)
            printf("\nEXAMPLES\n");
        any = true;
        printf("  %s\n      %s\n", examples[i].line, examples[i].meaning);
    }
}
