/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reading extended and plain XYZ. What ASE 3.29 makes of the same text was compared once for every frame of
 * the shared data; here is what must stay so, and one message for each thing that can be wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "io/extxyz.h"
#include "io/extxyz_comment.h"
#include "io/lines.h"
#include "suite.h"

static nf_error err;

static nf_xyz_reader *open_text(const char *text)
{
    nf_xyz_reader *reader;
    ck_assert_int_eq(nf_xyz_open_memory(&reader, "text", text, strlen(text), &err), 0);
    return reader;
}

/* The one frame of a text. */
static nf_structure read_one(const char *text)
{
    nf_structure s = {0}, more = {0};
    nf_xyz_reader *reader = open_text(text);
    int rc = nf_xyz_next(reader, &s, &err);
    ck_assert_msg(rc == 1, "%s", rc < 0 ? err.msg : "no frame");
    ck_assert_int_eq(nf_xyz_next(reader, &more, &err), 0);
    nf_structure_free(&more);
    nf_xyz_reader_free(reader);
    return s;
}

static void assert_info(const nf_structure *s, size_t i, const char *key, const char *value)
{
    ck_assert_uint_lt(i, s->ninfo);
    ck_assert_str_eq(s->info[i].key, key);
    ck_assert_int_eq(value == NULL, s->info[i].value == NULL);
    if (value != NULL)
        ck_assert_str_eq(s->info[i].value, value);
}

static void assert_numbers(const double *got, const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(got[i] == want[i], "%zu: %.17g is not %.17g", i, got[i], want[i]);
}

/* ---- what is understood ---- */

START_TEST(all_fields)
{
    static const double cell[] = {4, 0, 0, 1, 5, 0, 0, 0.5, 6}, pos[] = {0.5, -1.25, 3e-2, 1, 2, 3};
    static const double forces[] = {0.1, 0.2, 0.3, -0.1, -0.2, -0.3}, virial[] = {1, 4, 7, 2, 5, 8, 3, 6, 9};
    nf_structure s = read_one("2\n"
                              "Lattice=\"4 0 0 1 5 0 0 0.5 6\" virial=\"1 2 3 4 5 6 7 8 9\" energy=-1.5 pbc=\"T F T\" "
                              "Properties=charge:R:1:forces:R:3:species:S:1:tag:S:2:pos:R:3 step=7\n"
                              "-0.80 0.1 0.2 0.3 O a b 0.5 -1.25 3e-2\n"
                              "+0.4 -0.1 -0.2 -0.3 h c d 1 2 3\n");
    ck_assert_uint_eq(s.natoms, 2);
    ck_assert_int_eq(s.species[0], 8);
    ck_assert_int_eq(s.species[1], 1);
    assert_numbers(s.pos[0], pos, 6);
    assert_numbers(s.cell[0], cell, 9);
    ck_assert(s.pbc[0] && !s.pbc[1] && s.pbc[2]);
    ck_assert(s.has_energy && s.energy == -1.5 && s.has_forces && s.has_virial && !s.has_stress);
    assert_numbers(s.forces[0], forces, 6);
    assert_numbers(s.virial[0], virial, 9);
    ck_assert_uint_eq(s.ninfo, 1);
    assert_info(&s, 0, "step", "7");
    ck_assert_uint_eq(s.ncolumns, 2);
    ck_assert_str_eq(s.columns[1].name, "tag");
    ck_assert_str_eq(nf_structure_token(&s, &s.columns[0], 0, 0), "-0.80");
    ck_assert_str_eq(nf_structure_token(&s, &s.columns[1], 1, 1), "d");
    nf_structure_free(&s);
}
END_TEST

START_TEST(plain_file)
{
    nf_structure s = read_one(" 2 \nwater, at 300 K\n  O 0 0 0\n\tH\t1.0 2.0\t3.0 ignored 7\n\n \n");
    ck_assert_uint_eq(s.natoms, 2);
    ck_assert(s.pos[1][0] == 1 && s.pos[1][2] == 3);
    ck_assert(!s.pbc[0] && !s.has_energy && !s.has_forces && s.ncolumns == 0);
    assert_info(&s, 0, "water,", NULL);
    nf_structure_free(&s);
}
END_TEST

