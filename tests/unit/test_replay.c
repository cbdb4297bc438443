/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_replay.c - recordings of a small server, played to the same one and to others that are not quite the same.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "protocol/ipi.h"
#include "scratch.h"
#include "server/record.h"
#include "server/replay.h"
#include "suite.h"

enum { ATOMS = 5, MOST_BATCH = 4, ROOM = 1 << 14 };

/* ---- a server: what it says depends on what it is told, and on its faults ---- */

typedef struct {
    int reply_off;   /* this reply (from 1) has an energy, force ... that is one bit off: */
    size_t byte;     /* of the reply */
    int silent_at;   /* no reply from this one on */
    int close_at;    /* closes instead of this one */
    int twice_at;    /* sends this one twice */
    size_t chunk;    /* bytes in one write; 0: all */
    const char *why; /* of a NaN */
    bool accepts_nan, refuses;
} faults;

typedef struct {
    ipi_dec decoder;
    bool init, have;
    uint32_t n, b;
    double pos[3 * ATOMS * MOST_BATCH];
    int nreplies;
    bool closing;
    int code;
    const char *text;
    unsigned char out[ROOM];
    size_t nout;
} brain;

static void begin(brain *s)
{
    static const ipi_limits limits = {ATOMS, MOST_BATCH, IPI_INIT_MAX};
    memset(s, 0, sizeof *s);
    ipi_dec_init(&s->decoder, &limits);
}

static void say(brain *s, ipi_word word)
{
    ck_assert_uint_le(s->nout + IPI_HEADER, ROOM);
    ipi_status(s->out + s->nout, word);
    s->nout += IPI_HEADER;
}

static void leave(brain *s, int code, const char *text)
{
    s->closing = true;
    s->code = code;
    s->text = text;
}

static void answer(brain *s, const faults *f)
{
    ipi_reply reply[MOST_BATCH];
    double forces[3 * ATOMS * MOST_BATCH];
    char extras[MOST_BATCH][40];
    for (uint32_t k = 0; k < s->b; k++) {
        double *force = forces + 3 * s->n * k, *x = s->pos + 3 * s->n * k;
        reply[k] = (ipi_reply){.energy = x[0] * 0.3, .forces = force, .virial = {x[1], x[2], 3, x[2], 5, 6, 3, 6, 9}};
        for (uint32_t i = 0; i < 3 * s->n; i++)
            force[i] = -x[i] / 3;
        reply[k].nextras = (uint32_t)snprintf(extras[k], sizeof extras[k], "{\"first\": %.17g}", x[0]);
        reply[k].extras = extras[k];
    }
    size_t n = ipi_forceready(s->out + s->nout, s->n, s->b, reply);
    s->nreplies++;
    if (s->nreplies == f->reply_off)
        s->out[s->nout + f->byte] ^= 1;
    if (f->close_at != 0 && s->nreplies >= f->close_at)
        leave(s, NF_EIO, "a fault");
    else if (f->silent_at == 0 || s->nreplies < f->silent_at)
        s->nout += n;
    if (s->nreplies == f->twice_at) {
        memcpy(s->out + s->nout, s->out + s->nout - n, n);
        s->nout += n;
    }
}

static bool has_nan(const brain *s)
{
    for (uint32_t i = 0; i < 3 * s->n * s->b; i++)
        if (isnan(s->pos[i]))
            return true;
    return false;
}

