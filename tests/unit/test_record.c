/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_record.c - recordings come back as they were made; whatever happens to their disk, memory or bytes.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "scratch.h"
#include "server/record.h"
#include "server/recording.h"
#include "suite.h"

enum { MANY = 3000, LONGEST = 300000 };

static scratch place;
static char path[300];
static int nwarnings;
static char warning[600];

/* ---- a disk with faults: record.c writes through this ---- */

static atomic_int fault; /* errno of writes into files */
static atomic_bool stuck;

long syscall(long number, ...);

ssize_t write(int fd, const void *bytes, size_t n)
{
    while (atomic_load(&stuck) && fd > 2)
        uv_sleep(1);
    if (atomic_load(&fault) != 0 && fd > 2) {
        errno = atomic_load(&fault);
        return -1;
    }
    return syscall(SYS_write, fd, bytes, n);
}

/* ---- making ---- */

static void on_log(void *ctx, int level, const char *message)
{
    (void)ctx;
    ck_assert_int_eq(level, NF_LOG_WARNING);
    snprintf(warning, sizeof warning, "%s", message);
    nwarnings++;
}

static void set_up(void)
{
    scratch_begin(&place);
    snprintf(path, sizeof path, "%s/f.gz", place.path);
    nwarnings = 0;
    atomic_store(&fault, 0);
    atomic_store(&stuck, false);
}

static void tear_down(void)
{
    scratch_end(&place);
}

static int open_record(nf_record **r, const char *file, nf_error *err)
{
    nf_log log = {on_log, NULL};
    json_t *header = json_pack("{s:s, s:[s, s]}", "nearfar", "0.1.0", "words", "one", "two");
    int rc = nf_record_open(r, file, header, &log, err);
    json_decref(header);
    return rc;
}

static nf_record *begin(void)
{
    nf_error err = {0};
    nf_record *r;
    ck_assert_msg(open_record(&r, path, &err) == 0, "%s", err.msg);
    return r;
}

/* What a record holds depends on its number alone. */
static const unsigned char *bytes_of(int k, size_t *n)
{
    static unsigned char bytes[LONGEST];
    nf_rng rng = {(uint64_t)k + 1};
    *n = 1 + (size_t)(nf_rng_uniform(&rng) * (k % 100 == 7 ? LONGEST - 1 : 3000));
    for (size_t i = 0; i < *n; i++)
        bytes[i] = (unsigned char)(nf_rng_uniform(&rng) * 256);
    return bytes;
}

static void put_many(nf_record *r, int n)
{
    for (int k = 0; k < n; k++) {
        size_t size;
        const unsigned char *bytes = bytes_of(k, &size);
        if (k % 2 == 0)
            nf_record_received(r, 1 + (uint32_t)k % 400, bytes, size);
        else
            nf_record_sent(r, 1 + (uint32_t)k % 400, bytes, size);
    }
}

/* ---- reading ---- */

static nf_recording *reopen(void)
{
    nf_error err = {0};
    nf_recording *in;
    ck_assert_msg(nf_recording_open(&in, path, &err) == 0, "%s", err.msg);
    ck_assert_str_eq(json_string_value(json_object_get(nf_recording_header(in), "nearfar")), "0.1.0");
    return in;
}

static bool next(nf_recording *in, nf_record_entry *e)
{
    nf_error err = {0};
    int rc = nf_recording_next(in, e, &err);
    ck_assert_msg(rc >= 0, "%s", err.msg);
    return rc == 1;
}

/* Long ones come in pieces. */
static bool read_one(nf_recording *in, int k)
{
    size_t size, have = 0;
    const unsigned char *want = bytes_of(k, &size);
    nf_record_entry e;
    for (; have < size; have += e.nbytes) {
        if (!next(in, &e) || e.kind == NF_RECORD_END)
            return false;
        if (e.kind != (k % 2 == 0 ? NF_RECORD_RECEIVED : NF_RECORD_SENT) || e.link != 1 + (uint32_t)k % 400)
            return false;
        ck_assert(e.nbytes > 0 && e.nbytes <= size - have && memcmp(e.bytes, want + have, e.nbytes) == 0);
    }
    return true;
}