START_TEST(free_text_of_a_plain_file)
{
    static const char *const comment[] = {"it's late",         "energy = unknown", "an fcc Lattice",
                                          "energy=1 energy=2", "pbc=perhaps",      "say \"{\\"};
    static const char *const kept[] = {"\"it's late\"",         "\"energy = unknown\"", "\"an fcc Lattice\"",
                                       "\"energy=1 energy=2\"", "\"pbc=perhaps\"",      "\"say \\\"{\""};
    char text[100];
    snprintf(text, sizeof text, "1\n%s\nH 0 0 0\n", comment[_i]);
    nf_structure s = read_one(text);
    ck_assert(!s.has_energy && !s.pbc[0] && s.line == 1);
    ck_assert_uint_eq(s.ninfo, 1);
    assert_info(&s, 0, "comment", kept[_i]);
    nf_structure_free(&s);
}
END_TEST

START_TEST(periodicity)
{
    static const struct {
        const char *comment, *pbc;
    } row[] = {
        {"", "FFF"},
        {"Lattice=\"1 0 0 0 2 0 0 0 3\"", "TTT"},
        {"Lattice=\"1 2 3\"", "TTT"},
        {"Lattice=[1, 2, 3] pbc=\"T T F\"", "TTF"},
        {"pbc=\"F F F\" Lattice={1 0 0 0 2 0 0 0 3}", "FFF"},
        {"Lattice=[[1,0,0], [0,2,0], [0,0,3]] pbc=[true, False, TRUE]", "TFT"},
        {"Lattice = '1 2 3' pbc = \"1 0 1\"", "TFT"},
        {"Lattice=\"1 2 3\" pbc=F", "FFF"},
        {"Lattice=1,2,3 pbc=T,T,F", "TTF"},
    };
    char text[200], got[4] = "";
    snprintf(text, sizeof text, "1\n%s\nH 0 0 0\n", row[_i].comment);
    nf_structure s = read_one(text);
    for (int k = 0; k < 3; k++) {
        got[k] = s.pbc[k] ? 'T' : 'F';
        ck_assert(s.cell[k][k] == (_i == 0 ? 0 : k + 1) && s.cell[k][(k + 1) % 3] == 0);
    }
    ck_assert_str_eq(got, row[_i].pbc);
    ck_assert_uint_eq(s.ninfo, 0);
    nf_structure_free(&s);
}
END_TEST

START_TEST(elements_by_number)
{
    static const char *const properties[] = {"Z:I:1:pos:R:3", "numbers:I:1:positions:R:3", "symbols:S:1:pos:R:3"};
    static const char *const element[] = {"17", "17", "cL"};
    char text[100];
    snprintf(text, sizeof text, "1\nProperties=%s\n%s 1 2 3", properties[_i], element[_i]);
    nf_structure s = read_one(text);
    ck_assert_int_eq(s.species[0], 17);
    ck_assert(s.pos[0][2] == 3);
    nf_structure_free(&s);
}
END_TEST

START_TEST(element_given_twice)
{
    nf_structure s = read_one("1\nProperties=Z:I:1:species:S:1:pos:R:3\n1 H 1 2 3");
    ck_assert_int_eq(s.species[0], 1);
    nf_structure_free(&s);
}
END_TEST

START_TEST(energy_names)
{
    nf_structure s = read_one("1\nfree_energy=-2 energy=-1\nH 0 0 0\n");
    ck_assert(s.energy == -1);
    ck_assert_str_eq(s.energy_key, "energy");
    assert_info(&s, 0, "free_energy", "-2");
    nf_structure_free(&s);
    s = read_one("1\nfree_energy=-2\nH 0 0 0\n");
    ck_assert(s.has_energy && s.energy == -2 && s.ninfo == 0);
    ck_assert_str_eq(s.energy_key, "free_energy");
    nf_structure_free(&s);
}
END_TEST

START_TEST(force_names)
{
    nf_structure s = read_one("1\nProperties=species:S:1:pos:R:3:force:R:3:forces:R:3\nH 0 0 0 1 2 3 4 5 6\n");
    ck_assert(s.has_forces && s.forces[0][0] == 4);
    ck_assert_uint_eq(s.ncolumns, 1);
    ck_assert_str_eq(nf_structure_token(&s, &s.columns[0], 0, 2), "3");
    nf_structure_free(&s);
    s = read_one("1\nProperties=species:S:1:pos:R:3:force:R:3\nH 0 0 0 1 2 3\n");
    ck_assert(s.has_forces && s.forces[0][0] == 1 && s.ncolumns == 0);
    ck_assert_str_eq(s.forces_key, "force");
    nf_structure_free(&s);
}
END_TEST

