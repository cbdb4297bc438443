/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_ipi.c - the i-PI codec against recorded servers, hand-made streams, splits at every byte, and
 * nonsense.
 *
 * Events are compared as a trace: every event with its values, appended to one buffer. Positions are appended
 * as bytes, so that the same stream has the same trace however it was cut.
 */
#include "suite.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "protocol/ipi.h"

enum { BYTES_MAX = 1 << 18 };

/* For what is checked a million times: ck_assert writes and flushes its place to a file, pass or fail. */
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg("%s", #condition);                                                                            \
    } while (0)

typedef struct {
    size_t n;
    unsigned char at[BYTES_MAX];
} bytes;

static const ipi_limits roomy = {.max_atoms = 1000, .max_structures = 16, .max_init = IPI_INIT_MAX};

/* ---- building streams and traces ---- */

static void put(bytes *b, const void *from, size_t n)
{
    MUST(n <= sizeof b->at - b->n);
    if (n > 0)
        memcpy(b->at + b->n, from, n);
    b->n += n;
}

static void put_word(bytes *b, const char *word)
{
    char header[IPI_HEADER + 1];
    snprintf(header, sizeof header, "%-12s", word);
    put(b, header, IPI_HEADER);
}

static void put_int(bytes *b, int32_t value)
{
    put(b, &value, sizeof value);
}

/* n doubles that occur nowhere else: start, start + 1, ... */
static void put_doubles(bytes *b, double start, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double x = start + (double)i;
        put(b, &x, sizeof x);
    }
}

static void put_init(bytes *b, int32_t bead, const char *text, int32_t ntext)
{
    put_word(b, "INIT");
    put_int(b, bead);
    put_int(b, ntext);
    put(b, text, (size_t)ntext);
}

__attribute__((format(printf, 2, 3))) static void say(bytes *trace, const char *format, ...)
{
    char line[64];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    put(trace, line, (size_t)n);
}

/* ---- a driver that listens ---- */

typedef struct {
    ipi_dec dec;
    bytes trace;
    size_t got, expected; /* doubles of positions in the message under way */
    int events;
    unsigned char positions[BYTES_MAX]; /* what is read past the decoder */
} session;

static void session_start(session *s, const ipi_limits *limits)
{
    ipi_dec_init(&s->dec, limits);
    s->trace.n = s->got = s->expected = 0;
    s->events = 0;
}

static int batch_of(const char *text)
{
    static const char key[] = "batch_size";
    int batch = 1;
    ipi_param item;
    while (ipi_init_next(&text, &item))
        if (item.nkey == strlen(key) && memcmp(item.key, key, item.nkey) == 0)
            batch = ipi_batch_size(item.value, item.nvalue);
    return batch;
}

static void hear_init(session *s, const ipi_event *ev)
{
    say(&s->trace, "INIT %d %u:", (int)ev->init.bead, (unsigned)ev->init.ntext);
    put(&s->trace, ev->init.text, ev->init.ntext);
    MUST(ev->init.text[ev->init.ntext] == '\0');
    ipi_dec_set_batch(&s->dec, batch_of(ev->init.text));
}

static void hear_posdata(session *s, const ipi_event *ev)
{
    say(&s->trace, "POSDATA %u x %u;", (unsigned)ev->posdata.nstructures, (unsigned)ev->posdata.natoms);
    s->got = 0;
    s->expected = (size_t)3 * ev->posdata.natoms * ev->posdata.nstructures;
}

static void hear_positions(session *s, const ipi_event *ev)
{
    MUST(ev->positions.first == s->got && ev->positions.count > 0);
    s->got += ev->positions.count;
    MUST(s->got <= s->expected);
    const unsigned char *in_place = s->positions + ev->positions.first * sizeof(double);
    put(&s->trace, ev->positions.payload != NULL ? ev->positions.payload : in_place,
        ev->positions.count * sizeof(double));
}

static void hear_segment(session *s, const ipi_event *ev)
{
    say(&s->trace, "SEGMENT %d %u:", (int)ev->segment.which, (unsigned)ev->segment.nname);
    put(&s->trace, ev->segment.name, ev->segment.nname);
    MUST(ev->segment.name[ev->segment.nname] == '\0');
}

static void hear(session *s, const ipi_event *ev)
{
    s->events++;
    switch (ev->kind) {
    case IPI_STATUS:
        say(&s->trace, "STATUS;");
        break;
    case IPI_GETFORCE:
        say(&s->trace, "GETFORCE;");
        break;
    case IPI_EXIT:
        say(&s->trace, "EXIT;");
        break;
    case IPI_INIT:
        hear_init(s, ev);
        break;
    case IPI_POSDATA:
        hear_posdata(s, ev);
        break;
    case IPI_CELL:
        say(&s->trace, "CELL %u:", (unsigned)ev->cell.structure);
        put(&s->trace, ev->cell.h, sizeof ev->cell.h);
        break;
    case IPI_POSITIONS:
        hear_positions(s, ev);
        break;
    case IPI_SEGMENT:
        hear_segment(s, ev);
        break;
    case IPI_POSDATA_END:
        MUST(s->got == (s->dec.shared ? 0 : s->expected));
        say(&s->trace, "END;");
        break;
    }
}

/* From a copy of exactly n bytes that is gone afterwards: a sanitizer sees a read past it, and a pointer
 * kept. */
static int feed(session *s, const unsigned char *p, size_t n)
{
    unsigned char *copy = malloc(n > 0 ? n : 1);
    size_t at = 0, used = 0;
    ipi_event ev;
    int rc;
    MUST(copy != NULL);
    if (n > 0)
        memcpy(copy, p, n);
    while ((rc = ipi_feed(&s->dec, copy + at, n - at, &used, &ev)) == 1) {
        MUST(used <= n - at);
        at += used;
        hear(s, &ev);
    }
    at += used;
    MUST(rc == 0 ? at == n : at <= n);
    free(copy);
    return rc;
}

static void ck_trace(const session *s, const bytes *want)
{
    MUST(s->trace.n == want->n);
    MUST(memcmp(s->trace.at, want->at, want->n) == 0);
}

static void session_start_as(session *s, bool shared)
{
    session_start(s, &roomy);
    if (shared)
        ipi_dec_set_shared(&s->dec);
}

static void split_in_two(const bytes *in, const bytes *want, bool shared)
{
    static session s;
    for (size_t cut = 0; cut <= in->n; cut++) {
        session_start_as(&s, shared);
        MUST(feed(&s, in->at, cut) == 0);
        MUST(feed(&s, in->at + cut, in->n - cut) == 0);
        ck_trace(&s, want);
    }
}

static void byte_by_byte(const bytes *in, const bytes *want, bool shared)
{
    static session s;
    session_start_as(&s, shared);
    for (size_t i = 0; i < in->n; i++)
        MUST(feed(&s, in->at + i, 1) == 0);
    ck_trace(&s, want);
    ck_assert_str_eq(ipi_dec_error(&s.dec), "");
}