static int count_whole(void)
{
    nf_recording *in = reopen();
    int k = 0;
    while (read_one(in, k))
        k++;
    nf_recording_close(in);
    return k;
}

START_TEST(round_trip)
{
    nf_record *r = begin();
    nf_record_entry e;
    nf_record_link(r, 7, "unix:water", false);
    nf_record_link(r, 70000, "tcp:[::1]:31415", true);
    put_many(r, MANY);
    nf_record_received(r, 7, NULL, 0);
    nf_record_sent(r, 7, NULL, 0);
    nf_record_closed(r, 7, NF_EIO, "the driver went\xc3\xa4\n");
    nf_record_closed(r, 70000, 0, NULL);
    nf_record_close(r);
    nf_recording *in = reopen();
    ck_assert(next(in, &e) && e.kind == NF_RECORD_LINK && e.link == 7 && !e.accepted);
    ck_assert_str_eq(e.text, "unix:water");
    ck_assert(next(in, &e) && e.link == 70000 && e.accepted);
    ck_assert_str_eq(e.text, "tcp:[::1]:31415");
    uint64_t before = e.time;
    for (int k = 0; k < MANY; k++)
        ck_assert(read_one(in, k));
    ck_assert(next(in, &e) && e.kind == NF_RECORD_RECEIVED && e.nbytes == 0);
    ck_assert(next(in, &e) && e.kind == NF_RECORD_CLOSED && e.code == NF_EIO && e.time >= before);
    ck_assert_str_eq(e.text, "the driver went???");
    ck_assert(next(in, &e) && e.kind == NF_RECORD_CLOSED && e.code == 0 && e.text[0] == '\0');
    ck_assert(!nf_recording_whole(in));
    ck_assert(next(in, &e) && e.kind == NF_RECORD_END && e.text[0] == '\0');
    ck_assert(nf_recording_whole(in) && !next(in, &e));
    nf_recording_close(in);
    ck_assert_int_eq(nwarnings, 0);
}
END_TEST

START_TEST(nothing_is_recorded)
{
    nf_record_link(NULL, 1, "unix:x", true);
    nf_record_received(NULL, 1, "x", 1);
    nf_record_sent(NULL, 1, "x", 1);
    nf_record_closed(NULL, 1, 0, NULL);
    nf_record_close(NULL);
    nf_recording_close(NULL);
    nf_record_close(begin());
    ck_assert_int_eq(count_whole(), 0);
}
END_TEST

/* A process that is killed: what it put 0.5 s ago can be read. */
START_TEST(soon_in_the_file)
{
    nf_record *r = begin();
    for (int k = 0; k < 3; k++) {
        size_t size;
        const unsigned char *bytes = bytes_of(k, &size);
        if (k % 2 == 0)
            nf_record_received(r, 1 + (uint32_t)k, bytes, size);
        else
            nf_record_sent(r, 1 + (uint32_t)k, bytes, size);
        uv_sleep(500);
        ck_assert_int_eq(count_whole(), k + 1);
    }
    nf_record_close(r);
}
END_TEST

/* ---- a disk that fails ---- */

static void ends_with_one_warning(nf_record *r, const char *words)
{
    size_t size;
    const unsigned char *bytes = bytes_of(MANY, &size);
    for (int k = 0; k < 3000 && nwarnings == 0; k++) {
        uv_sleep(1);
        nf_record_sent(r, 1, bytes, size);
    }
    nf_record_sent(r, 1, bytes, size);
    nf_record_close(r);
    ck_assert_int_eq(nwarnings, 1);
    ck_assert_msg(strstr(warning, words) != NULL && strstr(warning, "the server goes on") != NULL, "%s", warning);
}

static const struct {
    int number;
    const char *words;
} faults[] = {{ENOSPC, "No space left"}, {EIO, "Input/output error"}, {EDQUOT, "quota"}};

START_TEST(writes_fail)
{
    nf_record *r = begin();
    put_many(r, 100);
    uv_sleep(600);
    nf_record_sent(r, 1, "x", 1);
    uv_sleep(300);
    atomic_store(&fault, faults[_i].number);
    ends_with_one_warning(r, faults[_i].words);
    atomic_store(&fault, 0);
    ck_assert_int_eq(count_whole(), 100);
}
END_TEST

