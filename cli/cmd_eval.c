/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cmd_eval.c - nearfar eval MODEL... in.xyz -o out.xyz --features out.npz: every frame evaluated, compared with its
 * references.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/common.h"
#include "cli/errors.h"
#include "cli/features.h"
#include "cli/options.h"
#include "geom/cell.h"
#include "io/extxyz.h"

enum { BATCH = 16 }; /* frames evaluated together */

typedef struct {
    const char *out, *features;
    features_options with;
    int units, threads;
} settings;

/* A frame and what is computed of it. */
typedef struct {
    nf_structure structure;
    nf_frame frame;
    nf_result result;
    nf_job job;
    double (*forces)[3], *atom_energy, (*force_std)[3], *member_energy;
    int *extrapolated;
    size_t cap_forces, cap_atom_energy, cap_force_std, cap_member_energy, cap_extrapolated;
} item;

typedef struct {
    const settings *settings;
    nf_model *model;
    nf_team *team;
    nf_calc *calc;
    nf_xyz_reader *reader;
    nf_xyz_writer *writer;
    features *features;
    item items[BATCH];
    error_sums errors;
    long nframes;
    double began, said;
} evaluation;

static int reserve(item *it, const nf_model *model, nf_error *err)
{
    size_t n = it->structure.natoms;
    if (NF_GROW(it->forces, it->cap_forces, n) || NF_GROW(it->atom_energy, it->cap_atom_energy, n) ||
        NF_GROW(it->force_std, it->cap_force_std, n) || NF_GROW(it->extrapolated, it->cap_extrapolated, n) ||
        NF_GROW(it->member_energy, it->cap_member_energy, nf_model_nmembers(model)))
        return nf_fail_memory(err, "a frame");
    return 0;
}

static int prepare(evaluation *e, item *it, nf_error *err)
{
    bool committee = nf_model_nmembers(e->model) > 1;
    TRY(reserve(it, e->model, err));
    nf_structure_view(&it->structure, &it->frame);
    it->result = (nf_result)NF_RESULT_INIT;
    it->result.forces = it->forces;
    it->result.atom_energy = it->atom_energy;
    it->result.extrapolated = it->extrapolated;
    it->result.nmembers = nf_model_nmembers(e->model);
    it->result.member_energy = it->member_energy;
    if (committee)
        it->result.force_std = it->force_std;
    it->job = (nf_job){.calc = e->calc, .frame = &it->frame, .result = &it->result};
    return 0;
}

/* Stress as ASE has it, -W/V, for cells periodic in all directions. */
static bool stress_of(const item *it, double out[9])
{
    nf_cell cell;
    if (nf_cell_make(&cell, it->frame.cell, it->frame.pbc, NULL) != 0 || cell.volume == 0)
        return false;
    for (int c = 0; c < 9; c++)
        out[c] = -it->result.virial[c / 3][c % 3] / cell.volume;
    return true;
}

static int write_item(evaluation *e, const item *it, nf_error *err)
{
    const nf_result *r = &it->result;
    bool committee = r->nmembers > 1;
    double stress[9], virial[9];
    int extrapolated = (int)r->nextrapolated;
    nf_xyz_info info[6] = {{.key = "energy", .n = 1, .real = &r->energy}};
    nf_xyz_column columns[4] = {{.name = "forces", .ncols = 3, .real = &it->forces[0][0]},
                                {.name = "energies", .ncols = 1, .real = it->atom_energy},
                                {.name = "extrapolated", .ncols = 1, .integer = it->extrapolated},
                                {.name = "forces_std", .ncols = 3, .real = &it->force_std[0][0]}};
    nf_xyz_output o = {1, info, committee ? 4 : 3, columns};
    memcpy(virial, r->virial, sizeof virial);
    info[o.ninfo++] = (nf_xyz_info){.key = "virial", .n = 9, .real = virial};
    if (stress_of(it, stress))
        info[o.ninfo++] = (nf_xyz_info){.key = "stress", .n = 9, .real = stress};
    info[o.ninfo++] = (nf_xyz_info){.key = "extrapolated", .n = 1, .integer = &extrapolated};
    if (committee) {
        info[o.ninfo++] = (nf_xyz_info){.key = "energy_std", .n = 1, .real = &r->energy_std};
        info[o.ninfo++] = (nf_xyz_info){.key = "committee_energies", .n = r->nmembers, .real = r->member_energy};
    }
    return nf_xyz_write(e->writer, &it->structure, &o, err);
}

