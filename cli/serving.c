/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/serving.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/common.h"
#include "cli/words_of_file.h"
#include "server/link_options.h"
#include "server/replay.h"

enum { EXTRAS_DEFAULT = -1, WAIT_DEFAULT = 60 };
#define WAIT_NOT_GIVEN (-1.0)

/* ---- options ---- */

/* Options of both commands; those of `run` alone are behind them. */
static size_t list_options(serving *s, bool listen, option out[SERVING_OPTIONS])
{
    const option both[] = {
        {"species", 's', OPTION_TEXT, &s->defaults.species, 0, 0, NULL, "FILE|LIST",
         "elements in the driver's order: XYZ, PDB, 'O H H * 64'"},
        {"trust-species", 0, OPTION_FLAG, &s->defaults.trust_species, 0, 0, NULL, NULL,
         "do not judge by the first frame whether the elements fit"},
        {"threads", 't', OPTION_INT, &s->threads, 0, 1024, NULL, "N",
         "worker threads (0: all processors of this process)"},
        {"extras", 0, OPTION_CHOICE, &s->extras, 0, 0, "none|summary|committee", "KIND",
         "JSON with each answer: none, summary, committee"},
        {"pbc", 0, OPTION_TEXT, &s->defaults.pbc, 0, 0, NULL, "TTF",
         "periodic directions (TTT; a zero cell vector is never periodic)"},
        {"skin", 0, OPTION_REAL, &s->skin, 0, 20, NULL, "A", "extra radius of the neighbour lists, Angstrom (1)"},
        {"model-units", 0, OPTION_CHOICE, &s->units, 0, 0, UNITS_CHOICES, "UNITS",
         "units of n2p2 files: bohr,hartree or angstrom,eV"},
        {"control", 0, OPTION_TEXT, &s->control, 0, 0, NULL, "unix:PATH|none",
         "where `nearfar status` asks (a place of this user's own)"},
        {"http", 0, OPTION_TEXT, &s->http, 0, 0, NULL, "HOST:PORT",
         "a page, and /metrics for Prometheus, as 127.0.0.1:8080"},
        {"allow-remote", 0, OPTION_FLAG, &s->allow_remote, 0, 0, NULL, NULL,
         "listen also where other machines can connect"},
        {"record", 0, OPTION_TEXT, &s->record, 0, 0, NULL, "FILE",
         "keep what goes over the sockets in a new file, to be replayed"},
        {"log", 0, OPTION_CHOICE, &s->log_format, 0, 0, "text|json", "FORMAT", "of the lines on stderr: text, json"},
    };
    const option calling[] = {
        {"links", 0, OPTION_TEXT, &s->defaults.links, 0, 0, NULL, "N|auto",
         "connections to each address (auto: as many as the driver uses)"},
        {"wait", 0, OPTION_REAL, &s->wait, 0, 1e7, NULL, "SECONDS",
         "how long to wait for the driver (60; with --reconnect for ever)"},
        {"reconnect", 0, OPTION_FLAG, &s->reconnect, 0, 0, NULL, NULL,
         "stay when the driver is gone, and call it again"},
        {"driver-dir", 0, OPTION_TEXT, &s->defaults.driver_dir, 0, 0, NULL, "DIR",
         "where i-PI runs: a file EXIT there ends a run that has blown up"},
        {"replay", 0, OPTION_TEXT, &s->replay, 0, 0, NULL, "FILE",
         "answer a recording again, without a driver, and compare the bits"},
        {"print-ipi", 0, OPTION_FLAG, &s->print_ipi, 0, 0, NULL, NULL,
         "print the <ffsocket> block for i-PI's input and end"},
    };
    size_t nboth = sizeof both / sizeof *both, ncalling = listen ? 0 : sizeof calling / sizeof *calling;
    memcpy(out, both, sizeof both);
    memcpy(out + nboth, calling, ncalling * sizeof *calling);
    out[nboth + ncalling] = (option){
        "config", 0, OPTION_TEXT, &s->config, 0, 0, NULL, "FILE", "read words of this command line from a file"};
    return nboth + ncalling + 1;
}

static void print_keys(bool listen)
{
    const char *help, *key;
    if (!listen) {
        printf("\nOPTIONS of one address, as unix:NAME,key=value,key=value; they win over those of all\n");
        for (size_t i = 0; (key = placement_key(i, &help)) != NULL; i++)
            printf("  %-38s %s\n", key, help);
    }
    if (listen)
        printf("\nKEYS of a client's INIT, a JSON object; they win\n");
    else
        printf(
            "\nPARAMETERS that <ffsocket> of i-PI's input may give in <parameters> { key : value , ... }; they win\n");
    for (size_t i = 0; (key = nf_link_options_key(i, &help)) != NULL; i++)
        printf("  %-38s %s\n", key, help);
}

/* ---- running ---- */

static void print_ffsockets(const serving *s)
{
    char block[1024];
    for (size_t a = 0; a < s->at.nplaces; a++) {
        nf_address_ffsocket(&s->at.places[a].address, !s->reconnect, block, sizeof block);
        fputs(block, stdout);
    }
}

