/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_shm.c - what a driver names is opened with care, read and written whole, and never believed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "segments.h"
#include "server/shm.h"
#include "suite.h"

enum { ATOMS = 5, STRUCTURES = 3 };

static const uid_t anybody = (uid_t)-1;
static segments theirs;
static nf_shm ours;

static void setup(void)
{
    segments_make(&theirs, ATOMS, STRUCTURES);
    nf_shm_init(&ours);
    nf_shm_begin(&ours, ATOMS, STRUCTURES);
}

static void teardown(void)
{
    nf_shm_close(&ours);
    segments_remove(&theirs);
}

static int open_one(nf_shm *shm, ipi_segment which, uid_t owner, nf_error *err)
{
    return nf_shm_open(shm, which, theirs.name[which], strlen(theirs.name[which]), owner, err);
}

static void open_all(nf_shm *shm)
{
    for (ipi_segment i = 0; i < IPI_SEGMENTS; i++)
        ck_assert_int_eq(open_one(shm, i, getuid(), NULL), 0);
}

static int open_files(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

START_TEST(reads_and_writes)
{
    double got[9 * STRUCTURES], forces[2] = {-1.5, 2.5};
    open_all(&ours);
    for (size_t i = 0; i < theirs.count[IPI_SEGMENT_CELLS]; i++)
        theirs.at[IPI_SEGMENT_CELLS][i] = (double)i;
    ck_assert_int_eq(nf_shm_read(&ours, IPI_SEGMENT_CELLS, 0, got, 9 * STRUCTURES, NULL), 0);
    ck_assert_mem_eq(got, theirs.at[IPI_SEGMENT_CELLS], sizeof got);
    ck_assert_int_eq(nf_shm_read(&ours, IPI_SEGMENT_CELLS, 9, got, 1, NULL), 0);
    ck_assert_double_eq(got[0], 9);
    ck_assert_int_eq(nf_shm_write(&ours, IPI_SEGMENT_FORCES, 7, forces, 2, NULL), 0);
    for (size_t i = 0; i < theirs.count[IPI_SEGMENT_FORCES]; i++)
        ck_assert_double_eq(theirs.at[IPI_SEGMENT_FORCES][i], i == 7 ? -1.5 : i == 8 ? 2.5 : 0);
}
END_TEST

/* What the driver writes is not ours to write. */
START_TEST(positions_cannot_be_written)
{
    nf_error err;
    const double x = 1;
    open_all(&ours);
    ck_assert_int_eq(nf_shm_write(&ours, IPI_SEGMENT_POSITIONS, 0, &x, 1, &err), NF_EIO);
    ck_assert_int_eq(ours.fd[IPI_SEGMENT_INVERSES], -1);
}
END_TEST

static const struct {
    const char *name;
    size_t n;
} bad_names[] = {{"", 0},     {".", 1},   {"..", 2},      {"a/b", 3}, {"/a", 2},
                 {"a\0b", 3}, {"a b", 3}, {"\x1b[2J", 4}, {"\xff", 1}};

START_TEST(names_that_are_none)
{
    nf_error err;
    ck_assert_int_eq(nf_shm_open(&ours, 0, bad_names[_i].name, bad_names[_i].n, anybody, &err), NF_EFORMAT);
    ck_assert_int_eq(ours.fd[0], -1);
}
END_TEST

START_TEST(names_of_nothing)
{
    nf_error err;
    char longest[IPI_SEGMENT_NAME + 1];
    memset(longest, 'n', IPI_SEGMENT_NAME);
    longest[IPI_SEGMENT_NAME] = '\0';
    ck_assert_int_eq(nf_shm_open(&ours, 0, longest, IPI_SEGMENT_NAME, anybody, &err), NF_EIO);
    shm_unlink(theirs.name[0]);
    ck_assert_int_eq(open_one(&ours, 0, anybody, &err), NF_EIO);
    ck_assert_ptr_nonnull(strstr(err.msg, theirs.name[0]));
}
END_TEST

/* Neither what is behind a link, nor a pipe, which could block. */
START_TEST(no_shared_memory)
{
    char path[100];
    snprintf(path, sizeof path, "/dev/shm/%s", theirs.name[0]);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink(theirs.name[4], path), 0);
    ck_assert_int_eq(open_one(&ours, 0, anybody, NULL), NF_EIO);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(open_one(&ours, 0, anybody, NULL), NF_EINVAL);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(open_one(&ours, 0, anybody, NULL), NF_EINVAL);
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(somebody_elses)
{
    nf_error err;
    ck_assert_int_eq(open_one(&ours, 0, getuid() + 1, &err), NF_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "belongs to user"));
    ck_assert_int_eq(open_one(&ours, 0, anybody, &err), 0);
}
END_TEST