/* As the server does: what may be read directly mostly is. */
static void read_or_feed(session *s, const bytes *in, size_t most, nf_rng *rng)
{
    for (size_t at = 0, n; at < in->n; at += n) {
        size_t offset = SIZE_MAX, direct = ipi_dec_direct(&s->dec, &offset);
        ipi_event ev;
        n = 1 + nf_rng_next(rng) % most;
        n = n < in->n - at ? n : in->n - at;
        if (direct == 0 || nf_rng_next(rng) % 4 == 0) {
            MUST(feed(s, in->at + at, n) == 0);
            continue;
        }
        n = n < direct ? n : direct;
        memcpy(s->positions + offset, in->at + at, n);
        int rc = ipi_dec_took(&s->dec, s->positions, n, &ev);
        MUST(rc == 0 || (rc == 1 && ev.kind == IPI_POSITIONS && ev.positions.payload == NULL));
        if (rc == 1)
            hear(s, &ev);
        MUST(feed(s, NULL, 0) == 0);
    }
}

static void read_directly(const bytes *in, const bytes *want, bool shared)
{
    static session s;
    nf_rng rng = {in->n};
    for (int trial = 0; trial < 200; trial++) {
        session_start_as(&s, shared);
        read_or_feed(&s, in, (size_t)1 << trial % 8, &rng);
        ck_trace(&s, want);
    }
}

static void ck_stream_as(const bytes *in, const bytes *want, bool shared)
{
    split_in_two(in, want, shared);
    byte_by_byte(in, want, shared);
    read_directly(in, want, shared);
}

/* However it is cut, `in` means `want`. */
static void ck_stream(const bytes *in, const bytes *want)
{
    ck_stream_as(in, want, false);
}

/* ---- our own streams ---- */

static void put_posdata(bytes *in, bytes *want, int32_t natoms)
{
    put_word(in, "POSDATA");
    put_doubles(in, 100.0, 18);
    put_int(in, natoms);
    put_doubles(in, 1000.0, 3 * (size_t)natoms);
    say(want, "POSDATA 1 x %d;CELL 0:", (int)natoms);
    put_doubles(want, 100.0, 9);
    put_doubles(want, 1000.0, 3 * (size_t)natoms);
    say(want, "END;");
}

static void put_batch(bytes *in, bytes *want, int nstructures, int32_t natoms)
{
    size_t total = 3 * (size_t)natoms * (size_t)nstructures;
    put_word(in, "POSDATA");
    put_int(in, natoms);
    say(want, "POSDATA %d x %d;", nstructures, (int)natoms);
    for (int i = 0; i < nstructures; i++) {
        put_doubles(in, 100.0 * (i + 1), 18);
        say(want, "CELL %d:", i);
        put_doubles(want, 100.0 * (i + 1), 9);
    }
    put_doubles(in, 1000.0, total);
    put_doubles(want, 1000.0, total);
    say(want, "END;");
}

static void put_short(bytes *in, bytes *want, const char *word)
{
    put_word(in, word);
    say(want, "%s;", word);
}

START_TEST(classic_stream)
{
    static bytes in, want;
    in.n = want.n = 0;
    put_short(&in, &want, "STATUS");
    put_init(&in, 3, "\0", 1);
    say(&want, "INIT 3 1:");
    put(&want, "\0", 1);
    for (int step = 0; step < 2; step++) {
        put_short(&in, &want, "STATUS");
        put_posdata(&in, &want, 2);
        put_short(&in, &want, "STATUS");
        put_short(&in, &want, "GETFORCE");
    }
    put_short(&in, &want, "EXIT");
    ck_stream(&in, &want);
}
END_TEST

START_TEST(consolidated_stream)
{
    static bytes in, want;
    in.n = want.n = 0;
    put_init(&in, -1, "", 0);
    say(&want, "INIT -1 0:");
    for (int32_t natoms = 1; natoms < 5; natoms++) {
        put_posdata(&in, &want, natoms);
        put_short(&in, &want, "GETFORCE");
    }
    ck_stream(&in, &want);
}
END_TEST

START_TEST(batched_stream)
{
    static bytes in, want;
    const char text[] = " model : a , , batch_size:3";
    in.n = want.n = 0;
    put_posdata(&in, &want, 1);
    put_init(&in, 7, text, sizeof text - 1);
    say(&want, "INIT 7 %d:%s", (int)sizeof text - 1, text);
    for (int32_t natoms = 1; natoms < 4; natoms++) {
        put_batch(&in, &want, 3, natoms);
        put_short(&in, &want, "GETFORCE");
    }
    ck_stream(&in, &want);
}
END_TEST

/* i-PI announces only batches above one, and INIT of a restarted server without one means the single layout.
 */
START_TEST(batch_of_one_is_single)
{
    static bytes in, want;
    const char *const texts[] = {" batch_size:2", " batch_size:1", " batch_size:2", " "};
    in.n = want.n = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put_init(&in, 0, texts[i], (int32_t)strlen(texts[i]));
        say(&want, "INIT 0 %d:%s", (int)strlen(texts[i]), texts[i]);
        if (i % 2 == 0)
            put_batch(&in, &want, 2, 2);
        else
            put_posdata(&in, &want, 2);
    }
    ck_stream(&in, &want);
}
END_TEST

/* A batch set while a message is under way must wait for the next one. */
START_TEST(batch_set_in_mid_message)
{
    static bytes in, want;
    static session s;
    in.n = want.n = 0;
    put_posdata(&in, &want, 2);
    size_t first = in.n;
    put_batch(&in, &want, 2, 1);
    for (size_t cut = 1; cut <= first; cut++) {
        session_start(&s, &roomy);
        ck_assert_int_eq(feed(&s, in.at, cut), 0);
        ck_assert_int_eq(ipi_dec_set_batch(&s.dec, cut < IPI_HEADER ? 1 : 2), 0);
        ck_assert_int_eq(feed(&s, in.at + cut, first - cut), 0);
        ck_assert_int_eq(ipi_dec_set_batch(&s.dec, 2), 0);
        ck_assert_int_eq(feed(&s, in.at + first, in.n - first), 0);
        ck_trace(&s, &want);
    }
}
END_TEST

static const char *const segment_names[IPI_SEGMENTS] = {"ipi_shm_1_8_pos", "ipi_shm_1_8_h",     "h",
                                                        "\x01 /..",        "ipi_shm_1_8_force", "v"};

static void put_names(bytes *in, bytes *want)
{
    for (int i = 0; i < IPI_SEGMENTS; i++) {
        int n = (int)strlen(segment_names[i]);
        put_int(in, n);
        put(in, segment_names[i], (size_t)n);
        say(want, "SEGMENT %d %d:%s", i, n, segment_names[i]);
    }
}