static void on_event(brain *s, const ipi_event *ev, const faults *f)
{
    if (ev->kind == IPI_STATUS)
        say(s, s->have ? IPI_HAVEDATA : s->init ? IPI_READY : IPI_NEEDINIT);
    if (ev->kind == IPI_INIT) {
        s->init = true;
        ipi_dec_set_batch(&s->decoder, strstr(ev->init.text, "batch_size") != NULL ? 4 : 1);
    }
    if (ev->kind == IPI_POSDATA) {
        s->n = ev->posdata.natoms;
        s->b = ev->posdata.nstructures;
    }
    if (ev->kind == IPI_POSITIONS)
        memcpy(s->pos + ev->positions.first, ev->positions.payload, 8 * ev->positions.count);
    if (ev->kind == IPI_POSDATA_END)
        s->have = s->init = true;
    if (ev->kind == IPI_POSDATA_END && has_nan(s) && !f->accepts_nan)
        leave(s, NF_EINVAL, f->why != NULL ? f->why : "a position is not finite");
    if (ev->kind == IPI_GETFORCE && s->have)
        answer(s, f);
    if (ev->kind == IPI_GETFORCE)
        s->have = false;
    if (ev->kind == IPI_EXIT)
        leave(s, 0, NULL);
}

static void feed(brain *s, const unsigned char *bytes, size_t n, const faults *f)
{
    ipi_event ev;
    int rc = 1;
    for (size_t used = 0; rc > 0 && !s->closing; bytes += used, n -= used) {
        rc = ipi_feed(&s->decoder, bytes, n, &used, &ev);
        if (rc > 0)
            on_event(s, &ev, f);
        if (rc < 0)
            leave(s, NF_EFORMAT, ipi_dec_error(&s->decoder));
    }
}

/* ---- recordings of it ---- */

static scratch place;
static char path[300];
static const faults none;
static brain brains[8];

static nf_record *record_begin(void)
{
    nf_log log = {NULL, NULL};
    nf_error err = {0};
    nf_record *r;
    json_t *models = json_pack("[{s:s}]", "sha256", "abc");
    json_t *header = json_pack("{s:s, s:s, s:o}", "nearfar", nf_version(), "isa", "avx2", "models", models);
    unlink(path);
    ck_assert_msg(nf_record_open(&r, path, header, &log, &err) == 0, "%s", err.msg);
    json_decref(header);
    return r;
}

static void link_begin(nf_record *r, uint32_t link)
{
    begin(&brains[link % 8]);
    nf_record_link(r, link, "unix:water", false);
}

static void drive(nf_record *r, uint32_t link, const void *bytes, size_t n)
{
    brain *s = &brains[link % 8];
    nf_record_received(r, link, bytes, n);
    feed(s, bytes, n, &none);
    nf_record_sent(r, link, s->out, s->nout);
    s->nout = 0;
    if (s->closing)
        nf_record_closed(r, link, s->code, s->text);
}

static void hang_up(nf_record *r, uint32_t link)
{
    nf_record_received(r, link, NULL, 0);
    nf_record_closed(r, link, 0, NULL);
}

/* POSDATA of step k; b > 1: batched. */
static size_t posdata(unsigned char *out, int k, uint32_t b)
{
    static const double h[18] = {20, 0, 0, 0, 20, 0, 0, 0, 20};
    nf_rng rng = {(uint64_t)k};
    uint32_t natoms = ATOMS;
    size_t n = 12;
    memcpy(out, "POSDATA     ", 12);
    if (b > 1)
        memcpy(out + n, &natoms, 4);
    n += b > 1 ? 4 : 0;
    for (uint32_t i = 0; i < b; i++, n += sizeof h)
        memcpy(out + n, h, sizeof h);
    if (b == 1)
        memcpy(out + n, &natoms, 4);
    n += b == 1 ? 4 : 0;
    for (uint32_t i = 0; i < 3 * ATOMS * b; i++, n += 8) {
        double x = nf_rng_normal(&rng);
        memcpy(out + n, &x, 8);
    }
    return n;
}

/* One step, fused as i-PI has it, or word by word. */
static void step(nf_record *r, uint32_t link, int k, uint32_t b)
{
    unsigned char bytes[ROOM];
    size_t n = posdata(bytes, k, b);
    if (k % 2 == 0) {
        memcpy(bytes + n, "GETFORCE    STATUS      ", 24);
        drive(r, link, bytes, n + 24);
        return;
    }
    drive(r, link, "STATUS      ", 12);
    drive(r, link, bytes, 100);
    drive(r, link, bytes + 100, n - 100);
    drive(r, link, "STATUS      ", 12);
    drive(r, link, "GETFORCE    ", 12);
}