START_TEST(stress_is_minus_virial_per_volume)
{
    static const double virial[] = {-24, -144, -120, -144, -48, -96, -120, -96, -72};
    nf_structure s = read_one("1\nLattice=\"2 3 4\" stress=\"1 2 3 4 5 6\"\nH 0 0 0\n");
    ck_assert(s.has_virial && s.has_stress && s.stress[0][1] == 6 && s.stress[2][1] == 4);
    assert_numbers(s.virial[0], virial, 9);
    nf_structure_free(&s);
    s = read_one("1\nLattice=\"2 3 4\" stress=\"1 6 5 6 2 4 5 4 3\"\nH 0 0 0\n");
    assert_numbers(s.virial[0], virial, 9);
    nf_structure_free(&s);
}
END_TEST

START_TEST(stress_that_is_no_reference)
{
    nf_structure s = read_one("1\nstress=\"0 0 0 0 0 0\" pbc=F\nH 0 0 0\n");
    ck_assert(!s.has_virial && !s.has_stress);
    assert_info(&s, 0, "stress", "\"0 0 0 0 0 0\"");
    nf_structure_free(&s);
    s = read_one("1\nLattice=\"2 2 2\" stress=\"1 2 3 4 5 6\" virial=\"6 5 4 3 2 1\"\nH 0 0 0\n");
    ck_assert(s.has_virial && !s.has_stress && s.virial[0][0] == 6 && s.virial[0][1] == 1);
    assert_info(&s, 0, "stress", "\"1 2 3 4 5 6\"");
    nf_structure_free(&s);
}
END_TEST

START_TEST(view_of_a_structure)
{
    nf_frame frame;
    nf_structure s = read_one("1\nLattice=\"2 3 4\" pbc=\"T F T\"\nHe 5 6 7\n");
    nf_structure_view(&s, &frame);
    ck_assert_uint_eq(frame.size, sizeof frame);
    ck_assert_uint_eq(frame.natoms, 1);
    ck_assert(frame.species[0] == 2 && frame.pos[0][2] == 7 && frame.cell[1][1] == 3);
    ck_assert(frame.pbc[0] && !frame.pbc[1] && frame.pbc[2]);
    nf_structure_free(&s);
    nf_structure_free(NULL);
}
END_TEST

/* ---- the comment line ---- */

START_TEST(pairs)
{
    static const struct {
        const char *line, *key[3], *value[3]; /* values decoded */
    } row[] = {
        {"a=1 b", {"a", "b"}, {"1", NULL}},
        {"  a = 1\tb =2", {"a", "b"}, {"1", "2"}},
        {"a=\"x y\" b='p \"q\"'", {"a", "b"}, {"x y", "p \"q\""}},
        {"a=\"say \\\"hi\\\" \\\\\" b", {"a", "b"}, {"say \"hi\" \\", NULL}},
        {"\"my key\"=3 x\\ y=4", {"my key", "x y"}, {"3", "4"}},
        {"a={1 2} b=[3, 4] c=[[5, 6], [7, 8]]", {"a", "b", "c"}, {"1 2", "3, 4", "5, 6, 7, 8"}},
        {"a=b=c d=x\"=\"y", {"a", "d"}, {"b=c", "x=y"}},
        {"a=\"\" b=1", {"a", "b"}, {"", "1"}},
        {"a= b=1 c=", {"a", "b", "c"}, {"", "1", ""}},
        {"=== 7 ===", {"===", "7"}, {NULL, "=="}},
        {"i =   0, E =  -1.5", {"i", "E"}, {"0,", "-1.5"}},
    };
    const char *cursor = row[_i].line;
    char key[64], value[64];
    nf_pair pair;
    for (int k = 0; k < 3 && row[_i].key[k] != NULL; k++) {
        ck_assert(nf_pair_next(&cursor, &pair));
        nf_pair_decode(key, pair.key, pair.key_end);
        ck_assert_str_eq(key, row[_i].key[k]);
        ck_assert_int_eq(pair.value == NULL, row[_i].value[k] == NULL);
        if (pair.value == NULL)
            continue;
        nf_pair_decode(value, pair.value, pair.value_end);
        ck_assert_str_eq(value, row[_i].value[k]);
    }
    ck_assert(!nf_pair_next(&cursor, &pair));
}
END_TEST