static void put_shared(bytes *in, bytes *want, int nstructures, int32_t natoms, bool names)
{
    put_word(in, "POSDATA");
    put_int(in, natoms);
    say(want, "POSDATA %d x %d;", nstructures, (int)natoms);
    if (names)
        put_names(in, want);
    say(want, "END;");
}

START_TEST(shared_stream)
{
    static bytes in, want;
    const int nstructures = _i;
    const char *text = nstructures > 1 ? "  batch_size:3" : " ";
    in.n = want.n = 0;
    put_short(&in, &want, "STATUS");
    put_init(&in, 5, text, (int32_t)strlen(text));
    say(&want, "INIT 5 %d:%s", (int)strlen(text), text);
    for (int step = 0; step < 3; step++) {
        put_shared(&in, &want, nstructures, 4, step == 0);
        put_short(&in, &want, "GETFORCE");
        put_short(&in, &want, "STATUS");
    }
    put_short(&in, &want, "EXIT");
    ck_stream_as(&in, &want, true);
}
END_TEST

/* Fed but for its last byte nothing is wrong, then `part`. */
static void ck_shared_broken(const bytes *in, const char *part)
{
    static session s;
    session_start_as(&s, true);
    ck_assert_int_eq(feed(&s, in->at, in->n - 1), 0);
    ck_assert_int_lt(feed(&s, in->at + in->n - 1, 1), 0);
    ck_assert_msg(strstr(ipi_dec_error(&s.dec), part) != NULL, "%s: no %s", ipi_dec_error(&s.dec), part);
    ck_assert_int_lt(feed(&s, (const unsigned char *)"STATUS      ", IPI_HEADER), 0);
}

static const struct {
    int32_t natoms, length;
    const char *part;
} bad_segments[] = {
    {0, 0, "announced 0 atoms; 1 to 1000 are allowed; does it share memory at all (mode='shm')?"},
    {1001, 0, "announced 1001 atoms; 1 to 1000"},
    {4, 0, "a name of 0 bytes for its shared memory; 1 to 255"},
    {4, -1, "a name of -1 bytes"},
    {4, 256, "a name of 256 bytes"},
    {4, INT32_MAX, "a name of 2147483647 bytes"},
};

START_TEST(shared_out_of_limits)
{
    static bytes in;
    in.n = 0;
    put_word(&in, "POSDATA");
    put_int(&in, bad_segments[_i].natoms);
    if (bad_segments[_i].natoms == 4)
        put_int(&in, bad_segments[_i].length);
    ck_shared_broken(&in, bad_segments[_i].part);
}
END_TEST

START_TEST(shared_longest_name)
{
    static bytes in;
    static session s;
    char name[IPI_SEGMENT_NAME];
    memset(name, 'n', sizeof name);
    in.n = 0;
    put_word(&in, "POSDATA");
    put_int(&in, 1);
    put_int(&in, IPI_SEGMENT_NAME);
    put(&in, name, sizeof name);
    session_start_as(&s, true);
    ck_assert_int_eq(feed(&s, in.at, in.n), 0);
    ck_assert_int_eq(s.events, 2);
    ck_assert_mem_eq(s.trace.at + s.trace.n - sizeof name, name, sizeof name);
}
END_TEST

/* i-PI makes its segments once a connection. */
START_TEST(shared_of_another_size)
{
    static bytes in, want;
    in.n = want.n = 0;
    put_shared(&in, &want, 1, 4, true);
    put_word(&in, "POSDATA");
    put_int(&in, 5);
    ck_shared_broken(&in, "announced 1 x 5 atoms; its shared memory was made for 1 x 4");
    in.n = 0;
    put_shared(&in, &want, 1, 4, true);
    put_init(&in, 0, "batch_size:2", 12);
    put_word(&in, "POSDATA");
    put_int(&in, 4);
    ck_shared_broken(&in, "announced 2 x 4 atoms; its shared memory was made for 1 x 4");
}
END_TEST

/* Where a socket was to carry the numbers both would wait for ever. */
START_TEST(shared_by_mistake)
{
    static bytes in, want;
    static session s;
    for (int nstructures = 1; nstructures <= 2; nstructures++) {
        in.n = want.n = 0;
        put_shared(&in, &want, nstructures, 4, true);
        for (size_t step = 1; step <= in.n; step += in.n - 1) {
            int rc = 0;
            session_start(&s, &roomy);
            ck_assert_int_eq(ipi_dec_set_batch(&s.dec, nstructures), 0);
            for (size_t at = 0; at < in.n && rc == 0; at += step)
                rc = feed(&s, in.at + at, step);
            ck_assert_int_lt(rc, 0);
            ck_assert_ptr_nonnull(strstr(ipi_dec_error(&s.dec), "connect to shm:NAME"));
        }
    }
}
END_TEST

/* ---- positions past the decoder ---- */

START_TEST(direct_says_how_many)
{
    static bytes in, want;
    static ipi_dec dec;
    ipi_event ev;
    double array[12];
    size_t used, offset = 99;
    in.n = want.n = 0;
    put_posdata(&in, &want, 4);
    ipi_dec_init(&dec, &roomy);
    ck_assert_uint_eq(ipi_dec_direct(&dec, &offset), 0);
    ck_assert_int_eq(ipi_feed(&dec, in.at, in.n, &used, &ev), 1);
    ck_assert_uint_eq(ipi_dec_direct(&dec, &offset), 0);
    ck_assert_uint_eq(offset, 99);
    ck_assert_int_eq(ipi_feed(&dec, NULL, 0, &used, &ev), 1);
    ck_assert_int_eq(ev.kind, IPI_CELL);
    const unsigned char *positions = in.at + in.n - sizeof array;
    ck_assert_int_eq(ipi_feed(&dec, positions, 3, &used, &ev), 0);
    ck_assert_uint_eq(ipi_dec_direct(&dec, &offset), sizeof array - 3);
    ck_assert_uint_eq(offset, 3);
    memcpy((char *)array + 3, positions + 3, 4);
    ck_assert_int_eq(ipi_dec_took(&dec, array, 4, &ev), 0);
    ck_assert_int_eq(ipi_dec_took(&dec, array, 0, &ev), 0);
    ck_assert_uint_eq(ipi_dec_direct(&dec, &offset), sizeof array - 7);
    memcpy((char *)array + 7, positions + 7, sizeof array - 7);
    ck_assert_int_eq(ipi_dec_took(&dec, array, sizeof array - 7, &ev), 1);
    ck_assert_uint_eq(ev.positions.first, 0);
    ck_assert_uint_eq(ev.positions.count, 12);
    ck_assert_mem_eq(array, positions, sizeof array);
    ck_assert_uint_eq(ipi_dec_direct(&dec, &offset), 0);
    ck_assert_int_eq(ipi_feed(&dec, NULL, 0, &used, &ev), 1);
    ck_assert_int_eq(ev.kind, IPI_POSDATA_END);
    ck_assert(ipi_dec_idle(&dec));
}
END_TEST

