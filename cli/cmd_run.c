/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cmd_run.c - nearfar run MODEL... ADDRESS...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/common.h"
#include "cli/options.h"
#include "io/species.h"
#include "server/link_options.h"
#include "server/run.h"

enum { EXTRAS_DEFAULT = -1 };

typedef struct {
    const char *species, *links, *pbc;
    int extras, units, threads;
    double wait, skin;
    bool print_ipi, trust_species;
    int nmodels, naddresses;
    char *models[256];
    nf_address addresses[NF_RUN_ADDRESSES];
} settings;

static int sort_arguments(settings *s, int n, char **args, nf_error *err)
{
    for (int i = 0; i < n; i++) {
        if (nf_address_looks(args[i])) {
            if (s->naddresses == NF_RUN_ADDRESSES)
                return nf_fail(err, NF_ELIMIT, "more than %d addresses", NF_RUN_ADDRESSES);
            TRY(nf_address_parse(&s->addresses[s->naddresses++], args[i], err));
        } else if (s->nmodels == 256) {
            return nf_fail(err, NF_ELIMIT, "more than 256 models");
        } else {
            s->models[s->nmodels++] = args[i];
        }
    }
    if (s->naddresses == 0)
        return nf_fail(err, NF_EINVAL,
                       "no address: where does the driver listen? unix:NAME, unix:/path or tcp:HOST:PORT");
    return 0;
}

static int parse_links(const char *text, int *links, nf_error *err)
{
    char *end;
    if (strcmp(text, "auto") == 0) {
        *links = 0;
        return 0;
    }
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < 1 || n > 128)
        return nf_fail(err, NF_EINVAL, "--links is auto or a number from 1 to 128, not '%.40s'", text);
    *links = (int)n;
    return 0;
}

/* "TTF" */
static int parse_pbc(const char *text, bool pbc[3], nf_error *err)
{
    if (strlen(text) != 3 || strspn(text, "TF") != 3)
        return nf_fail(err, NF_EINVAL, "--pbc is three of T and F, as TTF, not '%.40s'", text);
    for (int d = 0; d < 3; d++)
        pbc[d] = text[d] == 'T';
    return 0;
}

static void print_ffsockets(const settings *s)
{
    char block[1024];
    for (int a = 0; a < s->naddresses; a++) {
        nf_address_ffsocket(&s->addresses[a], block, sizeof block);
        fputs(block, stdout);
    }
}

static int serve(const settings *s, nf_model *model, int *species, size_t natoms, nf_error *err)
{
    nf_run_options o = {.model = model,
                        .naddresses = (size_t)s->naddresses,
                        .addresses = s->addresses,
                        .natoms = natoms,
                        .species = species,
                        .trust_species = s->trust_species,
                        .wait = s->wait,
                        .threads = s->threads,
                        .skin = s->skin,
                        .log = cli_log};
    o.extras = s->extras != EXTRAS_DEFAULT    ? (nf_extras)s->extras
               : nf_model_nmembers(model) > 1 ? NF_EXTRAS_SUMMARY
                                              : NF_EXTRAS_NONE;
    TRY(parse_links(s->links, &o.links, err));
    TRY(parse_pbc(s->pbc, o.pbc, err));
    nf_error why;
    if (nf_link_check_species(model, natoms, species, &why) != 0)
        return nf_fail(err, why.code, "--species: %s", why.msg);
    return nf_run(&o, err);
}

static void greet(const nf_model *model, size_t natoms)
{
    char text[1024];
    cli_describe(model, text, sizeof text);
    fprintf(stderr, "nearfar %s: %s; ", nf_version(), text);
    if (natoms > 0)
        fprintf(stderr, "%zu atoms\n", natoms);
    else
        fprintf(stderr, "the driver has to name the atoms\n");
}

static int load_and_serve(settings *s, nf_error *err)
{
    nf_model *model = NULL;
    int *species = NULL;
    size_t natoms = 0;
    if (s->units == NF_UNITS_REDUCED)
        return nf_fail(err, NF_EINVAL,
                       "--model-units reduced has no meaning for a driver that works in atomic units: use "
                       "eval, bench or inspect");
    if (s->species != NULL)
        TRY(nf_species_read(&species, &natoms, s->species, err));
    int rc = cli_load(&model, s->nmodels, s->models, s->units, err);
    if (rc == 0) {
        greet(model, natoms);
        rc = serve(s, model, species, natoms, err);
    }
    nf_model_free(model);
    nf_free(species);
    return rc;
}

static void print_parameters(void)
{
    const char *help, *key;
    printf("\nPARAMETERS that <ffsocket> of i-PI's input may give in <parameters> { key : value , ... }; they win\n");
    for (size_t i = 0; (key = nf_link_options_key(i, &help)) != NULL; i++)
        printf("  %-38s %s\n", key, help);
}

int cmd_run(int argc, char **argv)
{
    settings s = {.links = "auto", .pbc = "TTT", .extras = EXTRAS_DEFAULT, .wait = 60, .skin = 1};
    const option options[] = {
        {"species", 's', OPTION_TEXT, &s.species, 0, 0, NULL, "FILE|LIST",
         "elements in the driver's order: XYZ, PDB, 'O H H * 64'"},
        {"trust-species", 0, OPTION_FLAG, &s.trust_species, 0, 0, NULL, NULL,
         "do not judge by the first frame whether the elements fit"},
        {"links", 0, OPTION_TEXT, &s.links, 0, 0, NULL, "N|auto",
         "connections to each address (auto: as many as the driver uses)"},
        {"threads", 't', OPTION_INT, &s.threads, 0, 1024, NULL, "N",
         "worker threads (0: all processors of this process)"},
        {"extras", 0, OPTION_CHOICE, &s.extras, 0, 0, "none|summary|committee", "KIND",
         "JSON with each answer: none, summary, committee"},
        {"wait", 0, OPTION_REAL, &s.wait, 0, 1e7, NULL, "SECONDS", "how long to wait for the driver (60)"},
        {"pbc", 0, OPTION_TEXT, &s.pbc, 0, 0, NULL, "TTF",
         "periodic directions (TTT; a zero cell vector is never periodic)"},
        {"skin", 0, OPTION_REAL, &s.skin, 0, 20, NULL, "A", "extra radius of the neighbour lists, Angstrom (1)"},
        {"model-units", 0, OPTION_CHOICE, &s.units, 0, 0, UNITS_CHOICES, "UNITS",
         "units of n2p2 files: bohr,hartree or angstrom,eV"},
        {"print-ipi", 0, OPTION_FLAG, &s.print_ipi, 0, 0, NULL, NULL,
         "print the <ffsocket> block for i-PI's input and end"},
    };
    nf_error err = {0};
    int n, rc = options_parse("run",
                              "MODEL... ADDRESS... [--species FILE|LIST] [options]\n"
                              "ADDRESS: unix:NAME (/tmp/ipi_NAME), unix:/path, tcp:HOST:PORT",
                              options, sizeof options / sizeof *options, argc, argv, &n);
    if (rc > 0)
        print_parameters();
    if (rc != 0)
        return rc < 0 ? 2 : 0;
    if (sort_arguments(&s, n, argv, &err) != 0)
        return cli_fail(&err);
    if (s.print_ipi) {
        print_ffsockets(&s);
        return 0;
    }
    return load_and_serve(&s, &err) == 0 ? 0 : cli_fail(&err);
}
