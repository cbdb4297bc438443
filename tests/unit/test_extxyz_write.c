/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Writing extended XYZ: what is written reads back as it was, and a file appears whole or not at all.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/vec3.h"
#include "io/extxyz.h"
#include "io/extxyz_comment.h"
#include "suite.h"

static const char path[] = "test_extxyz_write.xyz", packed[] = "test_extxyz_write.xyz.gz";
static nf_error err;

static void write_frames(const char *to, size_t n, const nf_structure *s, const nf_xyz_output *o)
{
    nf_xyz_writer *w;
    ck_assert_msg(nf_xyz_create(&w, to, &err) == 0, "%s", err.msg);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(nf_xyz_write(w, &s[i], o, &err) == 0, "%s", err.msg);
    ck_assert_msg(nf_xyz_close(w, &err) == 0, "%s", err.msg);
}

static nf_structure read_first(nf_xyz_reader *reader)
{
    nf_structure s = {0};
    int rc = nf_xyz_next(reader, &s, &err);
    ck_assert_msg(rc == 1, "%s", rc < 0 ? err.msg : "no frame");
    return s;
}

static nf_structure read_text(const char *text)
{
    nf_xyz_reader *reader;
    ck_assert_int_eq(nf_xyz_open_memory(&reader, "text", text, strlen(text), &err), 0);
    nf_structure s = read_first(reader);
    nf_xyz_reader_free(reader);
    return s;
}

/* Contents of a small file; empty if there is none. */
static const char *contents(const char *name)
{
    static char text[4096];
    FILE *file = fopen(name, "rb");
    size_t n = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    if (file != NULL)
        fclose(file);
    text[n] = '\0';
    return text;
}

/* ---- exact text ---- */

START_TEST(text_of_a_frame)
{
    nf_structure s = read_text("2\nLattice=\"4.0 0 0 0 4 0 0 0 0.50\" pbc=\"T T F\" energy=-1.50 note=\"a b\" ok "
                               "Properties=species:S:1:pos:R:3:tag:S:1:forces:R:3\n"
                               "O 0.10 0 0 left 1 2 3\nH 0 0 1e-8 right 4 5 6.25\n");
    write_frames(path, 1, &s, NULL);
    ck_assert_str_eq(contents(path), "2\nLattice=\"4 0 0 0 4 0 0 0 0.5\" "
                                     "Properties=species:S:1:pos:R:3:forces:R:3:tag:S:1 pbc=\"T T F\" energy=-1.5 "
                                     "note=\"a b\" ok\n"
                                     "O 0.1 0 0 1 2 3 left\nH 0 0 1e-08 4 5 6.25 right\n");
    nf_structure_free(&s);
    unlink(path);
}
END_TEST

START_TEST(output_of_a_caller)
{
    static const double energy = -2.5, virial[] = {1, 0, 0, 0, 2, 0, 0, 0, 3}, forces[] = {1, 2, 3, 4, 5, 0.1};
    static const int count = 3, flags[] = {7, -8};
    const nf_xyz_info info[] = {{.key = "energy", .n = 1, .real = &energy},  {.key = "virial", .n = 9, .real = virial},
                                {.key = "count", .n = 1, .integer = &count}, {.key = "flags", .n = 2, .integer = flags},
                                {.key = "model", .string = "a \"b\""},       {.key = "empty", .string = ""}};
    const nf_xyz_column columns[] = {{"forces", 3, forces, NULL}, {"flag", 1, NULL, flags}};
    const nf_xyz_output o = {6, info, 2, columns};
    nf_structure s = read_text("2\npbc=F\nH 0 0 0\nH 0 0 1\n");
    write_frames(path, 1, &s, &o);
    ck_assert_str_eq(contents(path), "2\nProperties=species:S:1:pos:R:3:forces:R:3:flag:I:1 pbc=\"F F F\" energy=-2.5 "
                                     "virial=\"1 0 0 0 2 0 0 0 3\" count=3 flags=\"7 -8\" model=\"a \\\"b\\\"\" "
                                     "empty=\" \"\n"
                                     "H 0 0 0 1 2 3 7\nH 0 0 1 4 5 0.1 -8\n");
    nf_structure_free(&s);
    unlink(path);
}
END_TEST

