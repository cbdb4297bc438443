/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/common.h"

#include <stdio.h>
#include <time.h>

#include "model/model.h"

void cli_log(void *ctx, int level, const char *message)
{
    (void)ctx;
    fprintf(stderr, "nearfar: %s%s\n", level == NF_LOG_WARNING ? "warning: " : "", message);
}

void cli_greet(const char *text)
{
    fprintf(stderr, "nearfar %s: %s\n", nf_version(), text);
}

int cli_fail(const nf_error *err)
{
    fprintf(stderr, "nearfar: %s\n", err->msg);
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