START_TEST(direct_takes_no_more)
{
    static bytes in, want;
    static session s;
    ipi_event ev;
    double array[3] = {0};
    in.n = want.n = 0;
    put_posdata(&in, &want, 1);
    session_start(&s, &roomy);
    ck_assert_int_eq(feed(&s, in.at, in.n - 24), 0);
    ck_assert_int_lt(ipi_dec_took(&s.dec, array, 25, &ev), 0);
    ck_assert_str_eq(ipi_dec_error(&s.dec), "25 bytes of positions were taken where 24 were to come");
    ck_assert_int_lt(ipi_dec_took(&s.dec, array, 0, &ev), 0);
    ck_assert_int_lt(feed(&s, in.at, 1), 0);
    session_start(&s, &roomy);
    ck_assert_int_lt(ipi_dec_took(&s.dec, array, 1, &ev), 0);
}
END_TEST

START_TEST(nothing_to_read)
{
    static ipi_dec dec;
    ipi_event ev;
    size_t used = 99;
    ipi_dec_init(&dec, &roomy);
    ck_assert_int_eq(ipi_feed(&dec, NULL, 0, &used, &ev), 0);
    ck_assert_uint_eq(used, 0);
    ck_assert_int_eq(ipi_feed(&dec, (const unsigned char *)"INIT        \0\0\0\0\0\0\0", 19, &used, &ev), 0);
    ck_assert_int_eq(ipi_feed(&dec, NULL, 0, &used, &ev), 0);
    ck_assert_int_eq(ipi_feed(&dec, (const unsigned char *)"", 1, &used, &ev), 1);
    ck_assert_int_eq(ev.kind, IPI_INIT);
    ck_assert_int_eq(ipi_feed(&dec, NULL, 0, &used, &ev), 0);
}
END_TEST

/* ---- broken peers ---- */

/* `in` breaks the decoder with its last byte and not before, the sentence holds `part`, and that is final. */
static void ck_broken(const ipi_limits *limits, int batch, const bytes *in, const char *part)
{
    static session s;
    char sentence[IPI_MESSAGE_MAX];
    session_start(&s, limits);
    ck_assert_int_eq(ipi_dec_set_batch(&s.dec, batch), 0);
    ck_assert_int_eq(feed(&s, in->at, in->n - 1), 0);
    ck_assert_str_eq(ipi_dec_error(&s.dec), "");
    ck_assert_int_lt(feed(&s, in->at + in->n - 1, 1), 0);
    snprintf(sentence, sizeof sentence, "%s", ipi_dec_error(&s.dec));
    ck_assert_msg(strstr(sentence, part) != NULL, "%s: no %s", sentence, part);
    ck_assert_int_lt(feed(&s, (const unsigned char *)"STATUS      ", IPI_HEADER), 0);
    ck_assert_int_lt(feed(&s, in->at, 0), 0);
    ck_assert_int_lt(ipi_dec_set_batch(&s.dec, 1 << 20), 0);
    ck_assert_str_eq(ipi_dec_error(&s.dec), sentence);
}

static void ck_broken_word(const char *word, const char *part)
{
    static bytes in;
    in.n = 0;
    put(&in, word, IPI_HEADER);
    ck_broken(&roomy, 1, &in, part);
}

START_TEST(unknown_words)
{
    ck_broken_word("HELLO       ", "\"HELLO\"");
    ck_broken_word("status      ", "\"status\"");
    ck_broken_word("STATUS     \n", "\"STATUS     \\x0a\"");
    ck_broken_word("STATUS\0\0\0\0\0\0", "\"STATUS\\x00\\x00\\x00\\x00\\x00\\x00\"");
    ck_broken_word(" STATUS     ", "\" STATUS\"");
    ck_broken_word("STATUSES    ", "\"STATUSES\"");
    ck_broken_word("            ", "\"\"");
    ck_broken_word("\"\\\x1b[2J\x80\xff\x7fXYZ ",
                   "\"\\x22\\x5c\\x1b[2J\\x80\\xff\\x7fXYZ\", which is no word of the i-PI protocol");
    ck_broken_word("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\\xff\", which is no word");
}
END_TEST

START_TEST(driver_words)
{
    ck_broken_word("READY       ", "\"READY\", which a driver says");
    ck_broken_word("NEEDINIT    ", "\"NEEDINIT\", which a driver says");
    ck_broken_word("HAVEDATA    ", "\"HAVEDATA\", which a driver says");
    ck_broken_word("FORCEREADY  ", "\"FORCEREADY\", which a driver says");
}
END_TEST

static void ck_natoms(const ipi_limits *limits, int batch, int32_t natoms, const char *part)
{
    static bytes in;
    in.n = 0;
    put_word(&in, "POSDATA");
    if (batch <= 1)
        put_doubles(&in, 0.0, 18);
    put_int(&in, natoms);
    ck_broken(limits, batch, &in, part);
}

START_TEST(natoms_out_of_limits)
{
    for (int batch = 1; batch < 3; batch++) {
        ck_natoms(&roomy, batch, 0, "announced 0 atoms; 1 to 1000 are");
        ck_natoms(&roomy, batch, -1, "announced -1 atoms; 1 to 1000 are");
        ck_natoms(&roomy, batch, INT32_MIN, "announced -2147483648 atoms");
        ck_natoms(&roomy, batch, 1001, "announced 1001 atoms; 1 to 1000 are");
        ck_natoms(&roomy, batch, INT32_MAX, "announced 2147483647 atoms");
    }
}
END_TEST

START_TEST(natoms_at_the_limit)
{
    static bytes in, want;
    static session s;
    in.n = want.n = 0;
    put_posdata(&in, &want, 1000);
    session_start(&s, &roomy);
    ck_assert_int_eq(feed(&s, in.at, in.n), 0);
    ck_trace(&s, &want);
}
END_TEST

START_TEST(largest_size_that_fits)
{
    static bytes in;
    static session s;
    const ipi_limits none = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    const size_t most = SIZE_MAX / 24 / INT32_MAX; /* 0 where a size_t has 32 bits */
    if (most == 0)
        return;
    in.n = 0;
    put_word(&in, "POSDATA");
    put_int(&in, (int32_t)most);
    session_start(&s, &none);
    ck_assert_int_eq(ipi_dec_set_batch(&s.dec, INT32_MAX), 0);
    ck_assert_int_eq(feed(&s, in.at, in.n), 0);
    ck_assert_int_eq(s.events, 1);
    ck_natoms(&none, INT32_MAX, (int32_t)most + 1, "2147483647 structures of 357913942 atoms");
}
END_TEST

/* 3 * 8 * (2^31 - 1)^2 bytes are beyond 64 bits, and 24 * (2^31 - 1) beyond 32. */
START_TEST(sizes_that_overflow)
{
    const ipi_limits none = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    ck_natoms(&none, INT32_MAX, INT32_MAX, "2147483647 structures of 2147483647 atoms");
    ck_natoms(&none, INT32_MAX, 0x20000000, "2147483647 structures of 536870912 atoms");
    ck_natoms(&none, 1, -5, "announced -5 atoms; 1 to 4294967295");
}
END_TEST

