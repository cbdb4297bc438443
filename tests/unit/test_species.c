/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The order of the elements from a list, from XYZ and from PDB files.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/species.h"
#include "io/symbols.h"
#include "suite.h"

static nf_error err;

/* Symbols one after the other, and frees. */
static const char *spell(int *species, size_t n)
{
    static char text[256];
    size_t used = 0;
    for (size_t i = 0; i < n && used + 4 < sizeof text; i++)
        used += (size_t)sprintf(text + used, "%s%s", i > 0 ? " " : "", nf_element_symbol(species[i]));
    text[used] = '\0';
    nf_free(species);
    return text;
}

static void assert_file(const char *text, const char *want)
{
    int *species;
    size_t n;
    int rc = nf_species_parse_file(&species, &n, "file", text, strlen(text), &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    ck_assert_str_eq(spell(species, n), want);
}

static void assert_file_refused(const char *text, int code, const char *message)
{
    int *species;
    size_t n;
    int rc = nf_species_parse_file(&species, &n, "file", text, strlen(text), &err);
    ck_assert_msg(rc < 0, "accepted: %s", text);
    ck_assert_ptr_null(species);
    ck_assert_uint_eq(n, 0);
    ck_assert_msg(strstr(err.msg, message) != NULL, "%s\nhas not: %s", err.msg, message);
    ck_assert_int_eq(rc, code);
}

/* ---- lists ---- */

static const struct {
    const char *list, *want;
} lists[] = {
    {"O", "O"},
    {"O H H", "O H H"},
    {" O,H ,\tH ", "O H H"},
    {"O H H * 3", "O H H O H H O H H"},
    {"O H*2 * 2", "O H H O H H"},
    {"O H H * 2 Na Cl", "O H H O H H Na Cl"},
    {"O H H * 2; Na; Cl", "O H H O H H Na Cl"},
    {"Na; O H * 2; ;Cl*2", "Na O H O H Cl Cl"},
    {"Na\nO H * 2\n\nCl", "Na O H O H Cl"},
    {"Na;Cl*1 O *2", "Na Cl O Cl O"},
};

START_TEST(list)
{
    int *species;
    size_t n;
    int rc = nf_species_parse_list(&species, &n, lists[_i].list, 0, &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    ck_assert_str_eq(spell(species, n), lists[_i].want);
    assert_file(lists[_i].list, lists[_i].want);
}
END_TEST

static const struct {
    const char *list, *message;
    int code;
} bad_lists[] = {
    {"", "no atoms; write a list such as 'O H H * 64'", NF_EFORMAT},
    {" ; ;\n", "no atoms", NF_EFORMAT},
    {"O H2", "'H2' is no element", NF_EFORMAT},
    {"H2O*64", "'H2O*64' is no element; write elements as in 'O H H * 64'", NF_EFORMAT},
    {"CO", "'CO' is no element", NF_EFORMAT},
    {"h", "'h' is no element", NF_EFORMAT},
    {"O H\001", "'H?' is no element", NF_EFORMAT},
    {"*2", "'*2' has nothing before it to repeat", NF_EFORMAT},
    {"H **2", "'**2' is no repetition", NF_EFORMAT},
    {"H*", "'H*' needs a count behind its '*'", NF_EFORMAT},
    {"H*0", "'H*0' needs a count", NF_EFORMAT},
    {"H*2*2", "'H*2*2' needs a count", NF_EFORMAT},
    {"H*-1", "'H*-1' needs a count", NF_EFORMAT},
    {"* 2", "'* 2' has nothing before it to repeat", NF_EFORMAT},
    {"H; * 2", "'* 2' has nothing before it", NF_EFORMAT},
    {"H * 2 * 2", "'* 2' has nothing before it", NF_EFORMAT},
    {"H *", "'*' is no repetition", NF_EFORMAT},
    {"H * ; 2", "'* ' is no repetition", NF_EFORMAT},
    {"H * O", "'* O' is no repetition; write a count behind ' * '", NF_EFORMAT},
    {"H * 0", "'* 0' is no repetition", NF_EFORMAT},
    {"H*100000001", "more than 100000000 atoms", NF_ELIMIT},
    {"H O * 50000001", "more than 100000000 atoms", NF_ELIMIT},
    {"H * 99999999999999999999999999", "more than 100000000 atoms", NF_ELIMIT},
};

START_TEST(bad_list)
{
    int *species;
    size_t n;
    int rc = nf_species_parse_list(&species, &n, bad_lists[_i].list, 0, &err);
    ck_assert_msg(rc < 0, "accepted: %s", bad_lists[_i].list);
    ck_assert_ptr_null(species);
    ck_assert_msg(strstr(err.msg, bad_lists[_i].message) != NULL, "%s", err.msg);
    ck_assert_int_eq(rc, bad_lists[_i].code);
}
END_TEST

START_TEST(long_list)
{
    int *species;
    size_t n;
    ck_assert_int_eq(nf_species_parse_list(&species, &n, "O H H * 1000000", 0, &err), 0);
    ck_assert_uint_eq(n, 3000000);
    ck_assert(species[2999997] == 8 && species[2999999] == 1);
    nf_free(species);
}
END_TEST

/* ---- XYZ ---- */

START_TEST(xyz)
{
    assert_file("3\nwater\nO 0 0 0\nH 1 0 0\nH 0 1 0\n2\nanother\nHe 0 0 0\nHe 1 1 1\n", "O H H");
    assert_file("\n2\nProperties=pos:R:3:species:S:1\n0 0 0 Na\n0 0 1 Cl\n", "Na Cl");
}
END_TEST

/* Comment lines of i-PI 3.3.1. */
START_TEST(xyz_of_ipi)
{
    static const char *const comment[] = {
        "# CELL(abcABC):   20.00000    20.00000    20.00000    90.00000    90.00000    90.00000    "
        "cell{angstrom} "
        "Traj: positions{angstrom} Step: 0 Bead: 0",
        "# bead: 0 CELL(abcABC):   20.00000    20.00000    20.00000    90.00000    90.00000    90.00000 ",
        "# CELL[abcABC]: 20 20 20 90 90 90 cell{atomic_unit} positions{atomic_unit}",
        "# CELL{H}: 20 0 0 0 20 0 0 0 20 cell{atomic_unit} positions{atomic_unit}",
        "# CELL[GENH]: 20 0 0 0 20 0 0 0 20",
    };
    char text[400];
    snprintf(text, sizeof text, "2\n%s\n       O  6.27449e-01  6.77796e+00  3.93220e+00\n      Na  1 2 3\n",
             comment[_i]);
    assert_file(text, "O Na");
}
END_TEST

START_TEST(bad_xyz)
{
    assert_file_refused("2\n\nO 0 0 0\n", NF_EFORMAT, "file: ends after 1 of the 2 atoms");
    assert_file_refused("1\n\nOW 0 0 0\n", NF_EFORMAT, "file:3: 'OW' is no element");
}
END_TEST

/* ---- PDB ---- */

#define CRYSTAL "CRYST1   20.000   20.000   20.000  90.00  90.00  90.00 P 1           1\n"

START_TEST(pdb_of_ipi)
{
    assert_file("TITLE                 cell{angstrom} Traj: positions{angstrom} Step: 0 Bead: 0\n" CRYSTAL
                "ATOM      1    O   1     1       0.627   6.778   3.932  0.00  0.00             0\n"
                "ATOM      2   Ca   1     1       4.996   0.371   4.945  0.00  0.00             0\n"
                "ATOM      3    C   1     1       4.996   0.371   4.945  0.00  0.00             0\nEND\n",
                "O Ca C");
}
END_TEST

/* More than 99 999 atoms: the serial number is wider and all that follows is further right. */
START_TEST(pdb_with_wide_serial_numbers)
{
    assert_file(CRYSTAL "ATOM  99999   Na   1     1       0.627   6.778   3.932  0.00  0.00             0\n"
                        "ATOM  100000   Na   1     1       0.627   6.778   3.932  0.00  0.00             0\n"
                        "ATOM  1000000 CA   MOL     1       0.627   6.778   3.932  1.00  0.00          Cl  \n",
                "Na Na Cl");
}
END_TEST

START_TEST(pdb_with_element_columns)
{
    assert_file("MODEL     1\n"
                "ATOM      1  CA  ALA     1       0.627   6.778   3.932  1.00  0.00           C  \n"
                "HETATM    2 CA    CA     1       0.627   6.778   3.932  1.00  0.00          CA2+\n"
                "ATOM      3 HG11 VAL     1       0.627   6.778   3.932  1.00  0.00           H\n"
                "TER\nENDMDL\nMODEL     2\n"
                "ATOM      1  CA  ALA     1       0.627   6.778   3.932  1.00  0.00           C  \n",
                "C Ca H");
}
END_TEST

static const struct {
    const char *name, *want; /* columns 13 to 16; NULL: cannot be told */
} names[] = {
    {" CA ", "C"},  {"CA  ", "Ca"}, {" N  ", "N"},   {" OW ", "O"},  {" H1 ", "H"},  {" HG ", "H"},  {" Na ", "Na"},
    {"NA  ", "Na"}, {"Na+ ", "Na"}, {"CL  ", "Cl"},  {"CL1 ", "Cl"}, {"FE  ", "Fe"}, {"HG  ", "Hg"}, {"HG11", "H"},
    {"HO5'", "H"},  {"He12", "He"}, {"1HB ", "H"},   {"2HG1", "H"},  {"OW  ", "O"},  {"H   ", "H"},  {"   O", "O"},
    {"  Na", "Na"}, {"  O ", "O"},  {"HG1 ", NULL},  {"  CA", NULL}, {"    ", NULL}, {" Q  ", NULL}, {"X1  ", NULL},
    {"1   ", NULL}, {" 1H ", NULL}, {"\"   ", NULL},
};

START_TEST(pdb_name)
{
    char text[100];
    snprintf(text, sizeof text, "ATOM      1 %s MOL     1       0.627   6.778   3.932  1.00  0.00\n", names[_i].name);
    if (names[_i].want != NULL)
        assert_file(text, names[_i].want);
    else
        assert_file_refused(text, NF_EFORMAT, "file:1: cannot tell the element of atom");
}
END_TEST

START_TEST(bad_pdb)
{
    assert_file_refused("ATOM  \n", NF_EFORMAT, "file:1: cannot tell the element of atom ''");
    assert_file_refused("TITLE x\nHETATM    2\n", NF_EFORMAT, "file:2: cannot tell the element");
    assert_file_refused(CRYSTAL "END\n", NF_EFORMAT, "file: no atoms");
    assert_file_refused("ATOM      1  CA  ALA     1       0.627   6.778   3.932  1.00  0.00           Q  \n",
                        NF_EFORMAT, "file:1: 'Q' in columns 77-78 is no element");
}
END_TEST

/* ---- choosing ---- */

static void put_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(path_or_list)
{
    static const char path[] = "test_species.txt";
    int *species;
    size_t n;
    put_file(path, "\nO H * 2\nNa\n");
    ck_assert_int_eq(nf_species_read(&species, &n, path, &err), 0);
    ck_assert_str_eq(spell(species, n), "O H O H Na");
    ck_assert_int_eq(nf_species_read(&species, &n, "O H*2", &err), 0);
    ck_assert_str_eq(spell(species, n), "O H H");
    put_file(path, "O H\nHX\n");
    ck_assert_int_eq(nf_species_read(&species, &n, path, &err), NF_EFORMAT);
    ck_assert(strstr(err.msg, "test_species.txt:2: 'HX' is no element") != NULL);
    unlink(path);
    ck_assert_int_eq(nf_species_read(&species, &n, path, &err), NF_EFORMAT);
    ck_assert(strstr(err.msg, "no such file, and as a list of elements: 'test_species.txt' is no element") != NULL);
    ck_assert_ptr_null(species);
}
END_TEST

START_TEST(shared_file)
{
    const char *path = shared_path("speed/water-192.xyz");
    int *species;
    size_t n;
    if (path == NULL)
        return;
    ck_assert_int_eq(nf_species_read(&species, &n, path, &err), 0);
    ck_assert_uint_eq(n, 192);
    ck_assert(species[0] == 8 && species[191] == 1);
    nf_free(species);
}
END_TEST

START_TEST(symbols)
{
    nf_symbols table;
    nf_symbols_init(&table);
    for (int z = 1; z <= 118; z++) {
        const char *symbol = nf_element_symbol(z);
        char upper[3] = {symbol[0], symbol[1] == '\0' ? '\0' : (char)(symbol[1] - 32), '\0'};
        ck_assert_int_eq(nf_symbols_find(&table, symbol, strlen(symbol)), z);
        ck_assert_int_eq(nf_symbols_find(&table, upper, strlen(upper)), z);
    }
    ck_assert_int_eq(nf_symbols_find(&table, "H ", 2), 0);
    ck_assert_int_eq(nf_symbols_find(&table, "Qq", 2), 0);
    ck_assert_int_eq(nf_symbols_find(&table, "Hex", 3), 0);
    ck_assert_int_eq(nf_symbols_find(&table, "", 0), 0);
    ck_assert_int_eq(nf_symbols_find(&table, "\377\377", 2), 0);
}
END_TEST

START_TEST(survives_no_memory)
{
    static const char *const text[] = {"O H H * 3; Na", "2\n\nO 0 0 0\nH 0 0 0\n",
                                       "ATOM      1  CA  ALA     1\nATOM      2  CB  ALA     1\n"};
    for (long n = 0;; n++) {
        nf_error e = {0};
        int *species;
        size_t natoms;
        nf_mem_fail_after(n);
        int rc = nf_species_parse_file(&species, &natoms, "file", text[_i], strlen(text[_i]), &e);
        int hit = nf_mem_fail_stop();
        nf_free(species);
        if (!hit) {
            ck_assert_int_eq(rc, 0);
            break;
        }
        ck_assert_int_eq(rc, NF_ENOMEM);
        ck_assert_int_eq(e.code, NF_ENOMEM);
        ck_assert_ptr_null(species);
    }
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

Suite *suite(void)
{
    Suite *all = suite_create("species");
    TCase *t = tcase_create("species");
    tcase_add_loop_test(t, list, 0, COUNT(lists));
    tcase_add_loop_test(t, bad_list, 0, COUNT(bad_lists));
    tcase_add_test(t, long_list);
    tcase_add_test(t, xyz);
    tcase_add_loop_test(t, xyz_of_ipi, 0, 5);
    tcase_add_test(t, bad_xyz);
    tcase_add_test(t, pdb_of_ipi);
    tcase_add_test(t, pdb_with_wide_serial_numbers);
    tcase_add_test(t, pdb_with_element_columns);
    tcase_add_loop_test(t, pdb_name, 0, COUNT(names));
    tcase_add_test(t, bad_pdb);
    tcase_add_test(t, path_or_list);
    tcase_add_test(t, shared_file);
    tcase_add_test(t, symbols);
    tcase_add_loop_test(t, survives_no_memory, 0, 3);
    tcase_set_timeout(t, 60);
    suite_add_tcase(all, t);
    return all;
}