/* An error of this frame, so named. */
static int fail_frame(const evaluation *e, const item *it, int code, const nf_error *why, nf_error *err)
{
    return nf_fail(err, code, "frame %ld (line %ld): %.180s", e->nframes + 1, it->structure.line, why->msg);
}

static int finish_item(evaluation *e, const item *it, nf_error *err)
{
    nf_error why;
    if (it->job.code != 0)
        return fail_frame(e, it, it->job.code, &it->job.err, err);
    if (e->features != NULL) {
        int rc = features_add(e->features, e->team, e->calc, &it->structure, &it->result, &why);
        if (rc != 0) { /* half of the frame may be in it */
            features_discard(e->features);
            e->features = NULL;
            return fail_frame(e, it, rc, &why, err);
        }
    }
    if (e->writer != NULL)
        TRY(write_item(e, it, err));
    e->nframes++;
    errors_add(&e->errors, &it->structure, &it->result);
    return 0;
}

enum { BAR = 30 };

/* On a terminal: a bar where the size of the file is known, and the rate. */
static void say_progress(evaluation *e, bool last)
{
    double now = cli_seconds(), fraction = last ? 1 : nf_xyz_fraction(e->reader);
    char bar[2 * BAR + 4] = "";
    if (!isatty(STDERR_FILENO) || (!last && now - e->said < 0.2))
        return;
    if (fraction >= 0) {
        int filled = (int)(BAR * fmin(fraction, 1));
        snprintf(bar, sizeof bar, "[%.*s%.*s] ", filled, "##############################", BAR - filled,
                 "..............................");
    }
    e->said = now;
    fprintf(stderr, "\r%s%ld frames, %.1f frames/s%s", bar, e->nframes, (double)e->nframes / (now - e->began),
            last ? "\n" : "");
}

