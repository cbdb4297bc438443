/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fuzz_n2p2.c - any three texts as input.nn, scaling.data and weights.001.data (also of O) are either refused with a
 * message or a model that evaluates a dimer without harm.
 *
 * An input is the three texts with a line "%%" between them; what is missing is taken from a good potential. Words for
 * the fuzzer: -dict=tests/fuzz/n2p2.dict
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nearfar/nearfar.h"

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"input.nn", "scaling.data", "weights.001.data", "weights.008.data"};
static const char good_input[] =
    "elements H\ncutoff_type 1\nscale_symmetry_functions\nglobal_hidden_layers_short 1\nglobal_nodes_short 1\n"
    "global_activation_short t l\nsymfunction_short H 2 H 0.1 0 6\n";
static const char *const good[] = {good_input, "1 1 0 1 0.5 0.1\n", "1\n2\n3\n4\n"};

static char folder[64];

static void remove_folder(void)
{
    char path[128];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void make_folder(void)
{
    if (folder[0] != '\0')
        return;
    strcpy(folder, "/tmp/fuzz_n2p2.XXXXXX");
    MUST(mkdtemp(folder) != NULL);
    atexit(remove_folder);
}

static void write_text(int which, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, names[which]);
    FILE *file = fopen(path, "wb");
    MUST(file != NULL);
    MUST(fwrite(data, 1, size, file) == size);
    fclose(file);
}

/* Length up to the next separator or the end. */
static size_t part(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 3 <= size; i++)
        if (memcmp(data + i, "%%\n", 3) == 0)
            return i;
    return size;
}

static void write_all(const uint8_t *data, size_t size)
{
    for (int i = 0; i < 3; i++) {
        size_t n = part(data, size);
        const void *text = size == 0 ? (const void *)good[i] : data;
        size_t length = size == 0 ? strlen(good[i]) : n;
        write_text(i, text, length);
        if (i == 2)
            write_text(3, text, length);
        size_t skip = n + 3 <= size ? n + 3 : size;
        data += skip;
        size -= skip;
    }
}

static void evaluate(nf_model *model)
{
    static const double pos[2][3] = {{0, 0, 0}, {0.1, 0.7, 0.2}};
    int species[2] = {nf_model_element(model, 0), nf_model_element(model, nf_model_nelements(model) - 1)};
    double forces[2][3];
    nf_frame frame = NF_FRAME_INIT;
    nf_result result = NF_RESULT_INIT;
    nf_calc *calc;
    nf_team *team;
    nf_error err;
    frame.natoms = 2;
    frame.pos = pos;
    frame.species = species;
    result.forces = forces;
    MUST(nf_calc_new(&calc, model, NULL, &err) == 0);
    MUST(nf_team_new(&team, 1, &err) == 0);
    nf_job job = {.calc = calc, .frame = &frame, .result = &result}, *jobs = &job;
    int rc = nf_eval(team, 1, &jobs, NULL, NULL);
    MUST(rc == job.code && (rc == 0 ? isfinite(result.energy) : job.err.msg[0] != '\0'));
    nf_team_free(team);
    nf_calc_free(calc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = folder;
    nf_model *model;
    nf_error err = {0};
    make_folder();
    write_all(data, size);
    if (nf_model_load(&model, 1, &path, NULL, &err) == 0) {
        char *text = nf_model_describe(model);
        MUST(text != NULL);
        nf_string_free(text);
        evaluate(model);
    } else {
        MUST(model == NULL && err.code < 0 && err.msg[0] != '\0');
    }
    nf_model_free(model);
    return 0;
}