START_TEST(quoted_text_reads_back)
{
    static const char *const text[] = {"", "a b", "\"", "\\", "it's", "[{", "\\\"\\", "a=b"};
    char quoted[64], back[64];
    nf_pair pair;
    size_t n = nf_pair_quote(quoted, text[_i]);
    const char *cursor = quoted;
    ck_assert(nf_pair_needs_quotes(text[_i]));
    ck_assert(nf_pair_next(&cursor, &pair));
    ck_assert_ptr_eq(pair.key_end, quoted + n);
    ck_assert_uint_eq(pair.missing, 0);
    nf_pair_decode(back, pair.key, pair.key_end);
    ck_assert_str_eq(back, text[_i]);
}
END_TEST

START_TEST(rest_is_kept_as_it_stands)
{
    nf_structure s =
        read_one("1\nProperties=species:S:1:pos:R:3 c=\"x \\\"y\\\"\" flag a=[1, 2] 'k k'={q}  d=1.50\nH 0 0 0\n");
    assert_info(&s, 0, "c", "\"x \\\"y\\\"\"");
    assert_info(&s, 1, "flag", NULL);
    assert_info(&s, 2, "a", "[1, 2]");
    assert_info(&s, 3, "k k", "{q}");
    assert_info(&s, 4, "d", "1.50");
    ck_assert_ptr_eq(nf_structure_info(&s, "d"), &s.info[4]);
    ck_assert_ptr_null(nf_structure_info(&s, "e"));
    nf_structure_free(&s);
}
END_TEST

/* ---- files ---- */

START_TEST(frames_follow_each_other)
{
    nf_structure s = {0};
    nf_xyz_reader *reader = open_text("1\r\nProperties=species:S:1:pos:R:3:q:R:1 energy=1\r\nH 0 0 0 5\r\n"
                                      "3\n\nH 1 0 0\nH 2 0 0\nH 3 0 0\n\n \r\n"
                                      "1\nProperties=species:S:1:pos:R:3:forces:R:3\nO 4 0 0 7 8 9\n\n\n");
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), 1);
    ck_assert(s.has_energy && s.ncolumns == 1 && s.line == 1);
    ck_assert_str_eq(nf_structure_token(&s, &s.columns[0], 0, 0), "5");
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), 1);
    ck_assert(!s.has_energy && s.ncolumns == 0 && s.ninfo == 0 && s.natoms == 3 && s.pos[2][0] == 3 && s.line == 4);
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), 1);
    ck_assert(s.natoms == 1 && s.has_forces && s.forces[0][2] == 9 && s.line == 11);
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), 0);
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), 0);
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
    nf_xyz_reader_free(NULL);
}
END_TEST

/* Energy, stress yz, positions and forces of a frame, added in the order of the file. */
static double add_up(const nf_structure *s, double sum)
{
    sum += s->has_energy ? s->energy : 0.0;
    sum += s->has_stress ? s->stress[1][2] : 0.0;
    for (size_t i = 0; i < s->natoms; i++) {
        for (int c = 0; c < 3; c++)
            sum += s->pos[i][c];
        for (int c = 0; c < 3 && s->has_forces; c++)
            sum += s->forces[i][c];
    }
    return sum;
}

