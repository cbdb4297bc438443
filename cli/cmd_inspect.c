/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cmd_inspect.c - nearfar inspect MODEL|DATA: what is in it, and in one line whether nearfar can run it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/vec3.h"
#include "cli/common.h"
#include "cli/options.h"
#include "io/extxyz.h"

static int inspect_model(int n, char **paths, int units, bool json)
{
    nf_error err = {0};
    nf_model *model;
    char text[1024];
    if (cli_load(&model, n, paths, units, &err) != 0) {
        printf("%s: nearfar cannot run it: %s\n", paths[0], err.msg);
        return 1;
    }
    cli_describe(model, text, sizeof text);
    printf("%s: nearfar can run it: %s\n", paths[0], text);
    char *tree = json ? nf_model_describe(model) : NULL;
    if (tree != NULL)
        puts(tree);
    nf_string_free(tree);
    nf_model_free(model);
    return 0;
}

/* ---- data ---- */

typedef struct {
    long nframes, natoms, with_energy, with_forces, with_virial;
    size_t fewest, most;
    long of_element[119];
    int periodic[4]; /* frames by number of periodic directions */
    double largest_force;
} summary;

static void add_frame(summary *s, const nf_structure *f)
{
    int directions = 0;
    s->nframes++;
    s->natoms += (long)f->natoms;
    s->fewest = s->nframes == 1 || f->natoms < s->fewest ? f->natoms : s->fewest;
    s->most = f->natoms > s->most ? f->natoms : s->most;
    s->with_energy += f->has_energy;
    s->with_forces += f->has_forces;
    s->with_virial += f->has_virial;
    for (int d = 0; d < 3; d++)
        directions += f->pbc[d] && nf_norm3(f->cell[d]) > 0;
    s->periodic[directions]++;
    for (size_t i = 0; i < f->natoms; i++) {
        s->of_element[f->species[i]]++;
        if (f->has_forces)
            s->largest_force = fmax(s->largest_force, nf_norm3(f->forces[i]));
    }
}

static void print_summary(const char *path, const summary *s)
{
    printf("%s: %ld frames of %zu to %zu atoms, %ld atoms:", path, s->nframes, s->fewest, s->most, s->natoms);
    for (int z = 1; z < 119; z++)
        if (s->of_element[z] > 0)
            printf(" %s %ld", nf_element_symbol(z), s->of_element[z]);
    printf("\n  periodic in 0, 1, 2, 3 directions: %d, %d, %d, %d frames\n", s->periodic[0], s->periodic[1],
           s->periodic[2], s->periodic[3]);
    printf("  with energy %ld, forces %ld, virial or stress %ld frames", s->with_energy, s->with_forces,
           s->with_virial);
    if (s->with_forces > 0)
        printf("; largest force %.4g eV/Angstrom", s->largest_force);
    printf("\n");
}

static int inspect_data(const char *path)
{
    nf_error err = {0};
    nf_xyz_reader *reader;
    nf_structure frame = {0};
    summary s = {0};
    if (nf_xyz_open(&reader, path, &err) != 0)
        return cli_fail(&err);
    int rc;
    while ((rc = nf_xyz_next(reader, &frame, &err)) > 0)
        add_frame(&s, &frame);
    if (rc == 0 && s.nframes == 0)
        rc = nf_fail(&err, NF_EFORMAT, "%s has no frame", path);
    if (rc == 0)
        print_summary(path, &s);
    nf_structure_free(&frame);
    nf_xyz_reader_free(reader);
    return rc == 0 ? 0 : cli_fail(&err);
}

int cmd_inspect(int argc, char **argv)
{
    int units = 0, n;
    bool json = false;
    const option options[] = {
        {"model-units", 0, OPTION_CHOICE, &units, 0, 0, UNITS_CHOICES, "UNITS", "units of n2p2 files"},
        {"json", 0, OPTION_FLAG, &json, 0, 0, NULL, NULL, "the whole description of a model, as JSON"},
    };
    int rc = options_parse("inspect", "MODEL...|DATA.xyz [options]", options, sizeof options / sizeof *options, argc,
                           argv, &n);
    if (rc != 0)
        return rc < 0 ? 2 : 0;
    struct stat info;
    if (n > 0 && stat(argv[0], &info) == 0 && !S_ISDIR(info.st_mode))
        return inspect_data(argv[0]);
    if (n == 0) {
        fprintf(stderr, "nearfar: name a model or a data file: nearfar inspect MODEL|DATA.xyz\n");
        return 2;
    }
    return inspect_model(n, argv, units, json);
}
