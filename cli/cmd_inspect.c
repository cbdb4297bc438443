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
#include "io/format.h"
#include "model/model.h"

/* ---- models ---- */

/* "16 of type 2, 11 of type 3": the functions of an element, whose types are numbers or names. */
static void print_types(const json_t *functions, const char *element)
{
    size_t i;
    const json_t *f;
    json_t *counts = json_object(); /* keeps the order of insertion */
    json_array_foreach(functions, i, f)
    {
        char name[32];
        const json_t *type = json_object_get(f, "type"), *of = json_object_get(f, "element");
        if (of == NULL || strcmp(json_string_value(of), element) != 0)
            continue;
        if (json_is_string(type))
            snprintf(name, sizeof name, "%s", json_string_value(type));
        else
            snprintf(name, sizeof name, "%" JSON_INTEGER_FORMAT, json_integer_value(type));
        json_int_t n = json_integer_value(json_object_get(counts, name));
        json_object_set_new(counts, name, json_integer(n + 1));
    }
    const char *name, *before = " ";
    const json_t *n;
    json_object_foreach(counts, name, n)
    {
        printf("%s%" JSON_INTEGER_FORMAT " of type %s", before, json_integer_value(n), name);
        before = ", ";
    }
    json_decref(counts);
}

/* "27-25-25-1 (ttl)" */
static void network_text(const json_t *readout, char *out, size_t size)
{
    size_t i, used = 0;
    const json_t *n, *letters = json_object_get(readout, "activations");
    out[0] = '\0';
    json_array_foreach(json_object_get(readout, "nodes"), i, n)
    {
        if (used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%" JSON_INTEGER_FORMAT, i == 0 ? "" : "-",
                                     json_integer_value(n));
    }
    if (used < size && json_is_string(letters))
        snprintf(out + used, size - used, " (%s)", json_string_value(letters));
}

/* The network of an element; of a committee also those that differ from the first. */
static void print_networks(const json_t *members, const char *element)
{
    char text[256], last[256] = "";
    size_t i;
    const json_t *member;
    json_array_foreach(members, i, member)
    {
        network_text(json_object_get(json_object_get(member, "readouts"), element), text, sizeof text);
        if (strcmp(text, last) == 0 || text[0] == '\0')
            continue;
        if (i == 0)
            printf(", network %s", text);
        else
            printf(", from member %zu on %s", i + 1, text);
        memcpy(last, text, sizeof last);
    }
}

/* A line for each element: what its environment is described by, and its networks. */
static void print_elements(const nf_model *model)
{
    const json_t *tree = model->spec.tree;
    const json_t *functions = json_object_get(json_object_get(tree, "descriptor"), "functions");
    for (size_t e = 0; e < nf_model_nelements(model); e++) {
        const char *symbol = nf_element_symbol(nf_model_element(model, e));
        printf("  %s:", symbol);
        print_types(functions, symbol);
        print_networks(json_object_get(tree, "members"), symbol);
        printf("\n");
    }
}

static int inspect_model(int n, char **paths, int units, bool json)
{
    nf_error err = {0};
    nf_model *model;
    char text[1024];
    if (cli_load(&model, n, paths, units, &err) != 0)
        return cli_fail(&err);
    cli_describe(model, text, sizeof text);
    printf("%s: nearfar can run it: %s\n", paths[0], text);
    if (!model->zero)
        print_elements(model);
    printf("  sha256 %s\n", nf_model_sha256(model));
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
    if (n > 0 && !nf_format_is_built_in(argv[0]) && stat(argv[0], &info) == 0 && !S_ISDIR(info.st_mode))
        return inspect_data(argv[0]);
    if (n == 0) {
        fprintf(stderr, "nearfar: name a model or a data file: nearfar inspect MODEL|DATA.xyz\n");
        return 2;
    }
    return inspect_model(n, argv, units, json);
}
