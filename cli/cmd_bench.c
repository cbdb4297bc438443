/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cmd_bench.c - nearfar bench MODEL... STRUCTURE: microseconds an atom, in one process, positions moving a little so
 * that neighbour lists age as in dynamics.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "cli/common.h"
#include "cli/options.h"
#include "io/extxyz.h"
#include "kern/kern.h"

typedef struct {
    int units, threads, repeats;
    double skin, step;
} settings;

typedef struct {
    nf_team *team;
    nf_calc *calc;
    nf_frame frame;
    double (*start)[3], (*pos)[3], (*forces)[3], *seconds;
} bench;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void displace(bench *b, double step, nf_rng *rng)
{
    for (size_t i = 0; i < b->frame.natoms; i++)
        for (int c = 0; c < 3; c++)
            b->pos[i][c] = b->start[i][c] + step * (nf_rng_uniform(rng) - 0.5);
}

static int measure(bench *b, const settings *s, nf_error *err)
{
    nf_rng rng = {1};
    for (int r = -2; r < s->repeats; r++) { /* two to warm up */
        nf_result result = NF_RESULT_INIT;
        result.forces = b->forces;
        nf_job job = {.calc = b->calc, .frame = &b->frame, .result = &result}, *jobs = &job;
        displace(b, s->step, &rng);
        double begin = cli_seconds();
        if (nf_eval(b->team, 1, &jobs, NULL, NULL) != 0) {
            *err = job.err;
            return job.code;
        }
        if (r >= 0)
            b->seconds[r] = cli_seconds() - begin;
    }
    return 0;
}

static void report(bench *b, const settings *s)
{
    double per_atom = 1e6 / (double)b->frame.natoms;
    qsort(b->seconds, (size_t)s->repeats, sizeof *b->seconds, ascending);
    printf("%8zu atoms  %2d thread%s  %-6s  %8.1f us/atom (median of %d; fastest %.1f)  %ld lists\n", b->frame.natoms,
           nf_team_size(b->team), nf_team_size(b->team) == 1 ? " " : "s", nf_kern_select()->name,
           b->seconds[s->repeats / 2] * per_atom, s->repeats, b->seconds[0] * per_atom, nf_calc_nbuilds(b->calc));
}

static int run(bench *b, nf_model *model, const nf_structure *structure, const settings *s, nf_error *err)
{
    nf_calc_opts opts = NF_CALC_OPTS_INIT;
    size_t n = structure->natoms;
    opts.skin = s->skin;
    opts.log = cli_log;
    nf_structure_view(structure, &b->frame);
    b->start = structure->pos;
    b->pos = nf_calloc(n, sizeof *b->pos);
    b->forces = nf_calloc(n, sizeof *b->forces);
    b->seconds = nf_calloc((size_t)s->repeats, sizeof *b->seconds);
    if (b->pos == NULL || b->forces == NULL || b->seconds == NULL)
        return nf_fail_memory(err, "the benchmark");
    b->frame.pos = (const double(*)[3])b->pos;
    TRY(nf_team_new(&b->team, s->threads, err));
    TRY(nf_calc_new(&b->calc, model, &opts, err));
    TRY(measure(b, s, err));
    report(b, s);
    return 0;
}

static int bench_file(nf_model *model, const char *path, const settings *s, nf_error *err)
{
    nf_xyz_reader *reader;
    nf_structure structure = {0};
    bench b = {0};
    TRY(nf_xyz_open(&reader, path, err));
    int rc = nf_xyz_next(reader, &structure, err);
    if (rc == 0)
        rc = nf_fail(err, NF_EFORMAT, "%s has no frame", path);
    if (rc > 0)
        rc = run(&b, model, &structure, s, err);
    nf_calc_free(b.calc);
    nf_team_free(b.team);
    nf_free(b.pos);
    nf_free(b.forces);
    nf_free(b.seconds);
    nf_structure_free(&structure);
    nf_xyz_reader_free(reader);
    return rc;
}

static bool is_structure(const char *path)
{
    size_t n = strlen(path);
    return (n > 4 && strcmp(path + n - 4, ".xyz") == 0) || (n > 7 && strcmp(path + n - 7, ".extxyz") == 0) ||
           (n > 3 && strcmp(path + n - 3, ".gz") == 0);
}

int cmd_bench(int argc, char **argv)
{
    settings s = {.repeats = 20, .skin = 1, .step = 0.05, .threads = 1};
    const option options[] = {
        {"threads", 't', OPTION_INT, &s.threads, 0, 1024, NULL, "N", "worker threads (1; 0: all processors)"},
        {"repeats", 'n', OPTION_INT, &s.repeats, 1, 1000000, NULL, "N", "evaluations counted (20)"},
        {"skin", 0, OPTION_REAL, &s.skin, 0, 20, NULL, "A", "extra radius of the neighbour lists, Angstrom (1)"},
        {"step", 0, OPTION_REAL, &s.step, 0, 1, NULL, "A", "random displacement in each evaluation (0.05)"},
        {"model-units", 0, OPTION_CHOICE, &s.units, 0, 0, UNITS_CHOICES, "UNITS", "units of n2p2 files"},
    };
    nf_error err = {0};
    int n, nmodels = 0,
           rc = options_parse("bench", "MODEL... STRUCTURE.xyz... [options]", options, sizeof options / sizeof *options,
                              argc, argv, &n);
    if (rc != 0)
        return rc < 0 ? 2 : 0;
    while (nmodels < n && !is_structure(argv[nmodels]))
        nmodels++;
    nf_model *model = NULL;
    rc = cli_load(&model, nmodels, argv, s.units, &err);
    if (rc == 0 && nmodels == n)
        rc = nf_fail(&err, NF_EINVAL, "no structure was named: nearfar bench MODEL... STRUCTURE.xyz...");
    for (int i = nmodels; rc == 0 && i < n; i++)
        rc = bench_file(model, argv[i], &s, &err);
    nf_model_free(model);
    return rc == 0 ? 0 : cli_fail(&err);
}