START_TEST(batch_out_of_limits)
{
    static session s;
    const ipi_limits single_only = {.max_atoms = 1};
    session_start(&s, &single_only);
    ck_assert_int_eq(ipi_dec_set_batch(&s.dec, 1), 0);
    ck_assert_int_lt(ipi_dec_set_batch(&s.dec, 2), 0);
    session_start(&s, &roomy);
    ck_assert_int_eq(ipi_dec_set_batch(&s.dec, 16), 0);
    ck_assert_int_eq(ipi_dec_set_batch(&s.dec, 0), 0);
    ck_assert_int_eq(ipi_dec_set_batch(&s.dec, INT32_MIN), 0);
    ck_assert_int_lt(ipi_dec_set_batch(&s.dec, 17), 0);
    ck_assert_ptr_nonnull(strstr(ipi_dec_error(&s.dec), "batches of 17 structures, above the limit of 16"));
    ck_assert_int_lt(ipi_dec_set_batch(&s.dec, 1), 0);
    ck_assert_int_lt(feed(&s, (const unsigned char *)"STATUS      ", IPI_HEADER), 0);
}
END_TEST

static void ck_init_refused(const ipi_limits *limits, int32_t ntext, const char *part)
{
    static bytes in;
    in.n = 0;
    put_word(&in, "INIT");
    put_int(&in, 0);
    put_int(&in, ntext);
    ck_broken(limits, 1, &in, part);
}

START_TEST(init_out_of_limits)
{
    ipi_limits small = {10, 1, 5};
    const ipi_limits huge = {10, 1, UINT32_MAX};
    ck_init_refused(&small, -1, "announced -1 bytes of INIT text; the limit is 5");
    ck_init_refused(&small, INT32_MIN, "announced -2147483648 bytes");
    ck_init_refused(&small, 6, "announced 6 bytes of INIT text; the limit is 5");
    ck_init_refused(&small, INT32_MAX, "announced 2147483647 bytes");
    ck_init_refused(&huge, IPI_INIT_MAX + 1, "announced 131073 bytes of INIT text; the limit is 131072");
    small.max_init = 0;
    ck_init_refused(&small, 1, "the limit is 0");
}
END_TEST

START_TEST(init_at_the_limit)
{
    static bytes in, want;
    static session s;
    static char text[IPI_INIT_MAX];
    const ipi_limits huge = {10, 1, UINT32_MAX};
    in.n = want.n = 0;
    memset(text, 'x', sizeof text);
    put_init(&in, 0, text, IPI_INIT_MAX);
    say(&want, "INIT 0 %d:", IPI_INIT_MAX);
    put(&want, text, sizeof text);
    put_short(&in, &want, "STATUS");
    session_start(&s, &huge);
    ck_assert_int_eq(feed(&s, in.at, in.n), 0);
    ck_trace(&s, &want);
}
END_TEST

/* An INIT text shorter than said swallows what follows; a longer one is read as words. Neither may do worse.
 */
START_TEST(lying_lengths)
{
    static bytes in;
    static session s;
    in.n = 0;
    put_init(&in, 0, "abcd", 4);
    in.at[IPI_HEADER + 4] = 16;
    put_word(&in, "STATUS");
    put_word(&in, "STATUS");
    session_start(&s, &roomy);
    ck_assert_int_eq(feed(&s, in.at, in.n), 0);
    ck_assert_int_eq(s.events, 2);
    ck_assert_mem_eq(s.trace.at, "INIT 0 16:abcdSTATUS      STATUS;", s.trace.n);

    in.at[IPI_HEADER + 4] = 2;
    session_start(&s, &roomy);
    ck_assert_int_lt(feed(&s, in.at, in.n), 0);
    ck_assert_ptr_nonnull(strstr(ipi_dec_error(&s.dec), "\"cdSTATUS\""));
}
END_TEST

/* ---- nonsense ---- */

static void ck_sane(const session *s, int rc)
{
    const char *sentence = ipi_dec_error(&s->dec);
    MUST((rc < 0) == (sentence[0] != '\0'));
    for (; *sentence != '\0'; sentence++)
        MUST(*sentence >= ' ' && *sentence <= '~');
}

static void feed_in_pieces(const bytes *in, nf_rng *rng)
{
    static session s;
    const ipi_limits limits = {40, 4, 300};
    size_t most = (size_t)1 << nf_rng_next(rng) % 12;
    session_start(&s, &limits);
    if (nf_rng_next(rng) % 4 == 0)
        ipi_dec_set_shared(&s.dec);
    ipi_dec_set_batch(&s.dec, (int)(nf_rng_next(rng) % 5));
    for (size_t at = 0, n; at < in->n; at += n) {
        n = nf_rng_next(rng) % (most + 1);
        n = n < in->n - at ? n : in->n - at;
        ck_sane(&s, feed(&s, in->at + at, n));
    }
}

static void put_random_message(bytes *b, bytes *unused, nf_rng *rng)
{
    static const char *const words[] = {"STATUS", "GETFORCE", "EXIT", "READY", "status"};
    uint64_t dice = nf_rng_next(rng) % 16;
    if (dice < 6)
        put_word(b, words[dice < 3 ? dice : nf_rng_next(rng) % 5]);
    else if (dice < 8)
        put_init(b, (int32_t)nf_rng_next(rng), " a : b , batch_size:2", (int32_t)(nf_rng_next(rng) % 22));
    else if (dice < 9)
        put_shared(b, unused, 1, (int32_t)(nf_rng_next(rng) % 42), dice % 2 == 0);
    else if (dice < 12)
        put_posdata(b, unused, (int32_t)(nf_rng_next(rng) % 42));
    else
        put_batch(b, unused, (int)(nf_rng_next(rng) % 4), (int32_t)(nf_rng_next(rng) % 42));
}

/* Messages in a senseless order, with a few bytes changed. */
START_TEST(random_messages)
{
    static bytes in, unused;
    nf_rng rng = {20261122};
    for (int trial = 0; trial < 2000; trial++) {
        in.n = unused.n = 0;
        for (int i = 0; i < 8; i++)
            put_random_message(&in, &unused, &rng);
        for (uint64_t i = nf_rng_next(&rng) % 4; i > 0; i--)
            in.at[nf_rng_next(&rng) % in.n] = (unsigned char)nf_rng_next(&rng);
        feed_in_pieces(&in, &rng);
    }
}
END_TEST

START_TEST(random_bytes)
{
    static bytes in;
    nf_rng rng = {7};
    for (int trial = 0; trial < 2000; trial++) {
        in.n = 0;
        if (trial % 2 == 0)
            put_word(&in, trial % 4 == 0 ? "POSDATA" : "INIT");
        for (int i = 0; i < 400; i++)
            in.at[in.n++] = (unsigned char)nf_rng_next(&rng);
        feed_in_pieces(&in, &rng);
    }
}
END_TEST

