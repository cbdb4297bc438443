/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/common.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "model/model.h"
#include "server/writer.h"

static cli_log_kind log_kind = CLI_LOG_TEXT;

void cli_log_format(cli_log_kind kind)
{
    log_kind = kind;
}

/* "2026-11-24T16:00:00.123Z" */
static void print_time(char *out, size_t size)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
}

static void log_json(const char *level, const char *message)
{
    char when[64];
    print_time(when, sizeof when);
    json_t *line = json_pack("{ssssso}", "time", when, "level", level, "message", nf_json_text(message));
    char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
    if (text != NULL)
        fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(line);
}

static void say(const char *level, const char *prefix, const char *message)
{
    if (log_kind == CLI_LOG_JSON)
        log_json(level, message);
    else
        fprintf(stderr, "nearfar: %s%s\n", prefix, message);
}

void cli_log(void *ctx, int level, const char *message)
{
    (void)ctx;
    if (level == NF_LOG_WARNING)
        say("warning", "warning: ", message);
    else
        say("info", "", message);
}

void cli_greet(const char *text)
{
    char line[2048];
    snprintf(line, sizeof line, "nearfar %s: %s", nf_version(), text);
    if (log_kind == CLI_LOG_JSON)
        log_json("info", line);
    else
        fprintf(stderr, "%s\n", line);
}

int cli_fail(const nf_error *err)
{
    say("error", "", err->msg);
    return 1;
}

double cli_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int cli_load(nf_model **model, int n, char **paths, int units, nf_error *err)
{
    nf_model_opts opts = NF_MODEL_OPTS_INIT;
    opts.units = (nf_units)units;
    opts.log = cli_log;
    return nf_model_load(model, (size_t)n, (const char *const *)paths, &opts, err);
}

void cli_describe(const nf_model *model, char *out, size_t size)
{
    static const char *const units[] = {"bohr, hartree", "Angstrom, eV", "reduced units"};
    size_t members = nf_model_nmembers(model), n = 0;
    if (model->zero) {
        snprintf(out, size, "zero energy and forces for every element");
        return;
    }
    n += (size_t)snprintf(out, size, "%s of %zu member%s, elements", members > 1 ? "committee" : "potential", members,
                          members > 1 ? "s" : "");
    for (size_t e = 0; e < nf_model_nelements(model) && n < size; e++) {
        int z = nf_model_element(model, e);
        n +=
            (size_t)snprintf(out + n, size - n, " %s (%zu values)", nf_element_symbol(z), nf_model_nfeatures(model, z));
    }
    if (n < size)
        snprintf(out + n, size - n, ", cutoff %.4g Angstrom, %zu parameters a member, files in %s",
                 nf_model_cutoff(model), nf_model_nparameters(model), units[nf_model_units(model)]);
}