START_TEST(other_lengths)
{
    nf_error err;
    for (ipi_segment i = 0; i < IPI_SEGMENTS; i++)
        for (int more = -8; more <= 8; more += 8) {
            int fd = shm_open(theirs.name[i], O_RDWR, 0);
            ck_assert_int_eq(ftruncate(fd, (off_t)(theirs.count[i] * sizeof(double)) + more), 0);
            close(fd);
            ck_assert_int_eq(open_one(&ours, i, anybody, &err), more == 0 ? 0 : NF_EINVAL);
        }
}
END_TEST

/* No SIGBUS: what is gone is an error, what is written has its place again. */
START_TEST(becomes_shorter)
{
    nf_error err;
    double x[3] = {1, 2, 3};
    open_all(&ours);
    for (ipi_segment i = 0; i < IPI_SEGMENTS; i++) {
        int fd = shm_open(theirs.name[i], O_RDWR, 0);
        ck_assert_int_eq(ftruncate(fd, 12), 0);
        close(fd);
    }
    ck_assert_int_eq(nf_shm_read(&ours, IPI_SEGMENT_POSITIONS, 0, x, 3, &err), NF_EIO);
    ck_assert_str_eq(err.msg, "cannot read the driver's shared memory for positions: it has become shorter");
    ck_assert_int_eq(nf_shm_write(&ours, IPI_SEGMENT_FORCES, 0, x, 3, &err), 0);
}
END_TEST

START_TEST(two_links_with_one_memory)
{
    nf_shm other, none;
    nf_shm_init(&other);
    nf_shm_init(&none);
    nf_shm_begin(&other, ATOMS, STRUCTURES);
    open_all(&ours);
    open_all(&other);
    ck_assert(nf_shm_same(&ours, &other));
    ck_assert(!nf_shm_same(&none, &none));
    nf_shm_close(&other);
    ck_assert(!nf_shm_same(&ours, &other));
    segments_remove(&theirs);
    segments_make(&theirs, ATOMS, STRUCTURES);
    nf_shm_begin(&other, ATOMS, STRUCTURES);
    open_all(&other);
    ck_assert(!nf_shm_same(&ours, &other));
    nf_shm_close(&other);
}
END_TEST

START_TEST(leaves_no_descriptor)
{
    int before = open_files();
    for (int i = 0; i < 50; i++) {
        nf_shm_begin(&ours, ATOMS, STRUCTURES);
        open_all(&ours);
        open_all(&ours);
        ck_assert_int_eq(open_one(&ours, 0, getuid() + 1, NULL), NF_EINVAL);
    }
    ck_assert_int_eq(open_files(), before + IPI_SEGMENTS - 1);
    nf_shm_close(&ours);
    nf_shm_close(&ours);
    ck_assert_int_eq(open_files(), before);
}
END_TEST

START_TEST(who_is_there)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert_uint_eq(nf_shm_peer(pair[0]), getuid());
    close(pair[0]);
    close(pair[1]);
    ck_assert_uint_eq(nf_shm_peer(-1), anybody);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("shm");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, reads_and_writes);
    tcase_add_test(t, positions_cannot_be_written);
    tcase_add_loop_test(t, names_that_are_none, 0, sizeof bad_names / sizeof *bad_names);
    tcase_add_test(t, names_of_nothing);
    tcase_add_test(t, no_shared_memory);
    tcase_add_test(t, somebody_elses);
    tcase_add_test(t, other_lengths);
    tcase_add_test(t, becomes_shorter);
    tcase_add_test(t, two_links_with_one_memory);
    tcase_add_test(t, leaves_no_descriptor);
    tcase_add_test(t, who_is_there);
    suite_add_tcase(s, t);
    return s;
}