START_TEST(only_the_end_fails)
{
    nf_record *r = begin();
    put_many(r, 10);
    atomic_store(&fault, ENOSPC);
    nf_record_close(r);
    atomic_store(&fault, 0);
    ck_assert_int_eq(nwarnings, 1);
}
END_TEST

START_TEST(a_file_at_its_limit)
{
    struct rlimit before, limit;
    getrlimit(RLIMIT_FSIZE, &before);
    limit = (struct rlimit){300000, before.rlim_max};
    nf_record *r = begin();
    setrlimit(RLIMIT_FSIZE, &limit);
    put_many(r, 1000);
    ends_with_one_warning(r, "File too large");
    setrlimit(RLIMIT_FSIZE, &before);
    int n = count_whole();
    ck_assert_msg(n > 20 && n < 300, "%d records", n);
}
END_TEST

/* 64 MB wait, then it ends, at once and for good; what waited is in the file. */
START_TEST(a_disk_that_hangs)
{
    nf_record *r = begin();
    int k = 0;
    atomic_store(&stuck, true);
    uint64_t start = uv_hrtime();
    for (size_t n = 0; n < (size_t)80 << 20; k++) {
        size_t size;
        const unsigned char *bytes = bytes_of(k, &size);
        if (k % 2 == 0)
            nf_record_received(r, 1 + (uint32_t)k % 400, bytes, size);
        else
            nf_record_sent(r, 1 + (uint32_t)k % 400, bytes, size);
        n += size;
    }
    ck_assert_uint_lt(uv_hrtime() - start, 20000000000);
    ck_assert_int_eq(nwarnings, 1);
    ck_assert_msg(strstr(warning, "does not keep up") != NULL, "%s", warning);
    atomic_store(&stuck, false);
    nf_record_close(r);
    int n = count_whole();
    ck_assert_msg(n > k / 2 && n < k, "%d of %d", n, k);
    nf_recording *in = reopen();
    nf_record_entry e = {0};
    while (next(in, &e))
        ;
    ck_assert(nf_recording_whole(in) && strstr(e.text, "does not keep up") != NULL);
    nf_recording_close(in);
}
END_TEST

static void cannot_open(const char *file, const char *words)
{
    nf_error err = {0};
    nf_record *r = (nf_record *)&err;
    ck_assert_int_eq(open_record(&r, file, &err), NF_EIO);
    ck_assert_ptr_null(r);
    ck_assert_msg(strstr(err.msg, words) != NULL, "%s", err.msg);
}

START_TEST(impossible_places)
{
    char file[400];
    snprintf(file, sizeof file, "%s/no/such", place.path);
    cannot_open(file, "cannot create: No such file");
    cannot_open(place.path, "never written over another");
    cannot_open("/dev/full", "cannot write: No space left");
    write_file(place.path, "f.gz", "before", WHOLE_STRING);
    cannot_open(path, "never written over another");
    char *text = read_file(place.path, "f.gz");
    ck_assert_str_eq(text, "before");
    free(text);
    unlink(path);
    atomic_store(&fault, ENOSPC);
    cannot_open(path, "cannot write: No space left");
    ck_assert_int_ne(access(path, F_OK), 0); /* nothing is left behind */
}
END_TEST

START_TEST(no_memory)
{
    nf_error err;
    nf_record *r;
    long n = 0;
    for (int refused = 1; refused; n++) {
        unlink(path);
        nf_mem_fail_after(n);
        int rc = open_record(&r, path, &err);
        refused = nf_mem_fail_stop();
        ck_assert_int_eq(rc, refused ? NF_ENOMEM : 0);
        if (refused)
            ck_assert_int_ne(access(path, F_OK), 0);
    }
    ck_assert_int_ge(n, 6);
    nf_mem_fail_after(0);
    put_many(r, 500);
    nf_mem_fail_stop();
    nf_record_close(r);
    ck_assert_int_eq(nwarnings, 1);
    ck_assert_msg(strstr(warning, "no memory") != NULL, "%s", warning);
    ck_assert_int_gt(count_whole(), 20);
}
END_TEST