START_TEST(shared_files)
{
    static const struct {
        const char *name;
        long frames, atoms;
        double sum; /* with ase.io.iread of ASE 3.29 */
    } file[] = {
        {"data/3bpa/train_300K.xyz.gz", 500, 13500, -0x1.0e31e08ef70d2p+23},
        {"data/mlearn/Li_test.xyz.gz", 29, 1320, 0x1.1637f56eb6ad8p+14},
        {"data/ta_snap/test.xyz.gz", 73, 820, 0x1.88324b69c3b62p+10},
        {"data/n2p2_sets/h2o_4g_test.xyz.gz", 4, 192, -0x1.00f0b1b7c006ep+17},
        {"n2p2/Cu2S_PBE/bulk.extxyz", 3, 432, 0x1.5fa3eb00c4fd1p+12},
        {"n2p2/H2O_RPBE-D3_4G/odd.extxyz", 2, 6, -0x1.e9b3a9e181817p+6},
        {"soap/gap_si_glue_sum/si_glue_quip.extxyz", 20, 141, 0x1.16bff6f51f265p+10},
        {"speed/water-1536.xyz", 1, 1536, 0x1.c1775dae3f182p+15},
    };
    const char *path = shared_path(file[_i].name);
    nf_xyz_reader *reader;
    nf_structure s = {0};
    long frames = 0, atoms = 0;
    double sum = 0.0;
    int rc;
    if (path == NULL)
        return;
    ck_assert_int_eq(nf_xyz_open(&reader, path, &err), 0);
    for (; (rc = nf_xyz_next(reader, &s, &err)) == 1; frames++) {
        atoms += (long)s.natoms;
        sum = add_up(&s, sum);
    }
    ck_assert_msg(rc == 0, "%s", err.msg);
    ck_assert_int_eq(frames, file[_i].frames);
    ck_assert_int_eq(atoms, file[_i].atoms);
    ck_assert_msg(sum == file[_i].sum, "%a", sum);
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
}
END_TEST

/* ---- what is refused ---- */

#define HEAD          "1\nProperties=species:S:1:pos:R:3 "
#define CRYSTAL       "1\nLattice=\"4 0 0 0 4 0 0 0 4\" "
#define ATOM          "\nH 0 0 0\n"
#define COLUMNS(text) "1\nProperties=" text ATOM