/* Reads, evaluates and writes up to BATCH frames. 1: there may be more. */
static int next_batch(evaluation *e, nf_error *err)
{
    nf_job *jobs[BATCH];
    size_t n = 0;
    int more = 1;
    while (n < BATCH && (more = nf_xyz_next(e->reader, &e->items[n].structure, err)) > 0) {
        TRY(prepare(e, &e->items[n], err));
        jobs[n] = &e->items[n].job;
        n++;
    }
    TRY(more);
    nf_eval(e->team, n, jobs, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        TRY(finish_item(e, &e->items[i], err));
    say_progress(e, !more);
    return more;
}

static void say_kept(const evaluation *e, const char *path)
{
    fprintf(stderr, "nearfar: %s has the %ld frames before the error\n", path, e->nframes);
}

/* What was evaluated before an error is worth keeping. */
static int keep_output(evaluation *e, int rc, nf_error *err)
{
    nf_xyz_writer *writer = e->writer;
    if (writer == NULL || e->nframes == 0)
        return rc;
    e->writer = NULL;
    if (rc == 0)
        return nf_xyz_close(writer, err);
    if (nf_xyz_close(writer, NULL) == 0)
        say_kept(e, e->settings->out);
    return rc;
}

static int keep_features(evaluation *e, int rc, nf_error *err)
{
    features *f = e->features;
    if (f == NULL || e->nframes == 0)
        return rc;
    e->features = NULL;
    if (rc == 0)
        return features_close(f, err);
    if (features_close(f, NULL) == 0)
        say_kept(e, e->settings->features);
    return rc;
}

static int evaluate(evaluation *e, const char *in, nf_error *err)
{
    nf_calc_opts opts = NF_CALC_OPTS_INIT;
    opts.log = cli_log;
    TRY(nf_team_new(&e->team, e->settings->threads, err));
    TRY(nf_calc_new(&e->calc, e->model, &opts, err));
    TRY(nf_xyz_open(&e->reader, in, err));
    if (e->settings->out != NULL)
        TRY(nf_xyz_create(&e->writer, e->settings->out, err));
    if (e->settings->features != NULL)
        TRY(features_create(&e->features, e->settings->features, e->model, &e->settings->with, err));
    e->began = cli_seconds();
    int rc;
    while ((rc = next_batch(e, err)) > 0)
        ;
    if (rc == 0 && e->nframes == 0)
        rc = nf_fail(err, NF_EFORMAT, "%s has no frame", in);
    rc = keep_output(e, rc, err);
    return keep_features(e, rc, err);
}

static void free_evaluation(evaluation *e)
{
    for (int i = 0; i < BATCH; i++) {
        nf_structure_free(&e->items[i].structure);
        nf_free(e->items[i].forces);
        nf_free(e->items[i].atom_energy);
        nf_free(e->items[i].force_std);
        nf_free(e->items[i].member_energy);
        nf_free(e->items[i].extrapolated);
    }
    nf_xyz_discard(e->writer);
    features_discard(e->features);
    nf_xyz_reader_free(e->reader);
    nf_calc_free(e->calc);
    nf_team_free(e->team);
    nf_model_free(e->model);
    nf_free(e);
}

static int run(const settings *s, int nmodels, char **models, const char *in, nf_error *err)
{
    evaluation *e = nf_calloc(1, sizeof *e);
    if (e == NULL)
        return nf_fail_memory(err, "the evaluation");
    e->settings = s;
    int rc = cli_load(&e->model, nmodels, models, s->units, err);
    if (rc == 0) {
        char text[1024];
        cli_describe(e->model, text, sizeof text);
        fprintf(stderr, "nearfar %s: %s\n", nf_version(), text);
        rc = evaluate(e, in, err);
    }
    if (rc == 0)
        errors_print(&e->errors, e->nframes);
    free_evaluation(e);
    return rc;
}

int cmd_eval(int argc, char **argv)
{
    settings s = {0};
    const option options[] = {
        {"output", 'o', OPTION_TEXT, &s.out, 0, 0, NULL, "FILE",
         "extended XYZ with the results (.gz compresses, - is stdout)"},
        {"features", 0, OPTION_TEXT, &s.features, 0, 0, NULL, "FILE",
         "descriptor values for numpy (.npz), see docs/eval.md"},
        {"feature-gradients", 0, OPTION_FLAG, &s.with.gradients, 0, 0, NULL, NULL, "their derivatives too"},
        {"uncompressed", 0, OPTION_FLAG, &s.with.uncompressed, 0, 0, NULL, NULL,
         "derivatives as they are, else deflated"},
        {"threads", 't', OPTION_INT, &s.threads, 0, 1024, NULL, "N",
         "worker threads (0: all processors of this process)"},
        {"model-units", 0, OPTION_CHOICE, &s.units, 0, 0, UNITS_CHOICES, "UNITS",
         "units of n2p2 files: " UNITS_CHOICES},
    };
    nf_error err = {0};
    int n, rc = options_parse("eval", "MODEL... in.xyz [-o out.xyz] [--features out.npz] [options]", options,
                              sizeof options / sizeof *options, argc, argv, &n);
    if (rc != 0)
        return rc < 0 ? 2 : 0;
    if (n < 2) {
        fprintf(stderr, "nearfar: name a model and a file: nearfar eval MODEL... in.xyz -o out.xyz\n");
        return 2;
    }
    if ((s.with.gradients || s.with.uncompressed) && s.features == NULL) {
        fprintf(stderr, "nearfar: --%s is about the file of --features, which is missing\n",
                s.with.gradients ? "feature-gradients" : "uncompressed");
        return 2;
    }
    return run(&s, n - 1, argv, argv[n - 1], &err) == 0 ? 0 : cli_fail(&err);
}