START_TEST(no_memory_to_read)
{
    nf_record *r = begin();
    put_many(r, 20);
    nf_record_close(r);
    for (long n = 0, refused = 1; refused; n++) {
        nf_recording *in;
        nf_error err = {0};
        nf_record_entry e;
        nf_mem_fail_after(n);
        int rc = nf_recording_open(&in, path, &err);
        while (rc >= 0 && in != NULL && (rc = nf_recording_next(in, &e, &err)) > 0)
            ;
        refused = nf_mem_fail_stop();
        ck_assert_int_eq(rc, refused ? NF_ENOMEM : 0);
        nf_recording_close(in);
    }
}
END_TEST

/* ---- bytes that no writer wrote ---- */

static unsigned char *plain;
static size_t nplain;

/* A short recording, as it is inside. */
static void make_plain(void)
{
    unsigned char *all = malloc(1 << 20);
    nf_record *r = begin();
    nf_record_link(r, 1, "unix:x", false);
    nf_record_received(r, 1, "STATUS      ", 12);
    nf_record_sent(r, 1, "NEEDINIT    ", 12);
    nf_record_closed(r, 1, -3, "why");
    nf_record_close(r);
    gzFile in = gzopen(path, "rb");
    nplain = (size_t)gzread(in, all, 1 << 20);
    gzclose(in);
    plain = malloc(nplain); /* its exact size, so that a sanitizer sees more */
    memcpy(plain, all, nplain);
    free(all);
}

/* Records read from n bytes; negative: refused. */
static int try_bytes(const void *bytes, size_t n, bool *whole, nf_error *err)
{
    nf_recording *in;
    nf_record_entry e;
    int rc = nf_recording_open_memory(&in, "f", bytes, n, err), count = 0;
    *whole = false;
    if (rc < 0)
        return rc;
    while ((rc = nf_recording_next(in, &e, err)) > 0)
        count++;
    *whole = nf_recording_whole(in);
    ck_assert_int_eq(nf_recording_next(in, &e, err), rc);
    nf_recording_close(in);
    return rc < 0 ? rc : count;
}

START_TEST(cut_off_at_every_byte)
{
    nf_error err;
    bool whole;
    int last = 0;
    make_plain();
    ck_assert_int_eq(try_bytes(plain, nplain, &whole, &err), 5);
    ck_assert(whole);
    for (size_t n = 0; n < nplain; n++) {
        unsigned char *part = malloc(n + 1);
        memcpy(part, plain, n);
        int count = try_bytes(part, n, &whole, &err);
        ck_assert(!whole && (count >= last || last == 0));
        ck_assert(count >= 0 || count == NF_EFORMAT);
        last = count > 0 ? count : 0;
        free(part);
    }
    ck_assert_int_eq(last, 4);
    free(plain);
}
END_TEST