static const struct {
    const char *text, *message;
    int code;
} malformed[] = {
    {"x\n\n", "text:1: expected the number of atoms, found 'x'", NF_EFORMAT},
    {"0\n\n", "expected the number of atoms", NF_EFORMAT},
    {"-1\n\n", "expected the number of atoms", NF_EFORMAT},
    {"1 2\n\n", "expected the number of atoms, found '1 2'", NF_EFORMAT},
    {"2.0\n\n", "expected the number of atoms", NF_EFORMAT},
    {"1\n\nH 0 0 0\nH 1 1 1\n", "text:4: expected the number of atoms, found 'H 1 1 1'", NF_EFORMAT},
    {"100000001\n\n", "text:1: more than 100000000 atoms", NF_ELIMIT},
    {"99999999999999999999999\n\n", "more than", NF_ELIMIT},
    {"100000000\n\nH 0 0 0\n", "text: ends after 1 of the 100000000 atoms of the frame at line 1", NF_EFORMAT},
    {"1", "ends after the number of atoms at line 1", NF_EFORMAT},
    {"1\n", "ends after the number of atoms", NF_EFORMAT},
    {"1\n\n", "ends after 0 of the 1 atoms", NF_EFORMAT},
    {"2\n\nH 0 0 0\n\nH 0 0 0", "text:4: an atom needs 4 columns, here are 0", NF_EFORMAT},
    {"1\n\nH 0 0\n", "text:3: an atom needs 4 columns, here are 3", NF_EFORMAT},
    {"1\n\nH1 0 0 0\n", "text:3: 'H1' is no element (labels", NF_EFORMAT},
    {"1\n\nX 0 0 0\n", "'X' is no element", NF_EFORMAT},
    {"1\n\n8 0 0 0\n", "'8' is no element", NF_EFORMAT},
    {"1\n\nH 0 nan 0\n", "'nan' is no finite number", NF_EFORMAT},
    {"1\n\nH 0 -inf 0\n", "'-inf' is no finite number", NF_EFORMAT},
    {"1\n\nH 0 1e999 0\n", "'1e999' is no finite number", NF_EFORMAT},
    {"1\n\nH 0x1p3 0 0\n", "'0x1p3' is no finite number", NF_EFORMAT},
    {"1\n\nH 1.0D+00 0 0\n", "'1.0D+00' is no finite number", NF_EFORMAT},
    {"1\n\nH . 0 0\n", "'.' is no finite number", NF_EFORMAT},
    {"1\n\nH - 0 0\n", "'-' is no finite number", NF_EFORMAT},
    {"1\n\nH 1,0 0 0\n", "'1,0' is no finite number", NF_EFORMAT},
    {"1\n\nH 0 0 \033[2J\a\n", "'?[2J?' is no finite number", NF_EFORMAT},
    {HEAD "\nH 0 0 0 7\n", "text:3: more columns than the 4 of Properties, from '7' on", NF_EFORMAT},
    {HEAD "energy=?" ATOM, "text:2: energy is not one finite number", NF_EFORMAT},
    {HEAD "energy=nan" ATOM, "energy is not one finite number", NF_EFORMAT},
    {HEAD "energy=\"1 2\"" ATOM, "energy is not one finite number", NF_EFORMAT},
    {HEAD "energy=" ATOM, "energy is not one finite number", NF_EFORMAT},
    {HEAD "energy" ATOM, "energy has no value", NF_EFORMAT},
    {HEAD "energy=1 energy=2" ATOM, "energy is there twice", NF_EFORMAT},
    {HEAD "free_energy=x" ATOM, "free_energy is not one", NF_EFORMAT},
    {HEAD "virial=\"1 2 3\"" ATOM, "virial needs 9 finite numbers or 6", NF_EFORMAT},
    {HEAD "virial=\"1 2 3 4 5 6 7 8 9 10\"" ATOM, "virial needs 9", NF_EFORMAT},
    {HEAD "pbc=\"T T\"" ATOM, "pbc needs three of T and F", NF_EFORMAT},
    {HEAD "pbc=\"T T F F\"" ATOM, "pbc needs three", NF_EFORMAT},
    {HEAD "pbc=\"T T x\"" ATOM, "pbc needs three", NF_EFORMAT},
    {HEAD "name=\"half" ATOM, "text:2: a quote or bracket is not closed", NF_EFORMAT},
    {"1\nname=\"half Properties=species:S:1:pos:R:3" ATOM, "a quote or bracket is not closed", NF_EFORMAT},
    {CRYSTAL "stress=\"1 2 3\"" ATOM, "stress needs 9 finite numbers or 6", NF_EFORMAT},
    {"1\nLattice=\"1e200 1 1\" stress=\"1e200 0 0 0 0 0\"" ATOM, "stress times the volume is not finite", NF_EFORMAT},
    {"1\nLattice=\"1 2\"" ATOM, "Lattice needs 9 finite numbers (vectors a, b, c) or 3", NF_EFORMAT},
    {"1\nLattice=\"1 0 0 0 inf 0 0 0 1\"" ATOM, "Lattice needs 9 finite numbers", NF_EFORMAT},
    {"1\nLattice=cubic" ATOM, "Lattice needs 9 finite numbers", NF_EFORMAT},
    {COLUMNS("species:S:1"), "Properties has no positions", NF_EFORMAT},
    {COLUMNS("pos:R:3"), "Properties has no elements", NF_EFORMAT},
    {COLUMNS("species:S:1:pos:R:2"), "'pos' must be pos:R:3", NF_EFORMAT},
    {COLUMNS("species:S:1:pos:S:3"), "'pos' must be pos:R:3", NF_EFORMAT},
    {COLUMNS("species:R:1:pos:R:3"), "'species' must be species:S:1", NF_EFORMAT},
    {COLUMNS("species:S:1:pos:R:3:forces:R:1"), "'forces' must be forces:R:3", NF_EFORMAT},
    {COLUMNS("species:S:1:symbols:S:1:pos:R:3"), "both 'species' and 'symbols'", NF_EFORMAT},
    {COLUMNS("species:S:1:pos:R"), "'pos' needs a type of R, I, S, L and a number", NF_EFORMAT},
    {COLUMNS("species:S:1:pos"), "'pos' needs a type", NF_EFORMAT},
    {COLUMNS("species:S:1:pos:Q:3"), "'pos' needs a type", NF_EFORMAT},
    {COLUMNS("species:S:1:pos:R:0"), "'pos' needs a type", NF_EFORMAT},
    {COLUMNS("species:S:1:pos:R:-3"), "'pos' needs a type", NF_EFORMAT},
    {COLUMNS("species:S:1:pos:R:3:q:R:99999999999999999999"), "'q' needs a type", NF_EFORMAT},
    {COLUMNS("species:S:1:pos:R:3:q:R:524288"), "more than 524288 columns", NF_ELIMIT},
    {COLUMNS("species:S:1:pos:R:3:q:R:1:q:R:1"), "'q' is there twice", NF_EFORMAT},
    {COLUMNS("\"species:S:1:pos:R:3:a b:R:1\""), "the name 'a' has blanks", NF_EFORMAT},
    {COLUMNS("species:S:1:pos:R:3::R:1"), "the name '' has blanks, quotes or is empty", NF_EFORMAT},
    {"1\nProperties=Z:I:1:pos:R:3\n0 0 0 0\n", "text:3: '0' is no atomic number", NF_EFORMAT},
    {"1\nProperties=Z:I:1:pos:R:3\n119 0 0 0\n", "'119' is no atomic number", NF_EFORMAT},
    {"1\nProperties=Z:I:1:pos:R:3\n1.0 0 0 0\n", "'1.0' is no atomic number", NF_EFORMAT},
    {"1\nProperties=Z:I:1:pos:R:3\n99999999999999 0 0 0\n", "is no atomic number", NF_EFORMAT},
    {"1\nProperties=pos:R:3:Z:I:1:species:S:1\n0 0 0 2 H\n", "'H' is not the other element", NF_EFORMAT},
    {"1\nProperties=species:S:1:Z:I:1:pos:R:3\nH 2 0 0 0\n", "'2' is not the other element", NF_EFORMAT},
    {"\177ELF\001\001", "expected the number of atoms, found '?ELF?", NF_EFORMAT},
};

