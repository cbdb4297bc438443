/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_npz.c - archives of arrays as numpy expects them, read back with libzip; and what is left behind when it goes
 * wrong: nothing.
 */
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "io/npz.h"
#include "scratch.h"
#include "suite.h"

enum { MANY = 100000 /* rows that do not stay in memory */ };

static scratch place;
static char path[300];

static void set_up(void)
{
    scratch_begin(&place);
    snprintf(path, sizeof path, "%s/out.npz", place.path);
}

static void tear_down(void)
{
    scratch_end(&place);
}

static int count_files(void)
{
    struct dirent **entries;
    int n = scandir(place.path, &entries, NULL, NULL);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return n - 2;
}

static nf_npz *create(void)
{
    nf_error err = {0};
    nf_npz *npz;
    ck_assert_msg(nf_npz_create(&npz, path, &err) == 0, "%s", err.msg);
    return npz;
}

static nf_npz_array *add(nf_npz *npz, const char *name, nf_npz_type type, size_t ntail, const size_t *tail)
{
    nf_npz_array *array;
    ck_assert_int_eq(nf_npz_add(npz, &array, name, type, ntail, tail, NULL), 0);
    return array;
}

static void append(nf_npz_array *array, size_t nrows, const void *data)
{
    nf_error err = {0};
    ck_assert_msg(nf_npz_append(array, nrows, data, &err) == 0, "%s", err.msg);
}

static void complete(nf_npz *npz)
{
    nf_error err = {0};
    ck_assert_msg(nf_npz_close(npz, &err) == 0, "%s", err.msg);
}

/* ---- reading ---- */