/* ---- answers ---- */

START_TEST(status_words)
{
    unsigned char out[IPI_HEADER];
    ipi_status(out, IPI_READY);
    ck_assert_mem_eq(out, "READY       ", IPI_HEADER);
    ipi_status(out, IPI_NEEDINIT);
    ck_assert_mem_eq(out, "NEEDINIT    ", IPI_HEADER);
    ipi_status(out, IPI_HAVEDATA);
    ck_assert_mem_eq(out, "HAVEDATA    ", IPI_HEADER);
}
END_TEST

/* Encodes into exactly as many bytes as were asked for. */
static void ck_forceready(uint32_t natoms, size_t n, const ipi_reply reply[], const void *want, size_t nwant)
{
    size_t size = ipi_forceready_size(natoms, n, reply);
    ck_assert_uint_eq(size, nwant);
    unsigned char *out = malloc(size);
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(ipi_forceready(out, natoms, n, reply), size);
    ck_assert_mem_eq(out, want, nwant);
    free(out);
}

START_TEST(single_reply)
{
    static bytes want;
    const double forces[] = {1, 2, 3, 4, 5, 6};
    const ipi_reply reply = {.energy = -7.5,
                             .forces = forces,
                             .virial = {10, 11, 12, 13, 14, 15, 16, 17, 18},
                             .extras = "{\"a\":1}",
                             .nextras = 7};
    want.n = 0;
    put_word(&want, "FORCEREADY");
    put_doubles(&want, -7.5, 1);
    put_int(&want, 2);
    put_doubles(&want, 1.0, 6);
    put_doubles(&want, 10.0, 9);
    put_int(&want, 7);
    put(&want, "{\"a\":1}", 7);
    ck_forceready(2, 1, &reply, want.at, want.n);
}
END_TEST

START_TEST(batched_reply)
{
    static bytes want;
    const double forces[2][3] = {{1, 2, 3}, {4, 5, 6}};
    const ipi_reply reply[] = {
        {.energy = 20, .forces = forces[0], .virial = {1, 2, 3, 4, 5, 6, 7, 8, 9}},
        {.energy = 21,
         .forces = forces[1],
         .virial = {10, 11, 12, 13, 14, 15, 16, 17, 18},
         .extras = "xyz",
         .nextras = 3},
    };
    want.n = 0;
    put_word(&want, "FORCEREADY");
    put_doubles(&want, 20.0, 2);
    put_int(&want, 1);
    put_doubles(&want, 1.0, 6);
    put_doubles(&want, 1.0, 18);
    put_int(&want, 1);
    put(&want, " ", 1);
    put_int(&want, 3);
    put(&want, "xyz", 3);
    ck_forceready(1, 2, reply, want.at, want.n);
}
END_TEST

static void ck_forceready_shared(size_t n, const ipi_reply reply[], const bytes *want)
{
    ck_assert_uint_eq(ipi_forceready_shared_size(n, reply), want->n);
    unsigned char *out = malloc(want->n);
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(ipi_forceready_shared(out, n, reply), want->n);
    ck_assert_mem_eq(out, want->at, want->n);
    free(out);
}

START_TEST(shared_reply)
{
    static bytes want;
    static const ipi_reply reply[2] = {{.nextras = 0}, {.extras = "xyz", .nextras = 3}};
    for (size_t n = 1; n <= 2; n++) {
        want.n = 0;
        put_word(&want, "FORCEREADY");
        put_int(&want, 1);
        put(&want, " ", 1);
        if (n > 1) {
            put_int(&want, 3);
            put(&want, "xyz", 3);
        }
        ck_forceready_shared(n, reply, &want);
    }
}
END_TEST

START_TEST(shared_replies_the_wire_cannot_carry)
{
    const ipi_reply reply = {.nextras = (uint32_t)INT32_MAX + 1};
    unsigned char out = 42;
    ck_assert_uint_eq(ipi_forceready_shared_size(0, &reply), 0);
    ck_assert_uint_eq(ipi_forceready_shared_size(1, &reply), 0);
    ck_assert_uint_eq(ipi_forceready_shared_size(SIZE_MAX / 4, &reply), 0);
    ck_assert_uint_eq(ipi_forceready_shared(&out, 1, &reply), 0);
    ck_assert_int_eq(out, 42);
}
END_TEST

START_TEST(replies_the_wire_cannot_carry)
{
    ipi_reply reply = {.nextras = 0};
    unsigned char out = 42;
    ck_assert_uint_eq(ipi_forceready_size(0, 1, &reply), 0);
    ck_assert_uint_eq(ipi_forceready_size(1, 0, &reply), 0);
    ck_assert_uint_eq(ipi_forceready_size((uint32_t)INT32_MAX + 1, 1, &reply), 0);
    ck_assert_uint_eq(ipi_forceready_size(INT32_MAX, SIZE_MAX / 24, &reply), 0);
    ck_assert_uint_eq(ipi_forceready_size(1, SIZE_MAX, &reply), 0);
    ck_assert_uint_eq(ipi_forceready_size(1, SIZE_MAX / 108 + 1, &reply), 0);
    reply.nextras = (uint32_t)INT32_MAX + 1;
    ck_assert_uint_eq(ipi_forceready_size(1, 1, &reply), 0);
    ck_assert_uint_eq(ipi_forceready(&out, 1, 1, &reply), 0);
    ck_assert_int_eq(out, 42);
}
END_TEST

/* Beyond 2^32 / 3 atoms a product in 32 bits would be too small. */
START_TEST(large_reply_has_its_size)
{
    const ipi_reply reply = {.nextras = INT32_MAX};
    const uint64_t want = 12 + 8 + 4 + 24 * (uint64_t)INT32_MAX + 72 + 4 + INT32_MAX;
    if (want <= SIZE_MAX)
        ck_assert_uint_eq(ipi_forceready_size(INT32_MAX, 1, &reply), want);
}
END_TEST

/* ---- the text of INIT ---- */

static void ck_items(const char *text, const char *want)
{
    static bytes got;
    ipi_param item;
    got.n = 0;
    while (ipi_init_next(&text, &item)) {
        say(&got, "[%.*s", (int)item.nkey, item.key);
        if (item.value != NULL)
            say(&got, "=%.*s", (int)item.nvalue, item.value);
        say(&got, "]");
    }
    ck_assert_uint_eq(got.n, strlen(want));
    ck_assert_mem_eq(got.at, want, got.n);
    ck_assert_int_eq(*text, '\0');
    ck_assert(!ipi_init_next(&text, &item));
}