START_TEST(malformed_text)
{
    nf_structure s = {0};
    nf_xyz_reader *reader = open_text(malformed[_i].text);
    int rc = nf_xyz_next(reader, &s, &err);
    if (rc == 1)
        rc = nf_xyz_next(reader, &s, &err);
    ck_assert_msg(rc < 0, "accepted: %s", malformed[_i].text);
    ck_assert_msg(strstr(err.msg, malformed[_i].message) != NULL, "%s\nhas not: %s", err.msg, malformed[_i].message);
    ck_assert_int_eq(rc, malformed[_i].code);
    ck_assert_int_eq(err.code, malformed[_i].code);
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
}
END_TEST

START_TEST(no_memory_is_taken_on_trust)
{
    nf_structure s = {0};
    nf_xyz_reader *reader = open_text("100000000\nProperties=species:S:1:pos:R:3:q:R:500000\nH 0 0 0 1\n");
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), NF_EFORMAT);
    ck_assert_uint_lt(s.capacity.pos, 100);
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
}
END_TEST

/* A comment line of n bytes: 1 MiB is fine, one more is not. */
START_TEST(long_lines)
{
    size_t n = (size_t)NF_LINE_MAX + (size_t)_i;
    char *text = malloc(n + 32);
    nf_structure s = {0};
    nf_xyz_reader *reader;
    ck_assert_ptr_nonnull(text);
    memcpy(text, "1\n", 2);
    memset(text + 2, 'x', n);
    strcpy(text + 2 + n, ATOM);
    ck_assert_int_eq(nf_xyz_open_memory(&reader, "text", text, strlen(text), &err), 0);
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), _i == 0 ? 1 : NF_ELIMIT);
    ck_assert(_i == 0 || strstr(err.msg, "text:2: the line is longer than 1048576 bytes") != NULL);
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
    free(text);
}
END_TEST

START_TEST(zero_byte)
{
    static const char text[] = "1\n\0\nH 0 0 0\n";
    nf_structure s = {0};
    nf_xyz_reader *reader;
    ck_assert_int_eq(nf_xyz_open_memory(&reader, "text", text, sizeof text - 1, &err), 0);
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), NF_EFORMAT);
    ck_assert_str_eq(err.msg, "text:2: a zero byte: this is no text file");
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
    nf_xyz_reader *reader;
    nf_structure s = {0};
    ck_assert_int_eq(nf_xyz_open(&reader, "no/such/file.xyz", &err), NF_EIO);
    ck_assert_ptr_null(reader);
    ck_assert_str_eq(err.msg, "no/such/file.xyz: cannot open: No such file or directory");
    ck_assert_int_eq(nf_xyz_open(&reader, ".", &err), 0);
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), NF_EIO);
    ck_assert_str_eq(err.msg, ".: cannot read: Is a directory");
    nf_xyz_reader_free(reader);
}
END_TEST