START_TEST(every_bit_counts)
{
    nf_error err;
    bool whole;
    make_plain();
    for (size_t bit = 0; bit < 8 * nplain; bit++) {
        plain[bit / 8] ^= (unsigned char)(1 << bit % 8);
        int count = try_bytes(plain, nplain, &whole, &err);
        ck_assert_msg(!whole && count < 5, "bit %zu", bit);
        plain[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    free(plain);
}
END_TEST

static void refused_with(const void *bytes, size_t n, const char *words)
{
    nf_error err = {0};
    bool whole;
    int rc = try_bytes(bytes, n, &whole, &err);
    ck_assert_msg(rc < 0 && strstr(err.msg, words) != NULL, "%d %s, not %s", rc, err.msg, words);
}

static size_t record_at(int k)
{
    size_t at = NF_RECORD_HEAD + nf_get_u32(plain + 12) + NF_RECORD_CRC;
    while (k-- > 0)
        at += NF_RECORD_ENTRY + nf_get_u32(plain + at) + NF_RECORD_CRC;
    return at;
}

/* A checksum that fits whatever the record says. */
static void seal(size_t at)
{
    size_t n = NF_RECORD_ENTRY + nf_get_u32(plain + at);
    nf_put_u32(plain + at + n, (uint32_t)crc32(0, plain + at, (unsigned)n));
}

START_TEST(nonsense)
{
    make_plain();
    size_t at = record_at(1), link = record_at(0), closed = record_at(3);
    nf_put_u32(plain + 8, 2);
    refused_with(plain, nplain, "a recording of format 2");
    nf_put_u32(plain + 8, 1);
    nf_put_u32(plain + at + 4, 6);
    seal(at);
    refused_with(plain, nplain, "record 2 is of a kind that this nearfar does not know");
    nf_put_u32(plain + at + 4, NF_RECORD_RECEIVED);
    refused_with(plain, nplain, "record 2 is damaged: its checksum does not fit");
    seal(at);
    nf_put_u32(plain + at, NF_RECORD_PAYLOAD_MOST + 1);
    refused_with(plain, nplain, "record 2 has an impossible length");
    nf_put_u32(plain + at, 12);
    plain[link + NF_RECORD_ENTRY] = 2;
    seal(link);
    refused_with(plain, nplain, "does not say how its link came about");
    plain[link + NF_RECORD_ENTRY] = 0;
    seal(link);
    nf_put_u32(plain + closed, 3);
    seal(closed);
    refused_with(plain, nplain, "does not say why its link was closed");
    free(plain);
}
END_TEST

START_TEST(more_nonsense)
{
    make_plain();
    unsigned char *longer = malloc(nplain + 1);
    memcpy(longer, plain, nplain);
    longer[nplain] = 0;
    refused_with(longer, nplain + 1, "something follows the end");
    free(longer);
    plain[NF_RECORD_HEAD] = '[';
    nf_put_u32(plain + NF_RECORD_HEAD + nf_get_u32(plain + 12),
               (uint32_t)crc32(0, plain, NF_RECORD_HEAD + nf_get_u32(plain + 12)));
    refused_with(plain, nplain, "no JSON object");
    nf_put_u32(plain + 12, NF_RECORD_JSON_MOST + 1);
    refused_with(plain, nplain, "impossible length");
    free(plain);
    refused_with("", 0, "no recording of nearfar");
    refused_with("NFRECORX________________", 24, "no recording of nearfar");
    refused_with("\x1f\x8b\x08\xff garbage garbage garbage", 28, "damaged");
}
END_TEST

/* The compressed file: cut at any byte it is read up to there, bent it is refused or cut. */
START_TEST(damage_behind_the_compression)
{
    struct stat is;
    bool whole;
    nf_error err;
    nf_record *r = begin();
    put_many(r, 7);
    nf_record_close(r);
    ck_assert_int_eq(stat(path, &is), 0);
    size_t n = (size_t)is.st_size;
    char *data = read_file(place.path, "f.gz");
    for (size_t k = 60; k < n; k += 37) {
        int count = try_bytes(data, k, &whole, &err);
        ck_assert(count >= 0 || (count == NF_EFORMAT && k < 300));
        ck_assert(!whole || k >= n - 8);
        data[k] = (char)(data[k] ^ 4);
        try_bytes(data, n, &whole, &err);
        ck_assert_msg(!whole, "byte %zu of %zu", k, n);
        data[k] = (char)(data[k] ^ 4);
    }
    ck_assert_int_eq(try_bytes(data, n, &whole, &err), 8);
    ck_assert(whole);
    free(data);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("record");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 200);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, round_trip);
    tcase_add_test(t, nothing_is_recorded);
    tcase_add_test(t, soon_in_the_file);
    tcase_add_loop_test(t, writes_fail, 0, sizeof faults / sizeof *faults);
    tcase_add_test(t, only_the_end_fails);
    tcase_add_test(t, a_file_at_its_limit);
    tcase_add_test(t, a_disk_that_hangs);
    tcase_add_test(t, impossible_places);
    tcase_add_test(t, no_memory);
    tcase_add_test(t, no_memory_to_read);
    tcase_add_test(t, cut_off_at_every_byte);
    tcase_add_test(t, every_bit_counts);
    tcase_add_test(t, nonsense);
    tcase_add_test(t, more_nonsense);
    tcase_add_test(t, damage_behind_the_compression);
    suite_add_tcase(s, t);
    return s;
}
