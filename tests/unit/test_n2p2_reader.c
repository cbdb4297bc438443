/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_n2p2_reader.c - what the reader makes of potentials that are not as they should be: an error that names the file
 * and, where there is one, the line. Never a silently wrong number.
 */
#include <math.h>
#include <sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "eval.h"
#include "scratch.h"
#include "suite.h"

/* A small good potential: element 1 is H, 2 is O. Line numbers of the cases below count on it. */
static const char good_input[] = "number_of_elements 2\n"                        /* 1 */
                                 "elements O H\n"                                /* 2 */
                                 "cutoff_type 6 0.1\n"                           /* 3 */
                                 "scale_symmetry_functions\n"                    /* 4 */
                                 "center_symmetry_functions\n"                   /* 5 */
                                 "global_hidden_layers_short 1\n"                /* 6 */
                                 "global_nodes_short 2\n"                        /* 7 */
                                 "global_activation_short t l\n"                 /* 8 */
                                 "atom_energy H -0.5\n"                          /* 9 */
                                 "symfunction_short H 2 O 0.1 0.0 6.0\n"         /* 10 */
                                 "symfunction_short H 2 H 0.1 0.0 6.0\n"         /* 11 */
                                 "symfunction_short O 3 H H 0.05 1.0 1.0 6.0\n"; /* 12 */
static const char good_scaling[] = "# element function min max mean sigma\n"
                                   "1 1 0.0 2.0 1.0 0.5\n"
                                   "1 2 0.0 2.0 1.0 0.5\n"
                                   "2 1 0.0 3.0 1.0 0.5\n";
static const char good_h[] = "# seven numbers\n0.1\n0.2\n0.3\n0.4\n0.5\n0.6\n0.7\n0.8\n0.9\n";
static const char good_o[] = "0.1\n0.2\n0.3\n0.4\n0.5\n0.6\n0.7\n";

static void write_good(const char *folder)
{
    write_file(folder, "input.nn", good_input, WHOLE_STRING);
    write_file(folder, "scaling.data", good_scaling, WHOLE_STRING);
    write_file(folder, "weights.001.data", good_h, WHOLE_STRING);
    write_file(folder, "weights.008.data", good_o, WHOLE_STRING);
}

/* Loads, expects failure, and the words in the message. */
static void expect_failure(const char *folder, int code, const char *const words[], int nwords)
{
    nf_error err = {0};
    nf_model *model = (nf_model *)&err;
    int rc = nf_model_load(&model, 1, &folder, NULL, &err);
    ck_assert_msg(rc == code, "code %d, expected %d: %s", rc, code, err.msg);
    ck_assert_int_eq(err.code, code);
    ck_assert_ptr_null(model);
    for (int i = 0; i < nwords; i++)
        if (words[i] != NULL)
            ck_assert_msg(strstr(err.msg, words[i]) != NULL, "'%s' is not in '%s'", words[i], err.msg);
}

/* ---- one line changed ---- */

/* The file with `from` (its first occurrence) made `to`; from NULL: `to` appended. */
static void change(const char *folder, const char *name, const char *from, const char *to)
{
    char *text = read_file(folder, name), *at = from == NULL ? text + strlen(text) : strstr(text, from);
    ck_assert_msg(at != NULL, "'%s' is not in %s", from, name);
    size_t skip = from == NULL ? 0 : strlen(from), room = strlen(text) + strlen(to) + 1;
    char *out = malloc(room);
    snprintf(out, room, "%.*s%s%s", (int)(at - text), text, to, at + skip);
    write_file(folder, name, out, WHOLE_STRING);
    free(text);
    free(out);
}

typedef struct {
    const char *file, *from, *to; /* as change() */
    int code;
    const char *words[2]; /* of the message, beside the file */
} defect;