static void batched_init(nf_record *r, uint32_t link)
{
    unsigned char bytes[60] = "INIT        \1\0\0\0\x10\0\0\0batch_size : 4 ,";
    drive(r, link, bytes, 12 + 8 + 16);
}

/* Three links: single, batched, single; they end in three ways. */
static void three_links(int nsteps)
{
    nf_record *r = record_begin();
    for (uint32_t k = 1; k <= 3; k++)
        link_begin(r, k);
    batched_init(r, 2);
    for (int k = 0; k < nsteps; k++)
        for (uint32_t link = 1; link <= 3; link++)
            if (k % (int)link == 0)
                step(r, link, 10 * k + (int)link, link == 2 ? 4 : 1);
    drive(r, 1, "EXIT        ", 12);
    hang_up(r, 2);
    drive(r, 3, "exit        ", 12);
    nf_record_close(r);
}

/* ---- playing ---- */

typedef struct line {
    struct line *next;
    uv_pipe_t pipe;
    int number;
    brain brain;
    unsigned char in[ROOM];
} line;

static uv_loop_t loop;
static nf_replay *replay;
static nf_replay_outcome outcome;
static faults fault;
static int nserved, ndone;

static void on_line_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void close_line(line *l, int code, const char *text)
{
    if (uv_is_closing((uv_handle_t *)&l->pipe))
        return;
    nf_replay_closed(replay, l->number, code, text);
    uv_close((uv_handle_t *)&l->pipe, on_line_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    line *l = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)l->in, fault.chunk > 0 ? (unsigned)fault.chunk : ROOM);
}

typedef struct {
    uv_write_t write;
    unsigned char bytes[];
} piece;

static void on_sent(uv_write_t *write, int status)
{
    (void)status;
    free(write->data);
}

static void send_piece(line *l, const unsigned char *bytes, size_t n)
{
    piece *p = malloc(sizeof *p + n);
    memcpy(p->bytes, bytes, n);
    p->write.data = p;
    uv_buf_t buf = uv_buf_init((char *)p->bytes, (unsigned)n);
    if (uv_write(&p->write, (uv_stream_t *)&l->pipe, &buf, 1, on_sent) < 0)
        free(p);
}

static void send_out(line *l)
{
    size_t each = fault.chunk > 0 ? fault.chunk : l->brain.nout;
    for (size_t done = 0; done < l->brain.nout; done += each)
        send_piece(l, l->brain.out + done, l->brain.nout - done < each ? l->brain.nout - done : each);
    l->brain.nout = 0;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    line *l = stream->data;
    if (n < 0) {
        bool idle = ipi_dec_idle(&l->brain.decoder);
        close_line(l, idle ? 0 : NF_EIO, idle ? NULL : "in the middle");
        return;
    }
    feed(&l->brain, (unsigned char *)buf->base, (size_t)n, &fault);
    send_out(l);
    if (l->brain.closing)
        close_line(l, l->brain.code, l->brain.text);
}

static int serve(void *ctx, int fd, const char *address)
{
    ck_assert_ptr_eq(ctx, &loop);
    ck_assert_str_eq(address, "unix:water");
    if (fault.refuses) {
        close(fd);
        return -1;
    }
    line *l = calloc(1, sizeof *l);
    l->number = nserved++;
    l->pipe.data = l;
    begin(&l->brain);
    uv_pipe_init(&loop, &l->pipe, 0);
    ck_assert_int_eq(uv_pipe_open(&l->pipe, fd), 0);
    uv_read_start((uv_stream_t *)&l->pipe, on_alloc, on_read);
    return l->number;
}