/* The comment line when a caller adds `key` and, as a column, `column`. */
START_TEST(references_move_aside)
{
    static const struct {
        const char *comment, *key, *column, *want;
    } row[] = {
        {"energy=1", "energy", "x", "energy=9 ref_energy=1"},
        {"free_energy=1", "energy", "x", "energy=9 ref_energy=1"},
        {"free_energy=1", "other", "x", "other=9 free_energy=1"},
        {"energy=1 free_energy=2", "energy", "x", "energy=9 ref_energy=1 ref_free_energy=2"},
        {"energy=1 ref_energy=0", "energy", "x", "energy=9 ref_energy=0"},
        {"virial=\"1 2 3 0 0 0\"", "virial", "x", "virial=9 ref_virial=\"1 0 0 0 2 0 0 0 3\""},
        {"virial=\"1 2 3 0 0 0\"", "stress", "x", "stress=9 ref_virial=\"1 0 0 0 2 0 0 0 3\""},
        {"stress=\"1 2 3 0 0 0\"", "virial", "x", "virial=9 ref_stress=\"1 2 3 0 0 0\""},
        {"stress=\"1 2 3 0 0 0\" Lattice=\"1 1 1\"", "virial", "x", "virial=9 ref_stress=\"1 0 0 0 2 0 0 0 3\""},
        {"q=5", "q", "x", "q=9 ref_q=5"},
        {"q=5", "ref_q", "x", "ref_q=9 q=5"},
        {"flag", "flag", "x", "flag=9 ref_flag"},
    };
    static const double nine = 9, zero = 0;
    const nf_xyz_info info = {.key = row[_i].key, .n = 1, .real = &nine};
    const nf_xyz_column column = {row[_i].column, 1, &zero, NULL};
    const nf_xyz_output o = {1, &info, 1, &column};
    char text[200];
    snprintf(text, sizeof text, "1\n%s pbc=F\nH 0 0 0\n", row[_i].comment);
    nf_structure s = read_text(text);
    write_frames(path, 1, &s, &o);
    const char *line = strstr(contents(path), "pbc=\"F F F\" ");
    ck_assert_ptr_nonnull(line);
    line += strlen("pbc=\"F F F\" ");
    ck_assert_msg(strncmp(line, row[_i].want, strlen(row[_i].want)) == 0 && line[strlen(row[_i].want)] == '\n', "%s",
                  line);
    nf_structure_free(&s);
    unlink(path);
}
END_TEST

START_TEST(columns_move_aside)
{
    static const struct {
        const char *properties, *column, *want;
    } row[] = {
        {"forces:R:3", "forces", "forces:R:3:ref_forces:R:3"},
        {"force:R:3", "forces", "forces:R:3:ref_forces:R:3"},
        {"force:R:3", "q", "q:R:3:force:R:3"},
        {"forces:R:3:ref_forces:S:1", "forces", "forces:R:3:ref_forces:S:1"},
        {"q:R:2", "q", "q:R:3:ref_q:R:2"},
        {"q:R:2", "energy", "energy:R:3:q:R:2"},
    };
    static const double nines[] = {9, 9, 9};
    const nf_xyz_column column = {row[_i].column, 3, nines, NULL};
    const nf_xyz_output o = {0, NULL, 1, &column};
    char text[200];
    snprintf(text, sizeof text, "1\nProperties=%s:species:S:1:pos:R:3\n1 2%s H 0 0 0\n", row[_i].properties,
             strcmp(row[_i].properties, "q:R:2") == 0 ? ""
             : strstr(row[_i].properties, "S:1")      ? " 3 4"
                                                      : " 3");
    nf_structure s = read_text(text), back;
    write_frames(path, 1, &s, &o);
    ck_assert_msg(strstr(contents(path), row[_i].want) != NULL, "%s", contents(path));
    back = read_text(contents(path));
    nf_structure_free(&back);
    nf_structure_free(&s);
    unlink(path);
}
END_TEST