/* Data of an entry, after its header was compared; to be freed. */
static char *read_array(const char *name, const char *descr, const char *shape, size_t bytes)
{
    int code;
    zip_stat_t stat;
    zip_t *zip = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
    ck_assert_msg(zip != NULL, "zip error %d", code);
    ck_assert_msg(zip_stat(zip, name, 0, &stat) == 0, "there is no %s", name);
    char *all = malloc(stat.size + 1), want[256];
    zip_file_t *file = zip_fopen(zip, name, 0);
    ck_assert_int_eq(zip_fread(file, all, stat.size), (zip_int64_t)stat.size);
    zip_fclose(file);
    zip_discard(zip);
    ck_assert_mem_eq(all, "\x93NUMPY\x01", 8);
    size_t header = 10 + (size_t)(unsigned char)all[8] + 256 * (size_t)(unsigned char)all[9];
    ck_assert_uint_eq(header % 64, 0);
    ck_assert_uint_eq(stat.size, header + bytes);
    int n = snprintf(want, sizeof want, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    ck_assert_msg(memcmp(all + 10, want, (size_t)n) == 0, "%.*s", (int)header - 10, all + 10);
    for (size_t k = 10 + (size_t)n; k < header; k++)
        ck_assert_int_eq(all[k], k + 1 < header ? ' ' : '\n');
    memmove(all, all + header, bytes);
    return all;
}

static void check_array(const char *name, const char *descr, const char *shape, const void *data, size_t bytes)
{
    char *got = read_array(name, descr, shape, bytes);
    ck_assert(memcmp(got, data, bytes) == 0);
    free(got);
}

/* ---- arrays ---- */

START_TEST(types_and_shapes)
{
    const double real[] = {0, -0.0, 1.0 / 3, NAN, INFINITY, 1e-310};
    const int32_t small[] = {-2147483647, 5};
    const int64_t large[] = {-9007199254740993, 1, 2};
    const bool flags[] = {true, false, true};
    nf_npz *npz = create();
    append(add(npz, "real", NF_NPZ_F64, 0, NULL), 6, real);
    append(add(npz, "pairs", NF_NPZ_F64, 1, (size_t[]){2}), 3, real);
    append(add(npz, "cube", NF_NPZ_F64, 3, (size_t[]){1, 3, 1}), 2, real);
    append(add(npz, "small", NF_NPZ_I32, 0, NULL), 2, small);
    append(add(npz, "large", NF_NPZ_I64, 1, (size_t[]){3}), 1, large);
    append(add(npz, "flags", NF_NPZ_BOOL, 1, (size_t[]){3}), 1, flags);
    add(npz, "empty", NF_NPZ_F64, 2, (size_t[]){3, 3});
    append(add(npz, "narrow", NF_NPZ_F64, 1, (size_t[]){0}), 4, real);
    complete(npz);
    ck_assert_int_eq(count_files(), 1);
    check_array("real.npy", "<f8", "(6,)", real, sizeof real);
    check_array("pairs.npy", "<f8", "(3, 2)", real, sizeof real);
    check_array("cube.npy", "<f8", "(2, 1, 3, 1)", real, sizeof real);
    check_array("small.npy", "<i4", "(2,)", small, sizeof small);
    check_array("large.npy", "<i8", "(1, 3)", large, sizeof large);
    check_array("flags.npy", "|b1", "(1, 3)", flags, sizeof flags);
    check_array("empty.npy", "<f8", "(0, 3, 3)", "", 0);
    check_array("narrow.npy", "<f8", "(4, 0)", "", 0);
}
END_TEST

/* Two arrays that grow in turn, row by row or in large pieces, deflated or not. */
START_TEST(many_rows)
{
    double *a = malloc(2 * MANY * sizeof *a);
    int64_t *b = malloc(MANY * sizeof *b);
    nf_rng rng = {1};
    for (int k = 0; k < MANY; k++) {
        a[2 * k] = nf_rng_normal(&rng);
        a[2 * k + 1] = 0;
        b[k] = k;
    }
    nf_npz *npz = create();
    nf_npz_array *of_a = add(npz, "a", NF_NPZ_F64, 1, (size_t[]){2}), *of_b = add(npz, "b", NF_NPZ_I64, 0, NULL);
    if (_i > 0)
        nf_npz_compress(of_a);
    for (int k = 0; k < MANY / 2; k++) {
        append(of_a, 1, a + 2 * k);
        append(of_b, 1, b + k);
    }
    append(of_a, MANY / 2, a + MANY);
    append(of_b, MANY / 2, b + MANY / 2);
    ck_assert_int_eq(count_files(), 0);
    complete(npz);
    ck_assert_int_eq(count_files(), 1);
    check_array("a.npy", "<f8", "(100000, 2)", a, 2 * MANY * sizeof *a);
    check_array("b.npy", "<i8", "(100000,)", b, MANY * sizeof *b);
    free(a);
    free(b);
}
END_TEST

START_TEST(strings)
{
    static const char *const text[] = {"H", "", "\xc3\x85 \xe2\x82\xac \xf0\x9f\x92\xa7", "\xff\xc3", "\xed\xa0\x80"};
    const uint32_t want[5][5] = {
        {'H'}, {0}, {0xc5, ' ', 0x20ac, ' ', 0x1f4a7}, {0xfffd, 0xfffd}, {0xfffd, 0xfffd, 0xfffd}};
    nf_npz *npz = create();
    ck_assert_int_eq(nf_npz_strings(npz, "several", 5, text, NULL), 0);
    ck_assert_int_eq(nf_npz_strings(npz, "none", 0, NULL, NULL), 0);
    ck_assert_int_eq(nf_npz_string(npz, "one", "H2O", NULL), 0);
    ck_assert_int_eq(nf_npz_string(npz, "nothing", "", NULL), 0);
    complete(npz);
    check_array("several.npy", "<U5", "(5,)", want, sizeof want);
    check_array("none.npy", "<U1", "(0,)", "", 0);
    check_array("one.npy", "<U3", "()", (const uint32_t[]){'H', '2', 'O'}, 12);
    check_array("nothing.npy", "<U1", "()", (const uint32_t[]){0}, 4);
}
END_TEST

/* ---- bytes ---- */

static char *written(const char *zone, size_t *size)
{
    double *row = calloc(MANY, sizeof *row);
    struct stat is;
    setenv("TZ", zone, 1);
    nf_npz *npz = create();
    append(add(npz, "zeros", NF_NPZ_F64, 0, NULL), MANY, row);
    ck_assert_int_eq(nf_npz_string(npz, "text", "the same", NULL), 0);
    complete(npz);
    free(row);
    ck_assert_int_eq(stat(path, &is), 0);
    *size = (size_t)is.st_size;
    return read_file(place.path, "out.npz");
}

START_TEST(equal_bytes_at_any_time_and_place)
{
    size_t n, m;
    char *here = written("UTC", &n);
    sleep(2); /* a zip's clock has steps of two seconds */
    umask(077);
    char *there = written("Asia/Kolkata", &m);
    ck_assert_uint_eq(n, m);
    ck_assert(memcmp(here, there, n) == 0);
    free(here);
    free(there);
}
END_TEST

/* ---- errors ---- */

static void refused(const char *name, int code, const char *words)
{
    nf_error err = {0};
    nf_npz *npz = (nf_npz *)&err;
    ck_assert_int_eq(nf_npz_create(&npz, name, &err), code);
    ck_assert_ptr_null(npz);
    ck_assert_msg(strstr(err.msg, words) != NULL, "%s", err.msg);
}

START_TEST(impossible_places)
{
    char name[400];
    snprintf(name, sizeof name, "%s/no/such/place.npz", place.path);
    refused(name, NF_EIO, "no/such/place.npz: cannot create: No such file");
    refused(place.path, NF_EINVAL, "ordinary file");
    refused("/dev/null", NF_EINVAL, "ordinary file");
    refused("-", NF_EINVAL, "ordinary file");
    nf_npz_discard(NULL);
}
END_TEST

static void limit_files(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The archive cannot be completed, what was there stays, nothing else does. */
static void fails_to_close(nf_npz *npz, const char *words)
{
    nf_error err = {0};
    ck_assert_int_eq(nf_npz_close(npz, &err), NF_EIO);
    ck_assert_msg(strstr(err.msg, words) != NULL && strstr(err.msg, "out.npz") != NULL, "%s", err.msg);
    ck_assert_int_eq(count_files(), 1);
    char *text = read_file(place.path, "out.npz");
    ck_assert_str_eq(text, "before");
    free(text);
}

/* As a full disk does it, while rows are appended. */
START_TEST(no_room_for_rows)
{
    double *row = calloc(MANY, sizeof *row);
    nf_error err = {0};
    int rc = 0;
    write_file(place.path, "out.npz", "before", WHOLE_STRING);
    nf_npz *npz = create();
    nf_npz_array *array = add(npz, "a", NF_NPZ_F64, 0, NULL);
    limit_files(1000000);
    for (int k = 0; k < 10 && rc == 0; k++)
        rc = nf_npz_append(array, MANY, row, &err);
    ck_assert_int_eq(rc, NF_EIO);
    ck_assert_msg(strstr(err.msg, "File too large") != NULL, "%s", err.msg);
    fails_to_close(npz, "File too large");
    free(row);
}
END_TEST

/* Rows one by one, up to a last part that is still in a buffer when the archive is closed. */
START_TEST(no_room_for_the_last_bytes)
{
    static const rlim_t sizes[] = {50000, 150000, 400000, 799000, 800000, 800191};
    nf_error err = {0};
    int rc = 0;
    write_file(place.path, "out.npz", "before", WHOLE_STRING);
    nf_npz *npz = create();
    nf_npz_array *array = add(npz, "a", NF_NPZ_F64, 0, NULL);
    limit_files(sizes[_i]);
    for (int k = 0; k < MANY && rc == 0; k++)
        rc = nf_npz_append(array, 1, &(double){k}, &err);
    ck_assert(rc == 0 || rc == NF_EIO);
    fails_to_close(npz, "File too large");
}
END_TEST

/* Each array fits, the archive does not. */
START_TEST(no_room_for_the_archive)
{
    double *row = calloc(MANY, sizeof *row);
    write_file(place.path, "out.npz", "before", WHOLE_STRING);
    nf_npz *npz = create();
    limit_files(1000000);
    append(add(npz, "a", NF_NPZ_F64, 0, NULL), MANY, row);
    append(add(npz, "b", NF_NPZ_F64, 0, NULL), MANY, row);
    fails_to_close(npz, "cannot write");
    free(row);
}
END_TEST

START_TEST(one_name_twice)
{
    write_file(place.path, "out.npz", "before", WHOLE_STRING);
    nf_npz *npz = create();
    add(npz, "a", NF_NPZ_F64, 0, NULL);
    add(npz, "a", NF_NPZ_F64, 0, NULL);
    fails_to_close(npz, "exists");
}
END_TEST

START_TEST(discarding_leaves_what_was_there)
{
    double *row = calloc(MANY, sizeof *row);
    write_file(place.path, "out.npz", "before", WHOLE_STRING);
    nf_npz *npz = create();
    append(add(npz, "a", NF_NPZ_F64, 0, NULL), MANY, row);
    ck_assert_int_eq(count_files(), 1);
    nf_npz_discard(npz);
    ck_assert_int_eq(count_files(), 1);
    free(row);
}
END_TEST

START_TEST(the_folder_goes_away)
{
    nf_error err = {0};
    nf_npz *npz = create();
    append(add(npz, "a", NF_NPZ_F64, 0, NULL), 1, &(double){1});
    scratch_end(&place);
    ck_assert_int_eq(nf_npz_close(npz, &err), NF_EIO);
    ck_assert_msg(strstr(err.msg, "out.npz: cannot") != NULL, "%s", err.msg);
}
END_TEST

START_TEST(a_link_stays_a_link)
{
    char target[400];
    struct stat is;
    snprintf(target, sizeof target, "%s/target.npz", place.path);
    write_file(place.path, "target.npz", "before", WHOLE_STRING);
    ck_assert_int_eq(symlink(target, path), 0);
    nf_npz *npz = create();
    append(add(npz, "a", NF_NPZ_F64, 0, NULL), 1, &(double){1});
    complete(npz);
    ck_assert_int_eq(lstat(path, &is), 0);
    ck_assert(S_ISLNK(is.st_mode));
    check_array("a.npy", "<f8", "(1,)", &(double){1}, 8);
    ck_assert_int_eq(count_files(), 2);
}
END_TEST

/* ---- memory ---- */

static int write_all(const double *row, nf_error *err)
{
    nf_npz *npz;
    nf_npz_array *array;
    TRY(nf_npz_create(&npz, path, err));
    int rc = nf_npz_add(npz, &array, "a", NF_NPZ_F64, 0, NULL, err);
    for (int k = 0; rc == 0 && k < 3; k++)
        rc = nf_npz_append(array, MANY / 8, row, err);
    if (rc == 0)
        rc = nf_npz_string(npz, "text", "some words", err);
    int closed = nf_npz_close(npz, NULL);
    ck_assert_int_eq(closed, rc);
    return rc;
}

START_TEST(no_memory)
{
    double *row = calloc(MANY, sizeof *row);
    for (long n = 0;; n++) {
        nf_error err = {0};
        nf_mem_fail_after(n);
        int rc = write_all(row, &err), hit = nf_mem_fail_stop();
        ck_assert_msg(hit ? rc == NF_ENOMEM : rc == 0, "%ld: %s", n, err.msg);
        ck_assert_int_eq(count_files(), !hit);
        if (!hit)
            break;
    }
    free(row);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("npz");
    TCase *t = tcase_create("unit");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, types_and_shapes);
    tcase_add_loop_test(t, many_rows, 0, 2);
    tcase_add_test(t, strings);
    tcase_add_test(t, equal_bytes_at_any_time_and_place);
    tcase_add_test(t, impossible_places);
    tcase_add_test(t, no_room_for_rows);
    tcase_add_loop_test(t, no_room_for_the_last_bytes, 0, 6);
    tcase_add_test(t, no_room_for_the_archive);
    tcase_add_test(t, one_name_twice);
    tcase_add_test(t, discarding_leaves_what_was_there);
    tcase_add_test(t, the_folder_goes_away);
    tcase_add_test(t, a_link_stays_a_link);
    tcase_add_test(t, no_memory);
    suite_add_tcase(s, t);
    return s;
}