START_TEST(init_items)
{
    ck_items("", "");
    ck_items(" ", "");
    ck_items(" , ,, , ", "");
    ck_items(" elements : HHH , model : water , ", "[elements=HHH][model=water]");
    ck_items(" elements : HHH , model : water , , batch_size:2", "[elements=HHH][model=water][batch_size=2]");
    ck_items("  batch_size:32", "[batch_size=32]");
    ck_items("model: /a b/c:d::e ", "[model=/a b/c:d::e]");
    ck_items("k: , l : ", "[k=][l=]");
    ck_items("flag, :x,k:,\tk\r\n:\nv ", "[flag][=x][k=][k=v]");
    ck_items("species : ['H', 'O'] , ", "[species=['H']['O']]");
}
END_TEST

START_TEST(init_batch_sizes)
{
    static const struct {
        const char *value;
        int batch;
    } cases[] = {
        {"1", 1},
        {"2", 2},
        {"1090", 1090},
        {"2147483647", INT32_MAX},
        {"007", 7},
        {"2147483648", -1},
        {"99999999999999", -1},
        {"99999999999999999999999999", -1},
        {"0", -1},
        {"-2", -1},
        {"2.0", -1},
        {"2 3", -1},
        {"", -1},
        {"x", -1},
        {"+2", -1},
        {" 2", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int got = ipi_batch_size(cases[i].value, strlen(cases[i].value));
        ck_assert_msg(got == cases[i].batch, "'%s' gave %d", cases[i].value, got);
    }
    ck_assert_int_eq(ipi_batch_size(NULL, 0), -1);
}
END_TEST

/* ---- recorded servers ---- */

/* A recording: what the server sent, and what our trace of it must be. */
typedef struct {
    bytes in, want;
    const char *cell; /* hex, of the single layout, where it comes before natoms */
    int nstructures;
    bool shared;
    int segment; /* the next one to be named */
} recording;

static void put_hex(bytes *b, const char *hex)
{
    for (unsigned value; hex[0] != '\0'; hex += 2) {
        MUST(sscanf(hex, "%2x", &value) == 1);
        put(b, &(unsigned char){(unsigned char)value}, 1);
    }
}

static int32_t int32_of(const char *hex)
{
    static bytes b;
    int32_t value;
    b.n = 0;
    put_hex(&b, hex);
    ck_assert_uint_eq(b.n, sizeof value);
    memcpy(&value, b.at, sizeof value);
    return value;
}

static void expect_word(recording *r, const char *hex)
{
    static bytes b;
    b.n = 0;
    put_hex(&b, hex);
    int length = (int)strcspn((const char *)b.at, " ");
    if (memcmp(b.at, "POSDATA ", 8) != 0 && memcmp(b.at, "INIT ", 5) != 0)
        say(&r->want, "%.*s;", length, (const char *)b.at);
}

static void expect_bead(recording *r, const char *hex)
{
    say(&r->want, "INIT %d ", (int)int32_of(hex));
}

static void expect_length(recording *r, const char *hex)
{
    say(&r->want, "%d:", (int)int32_of(hex));
}

static void expect_bytes(recording *r, const char *hex)
{
    put_hex(&r->want, hex);
}

static void expect_cells(recording *r, const char *hex)
{
    static bytes b;
    b.n = 0;
    put_hex(&b, hex);
    for (int i = 0; i < r->nstructures; i++) {
        say(&r->want, "CELL %d:", i);
        put(&r->want, b.at + (size_t)i * 144, 72);
    }
}

static void keep_cell(recording *r, const char *hex)
{
    r->cell = hex;
}

static void expect_natoms(recording *r, const char *hex)
{
    say(&r->want, "POSDATA %d x %d;", r->nstructures, (int)int32_of(hex));
    if (r->shared && r->segment == IPI_SEGMENTS)
        say(&r->want, "END;");
    else if (!r->shared && r->nstructures == 1)
        expect_cells(r, r->cell);
}

static void expect_name_length(recording *r, const char *hex)
{
    say(&r->want, "SEGMENT %d %d:", r->segment++, (int)int32_of(hex));
}

static void expect_name(recording *r, const char *hex)
{
    put_hex(&r->want, hex);
    if (r->segment == IPI_SEGMENTS)
        say(&r->want, "END;");
}

static void expect_positions(recording *r, const char *hex)
{
    put_hex(&r->want, hex);
    say(&r->want, "END;");
}

static void expect_nothing(recording *r, const char *hex)
{
    (void)r;
    (void)hex;
}

static const struct {
    const char *field;
    void (*expect)(recording *r, const char *hex);
} fields[] = {
    {"header", expect_word},
    {"rid", expect_bead},
    {"length", expect_length},
    {"string", expect_bytes},
    {"cell", keep_cell},
    {"inverse", expect_nothing},
    {"natoms", expect_natoms},
    {"cells", expect_cells},
    {"positions", expect_positions},
    {"name_length", expect_name_length},
    {"name", expect_name},
};

static void server_said(recording *r, const char *field, const char *hex)
{
    size_t i = 0, n = sizeof fields / sizeof *fields;
    while (i < n && strcmp(fields[i].field, field) != 0)
        i++;
    ck_assert_msg(i < n, "a field %s", field);
    put_hex(&r->in, hex);
    fields[i].expect(r, hex);
}

/* The null driver of the recordings: see ../shared/protocol/README.md. */
static void ck_recorded_forces(const bytes *b, int nstructures, uint32_t natoms, bool shared)
{
    static double forces[3 * 64];
    ipi_reply reply[4];
    ck_assert(natoms <= 64 && nstructures <= 4);
    for (size_t k = 0; k < 3 * natoms; k++)
        forces[k] = 0.01 * (double)(k + 1);
    for (int i = 0; i < nstructures; i++)
        reply[i] = (ipi_reply){.energy = -1.5,
                               .forces = forces,
                               .virial = {1, 0.1, 0.2, 0.1, 2, 0.3, 0.2, 0.3, 3},
                               .extras = "{\"note\":\"x\"}",
                               .nextras = 12};
    if (shared)
        ck_forceready_shared((size_t)nstructures, reply, b);
    else
        ck_forceready(natoms, (size_t)nstructures, reply, b->at, b->n);
}

static void ck_recorded_status(const bytes *b)
{
    unsigned char out[IPI_HEADER];
    int known = 0;
    ck_assert_uint_eq(b->n, IPI_HEADER);
    for (ipi_word word = IPI_READY; word <= IPI_HAVEDATA; word++) {
        ipi_status(out, word);
        known += memcmp(out, b->at, IPI_HEADER) == 0;
    }
    ck_assert_int_eq(known, 1);
}

static void driver_said(const recording *r, const char *field, const char *hex, uint32_t natoms)
{
    static bytes b;
    if (strcmp(field, "end") == 0)
        return;
    b.n = 0;
    put_hex(&b, hex);
    if (strcmp(field, "status") == 0)
        ck_recorded_status(&b);
    else
        ck_recorded_forces(&b, r->nstructures, natoms, r->shared);
}

/* The cell and the positions of the first structure, as the decoder gives them. */
static void first_structure(const bytes *in, int nstructures, double h[9], double *pos, size_t npos)
{
    static ipi_dec dec;
    ipi_event ev = {.kind = IPI_STATUS};
    size_t used = 0;
    ipi_dec_init(&dec, &roomy);
    for (size_t at = 0; ev.kind != IPI_POSITIONS; at += used) {
        ck_assert_int_eq(ipi_feed(&dec, in->at + at, in->n - at, &used, &ev), 1);
        if (ev.kind == IPI_INIT)
            ipi_dec_set_batch(&dec, nstructures);
        if (ev.kind == IPI_CELL && ev.cell.structure == 0)
            memcpy(h, ev.cell.h, sizeof ev.cell.h);
    }
    ck_assert_uint_ge(ev.positions.count, npos);
    memcpy(pos, ev.positions.payload, npos * sizeof *pos);
}

static void doubles_of(const json_t *hex, double *out, size_t n)
{
    static bytes b;
    b.n = 0;
    put_hex(&b, json_string_value(hex));
    MUST(b.n >= n * sizeof *out);
    memcpy(out, b.at, n * sizeof *out);
}

static double number(const json_t *rows, size_t i, size_t j)
{
    return json_number_value(json_array_get(json_array_get(rows, i), j));
}

/* The server was told Angstrom and rows; between recordings of one server an atom was moved by 0.01. */
static void ck_first_structure(const recording *r, const json_t *root, size_t natoms)
{
    const double bohr = 0.529177210903;
    const json_t *cell = json_object_get(root, "cell_rows_angstrom");
    const json_t *at = json_object_get(root, "positions_angstrom");
    double h[9], pos[3 * 64];
    ck_assert_uint_le(natoms, 64);
    if (r->shared) {
        const json_t *first = json_array_get(json_object_get(root, "shared"), 0);
        doubles_of(json_object_get(first, "h"), h, 9);
        doubles_of(json_object_get(first, "pos"), pos, 3 * natoms);
    } else {
        first_structure(&r->in, r->nstructures, h, pos, 3 * natoms);
    }
    for (size_t i = 0; i < 9; i++)
        ck_assert_double_eq_tol(h[i] * bohr, number(cell, i % 3, i / 3), 1e-6);
    for (size_t i = 0; i < 3 * natoms; i++)
        ck_assert_double_eq_tol(pos[i] * bohr, number(at, i / 3, i % 3), 0.02);
}

static void replay(const json_t *root)
{
    static recording r;
    const json_t *batch = json_object_get(root, "batch_size"), *turn;
    size_t i, natoms = (size_t)json_integer_value(json_object_get(root, "natoms"));
    r.in.n = r.want.n = 0;
    r.segment = 0;
    r.shared = json_object_get(root, "mode") != NULL;
    r.nstructures = batch != NULL ? (int)json_integer_value(batch) : 1;
    json_array_foreach(json_object_get(root, "exchange"), i, turn)
    {
        const char *field = json_string_value(json_array_get(turn, 1));
        const char *hex = json_string_value(json_array_get(turn, 2));
        if (strcmp(json_string_value(json_array_get(turn, 0)), "server") == 0)
            server_said(&r, field, hex);
        else
            driver_said(&r, field, hex, (uint32_t)natoms);
    }
    ck_first_structure(&r, root, natoms);
    ck_stream_as(&r.in, &r.want, r.shared);
}

static const char *const recordings[] = {
    "ipi_classic",
    "ipi_fused",
    "ipi_batch2",
    "ase_molecule",
    "ase_triclinic",
    "ase_molecule_needinit",
    "ase_triclinic_needinit",
};

START_TEST(recorded_server)
{
    char name[64];
    snprintf(name, sizeof name, "protocol/%s.json", recordings[_i]);
    const char *path = shared_path(name);
    if (path == NULL)
        return;
    json_t *root = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(root);
    replay(root);
    json_decref(root);
}
END_TEST

static const char *const shared_recordings[] = {"ipi_shm_classic", "ipi_shm_fused", "ipi_shm_batch2"};

START_TEST(recorded_shared_memory)
{
    char path[512];
    snprintf(path, sizeof path, "%s/unit/recorded/%s.json", NF_TESTS, shared_recordings[_i]);
    json_t *root = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(root);
    replay(root);
    json_decref(root);
}
END_TEST

static void add_tests(Suite *all, const char *name, size_t n, const TTest *const tests[])
{
    TCase *tc = tcase_create(name);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tc, tests[i]);
    tcase_set_timeout(tc, 120);
    suite_add_tcase(all, tc);
}