/* Noise that does not compress, so that half of the file is half of the frames. */
static void write_gzip(const char *path, int natoms)
{
    gzFile gz = gzopen(path, "wb");
    ck_assert_ptr_nonnull(gz);
    gzprintf(gz, "%d\n\n", natoms);
    for (int i = 0; i < natoms; i++)
        gzprintf(gz, "H %.17g %.17g 0\n", 1.0 / (3 + i), 1.0 / (7 + i));
    ck_assert_int_eq(gzclose(gz), Z_OK);
}

START_TEST(truncated_gzip)
{
    enum { NATOMS = 20000 };
    static const char path[] = "test_extxyz.truncated.gz";
    nf_xyz_reader *reader;
    nf_structure s = {0};
    write_gzip(path, NATOMS);
    ck_assert_int_eq(nf_xyz_open(&reader, path, &err), 0);
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), 1);
    ck_assert_uint_eq(s.natoms, NATOMS);
    nf_xyz_reader_free(reader);
    ck_assert_int_eq(truncate(path, 100000), 0);
    ck_assert_int_eq(nf_xyz_open(&reader, path, &err), 0);
    ck_assert_int_eq(nf_xyz_next(reader, &s, &err), NF_EIO);
    ck_assert_str_eq(err.msg, "test_extxyz.truncated.gz: the compressed data ends too early; the file is truncated");
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
    unlink(path);
}
END_TEST

/* ---- memory ---- */

static int read_all(const char *text, nf_error *e)
{
    nf_structure s = {0};
    nf_xyz_reader *reader;
    int rc = nf_xyz_open_memory(&reader, "text", text, strlen(text), e);
    if (rc < 0)
        return rc;
    do
        rc = nf_xyz_next(reader, &s, e);
    while (rc > 0);
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
    return rc;
}

START_TEST(reading_survives_no_memory)
{
    static const char *const text[] = {
        "3\nProperties=species:S:1:pos:R:3:forces:R:3:q:R:1:name:S:1 a=1 b energy=2\n"
        "H 0 0 0 1 2 3 4 x\nH 0 0 0 1 2 3 4 y\nH 0 0 0 1 2 3 4 z\n",
        "1\nit's free text\nH 0 0 0\n2\nmore of it\nH 0 0 0\nHe 1 1 1\n",
    };
    for (long n = 0;; n++) {
        nf_error e = {0};
        nf_mem_fail_after(n);
        int rc = read_all(text[_i], &e);
        if (!nf_mem_fail_stop()) {
            ck_assert_int_eq(rc, 0);
            ck_assert_int_gt(n, 5);
            break;
        }
        ck_assert_int_eq(rc, NF_ENOMEM);
        ck_assert(strncmp(e.msg, "out of memory for ", 18) == 0);
    }
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

Suite *suite(void)
{
    Suite *all = suite_create("extxyz");
    TCase *t = tcase_create("reading");
    tcase_add_test(t, all_fields);
    tcase_add_test(t, plain_file);
    tcase_add_loop_test(t, free_text_of_a_plain_file, 0, 6);
    tcase_add_loop_test(t, periodicity, 0, 9);
    tcase_add_loop_test(t, elements_by_number, 0, 3);
    tcase_add_test(t, element_given_twice);
    tcase_add_test(t, energy_names);
    tcase_add_test(t, force_names);
    tcase_add_test(t, stress_is_minus_virial_per_volume);
    tcase_add_test(t, stress_that_is_no_reference);
    tcase_add_test(t, view_of_a_structure);
    tcase_add_loop_test(t, pairs, 0, 11);
    tcase_add_loop_test(t, quoted_text_reads_back, 0, 8);
    tcase_add_test(t, rest_is_kept_as_it_stands);
    tcase_add_test(t, frames_follow_each_other);
    tcase_add_loop_test(t, shared_files, 0, 8);
    tcase_add_loop_test(t, malformed_text, 0, COUNT(malformed));
    tcase_add_test(t, no_memory_is_taken_on_trust);
    tcase_add_loop_test(t, long_lines, 0, 2);
    tcase_add_test(t, zero_byte);
    tcase_add_test(t, files_that_cannot_be_read);
    tcase_add_test(t, truncated_gzip);
    tcase_add_loop_test(t, reading_survives_no_memory, 0, 2);
    tcase_set_timeout(t, 60);
    suite_add_tcase(all, t);
    return all;
}