START_TEST(empty_values_have_a_blank)
{
    nf_structure s =
        read_text("1\npbc=F Properties=species:S:1:pos:R:3 a= b=\"\" c='' d=\"[\" e=\\[ f=\" \"\nH 0 0 0\n");
    write_frames(path, 1, &s, NULL);
    ck_assert_msg(strstr(contents(path), " a=\" \" b=\" \" c=\" \" d=\"[\" e=\\[ f=\" \"\n") != NULL, "%s",
                  contents(path));
    nf_structure_free(&s);
    unlink(path);
}
END_TEST

START_TEST(what_cannot_be_written)
{
    const nf_xyz_info info = {.key = "note", .string = "two\nlines"};
    const nf_xyz_output o = {1, &info, 0, NULL};
    nf_xyz_writer *w;
    nf_structure s = read_text("1\n\nH 0 0 0\n");
    ck_assert_int_eq(nf_xyz_create(&w, path, &err), 0);
    ck_assert_int_eq(nf_xyz_write(w, &s, &o, &err), NF_EINVAL);
    ck_assert_str_eq(err.msg, "test_extxyz_write.xyz: the value of 'note' has a line break");
    s.species[0] = 0;
    ck_assert_int_eq(nf_xyz_write(w, &s, NULL, &err), NF_EINVAL);
    ck_assert_str_eq(err.msg, "test_extxyz_write.xyz: atom 1 has no element: atomic number 0");
    nf_xyz_discard(w);
    nf_structure_free(&s);
}
END_TEST

/* ---- round trips ---- */

static size_t below(nf_rng *rng, size_t n)
{
    return (size_t)(nf_rng_next(rng) % n);
}

/* Any finite double, or one that is short in decimal, or an ordinary one. */
static double any_double(nf_rng *rng)
{
    double x;
    uint64_t bits = nf_rng_next(rng);
    memcpy(&x, &bits, sizeof x);
    switch (below(rng, 3)) {
    case 0:
        return isfinite(x) ? x : -0.0;
    case 1:
        return (double)below(rng, 100000) / 1000.0;
    default:
        return nf_rng_normal(rng);
    }
}

static void fill(nf_rng *rng, double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = any_double(rng);
}

static const char *any_word(nf_rng *rng)
{
    static const char *const word[] = {"a", "-1.50", "T", "x=y", "\"", "[", "it's", "caf\303\251", "1e-3", "\\"};
    return word[below(rng, sizeof word / sizeof *word)];
}

static const nf_info some_info[] = {{"a", "1"},       {"flag", NULL},         {"b c", "\"two words\""},
                                    {"d", "[1, 2]"},  {"e", "[[1, 2], [3]]"}, {"f", "\"say \\\"hi\\\"\""},
                                    {"\"{", "{x y}"}, {"free", "\"\\\\\""},   {"g", "a\\ b"}};
enum { NINFO = sizeof some_info / sizeof *some_info };

static void random_columns(nf_structure *s, nf_rng *rng)
{
    static const char *const name[] = {"tag", "q", "move_mask"};
    size_t n = below(rng, 4), used = 0;
    s->columns = nf_calloc(n + 1, sizeof *s->columns);
    for (; s->ncolumns < n; s->ncolumns++) {
        size_t ncols = 1 + below(rng, 3);
        s->columns[s->ncolumns] = (nf_column){name[s->ncolumns], "SRL"[s->ncolumns], ncols, s -> ntokens};
        s->ntokens += ncols;
    }
    s->token = nf_calloc(s->natoms * s->ntokens + 1, sizeof *s->token);
    s->text = nf_calloc(s->natoms * s->ntokens + 1, 16);
    for (size_t i = 0; i < s->natoms * s->ntokens; i++) {
        s->token[i] = used;
        used += (size_t)sprintf(s->text + used, "%s", any_word(rng)) + 1;
    }
}

static void random_references(nf_structure *s, nf_rng *rng)
{
    s->has_energy = below(rng, 2);
    s->has_forces = below(rng, 2);
    s->has_virial = below(rng, 2);
    double volume = fabs(nf_det33((const double(*)[3])s->cell));
    s->has_stress = s->has_virial && volume > 0.0 && below(rng, 2);
    s->energy_key = s->has_energy ? (below(rng, 2) ? "energy" : "free_energy") : NULL;
    s->forces_key = s->has_forces ? (below(rng, 2) ? "forces" : "force") : NULL;
    s->energy = any_double(rng);
    fill(rng, s->forces[0], 3 * s->natoms);
    for (int k = 0; k < 9; k++) {
        s->stress[k / 3][k % 3] = nf_rng_normal(rng);
        s->virial[k / 3][k % 3] = s->has_stress ? -s->stress[k / 3][k % 3] * volume : any_double(rng);
    }
}