static void greet_atoms(const serving *s, const nf_service_options *model, char *out, size_t size)
{
    size_t natoms = 0, nplaces = 0;
    for (size_t i = 0; i < s->at.nplaces; i++)
        if (&s->at.services[s->at.places[i].service] == model) {
            natoms = s->at.places[i].natoms;
            nplaces++;
        }
    if (nplaces > 1)
        snprintf(out, size, "%zu addresses", nplaces);
    else if (natoms > 0)
        snprintf(out, size, "%zu atoms", natoms);
    else
        snprintf(out, size, "the driver has to name the atoms");
}

static void greet(const serving *s)
{
    char text[1024], atoms[64], line[1200];
    for (size_t i = 0; i < s->at.nservices; i++) {
        const nf_service_options *model = &s->at.services[i];
        cli_describe(model->model, text, sizeof text);
        greet_atoms(s, model, atoms, sizeof atoms);
        const char *name = s->at.nservices > 1 ? model->name : "";
        snprintf(line, sizeof line, "%s%s%s; SHA-256 %s; %s", name, name[0] == '\0' ? "" : ": ", text,
                 nf_model_sha256(model->model), atoms);
        cli_greet(line);
    }
}

/* unix:PATH, none, or nothing. */
static int check_control(serving *s, nf_error *err)
{
    if (s->control == NULL)
        return 0;
    if (strcmp(s->control, "none") == 0)
        s->control = "";
    else if (strncmp(s->control, "unix:/", 6) == 0)
        s->control += 5;
    else
        return nf_fail(err, NF_EINVAL, "--control is unix:/path or none, not '%.60s'", s->control);
    return 0;
}

static int serve(serving *s, const serving_kind *kind, nf_error *err)
{
    nf_run_options o = {.command = kind->name,
                        .nservices = s->at.nservices,
                        .services = s->at.services,
                        .nplaces = s->at.nplaces,
                        .places = s->at.places,
                        .listen = kind->listen,
                        .reconnect = s->reconnect,
                        .wait = s->wait != WAIT_NOT_GIVEN ? s->wait
                                : s->reconnect            ? -1
                                                          : WAIT_DEFAULT,
                        .threads = s->threads,
                        .skin = s->skin,
                        .control = s->control,
                        .http = s->http,
                        .allow_remote = s->allow_remote,
                        .record = s->record,
                        .replay = s->playing,
                        .log = cli_log};
    return nf_run(&o, err);
}

static int load_and_serve(serving *s, const serving_kind *kind, int n, char **words, nf_error *err)
{
    if (s->units == NF_UNITS_REDUCED)
        return nf_fail(err, NF_EINVAL,
                       "--model-units reduced has no meaning for a driver that works in atomic units: use "
                       "eval, bench or inspect");
    cli_log_format((cli_log_kind)s->log_format);
    TRY(check_control(s, err));
    s->defaults.extras = (nf_extras)s->extras;
    if (s->replay != NULL) {
        TRY(nf_replay_open(&s->playing, s->replay, err));
        TRY(placement_of_recording(&s->at, nf_replay_header(s->playing), n, words, err));
    } else {
        TRY(placement_read(&s->at, n, words, kind->listen, &s->defaults, err));
        placement_set_units(&s->at, s->units);
    }
    if (s->print_ipi) {
        print_ffsockets(s);
        return 0;
    }
    TRY(placement_load(&s->at, err));
    greet(s);
    return serve(s, kind, err);
}

static int parse_and_serve(serving *s, const serving_kind *kind, int argc, char **argv)
{
    option options[SERVING_OPTIONS];
    nf_error err = {0};
    int n, rc = options_parse(kind->name, kind->usage, options, list_options(s, kind->listen, options), argc, argv, &n);
    if (rc > 0)
        print_keys(kind->listen);
    if (rc != 0)
        return rc < 0 ? 2 : 0;
    rc = load_and_serve(s, kind, n, argv, &err);
    placement_free(&s->at);
    nf_replay_free(s->playing);
    return rc == 0 ? 0 : cli_fail(&err);
}

int serving_main(const serving_kind *kind, int argc, char **argv)
{
    nf_error err = {0};
    command_words words;
    serving *s = nf_calloc(1, sizeof *s);
    int status = 1;
    if (s == NULL || command_words_expand(&words, argc, argv, &err) != 0) {
        if (s == NULL)
            nf_fail_memory(&err, "the command line");
        else
            command_words_free(&words);
        nf_free(s);
        return cli_fail(&err);
    }
    s->extras = EXTRAS_DEFAULT;
    s->defaults.pbc = "TTT";
    s->defaults.links = "auto";
    s->wait = WAIT_NOT_GIVEN;
    s->skin = 1;
    status = parse_and_serve(s, kind, words.argc, words.argv);
    command_words_free(&words);
    nf_free(s);
    return status;
}