static void on_done(void *ctx, const nf_replay_outcome *o)
{
    ck_assert_ptr_eq(ctx, &loop);
    outcome = *o;
    ndone++;
}

static void close_rest(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, on_line_closed);
}

static void play(const faults *f)
{
    nf_error err = {0};
    fault = *f;
    nserved = ndone = 0;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_msg(nf_replay_open(&replay, path, &err) == 0, "%s", err.msg);
    nf_replay_options o = {&loop, serve, on_done, &loop, 0.7};
    nf_replay_start(replay, &o);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_walk(&loop, close_rest, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_int_eq(ndone, 1);
    nf_replay_free(replay);
}

static void all_agree(int nlinks, int nreplies)
{
    ck_assert_msg(outcome.code == 0 && outcome.ndifferent == 0 && outcome.nlines == 0, "%s", outcome.verdict);
    ck_assert_msg((int)outcome.nlinks == nlinks && (int)outcome.nreplies == nreplies, "%s", outcome.verdict);
    ck_assert_msg(strstr(outcome.verdict, "all bits agree") != NULL, "%s", outcome.verdict);
}

static void differs(const char *words)
{
    ck_assert_msg(outcome.ndifferent > 0 && strstr(outcome.line[0], words) != NULL, "%s, not %s", outcome.verdict,
                  words);
    ck_assert(strstr(outcome.verdict, "all bits agree") == NULL);
}

static void set_up(void)
{
    scratch_begin(&place);
    signal(SIGPIPE, SIG_IGN); /* as nf_run does */
    snprintf(path, sizeof path, "%s/f.gz", place.path);
}

static void tear_down(void)
{
    scratch_end(&place);
}

/* ---- equal ---- */

static const size_t chunks[] = {0, 1, 7, 100, 4096};

START_TEST(all_bits)
{
    three_links(30);
    play(&(faults){.chunk = chunks[_i]});
    all_agree(3, 30 + 15 + 10);
    ck_assert(outcome.whole);
    ck_assert_str_eq(outcome.verdict, "replayed 3 links, 55 replies: all bits agree");
}
END_TEST

/* More links than a server has at once, with numbers that come again. */
START_TEST(many_links)
{
    nf_record *r = record_begin();
    for (uint32_t k = 0; k < 1000; k++) {
        uint32_t link = k % 5 == 0 ? 70000 : 1 + k % 300;
        link_begin(r, link);
        step(r, link, (int)k, 1);
        if (k % 2 == 0)
            hang_up(r, link);
        else
            drive(r, link, "EXIT        ", 12);
    }
    nf_record_close(r);
    play(&none);
    all_agree(1000, 1000);
    ck_assert_int_eq(nserved, 1000);
}
END_TEST

START_TEST(nothing_in_it)
{
    nf_record_close(record_begin());
    play(&none);
    ck_assert_int_eq(outcome.code, 0);
    ck_assert_str_eq(outcome.verdict, "replayed 0 links, 0 replies: there was nothing to compare");
}
END_TEST

/* The recording has 20 MB; the process that made it had a queue. */
START_TEST(memory_does_not_grow)
{
    struct rusage before, after;
    pid_t child = fork();
    if (child == 0) {
        three_links(10000);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    getrusage(RUSAGE_SELF, &before);
    play(&none);
    all_agree(3, 10000 + 5000 + 3334);
    getrusage(RUSAGE_SELF, &after);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 3000); /* kB */
#endif
}
END_TEST

/* ---- different ---- */

enum { FORCES = 12 + 8 + 4, VIRIAL = FORCES + 24 * ATOMS, EXTRAS = VIRIAL + 72 };

static const struct {
    size_t byte;
    const char *words;
} bits[] = {
    {0, "link 1, behind reply 2 (byte "},
    {12, "reply 3 of link 1 (byte "},
    {12 + 7, ": the energy is "},
    {12 + 8, ": the number of atoms is 5 recorded, now 4"},
    {FORCES, ": force x of atom 1 is "},
    {FORCES + 8 * 7 + 3, ": force y of atom 3 is "},
    {VIRIAL, ": virial xx is "},
    {VIRIAL + 8 * 5, ": virial yz is "},
    {EXTRAS, ": the bytes of extras are "},
    {EXTRAS + 4 + 2, ": extras, from byte 3 on, are 'first"},
};

/* _i: which bit, in which pieces it comes back. */
START_TEST(one_bit)
{
    size_t which = (size_t)_i / 3;
    three_links(10);
    play(&(faults){.reply_off = 3, .byte = bits[which].byte, .chunk = chunks[_i % 3]});
    ck_assert_uint_eq(outcome.ndifferent, 3);
    ck_assert_int_eq(outcome.code, 0);
    bool found = false;
    for (int k = 0; k < outcome.nlines; k++)
        found = found || strstr(outcome.line[k], bits[which].words) != NULL;
    ck_assert_msg(found, "%s: %s", bits[which].words, outcome.verdict);
}
END_TEST

START_TEST(a_number_in_full)
{
    double then, now, apart;
    three_links(10);
    play(&(faults){.reply_off = 3, .byte = FORCES + 8 * 7, .chunk = 5});
    for (int k = 0; k < outcome.nlines; k++) {
        const char *is = strstr(outcome.line[k], " is ");
        ck_assert_msg(is != NULL &&
                          sscanf(is, " is %lf recorded, now %lf (%lf Hartree/Bohr apart)", &then, &now, &apart) == 3,
                      "%s", outcome.line[k]);
        ck_assert(then != now && fabs(now - then - apart) <= 0.01 * fabs(apart));
    }
}
END_TEST

/* Of a batch the structure is named. */
START_TEST(which_structure)
{
    nf_record *r = record_begin();
    link_begin(r, 1);
    batched_init(r, 1);
    step(r, 1, 1, 4);
    step(r, 1, 2, 4);
    hang_up(r, 1);
    nf_record_close(r);
    play(&(faults){.reply_off = 2, .byte = 12 + 8 * 3});
    differs("reply 2 of link 1 (byte ");
    differs("the energy of structure 4 is ");
    play(&(faults){.reply_off = 2, .byte = 12 + 32 + 4 + 24 * ATOMS * 2 + 8 * 14});
    differs("force z of atom 5 of structure 3 is ");
    play(&(faults){.reply_off = 2, .byte = 12 + 32 + 4 + 24 * ATOMS * 4 + 72 + 16});
    differs("virial xz of structure 2 is ");
}
END_TEST

static const struct {
    faults f;
    const char *words;
} others[] = {
    {{.close_at = 3}, "the server closes the link, where it went on when it was recorded: a fault"},
    {{.twice_at = 2}, "recorded, now "},
    {{.refuses = true}, "the server does not take the link"},
};

START_TEST(another_course)
{
    three_links(10);
    play(&others[_i].f);
    differs(others[_i].words);
    ck_assert_uint_eq(outcome.ndifferent, 3);
    ck_assert_int_eq(outcome.code, 0);
}
END_TEST

START_TEST(a_server_that_hangs)
{
    three_links(10);
    play(&(faults){.silent_at = 4});
    ck_assert_int_eq(outcome.code, NF_EIO);
    ck_assert_msg(strstr(outcome.verdict,
                         "so far all bits agree; not played to the end: the server has not answered for") != NULL,
                  "%s", outcome.verdict);
}
END_TEST

/* ---- ends ---- */

static void record_nan(void)
{
    unsigned char bytes[ROOM];
    nf_record *r = record_begin();
    link_begin(r, 4);
    step(r, 4, 2, 1);
    size_t n = posdata(bytes, 3, 1);
    memset(bytes + n - 8, 0xff, 8);
    drive(r, 4, bytes, n);
    nf_record_close(r);
}

START_TEST(closed_with_a_reason)
{
    record_nan();
    play(&none);
    all_agree(1, 1);
    play(&(faults){.why = "another reason"});
    differs("closed for a position is not finite when it was recorded, closed now: another reason");
    play(&(faults){.accepts_nan = true});
    ck_assert_int_eq(outcome.code, NF_EIO); /* it waits for more */
}
END_TEST

/* As SIGTERM does it while forces are owed: the reply is neither missed nor held against the server. */
START_TEST(the_server_left)
{
    unsigned char bytes[ROOM];
    nf_record *r = record_begin();
    link_begin(r, 1);
    step(r, 1, 2, 1);
    size_t n = posdata(bytes, 3, 1);
    memcpy(bytes + n, "GETFORCE    ", 12);
    nf_record_received(r, 1, bytes, n + 12);
    nf_record_closed(r, 1, 0, NULL);
    nf_record_close(r);
    play(&none);
    all_agree(1, 1);
}
END_TEST

START_TEST(the_driver_broke_off)
{
    nf_record *r = record_begin();
    link_begin(r, 1);
    step(r, 1, 2, 1);
    drive(r, 1, "POSDATA     half a cell", 23);
    nf_record_received(r, 1, NULL, 0);
    nf_record_closed(r, 1, NF_EIO, "in the middle");
    link_begin(r, 2);
    nf_record_received(r, 2, "STATUS      ", 12);
    nf_record_sent(r, 2, "NEEDINIT    ", 12);
    nf_record_closed(r, 2, NF_EIO, "cannot send");
    nf_record_close(r);
    play(&none);
    all_agree(2, 1);
}
END_TEST

/* A process that was killed while it computed: it is asked to compute that again. */
START_TEST(cut_off)
{
    unsigned char bytes[ROOM];
    nf_record *r = record_begin();
    link_begin(r, 1);
    link_begin(r, 2);
    step(r, 1, 2, 1);
    size_t n = posdata(bytes, 3, 1);
    memcpy(bytes + n, "GETFORCE    ", 12);
    nf_record_received(r, 1, bytes, n + 12);
    nf_record_received(r, 2, bytes, 50);
    uv_sleep(500);
    char *data = read_file(place.path, "f.gz");
    FILE *file = fopen(path, "rb");
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    fclose(file);
    nf_record_close(r);
    write_file(place.path, "f.gz", data, size);
    free(data);
    play(&none);
    all_agree(2, 1);
    ck_assert(!outcome.whole && strstr(outcome.verdict, "cut off") != NULL);
}
END_TEST

START_TEST(damaged)
{
    three_links(200);
    char *data = read_file(place.path, "f.gz");
    FILE *file = fopen(path, "rb+");
    fseek(file, 0, SEEK_END);
    long at = ftell(file) * 3 / 4;
    fseek(file, at, SEEK_SET);
    fputc(data[at] ^ 0x55, file);
    fclose(file);
    free(data);
    play(&none);
    ck_assert_int_eq(outcome.code, NF_EFORMAT);
    ck_assert_msg(strstr(outcome.verdict, "so far all bits agree; not played to the end: ") != NULL, "%s",
                  outcome.verdict);
    ck_assert_msg(strstr(outcome.verdict, "damaged") != NULL, "%s", outcome.verdict);
}
END_TEST

static void on_stop(uv_timer_t *timer)
{
    nf_replay_stop(timer->data);
    nf_replay_stop(timer->data);
    uv_close((uv_handle_t *)timer, NULL);
}

START_TEST(stopped)
{
    uv_timer_t timer;
    nf_error err;
    three_links(10);
    fault = (faults){.silent_at = 2};
    ndone = 0;
    uv_loop_init(&loop);
    ck_assert_int_eq(nf_replay_open(&replay, path, &err), 0);
    nf_replay_options o = {&loop, serve, on_done, &loop, 0};
    nf_replay_start(replay, &o);
    uv_timer_init(&loop, &timer);
    timer.data = replay;
    uv_timer_start(&timer, on_stop, 100, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_int_eq(ndone, 1);
    ck_assert_msg(strstr(outcome.verdict, "not played to the end: stopped") != NULL, "%s", outcome.verdict);
    nf_replay_free(replay);
}
END_TEST

/* ---- memory, other builds ---- */

START_TEST(no_memory)
{
    three_links(4);
    for (long n = 0, refused = 1; refused; n++) {
        nf_error err = {0};
        fault = none;
        nserved = ndone = 0;
        uv_loop_init(&loop);
        nf_mem_fail_after(n);
        int rc = nf_replay_open(&replay, path, &err);
        if (rc == 0) {
            nf_replay_options o = {&loop, serve, on_done, &loop, 0};
            nf_replay_start(replay, &o);
            uv_run(&loop, UV_RUN_DEFAULT);
            rc = outcome.code;
        }
        refused = nf_mem_fail_stop();
        ck_assert_int_eq(rc, refused ? NF_ENOMEM : 0);
        uv_walk(&loop, close_rest, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        nf_replay_free(replay);
    }
}
END_TEST

static int nwarnings;
static char warnings[2000];

static void on_log(void *ctx, int level, const char *message)
{
    (void)ctx;
    ck_assert_int_eq(level, NF_LOG_WARNING);
    nwarnings++;
    strncat(warnings, message, 500);
}

static int warn(const char *version, const char *isa, const char *sha)
{
    nf_log log = {on_log, NULL};
    json_t *now = json_pack("{s:s, s:s, s:[{s:s}]}", "nearfar", version, "isa", isa, "models", "sha256", sha);
    nwarnings = 0;
    warnings[0] = '\0';
    int n = nf_replay_warn(replay, now, &log);
    json_decref(now);
    ck_assert_int_eq(n, nwarnings);
    return n;
}

START_TEST(what_may_differ)
{
    nf_error err;
    nf_log log = {on_log, NULL};
    three_links(1);
    ck_assert_int_eq(nf_replay_open(&replay, path, &err), 0);
    ck_assert_int_eq(warn(nf_version(), "avx2", "abc"), 0);
    ck_assert_int_eq(warn("9.9", "ref", "def"), 3);
    ck_assert(strstr(warnings, "with nearfar 0.1.0, this is 9.9") != NULL);
    ck_assert(strstr(warnings, "with the instruction set avx2, this is ref") != NULL);
    ck_assert(strstr(warnings, "with a model of SHA-256 abc, this is def") != NULL);
    json_t *nothing = json_object();
    ck_assert_int_eq(nf_replay_warn(replay, nothing, &log), 3);
    ck_assert(strstr(warnings, "with 1 models, here are 0") != NULL);
    json_decref(nothing);
    nf_replay_free(replay);
    nf_replay_free(NULL);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("replay");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 200);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, all_bits, 0, sizeof chunks / sizeof *chunks);
    tcase_add_test(t, many_links);
    tcase_add_test(t, nothing_in_it);
    tcase_add_test(t, memory_does_not_grow);
    tcase_add_loop_test(t, one_bit, 0, 3 * sizeof bits / sizeof *bits);
    tcase_add_test(t, a_number_in_full);
    tcase_add_test(t, which_structure);
    tcase_add_loop_test(t, another_course, 0, sizeof others / sizeof *others);
    tcase_add_test(t, a_server_that_hangs);
    tcase_add_test(t, closed_with_a_reason);
    tcase_add_test(t, the_server_left);
    tcase_add_test(t, the_driver_broke_off);
    tcase_add_test(t, cut_off);
    tcase_add_test(t, damaged);
    tcase_add_test(t, stopped);
    tcase_add_test(t, no_memory);
    tcase_add_test(t, what_may_differ);
    suite_add_tcase(s, t);
    return s;
}