#define ADD_TESTS(all, name, tests) add_tests(all, name, sizeof(tests) / sizeof *(tests), tests)

Suite *suite(void)
{
    const TTest *const streams[] = {classic_stream,         consolidated_stream,      batched_stream,
                                    batch_of_one_is_single, batch_set_in_mid_message, nothing_to_read};
    const TTest *const broken[] = {
        unknown_words,       driver_words,        natoms_out_of_limits, natoms_at_the_limit, largest_size_that_fits,
        sizes_that_overflow, batch_out_of_limits, init_out_of_limits,   init_at_the_limit,   lying_lengths};
    const TTest *const nonsense[] = {random_messages, random_bytes};
    const TTest *const answers[] = {status_words,
                                    single_reply,
                                    batched_reply,
                                    replies_the_wire_cannot_carry,
                                    large_reply_has_its_size,
                                    shared_reply,
                                    shared_replies_the_wire_cannot_carry};
    const TTest *const direct[] = {direct_says_how_many, direct_takes_no_more};
    const TTest *const segments[] = {shared_by_mistake, shared_longest_name, shared_of_another_size};
    const TTest *const texts[] = {init_items, init_batch_sizes};
    Suite *all = suite_create("ipi");
    ADD_TESTS(all, "streams", streams);
    ADD_TESTS(all, "broken", broken);
    ADD_TESTS(all, "nonsense", nonsense);
    ADD_TESTS(all, "answers", answers);
    ADD_TESTS(all, "texts", texts);
    ADD_TESTS(all, "direct", direct);
    ADD_TESTS(all, "segments", segments);
    TCase *shared = tcase_create("shared");
    tcase_add_loop_test(shared, shared_stream, 1, 2);
    tcase_add_loop_test(shared, shared_stream, 3, 4);
    tcase_add_loop_test(shared, shared_out_of_limits, 0, (int)(sizeof bad_segments / sizeof *bad_segments));
    suite_add_tcase(all, shared);
    TCase *recorded = tcase_create("recorded");
    tcase_add_loop_test(recorded, recorded_server, 0, (int)(sizeof recordings / sizeof *recordings));
    tcase_add_loop_test(recorded, recorded_shared_memory, 0, 3);
    tcase_set_timeout(recorded, 120);
    suite_add_tcase(all, recorded);
    return all;
}