static nf_structure random_structure(nf_rng *rng)
{
    nf_structure s = {.natoms = 1 + below(rng, 12)};
    s.pos = nf_calloc(s.natoms, sizeof *s.pos);
    s.forces = nf_calloc(s.natoms, sizeof *s.forces);
    s.species = nf_calloc(s.natoms, sizeof *s.species);
    s.info = nf_calloc(NINFO, sizeof *s.info);
    for (size_t i = 0; i < s.natoms; i++)
        s.species[i] = 1 + (int)below(rng, 118);
    fill(rng, s.pos[0], 3 * s.natoms);
    for (int k = 0; k < 9 && s.natoms % 3 > 0; k++)
        s.cell[k / 3][k % 3] = nf_rng_normal(rng);
    for (int k = 0; k < 3; k++)
        s.pbc[k] = below(rng, 2);
    random_references(&s, rng);
    random_columns(&s, rng);
    for (size_t k = below(rng, NINFO); k < NINFO; k += 1 + below(rng, 3))
        s.info[s.ninfo++] = some_info[k];
    return s;
}

static bool same(const void *a, const void *b, size_t n)
{
    return memcmp(a, b, n) == 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void assert_same_rest(const nf_structure *a, const nf_structure *b)
{
    ck_assert_uint_eq(a->ninfo, b->ninfo);
    for (size_t i = 0; i < a->ninfo; i++)
        ck_assert(same_text(a->info[i].key, b->info[i].key) && same_text(a->info[i].value, b->info[i].value));
    ck_assert_uint_eq(a->ncolumns, b->ncolumns);
    ck_assert_uint_eq(a->ntokens, b->ntokens);
    for (size_t i = 0; i < a->ncolumns; i++) {
        const nf_column *p = &a->columns[i], *q = &b->columns[i];
        ck_assert(same_text(p->name, q->name) && p->type == q->type && p->ncols == q->ncols && p->first == q->first);
    }
    for (size_t i = 0; i < a->natoms * a->ntokens; i++)
        if (strcmp(a->text + a->token[i], b->text + b->token[i]) != 0)
            ck_abort_msg("token %zu: %s", i, b->text + b->token[i]);
}

static void assert_same(const nf_structure *a, const nf_structure *b)
{
    ck_assert_uint_eq(a->natoms, b->natoms);
    ck_assert(same(a->pos, b->pos, a->natoms * sizeof *a->pos));
    ck_assert(same(a->species, b->species, a->natoms * sizeof *a->species));
    ck_assert(same(a->cell, b->cell, sizeof a->cell) && same(a->pbc, b->pbc, sizeof a->pbc));
    ck_assert(a->has_energy == b->has_energy && a->has_forces == b->has_forces);
    ck_assert(a->has_virial == b->has_virial && a->has_stress == b->has_stress);
    ck_assert(same_text(a->energy_key, b->energy_key) && same_text(a->forces_key, b->forces_key));
    ck_assert(!a->has_energy || same(&a->energy, &b->energy, sizeof a->energy));
    ck_assert(!a->has_forces || same(a->forces, b->forces, a->natoms * sizeof *a->forces));
    ck_assert(!a->has_virial || same(a->virial, b->virial, sizeof a->virial));
    ck_assert(!a->has_stress || same(a->stress, b->stress, sizeof a->stress));
    assert_same_rest(a, b);
}

START_TEST(random_structures_read_back)
{
    enum { N = 300 };
    static nf_structure s[N];
    nf_rng rng = {(uint64_t)_i + 1};
    nf_xyz_reader *reader;
    nf_structure back = {0};
    const char *to = _i % 2 == 0 ? path : packed;
    for (int i = 0; i < N; i++)
        s[i] = random_structure(&rng);
    write_frames(to, N, s, NULL);
    ck_assert_int_eq(nf_xyz_open(&reader, to, &err), 0);
    for (int i = 0; i < N; i++) {
        int rc = nf_xyz_next(reader, &back, &err);
        ck_assert_msg(rc == 1, "%s", rc < 0 ? err.msg : "no frame");
        assert_same(&s[i], &back);
        nf_structure_free(&s[i]);
    }
    ck_assert_int_eq(nf_xyz_next(reader, &back, &err), 0);
    nf_structure_free(&back);
    nf_xyz_reader_free(reader);
    unlink(to);
}
END_TEST

START_TEST(shared_files_read_back)
{
    static const char *const name[] = {"n2p2/Cu2S_PBE/odd.extxyz", "soap/gap_mo_mlearn/mo_quip.extxyz",
                                       "data/ta_snap/test.xyz.gz", "data/anchor_cnnp_cp2k/frames.xyz.gz"};
    const char *from = shared_path(name[_i]);
    nf_xyz_reader *a, *b;
    nf_xyz_writer *w;
    nf_structure s = {0}, t = {0};
    if (from == NULL)
        return;
    ck_assert_int_eq(nf_xyz_open(&a, from, &err), 0);
    ck_assert_int_eq(nf_xyz_create(&w, path, &err), 0);
    while (nf_xyz_next(a, &s, &err) == 1)
        ck_assert_int_eq(nf_xyz_write(w, &s, NULL, &err), 0);
    ck_assert_int_eq(nf_xyz_close(w, &err), 0);
    nf_xyz_reader_free(a);
    ck_assert_int_eq(nf_xyz_open(&a, shared_path(name[_i]), &err), 0);
    ck_assert_int_eq(nf_xyz_open(&b, path, &err), 0);
    while (nf_xyz_next(a, &s, &err) == 1) {
        ck_assert_int_eq(nf_xyz_next(b, &t, &err), 1);
        assert_same(&s, &t);
    }
    ck_assert_int_eq(nf_xyz_next(b, &t, &err), 0);
    nf_structure_free(&s);
    nf_structure_free(&t);
    nf_xyz_reader_free(a);
    nf_xyz_reader_free(b);
    unlink(path);
}
END_TEST

/* ---- the file ---- */

static void put_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(file_appears_when_it_is_complete)
{
    nf_xyz_writer *w;
    nf_structure s = read_text("1\n\nH 0 0 0\n");
    put_file(path, "before");
    ck_assert_int_eq(nf_xyz_create(&w, path, &err), 0);
    ck_assert_int_eq(nf_xyz_write(w, &s, NULL, &err), 0);
    ck_assert_str_eq(contents(path), "before");
    nf_xyz_discard(w);
    ck_assert_str_eq(contents(path), "before");
    write_frames(path, 1, &s, NULL);
    ck_assert_str_eq(contents(path), "1\nProperties=species:S:1:pos:R:3 pbc=\"F F F\"\nH 0 0 0\n");
    nf_xyz_discard(NULL);
    nf_structure_free(&s);
    unlink(path);
}
END_TEST

START_TEST(two_writers_of_one_name)
{
    nf_xyz_writer *w, *v;
    nf_structure s = read_text("1\n\nH 0 0 0\n");
    ck_assert_int_eq(nf_xyz_create(&w, path, &err), 0);
    ck_assert_int_eq(nf_xyz_create(&v, path, &err), 0);
    ck_assert_int_eq(nf_xyz_write(w, &s, NULL, &err), 0);
    ck_assert_int_eq(nf_xyz_close(v, &err), 0);
    ck_assert_str_eq(contents(path), "");
    ck_assert_int_eq(nf_xyz_close(w, &err), 0);
    ck_assert_str_ne(contents(path), "");
    nf_structure_free(&s);
    unlink(path);
}
END_TEST

START_TEST(symbolic_link_stays_one)
{
    static const char link[] = "test_extxyz_write.link";
    struct stat is;
    nf_structure s = read_text("1\n\nH 0 0 0\n");
    put_file(path, "before");
    unlink(link);
    ck_assert_int_eq(symlink(path, link), 0);
    write_frames(link, 1, &s, NULL);
    ck_assert(lstat(link, &is) == 0 && S_ISLNK(is.st_mode));
    ck_assert_str_ne(contents(path), "before");
    nf_structure_free(&s);
    unlink(link);
    unlink(path);
}
END_TEST

START_TEST(directory_that_is_not_there)
{
    nf_xyz_writer *w;
    ck_assert_int_eq(nf_xyz_create(&w, "no/such/out.xyz", &err), NF_EIO);
    ck_assert_ptr_null(w);
    ck_assert_str_eq(err.msg, "no/such/out.xyz: cannot create: No such file or directory");
    ck_assert_int_eq(nf_xyz_create(&w, ".", &err), NF_EIO);
    ck_assert_str_eq(err.msg, ".: cannot create: Is a directory");
}
END_TEST

/* A short file fails when it is closed, a long one when it is written, and then once more. */
START_TEST(full_disk)
{
    static const char full[] = "/dev/full";
    nf_xyz_writer *w;
    nf_structure s = read_text("1\n\nH 0 0 0\n");
    if (access(full, W_OK) != 0)
        return;
    ck_assert_int_eq(nf_xyz_create(&w, full, &err), 0);
    int rc = nf_xyz_write(w, &s, NULL, &err);
    for (int i = 0; i < 10000 && _i == 1 && rc == 0; i++)
        rc = nf_xyz_write(w, &s, NULL, &err);
    ck_assert_int_eq(rc, _i == 0 ? 0 : NF_EIO);
    ck_assert_int_eq(nf_xyz_close(w, &err), NF_EIO);
    ck_assert_str_eq(err.msg, "/dev/full: cannot write: No space left on device");
    nf_structure_free(&s);
}
END_TEST

static int try_to_write(const nf_structure *s, const nf_xyz_output *o, nf_error *e)
{
    nf_xyz_writer *w;
    int rc = nf_xyz_create(&w, path, e);
    if (rc == 0 && (rc = nf_xyz_write(w, s, o, e)) == 0)
        return nf_xyz_close(w, e);
    nf_xyz_discard(w);
    return rc;
}

START_TEST(writing_survives_no_memory)
{
    enum { LONG = 200000 };
    char *note = malloc(LONG + 1);
    ck_assert_ptr_nonnull(note);
    memset(note, '"', LONG);
    note[LONG] = '\0';
    const nf_xyz_info info = {.key = "note", .string = note};
    const nf_xyz_output o = {1, &info, 0, NULL};
    nf_structure s = read_text("1\nProperties=species:S:1:pos:R:3:q:R:1\nH 0 0 0 1\n");
    for (long n = 0;; n++) {
        nf_error e = {0};
        nf_mem_fail_after(n);
        int rc = try_to_write(&s, &o, &e);
        if (!nf_mem_fail_stop()) {
            ck_assert_int_eq(rc, 0);
            ck_assert_int_gt(n, 5);
            break;
        }
        ck_assert_int_eq(rc, NF_ENOMEM);
        ck_assert_int_ne(access(path, F_OK), 0);
    }
    nf_structure_free(&s);
    unlink(path);
    free(note);
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("extxyz_write");
    TCase *t = tcase_create("writing");
    tcase_add_test(t, text_of_a_frame);
    tcase_add_test(t, output_of_a_caller);
    tcase_add_loop_test(t, references_move_aside, 0, 12);
    tcase_add_loop_test(t, columns_move_aside, 0, 6);
    tcase_add_test(t, empty_values_have_a_blank);
    tcase_add_test(t, what_cannot_be_written);
    tcase_add_loop_test(t, random_structures_read_back, 0, 6);
    tcase_add_loop_test(t, shared_files_read_back, 0, 4);
    tcase_add_test(t, file_appears_when_it_is_complete);
    tcase_add_test(t, two_writers_of_one_name);
    tcase_add_test(t, symbolic_link_stays_one);
    tcase_add_test(t, directory_that_is_not_there);
    tcase_add_loop_test(t, full_disk, 0, 2);
    tcase_add_test(t, writing_survives_no_memory);
    tcase_set_timeout(t, 60);
    suite_add_tcase(all, t);
    return all;
}