static const defect defects[] = {
    /* input.nn */
    {"input.nn", "elements O H", "elements O Xx", NF_EFORMAT, {"input.nn:2", "elements"}},
    {"input.nn", "elements O H", "elements O H O", NF_EFORMAT, {"input.nn:2", "twice"}},
    {"input.nn", "elements O H", "elements O", NF_EFORMAT, {"input.nn", "number_of_elements"}},
    {"input.nn", "number_of_elements 2", "number_of_elements 3", NF_EFORMAT, {"number_of_elements is 3", NULL}},
    {"input.nn", "number_of_elements 2", "number_of_elements two", NF_EFORMAT, {"input.nn:1", "two"}},
    {"input.nn", "number_of_elements 2", "number_of_elements 0", NF_EFORMAT, {"input.nn:1", NULL}},
    {"input.nn", "\nelements O H", "", NF_EFORMAT, {"elements is missing", NULL}},
    {"input.nn", "cutoff_type 6 0.1", "cutoff_type 9", NF_EFORMAT, {"input.nn:3", NULL}},
    {"input.nn", "cutoff_type 6 0.1", "cutoff_type -1", NF_EFORMAT, {"input.nn:3", NULL}},
    {"input.nn", "cutoff_type 6 0.1", "cutoff_type 6 1.0", NF_EFORMAT, {"input.nn:3", "alpha"}},
    {"input.nn", "cutoff_type 6 0.1", "cutoff_type 6 nan", NF_EFORMAT, {"input.nn:3", NULL}},
    {"input.nn", "cutoff_type 6 0.1", "cutoff_type", NF_EFORMAT, {"input.nn:3", NULL}},
    {"input.nn", "cutoff_type 6 0.1\n", "", NF_EFORMAT, {"cutoff_type is missing", NULL}},
    {"input.nn", "cutoff_type 6 0.1", "cutoff_type 6\ncutoff_type 6", NF_EFORMAT, {"input.nn:4", "cutoff_type again"}},
    {"input.nn",
     "global_hidden_layers_short 1",
     "global_hidden_layers_short 2",
     NF_EFORMAT,
     {"global_nodes_short", NULL}},
    {"input.nn", "global_hidden_layers_short 1", "global_hidden_layers_short 99999", NF_EFORMAT, {"input.nn:6", NULL}},
    {"input.nn",
     "global_hidden_layers_short 1",
     "global_hidden_layers_short 99999999999999999999",
     NF_EFORMAT,
     {"input.nn:6", NULL}},
    {"input.nn", "global_hidden_layers_short 1\n", "", NF_EFORMAT, {"global_hidden_layers_short is missing", NULL}},
    {"input.nn", "global_nodes_short 2", "global_nodes_short 0", NF_EFORMAT, {"input.nn:7", NULL}},
    {"input.nn", "global_nodes_short 2", "global_nodes_short 1000000000", NF_EFORMAT, {"input.nn:7", NULL}},
    {"weights.001.data", "0.1\n0.2\n0.3\n0.4\n0.5\n0.6\n0.7\n0.8\n", "", NF_EFORMAT, {"weights", NULL}},
    {"input.nn", "global_nodes_short 2", "global_nodes_short -3", NF_EFORMAT, {"input.nn:7", NULL}},
    {"input.nn", "global_nodes_short 2\n", "", NF_EFORMAT, {"global_nodes_short is missing", NULL}},
    {"input.nn", "global_activation_short t l", "global_activation_short t q", NF_EUNSUPPORTED, {"input.nn:8", "'q'"}},
    {"input.nn",
     "global_activation_short t l",
     "global_activation_short t",
     NF_EFORMAT,
     {"global_activation_short", NULL}},
    {"input.nn", "global_activation_short t l\n", "", NF_EFORMAT, {"global_activation_short is missing", NULL}},
    {"input.nn", "atom_energy H -0.5", "atom_energy C -0.5", NF_EFORMAT, {"input.nn:9", "C"}},
    {"input.nn", "atom_energy H -0.5", "atom_energy H", NF_EFORMAT, {"input.nn:9", NULL}},
    {"input.nn", "atom_energy H -0.5", "atom_energy H half", NF_EFORMAT, {"input.nn:9", "half"}},
    {"input.nn", "atom_energy H -0.5", "mean_energy 1.0", NF_EFORMAT, {"conv_energy", NULL}},
    {"input.nn",
     "atom_energy H -0.5",
     "mean_energy 1\nconv_energy 0\nconv_length 1",
     NF_EFORMAT,
     {"input.nn:10", NULL}},
    {"input.nn",
     "atom_energy H -0.5",
     "mean_energy 1\nconv_energy 1\nconv_length -1",
     NF_EFORMAT,
     {"input.nn:11", NULL}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 2 O 0.1 0.0", NF_EFORMAT, {"input.nn:10", NULL}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 2 C 0.1 0.0 6.0", NF_EFORMAT, {"input.nn:10", "C"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 2 O 0.1D0 0.0 6.0", NF_EFORMAT, {"input.nn:10", "0.1D0"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 2 O 1e999 0.0 6.0", NF_EFORMAT, {"input.nn:10", NULL}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 2 O 0.1 0.0 0.0", NF_EFORMAT, {"input.nn:10", "cutoff"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 2 O 0.1 0.0 -6.0", NF_EFORMAT, {"input.nn:10", "cutoff"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 4 O 0.1 0.0 6.0", NF_EUNSUPPORTED, {"input.nn:10", "type 4"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 12 0.1 0.0", NF_EFORMAT, {"input.nn:10", "El 12 eta rs rc"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 13 0.1 0.0 1.0 0.0 6.0", NF_EFORMAT, {"input.nn:10", "zeta"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 13 0.1 0.0 1.0 1.0", NF_EFORMAT, {"input.nn:10", "lambda zeta rc"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 20 O 0.0 6.0", NF_EFORMAT, {"input.nn:10", "subtype"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 20 C 0.0 6.0 p2", NF_EFORMAT, {"input.nn:10", "C"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 20 O 6.0 6.0 p2", NF_EFORMAT, {"input.nn:10", "rl"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 20 O 0.0 nan p2", NF_EFORMAT, {"input.nn:10", "nan"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 20 O -6.0 -1.0 p2", NF_EFORMAT, {"input.nn:10", "cutoff radius"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 20 O 0.0 6.0 p5", NF_EFORMAT, {"input.nn:10", "'p5'"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 20 O 0.0 6.0 p2b", NF_EFORMAT, {"input.nn:10", "'p2b'"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 20 O 0.0 6.0 p2aa", NF_EFORMAT, {"input.nn:10", "'p2aa'"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 20 O 0.0 6.0 c", NF_EFORMAT, {"input.nn:10", "'c'"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 20 O 0.0 6.0 expo", NF_EFORMAT, {"input.nn:10", "'expo'"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 23 6.0 p2", NF_EFORMAT, {"input.nn:10", "El 23 rl rc subtype"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 21 O 0.0 6.0 0 180 p2", NF_EFORMAT, {"input.nn:10", NULL}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 22 O H 0.0 6.0 90 90 p2", NF_EFORMAT, {"input.nn:10", "left"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 22 O H 0.0 6.0 -10 60 p2", NF_EFORMAT, {"input.nn:10", "centred"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 24 0.0 6.0 100 190 p2", NF_EFORMAT, {"input.nn:10", "centred"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H 25 0.0 6.0 -190 190 p2", NF_EFORMAT, {"input.nn:10", "centred"}},
    {"input.nn", "H 2 O 0.1 0.0 6.0", "H x O 0.1 0.0 6.0", NF_EFORMAT, {"input.nn:10", "'x'"}},
    {"input.nn", "1.0 1.0 6.0", "1.0 0.0 6.0", NF_EFORMAT, {"input.nn:12", "zeta"}},
    {"input.nn", "1.0 1.0 6.0", "1.0 1.0", NF_EFORMAT, {"input.nn:12", NULL}},
    {"input.nn", "symfunction_short O 3 H H 0.05 1.0 1.0 6.0\n", "", NF_EFORMAT, {"element O", NULL}},
    {"input.nn", NULL, "element_nodes_short H 1 5\n", NF_EFORMAT, {"weights.001.data", "has 21"}},
    {"input.nn", NULL, "element_nodes_short H 2 2 2\n", NF_EFORMAT, {"input.nn:13", "hidden layers of H"}},
    {"input.nn", NULL, "element_nodes_short H 0\n", NF_EFORMAT, {"input.nn:13", "1 to 65536"}},
    {"input.nn", NULL, "element_nodes_short H two\n", NF_EFORMAT, {"input.nn:13", "two"}},
    {"input.nn", NULL, "element_nodes_short\n", NF_EFORMAT, {"input.nn:13", NULL}},
    {"input.nn", NULL, "element_nodes_short C 2\n", NF_EFORMAT, {"input.nn:13", "C"}},
    {"input.nn", NULL, "element_hidden_layers_short H 2\n", NF_EFORMAT, {"numbers of nodes", "layers of H"}},
    {"input.nn", NULL, "element_hidden_layers_short H 0\n", NF_EFORMAT, {"input.nn:13", NULL}},
    {"input.nn",
     NULL,
     "element_hidden_layers_short H 1\nelement_hidden_layers_short H 1\n",
     NF_EFORMAT,
     {"input.nn:14", "second line"}},
    {"input.nn",
     NULL,
     "element_hidden_layers_short H 2\nelement_nodes_short H 2 1\n",
     NF_EFORMAT,
     {"weights.001.data", NULL}},
    {"input.nn", NULL, "element_activation_short H t\n", NF_EFORMAT, {"input.nn:13", "2 letters"}},
    {"input.nn", NULL, "element_activation_short H t q\n", NF_EUNSUPPORTED, {"input.nn:13", "'q'"}},
    {"input.nn",
     NULL,
     "element_activation_short H t l\nelement_activation_short H t l\n",
     NF_EFORMAT,
     {"input.nn:14", "second line"}},
    {"input.nn", NULL, "element_activation_short H 1 2 s\n", NF_EUNSUPPORTED, {"input.nn:13", "within a layer"}},
    {"input.nn", NULL, "element_activation_short H 1 3 s\n", NF_EFORMAT, {"input.nn:13", "node 3 of 2"}},
    {"input.nn", NULL, "element_activation_short H 3 1 s\n", NF_EFORMAT, {"input.nn:13", "layer 3"}},
    {"input.nn", NULL, "element_activation_short H 1 1\n", NF_EFORMAT, {"input.nn:13", "letter"}},
    {"input.nn", NULL, "nnp_type 4G-HDNNP\n", NF_EUNSUPPORTED, {"input.nn:13", "4G-HDNNP is not supported yet"}},
    {"input.nn", NULL, "nnp_type Q-HDNNP\n", NF_EUNSUPPORTED, {"input.nn:13", "not supported yet"}},
    {"input.nn", NULL, "nnp_gen 10\n", NF_EUNSUPPORTED, {"input.nn:13", "nnp_gen 10"}},
    {"input.nn", NULL, "use_electrostatics\n", NF_EUNSUPPORTED, {"input.nn:13", "not supported yet"}},
    {"input.nn", NULL, "use_vdw\n", NF_EUNSUPPORTED, {"input.nn:13", "not supported yet"}},
    {"input.nn", NULL, "global_symfunction_short 2 0.1 0.0 6.0\n", NF_EUNSUPPORTED, {"input.nn:13", NULL}},
    {"input.nn", NULL, "nn_type_short 2\n", NF_EUNSUPPORTED, {"input.nn:13", NULL}},
    /* scaling.data */
    {"scaling.data", "2 1 0.0 3.0 1.0 0.5\n", "", NF_EFORMAT, {"scaling.data", "element 2"}},
    {"scaling.data", "1 2 0.0 2.0 1.0 0.5\n", "", NF_EFORMAT, {"scaling.data", "function 2"}},
    {"scaling.data", "1 2 0.0", "1 1 0.0", NF_EFORMAT, {"scaling.data:3", "again"}},
    {"scaling.data", "1 2 0.0", "1 3 0.0", NF_EFORMAT, {"scaling.data:3", NULL}},
    {"scaling.data", "2 1 0.0", "3 1 0.0", NF_EFORMAT, {"scaling.data:4", NULL}},
    {"scaling.data", "2 1 0.0", "0 1 0.0", NF_EFORMAT, {"scaling.data:4", NULL}},
    {"scaling.data", "2 1 0.0 3.0", "2 1 3.5 3.0", NF_EFORMAT, {"scaling.data:4", "below"}},
    {"scaling.data", "2 1 0.0 3.0", "2 1 3.0 3.0", NF_EFORMAT, {"scaling.data:4", "max equals min"}},
    {"scaling.data", "2 1 0.0 3.0", "2 1 nan 3.0", NF_EFORMAT, {"scaling.data:4", NULL}},
    {"scaling.data", "2 1 0.0 3.0", "2 1 0.0 inf", NF_EFORMAT, {"scaling.data:4", NULL}},
    {"scaling.data", "2 1 0.0 3.0 1.0 0.5", "2 1 0.0", NF_EFORMAT, {"scaling.data:4", NULL}},
    /* weights */
    {"weights.001.data", "0.9\n", "", NF_EFORMAT, {"weights.001.data", "8 weights"}},
    {"weights.001.data", "0.9\n", "0.9\n1.0\n", NF_EFORMAT, {"weights.001.data:11", "more"}},
    {"weights.001.data", "0.5\n", "nan\n", NF_EFORMAT, {"weights.001.data:6", NULL}},
    {"weights.001.data", "0.5\n", "-inf\n", NF_EFORMAT, {"weights.001.data:6", NULL}},
    {"weights.001.data", "0.5\n", "0.5x\n", NF_EFORMAT, {"weights.001.data:6", "0.5x"}},
    {"weights.008.data", "0.1\n", "", NF_EFORMAT, {"weights.008.data", "6 weights"}},
};

START_TEST(one_defect)
{
    const defect *d = &defects[_i];
    scratch s;
    scratch_begin(&s);
    write_good(s.path);
    change(s.path, d->file, d->from, d->to);
    const char *words[3] = {d->file, d->words[0], d->words[1]};
    expect_failure(s.path, d->code, words, 3);
    scratch_end(&s);
}
END_TEST

/* ---- numbers that overflow ---- */

/* 9e99 squared twice, and the difference of two of those: inf - inf must not be a small number behind the tanh. */
#define OVERFLOWING "0\n0\n9e99\n9e99\n1\n0\n0\n1\n0\n0\n1\n-1\n0\n1\n0\n"

START_TEST(overflow)
{
    static const double pos[2][3] = {{0, 0, 0}, {0.9, 0, 0.2}};
    static const int species[2] = {8, 1};
    nf_frame frame = NF_FRAME_INIT;
    nf_result r = NF_RESULT_INIT;
    scratch s;
    lab l;
    scratch_begin(&s);
    write_good(s.path);
    change(s.path, "input.nn", "layers_short 1", "layers_short 3");
    change(s.path, "input.nn", "nodes_short 2", "nodes_short 2 2 1");
    change(s.path, "input.nn", "activation_short t l", "activation_short h h t l");
    write_file(s.path, "weights.001.data", "0\n0\n" OVERFLOWING, WHOLE_STRING);
    write_file(s.path, "weights.008.data", OVERFLOWING, WHOLE_STRING);
    frame.natoms = 2;
    frame.pos = pos;
    frame.species = species;
    lab_open(&l, load_model(s.path, NF_UNITS_BOHR_HARTREE), 1, 1.0);
    nf_job job = {.calc = l.calc, .frame = &frame, .result = &r}, *jobs = &job;
    ck_assert_int_eq(nf_eval(l.team, 1, &jobs, NULL, NULL), NF_EDIVERGED);
    ck_assert(strstr(job.err.msg, "finite") != NULL);
    lab_close(&l);
    scratch_end(&s);
}
END_TEST

/* ---- what is fine ---- */

static double energy_in(const char *folder)
{
    static const double pos[3][3] = {{0, 0, 0}, {0.9, 0, 0.2}, {-0.3, 0.9, 0}};
    static const int species[3] = {8, 1, 1};
    nf_frame frame = NF_FRAME_INIT;
    lab l;
    frame.natoms = 3;
    frame.pos = pos;
    frame.species = species;
    lab_open(&l, load_model(folder, NF_UNITS_BOHR_HARTREE), 1, 1.0);
    double energy = lab_energy(&l, &frame);
    lab_close(&l);
    return energy;
}

static const struct {
    const char *file, *from, *to;
} harmless[] = {
    {"input.nn", "cutoff_type 6 0.1", "  cutoff_type\t6   1e-1 # comment ! another"},
    {"input.nn", "symfunction_short", "symfunction"},
    {"input.nn", NULL, "epochs 10\nkalman_type 0\nwrite_trainpoints\nnnp_type 2G-HDNNP\n"},
    {"input.nn", NULL, "no_such_keyword 1 2 3\n"}, /* a warning */
    {"input.nn", NULL, "\n\n# no newline at the end"},
    {"input.nn", "O 3 H H 0.05 1.0 1.0 6.0", "O 3 H H 0.05 1.0 1.0 6.0 0.0"},
    {"input.nn", "atom_energy H -0.5\n", "atom_energy H -0.5\natom_energy O 0\n"},
    {"input.nn", NULL, "nnp_gen 2G\n"},
    {"input.nn", NULL, "electrostatic_type 1\nfixed_charge H 0.4\nelement_nodes_electrostatic H 3\n"},
    {"input.nn", "global_nodes_short 2", "global_nodes_short_atomic 2"},
    {"input.nn", "global_nodes_short 2", "global_nodes_short 2 7"},
    {"input.nn", NULL, "element_hidden_layers_short H 1\nelement_nodes_short H 2\nelement_activation_short H t l\n"},
    {"input.nn", "global_nodes_short 2", "global_nodes_short 5\nelement_nodes_short H 2\nelement_nodes_short O 1 2"},
    {"input.nn", NULL, "element_nodes_short H 9\n"},        /* n2p2 leaves the last hidden layer, */
    {"input.nn", NULL, "element_activation_short H t s\n"}, /* and the letter of the output */
    {"input.nn", "activation_short t l",
     "activation_short s l\nelement_activation_short H t l\n"
     "element_activation_short O 1 1 t\nelement_activation_short O 1 2 t"},
    {"input.nn", "activation_short t l",
     "activation_short t t\nelement_activation_short H 2 1 l\n"
     "element_activation_short O 2 1 l"},
    {"scaling.data", "2 1 0.0 3.0 1.0 0.5\n", " 2 1 0.0 3.0 1.0\n\n# no sigma\n"},
    {"scaling.data", NULL, "-0.5 0.25\n"}, /* RuNNer's last line */
    {"weights.001.data", "0.3\n", " 3.0E-1 a 3 0 1 1 1\n"},
};

START_TEST(no_defect)
{
    scratch s;
    scratch_begin(&s);
    write_good(s.path);
    double energy = energy_in(s.path);
    change(s.path, harmless[_i].file, harmless[_i].from, harmless[_i].to);
    ck_assert_double_eq(energy_in(s.path), energy);
    scratch_end(&s);
}
END_TEST

static void to_crlf(const char *folder, const char *name)
{
    char *text = read_file(folder, name), *out = malloc(2 * strlen(text) + 1), *to = out;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\n')
            *to++ = '\r';
        *to++ = *p;
    }
    write_file(folder, name, out, (size_t)(to - out));
    free(text);
    free(out);
}

static const char *const files[] = {"input.nn", "scaling.data", "weights.001.data", "weights.008.data"};

START_TEST(windows_lines)
{
    scratch s;
    scratch_begin(&s);
    write_good(s.path);
    double energy = energy_in(s.path);
    for (int i = 0; i < 4; i++)
        to_crlf(s.path, files[i]);
    ck_assert_double_eq(energy_in(s.path), energy);
    scratch_end(&s);
}
END_TEST

/* What is changed in input.nn, and what exactly one warning says about it. */
static const struct {
    const char *from, *to, *words[2];
} doubtful[] = {
    {NULL, "no_such_keyword 1\n", {"input.nn:13", "no_such_keyword"}},
    {NULL, "atom_energy H -1\n", {"input.nn:13", "the last one counts"}},
    {NULL, "element_nodes_short H 9\n", {"input.nn:13", "write 2 as its last number"}},
    {NULL, "element_activation_short H t s\n", {"input.nn:13", "write 'l'"}},
    {NULL, "fixed_charge H 0.4\n", {"input.nn:13", "use_electrostatics"}},
    {"nodes_short 2", "nodes_short 2 2", {"input.nn", "more values"}},
    {"1.0 1.0 6.0", "1.0 1.0 6.0 -0.5", {"input.nn:12", "negative shift"}},
    {"H 2 O 0.1 0.0 6.0", "H 2 O 0.1 0.0 6.0 0.5", {"input.nn:10", "ignored"}},
    {"H 2 O 0.1 0.0 6.0", "H 20 O 0.0 6.0 ea", {"input.nn:10", "'ea'"}},
};

typedef struct {
    int n;
    char last[512];
} warnings;

static void keep_warning(void *ctx, int level, const char *message)
{
    warnings *w = ctx;
    if (level != NF_LOG_WARNING)
        return;
    w->n++;
    snprintf(w->last, sizeof w->last, "%s", message);
}

static nf_model *load_with_warnings(const char *folder, warnings *w)
{
    nf_model *model;
    nf_error err = {0};
    nf_model_opts opts = NF_MODEL_OPTS_INIT;
    opts.log = keep_warning;
    opts.log_ctx = w;
    *w = (warnings){0};
    ck_assert_msg(nf_model_load(&model, 1, &folder, &opts, &err) == 0, "%s", err.msg);
    return model;
}

START_TEST(one_warning)
{
    warnings w;
    scratch s;
    scratch_begin(&s);
    write_good(s.path);
    nf_model_free(load_with_warnings(s.path, &w));
    ck_assert_int_eq(w.n, 0);
    change(s.path, "input.nn", doubtful[_i].from, doubtful[_i].to);
    nf_model_free(load_with_warnings(s.path, &w));
    ck_assert_int_eq(w.n, 1);
    for (int k = 0; k < 2; k++)
        ck_assert_msg(strstr(w.last, doubtful[_i].words[k]) != NULL, "'%s' is not in '%s'", doubtful[_i].words[k],
                      w.last);
    scratch_end(&s);
}
END_TEST

/* ---- networks of single elements ---- */

/* Nodes and letters of an element's network in the description, "2-3-1 tl". */
static void network_of(nf_model *model, const char *element, char out[64])
{
    char *text = nf_model_describe(model);
    json_t *tree = json_loads(text, 0, NULL), *n;
    size_t i, used = 0;
    json_t *readout =
        json_object_get(json_object_get(json_array_get(json_object_get(tree, "members"), 0), "readouts"), element);
    json_array_foreach(json_object_get(readout, "nodes"), i, n)
    {
        used += (size_t)snprintf(out + used, 64 - used, "%s%d", i == 0 ? "" : "-", (int)json_integer_value(n));
    }
    snprintf(out + used, 64 - used, " %s", json_string_value(json_object_get(readout, "activations")));
    json_decref(tree);
    nf_string_free(text);
}

/* Two layers "4 3", letters "t s l"; H has 2 functions, O 1. Lines of the elements, numbers of weights that the files
 * hold, the networks that they mean, warnings. */
static const struct {
    const char *lines;
    int weights_h, weights_o;
    const char *network_h, *network_o;
    int nwarnings;
} own_networks[] = {
    {"", 31, 27, "2-4-3-1 tsl", "1-4-3-1 tsl", 0},
    {"element_nodes_short H 2 5\n", 27, 27, "2-2-5-1 tsl", "1-4-3-1 tsl", 0}, /* all hidden layers */
    {"element_nodes_short H 2 5\n", 43, 27, "2-4-5-1 tsl", "1-4-3-1 tsl", 0}, /* layer 2 has 5 nodes */
    {"element_nodes_short H 2 5\n", 19, 27, "2-2-3-1 tsl", "1-4-3-1 tsl", 1}, /* n2p2 */
    {"element_nodes_short O 1 2\nelement_nodes_short O 2 5\n", 31, 25, "2-4-3-1 tsl", "1-2-5-1 tsl", 0},
    {"element_hidden_layers_short O 1\nelement_activation_short O g c\n", 31, 13, "2-4-3-1 tsl", "1-4-1 gc", 0},
    {"element_hidden_layers_short O 1\nelement_activation_short O 2 1 l\n", 31, 13, "2-4-3-1 tsl", "1-4-1 tl", 0},
    {"element_hidden_layers_short O 1\n", 31, 13, "2-4-3-1 tsl", "1-4-1 ts", 1}, /* RuNNer: letter 2 */
    {"element_hidden_layers_short H 3\nelement_nodes_short H 1 1 2\nelement_activation_short H r r r p\n", 12, 27,
     "2-1-1-2-1 rrrp", "1-4-3-1 tsl", 0},
    {"element_nodes_short O 1 3\n", 31, 12, "2-4-3-1 tsl", "1-1-3-1 tsl", 0},
};

static void write_numbers(const char *folder, const char *name, int n)
{
    char text[512];
    size_t used = 0;
    for (int i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "0.%d\n", i);
    write_file(folder, name, text, WHOLE_STRING);
}

static void write_two_layers(const char *folder, const char *nodes, const char *lines)
{
    write_good(folder);
    change(folder, "input.nn", "layers_short 1", "layers_short 2");
    change(folder, "input.nn", "nodes_short 2", nodes);
    change(folder, "input.nn", "activation_short t l", "activation_short t s l");
    change(folder, "input.nn", NULL, lines);
}

START_TEST(number_of_weights_decides)
{
    warnings w;
    char network[64];
    scratch s;
    scratch_begin(&s);
    write_two_layers(s.path, "nodes_short 4 3", own_networks[_i].lines);
    write_numbers(s.path, "weights.001.data", own_networks[_i].weights_h);
    write_numbers(s.path, "weights.008.data", own_networks[_i].weights_o);
    nf_model *m = load_with_warnings(s.path, &w);
    network_of(m, "H", network);
    ck_assert_str_eq(network, own_networks[_i].network_h);
    network_of(m, "O", network);
    ck_assert_str_eq(network, own_networks[_i].network_o);
    ck_assert_msg(w.n == own_networks[_i].nwarnings, "%d warnings, the last one: %s", w.n, w.last);
    nf_model_free(m);
    scratch_end(&s);
}
END_TEST

START_TEST(number_of_weights_fits_no_reading)
{
    const char *words[] = {"weights.001.data: 8 weights", "13 or 9"};
    scratch s;
    scratch_begin(&s);
    write_good(s.path);
    change(s.path, "input.nn", NULL, "element_nodes_short H 3\n");
    change(s.path, "weights.001.data", "0.9\n", "");
    expect_failure(s.path, NF_EFORMAT, words, 2);
    scratch_end(&s);
}
END_TEST

/* 1-1-3-1 and 1-3-1-1 have 12 weights both: the first is taken, and it is said. */
START_TEST(number_of_weights_does_not_decide)
{
    warnings w;
    char network[64];
    scratch s;
    scratch_begin(&s);
    write_two_layers(s.path, "nodes_short 4 1", "element_nodes_short O 1 3\n");
    write_numbers(s.path, "weights.001.data", 19);
    write_numbers(s.path, "weights.008.data", 12);
    nf_model *m = load_with_warnings(s.path, &w);
    network_of(m, "O", network);
    ck_assert_str_eq(network, "1-1-3-1 tsl");
    ck_assert_int_eq(w.n, 1);
    ck_assert_msg(strstr(w.last, "input.nn:13") != NULL && strstr(w.last, "several readings") != NULL, "%s", w.last);
    nf_model_free(m);
    scratch_end(&s);
}
END_TEST

/* normalize_nodes is the division of weights and biases by the number of nodes before them. */
START_TEST(normalize_nodes)
{
    scratch s;
    scratch_begin(&s);
    write_good(s.path);
    change(s.path, "input.nn", NULL, "normalize_nodes\n");
    double energy = energy_in(s.path);
    write_good(s.path);
    write_file(s.path, "weights.001.data", "0.05\n0.1\n0.15\n0.2\n0.25\n0.3\n0.35\n0.4\n0.45\n", WHOLE_STRING);
    write_file(s.path, "weights.008.data", "0.1\n0.2\n0.3\n0.4\n0.25\n0.3\n0.35\n", WHOLE_STRING);
    ck_assert_double_eq_tol(energy_in(s.path), energy, 1e-13);
    scratch_end(&s);
}
END_TEST

/* ---- compact functions ---- */

static const char compact_functions[] = "symfunction_short H 20 O -6 6 p2a\nsymfunction_short H 23 0 6 e\n"
                                        "symfunction_short O 22 H H 0 6 -90 90 p3\n";

static void make_compact(const char *folder)
{
    char *text = read_file(folder, "input.nn");
    strcpy(strstr(text, "symfunction_short"), "");
    write_file(folder, "input.nn", text, WHOLE_STRING);
    change(folder, "input.nn", NULL, compact_functions);
    free(text);
}

START_TEST(compact_functions_need_no_cutoff_type)
{
    scratch s;
    scratch_begin(&s);
    write_good(s.path);
    make_compact(s.path);
    double energy = energy_in(s.path);
    change(s.path, "input.nn", "cutoff_type 6 0.1\n", "");
    ck_assert_double_eq(energy_in(s.path), energy);
    change(s.path, "input.nn", "H 23 0 6 e", "H 12 0.1 0 6");
    const char *words[] = {"cutoff_type is missing"};
    expect_failure(s.path, NF_EFORMAT, words, 1);
    scratch_end(&s);
}
END_TEST

/* n2p2's groups take the factor of the third distance from a function of another subtype. */
START_TEST(subtypes_that_n2p2_mixes_up)
{
    warnings w;
    scratch s;
    scratch_begin(&s);
    write_good(s.path);
    make_compact(s.path);
    change(s.path, "input.nn", "H 20 O -6 6 p2a", "H 24 0 6 0 90 p2");
    change(s.path, "input.nn", "H 23 0 6 e", "H 24 0 6 60 160 p3");
    nf_model_free(load_with_warnings(s.path, &w));
    ck_assert_int_eq(w.n, 1);
    ck_assert_msg(strstr(w.last, "p3 and p2 (line 10)") != NULL && strstr(w.last, "input.nn:11") != NULL, "%s", w.last);
    change(s.path, "input.nn", "H 24 0 6 60 160 p3", "H 24 0 5.9 60 160 p3");
    nf_model_free(load_with_warnings(s.path, &w));
    ck_assert_int_eq(w.n, 0);
    scratch_end(&s);
}
END_TEST

/* ---- whole files ---- */

/* _i: which file is missing, empty, binary, or a directory. */
START_TEST(broken_file)
{
    const char *words[1] = {files[_i % 4]};
    char path[512];
    scratch s;
    scratch_begin(&s);
    write_good(s.path);
    snprintf(path, sizeof path, "%s/%s", s.path, files[_i % 4]);
    ck_assert_int_eq(remove(path), 0);
    if (_i / 4 == 1)
        write_file(s.path, files[_i % 4], "", 0);
    if (_i / 4 == 2)
        write_file(s.path, files[_i % 4],
                   "\x7f"
                   "ELF\0\0\1\n",
                   8);
    if (_i / 4 == 3)
        scratch_mkdir(&s, files[_i % 4]);
    expect_failure(s.path, _i / 4 == 0 || _i / 4 == 3 ? NF_EIO : NF_EFORMAT, words, 1);
    scratch_end(&s);
}
END_TEST

/* No memory is asked for what cannot be in the file: 65536 x 65536 weights are 34 GB. */
START_TEST(absurd_layers)
{
    scratch s;
    const char *words[1] = {"weights.001.data: far fewer"};
    scratch_begin(&s);
    write_good(s.path);
    change(s.path, "input.nn", "layers_short 1", "layers_short 2");
    change(s.path, "input.nn", "nodes_short 2", "nodes_short 65536 65536");
    change(s.path, "input.nn", "activation_short t l", "activation_short t t l");
    expect_failure(s.path, NF_EFORMAT, words, 1);
    scratch_end(&s);
}
END_TEST

START_TEST(no_such_folder)
{
    const char *words[1] = {"/no/such/folder"};
    expect_failure("/no/such/folder", NF_EIO, words, 1);
}
END_TEST

START_TEST(a_file_for_a_folder)
{
    scratch s;
    char path[512];
    const char *words[1] = {"input.nn"};
    scratch_begin(&s);
    write_good(s.path);
    snprintf(path, sizeof path, "%s/input.nn", s.path);
    expect_failure(path, NF_EFORMAT, words, 1);
    scratch_end(&s);
}
END_TEST

START_TEST(no_permission)
{
    scratch s;
    char path[512];
    const char *words[1] = {"weights.001.data"};
    if (geteuid() == 0)
        return; /* may read everything */
    scratch_begin(&s);
    write_good(s.path);
    snprintf(path, sizeof path, "%s/weights.001.data", s.path);
    chmod(path, 0);
    expect_failure(s.path, NF_EIO, words, 1);
    scratch_end(&s);
}
END_TEST

START_TEST(no_paths)
{
    nf_error err;
    nf_model *model;
    ck_assert_int_eq(nf_model_load(&model, 0, NULL, NULL, &err), NF_EINVAL);
    ck_assert_ptr_null(model);
    ck_assert_int_ne(nf_model_load(&model, 0, NULL, NULL, NULL), 0); /* nobody listens */
}
END_TEST

/* ---- committees ---- */

static void member_path(const scratch *s, int member, char path[512])
{
    snprintf(path, 512, "%s/nnp-%d", s->path, member);
}

static void write_members(const scratch *s, int n)
{
    for (int m = 1; m <= n; m++) {
        char path[512], name[32];
        snprintf(name, sizeof name, "nnp-%d", m);
        scratch_mkdir(s, name);
        member_path(s, m, path);
        write_good(path);
    }
}

static void expect_hash(const char *path, size_t n, const char *const text[])
{
    char want[SHA256_DIGEST_STRING_LENGTH];
    SHA2_CTX state;
    nf_model *m = load_model(path, NF_UNITS_BOHR_HARTREE);
    SHA256Init(&state);
    for (size_t i = 0; i < n; i++)
        SHA256Update(&state, (const uint8_t *)text[i], strlen(text[i]));
    SHA256End(&state, want);
    ck_assert_str_eq(nf_model_sha256(m), want);
    nf_model_free(m);
}

/* Of all files in their order, by atomic number; of those alone that are the model's. */
START_TEST(hash_of_the_files)
{
    static const char *const whole[] = {good_input, good_scaling, good_h, good_o,
                                        good_input, good_scaling, good_h, "1\n2\n3\n4\n5\n6\n7"};
    scratch s;
    char path[512];
    scratch_begin(&s);
    write_members(&s, 2);
    for (int m = 1; m <= 2; m++) {
        member_path(&s, m, path);
        write_file(path, "weights.006.data", "of another", WHOLE_STRING);
    }
    write_file(path, "weights.008.data", whole[7], WHOLE_STRING);
    expect_hash(s.path, 8, whole);
    expect_hash(path, 4, whole + 4);
    member_path(&s, 1, path);
    expect_hash(path, 4, whole);
    scratch_end(&s);
}
END_TEST

START_TEST(other_elements)
{
    scratch s;
    char path[512];
    const char *words[2] = {"nnp-2", "elements"};
    scratch_begin(&s);
    write_members(&s, 2);
    member_path(&s, 2, path);
    static const char small[] = "elements H\ncutoff_type 1\nglobal_hidden_layers_short 1\nglobal_nodes_short 1\n"
                                "global_activation_short t l\nsymfunction_short H 2 H 0.1 0 6\n";
    write_file(path, "input.nn", small, WHOLE_STRING);
    write_file(path, "scaling.data", "1 1 0 1 0.5 0.1\n", WHOLE_STRING);
    write_file(path, "weights.001.data", "1\n2\n3\n4\n", WHOLE_STRING);
    expect_failure(s.path, NF_EFORMAT, words, 2);
    scratch_end(&s);
}
END_TEST

START_TEST(broken_member)
{
    scratch s;
    char path[512];
    const char *words[1] = {"nnp-3/weights.008.data"};
    scratch_begin(&s);
    write_members(&s, 3);
    member_path(&s, 3, path);
    change(path, "weights.008.data", "0.7\n", "");
    expect_failure(s.path, NF_EFORMAT, words, 1);
    scratch_end(&s);
}
END_TEST

/* Members differ in one bias of the output: energies 0, d, 2d an atom of O. */
START_TEST(spread)
{
    static const double origin[1][3] = {{0, 0, 0}};
    static const int oxygen[1] = {8};
    nf_frame frame = NF_FRAME_INIT;
    answer a = {0};
    scratch s;
    lab l;
    scratch_begin(&s);
    write_members(&s, 3);
    for (int m = 2; m <= 3; m++) {
        char path[512];
        member_path(&s, m, path);
        change(path, "weights.008.data", "0.7\n", m == 2 ? "0.8\n" : "0.9\n");
    }
    frame.natoms = 1;
    frame.pos = origin;
    frame.species = oxygen;
    lab_open(&l, load_model(s.path, NF_UNITS_ANGSTROM_EV), 1, 1.0);
    lab_eval(&l, &frame, &a);
    ck_assert_uint_eq(nf_model_nmembers(l.model), 3);
    ck_assert_double_eq_tol(a.r.member_energy[1] - a.r.member_energy[0], 0.1, 1e-12);
    ck_assert_double_eq_tol(a.r.energy, a.r.member_energy[1], 1e-12);
    ck_assert_double_eq_tol(a.r.energy_std, 0.1, 1e-12); /* n - 1; with n it would be 0.0816 */
    ck_assert_double_eq_tol(a.r.atom_energy_std[0], 0.1, 1e-12);
    lab_close(&l);
    answer_free(&a);
    scratch_end(&s);
}
END_TEST

/* The count of an atom is that of the member whose range it leaves most often, whichever comes last. */
START_TEST(extrapolation_of_a_committee)
{
    static const double pos[3][3] = {{0, 0, 0}, {0.9, 0, 0.2}, {-0.3, 0.9, 0}};
    static const int species[3] = {8, 1, 1};
    static const char tight[] = "1 1 -2.0 -1.0 0.0 0.5\n1 2 -2.0 -1.0 0.0 0.5\n2 1 -2.0 -1.0 0.0 0.5\n";
    nf_frame frame = NF_FRAME_INIT;
    frame.natoms = 3;
    frame.pos = pos;
    frame.species = species;
    for (int worst = 0; worst <= 3; worst++) {
        answer a = {0};
        scratch s;
        lab l;
        char path[512];
        scratch_begin(&s);
        write_members(&s, 3);
        member_path(&s, worst, path);
        if (worst > 0)
            write_file(path, "scaling.data", tight, WHOLE_STRING);
        lab_open(&l, load_model(s.path, NF_UNITS_BOHR_HARTREE), 1, 1.0);
        lab_eval(&l, &frame, &a);
        ck_assert_int_eq(a.r.extrapolated[0], worst > 0 ? 1 : 0);
        ck_assert_int_eq(a.r.extrapolated[1], worst > 0 ? 2 : 0);
        ck_assert_int_eq(a.r.nextrapolated, worst > 0 ? 5 : 0);
        lab_close(&l);
        answer_free(&a);
        scratch_end(&s);
    }
}
END_TEST

/* ---- questions ---- */

START_TEST(description)
{
    scratch s;
    scratch_begin(&s);
    write_good(s.path);
    nf_model *m = load_model(s.path, NF_UNITS_ANGSTROM_EV);
    ck_assert_uint_eq(nf_model_nmembers(m), 1);
    ck_assert_uint_eq(nf_model_nelements(m), 2);
    ck_assert_int_eq(nf_model_element(m, 0), 1);
    ck_assert_int_eq(nf_model_element(m, 1), 8);
    ck_assert_int_eq(nf_model_element(m, 2), 0);
    ck_assert_double_eq(nf_model_cutoff(m), 6);
    ck_assert_int_eq(nf_model_units(m), NF_UNITS_ANGSTROM_EV);
    ck_assert_uint_eq(nf_model_nfeatures(m, 1), 2);
    ck_assert_uint_eq(nf_model_nfeatures(m, 8), 1);
    ck_assert_uint_eq(nf_model_nfeatures(m, 6), 0);
    ck_assert_uint_eq(nf_model_nparameters(m), 16);
    char *text = nf_model_describe(m);
    json_t *tree = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(tree);
    ck_assert_uint_eq(json_array_size(json_object_get(tree, "members")), 1);
    json_decref(tree);
    nf_string_free(text);
    nf_model_free(nf_model_ref(m));
    nf_model_free(m);
    nf_model_free(NULL);
    scratch_end(&s);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("n2p2 reader");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, one_defect, 0, sizeof defects / sizeof *defects);
    tcase_add_test(t, overflow);
    tcase_add_loop_test(t, no_defect, 0, sizeof harmless / sizeof *harmless);
    tcase_add_test(t, windows_lines);
    tcase_add_loop_test(t, one_warning, 0, sizeof doubtful / sizeof *doubtful);
    tcase_add_loop_test(t, number_of_weights_decides, 0, sizeof own_networks / sizeof *own_networks);
    tcase_add_test(t, number_of_weights_does_not_decide);
    tcase_add_test(t, number_of_weights_fits_no_reading);
    tcase_add_test(t, normalize_nodes);
    tcase_add_test(t, compact_functions_need_no_cutoff_type);
    tcase_add_test(t, subtypes_that_n2p2_mixes_up);
    tcase_add_loop_test(t, broken_file, 0, 16);
    tcase_add_test(t, absurd_layers);
    tcase_add_test(t, no_such_folder);
    tcase_add_test(t, a_file_for_a_folder);
    tcase_add_test(t, no_permission);
    tcase_add_test(t, no_paths);
    tcase_add_test(t, hash_of_the_files);
    tcase_add_test(t, other_elements);
    tcase_add_test(t, broken_member);
    tcase_add_test(t, spread);
    tcase_add_test(t, extrapolation_of_a_committee);
    tcase_add_test(t, description);
    suite_add_tcase(s, t);
    return s;
}
