/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_server.c - the whole server, when it runs short of memory or descriptors, or its clients misbehave: who does no
 * wrong goes on with the same bits, and who comes afterwards is served.
 *
 * A driver steps all the time on a thread of its own, while a guest on the test's thread makes the trouble.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "potential.h"
#include "protocol/ipi.h"
#include "scratch.h"
#include "server/run.h"
#include "suite.h"

enum { MEMBERS = 2, SMALL = 3, LARGE = 18, BATCH = 4, FRAMES = 3, PATIENCE = 30, MOST_BYTES = 1 << 18 };

/* From one allocation that fails alone to the next, and from one that others follow. */
#if defined __SANITIZE_THREAD__
static const long stride[] = {7, 7};
#else
static const long stride[] = {1, 3};
#endif

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void pause_ms(double ms)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)(1e6 * ms)}, NULL);
}

/* ---- a server on a thread ---- */

typedef struct {
    scratch folder;
    char members[MEMBERS][300];
    const char *paths[MEMBERS];
    char address[320], control[320], record[320];
    nf_service_options model;
    nf_place_options place;
    nf_run_options options;
    pthread_t thread;
    atomic_bool listens, ended;
    nf_error err;
    int rc, http_port;
} server;

static server one; /* a test runs one after the other */

static void on_log(void *ctx, int level, const char *text)
{
    server *s = ctx;
    (void)level;
    sscanf(text, "page and metrics at http://127.0.0.1:%d/", &s->http_port);
    if (strncmp(text, "listening at", 12) == 0)
        atomic_store(&s->listens, true);
}

static void *run_server(void *ctx)
{
    server *s = ctx;
    s->rc = nf_run(&s->options, &s->err);
    atomic_store(&s->ended, true);
    return NULL;
}

static void begin(server *s)
{
    atomic_store(&s->listens, false);
    atomic_store(&s->ended, false);
    s->err = (nf_error){0};
    ck_assert_int_eq(pthread_create(&s->thread, NULL, run_server, s), 0);
}

static bool comes_true(atomic_bool *what, atomic_bool *either)
{
    double until = now() + PATIENCE;
    while (!atomic_load(what) && !atomic_load(either) && now() < until)
        pause_ms(0.1);
    return atomic_load(what);
}

static void start(server *s)
{
    begin(s);
    ck_assert_msg(comes_true(&s->listens, &s->ended), "%s", s->err.msg);
}

static void stop(server *s)
{
    if (!atomic_load(&s->ended))
        kill(getpid(), SIGTERM);
    ck_assert_msg(comes_true(&s->ended, &s->ended), "the server does not end");
    pthread_join(s->thread, NULL);
}

static void write_members(server *s)
{
    potential_recipe p = potential_plain;
    p.nfunctions = 4;
    for (unsigned m = 0; m < MEMBERS; m++) {
        char name[32];
        snprintf(name, sizeof name, "nnp-%u", m + 1);
        scratch_mkdir(&s->folder, name);
        snprintf(s->members[m], sizeof s->members[m], "%s/%s", s->folder.path, name);
        p.seed = m + 1;
        potential_write(&p, s->members[m]);
        s->paths[m] = s->members[m];
    }
}

static void *scarce_malloc(size_t n)
{
    return nf_calloc(n, 1);
}

static void setup(void)
{
    server *s = &one;
    nf_error err;
    nf_model_opts units = NF_MODEL_OPTS_INIT;
    units.units = NF_UNITS_ANGSTROM_EV;
    json_set_alloc_funcs(scarce_malloc, nf_free); /* its allocations count too */
    scratch_begin(&s->folder);
    write_members(s);
    snprintf(s->address, sizeof s->address, "unix:%.250s/s", s->folder.path);
    snprintf(s->control, sizeof s->control, "%.250s/c", s->folder.path);
    snprintf(s->record, sizeof s->record, "%.250s/r", s->folder.path);
    s->model = (nf_service_options){.name = "oh", .npaths = MEMBERS, .paths = s->paths, .units = units.units};
    ck_assert_msg(nf_model_load(&s->model.model, MEMBERS, s->paths, &units, &err) == 0, "%s", err.msg);
    s->place = (nf_place_options){.pbc = {true, true, true}, .extras = NF_EXTRAS_BY_MODEL};
    ck_assert_int_eq(nf_address_parse(&s->place.address, s->address, &err), 0);
    s->options = (nf_run_options){.command = "listen",
                                  .nservices = 1,
                                  .services = &s->model,
                                  .nplaces = 1,
                                  .places = &s->place,
                                  .listen = true,
                                  .wait = -1,
                                  .threads = 2,
                                  .skin = 1,
                                  .control = s->control,
                                  .log = on_log,
                                  .log_ctx = s};
}

static void teardown(void)
{
    nf_model_free(one.model.model);
    scratch_end(&one.folder);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

/* ---- a client ---- */

enum outcome { FINE, CLOSED, REFUSED, SILENT, NONSENSE };

typedef struct {
    int fd;
    char why[IPI_ERROR_TEXT + 1]; /* REFUSED */
    size_t n;                     /* of the last answer */
    unsigned char answer[MOST_BYTES];
} client;

static int make_socket(void)
{
    struct timeval patience = {.tv_sec = PATIENCE};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static enum outcome call_at(int fd, const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%.100s", path);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 ? FINE : CLOSED;
}

static enum outcome dial(client *c)
{
    c->fd = make_socket();
    c->why[0] = '\0';
    return call_at(c->fd, one.place.address.path);
}

static void hang_up(client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

/* What cannot be sent shows when the answer is heard. */
static void say(client *c, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t k = send(c->fd, p, n, MSG_NOSIGNAL);
        if (k < 0)
            return;
        p += k;
        n -= (size_t)k;
    }
}

static enum outcome hear(client *c, void *bytes, size_t n)
{
    char *p = bytes;
    while (n > 0) {
        ssize_t k = recv(c->fd, p, n, 0);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 && errno == EAGAIN ? SILENT : CLOSED;
        p += k;
        n -= (size_t)k;
    }
    return FINE;
}

static enum outcome hear_reason(client *c)
{
    int32_t n;
    enum outcome rc = hear(c, &n, sizeof n);
    if (rc == FINE && (n < 0 || n > IPI_ERROR_TEXT))
        return NONSENSE;
    if (rc == FINE)
        rc = hear(c, c->why, (size_t)n);
    if (rc == FINE)
        c->why[n] = '\0';
    return rc == FINE ? REFUSED : rc;
}

static enum outcome hear_word(client *c, const char *word)
{
    char heard[IPI_HEADER + 1] = "";
    enum outcome rc = hear(c, heard, IPI_HEADER);
    if (rc != FINE)
        return rc;
    if (strcmp(heard, "ERROR       ") == 0)
        return hear_reason(c);
    return strncmp(heard, word, strlen(word)) == 0 ? FINE : NONSENSE;
}

static enum outcome hear_more(client *c, size_t n)
{
    if (c->n + n > MOST_BYTES)
        return NONSENSE;
    enum outcome rc = hear(c, c->answer + c->n, n);
    c->n += n;
    return rc;
}

static enum outcome hear_extras(client *c)
{
    int32_t n;
    enum outcome rc = hear_more(c, sizeof n);
    if (rc != FINE)
        return rc;
    memcpy(&n, c->answer + c->n - sizeof n, sizeof n);
    return n < 0 ? NONSENSE : hear_more(c, (size_t)n);
}

static enum outcome hear_forces(client *c, size_t natoms, size_t nstructures)
{
    c->n = 0;
    enum outcome rc = hear_word(c, "FORCEREADY");
    if (rc == FINE)
        rc = hear_more(c, 4 + nstructures * (10 + 3 * natoms) * sizeof(double));
    for (size_t k = 0; rc == FINE && k < nstructures; k++)
        rc = hear_extras(c);
    return rc;
}

/* ---- what it says ---- */

typedef struct {
    size_t n;
    unsigned char bytes[1 << 16];
} message;

static void put(message *m, const void *bytes, size_t n)
{
    ck_assert_uint_le(m->n + n, sizeof m->bytes);
    memcpy(m->bytes + m->n, bytes, n);
    m->n += n;
}

static void put_word(message *m, const char *word)
{
    char padded[IPI_HEADER + 1];
    snprintf(padded, sizeof padded, "%-12s", word);
    put(m, padded, IPI_HEADER);
}

static void put_init(message *m, size_t natoms, const char *more)
{
    char text[200];
    int32_t head[2] = {
        0, snprintf(text, sizeof text, "{\"errors\":true,\"species\":\"O H H * %zu\"%s}", natoms / 3, more)};
    put_word(m, "INIT");
    put(m, head, sizeof head);
    put(m, text, (size_t)head[1]);
}

/* A jittered grid, Bohr; `frame` moves it by less than lists mind. */
static void put_positions(message *m, size_t natoms, int frame)
{
    for (size_t i = 0; i < natoms; i++)
        for (size_t c = 0; c < 3; c++) {
            size_t cell = c == 0 ? i % 3 : c == 1 ? i / 3 % 3 : i / 9;
            double x = 3.2 * (double)cell + 0.13 * (double)((7 * i + 5 * c) % 5) + 0.01 * frame * (double)((i + c) % 3);
            put(m, &x, sizeof x);
        }
}

static void put_structures(message *m, size_t natoms, size_t nstructures, int frame)
{
    static const double cell[18] = {60, 0, 0, 0, 60, 0, 0, 0, 60};
    int32_t n = (int32_t)natoms;
    put_word(m, "POSDATA");
    if (nstructures > 1)
        put(m, &n, sizeof n);
    for (size_t k = 0; k < nstructures; k++)
        put(m, cell, sizeof cell);
    if (nstructures == 1)
        put(m, &n, sizeof n);
    for (size_t k = 0; k < nstructures; k++)
        put_positions(m, natoms, frame + (int)k);
}

static enum outcome introduce(client *c, size_t natoms, const char *more)
{
    message m = {0};
    put_word(&m, "STATUS");
    put_init(&m, natoms, more);
    put_word(&m, "STATUS");
    say(c, m.bytes, m.n);
    enum outcome rc = hear_word(c, ""); /* NEEDINIT the first time */
    return rc == FINE ? hear_word(c, "READY") : rc;
}

static enum outcome step(client *c, size_t natoms, size_t nstructures, int frame)
{
    message m = {0};
    put_structures(&m, natoms, nstructures, frame);
    put_word(&m, "GETFORCE");
    size_t first = natoms > SMALL ? m.n / 2 : 0; /* positions that come in pieces are read to where they belong */
    say(c, m.bytes, first);
    if (first > 0)
        pause_ms(0.5);
    say(c, m.bytes + first, m.n - first);
    return hear_forces(c, natoms, nstructures);
}

/* ---- a whole conversation ---- */

enum { ACTS = 4 };

#define TRUSTED ",\"trust_species\":true" /* judging takes longest */

static const struct {
    const char *init;
    size_t natoms, nstructures;
} acts[ACTS] = {
    {"", SMALL, 1},
    {TRUSTED, LARGE, 1},
    {TRUSTED ",\"batch_size\":4", LARGE, BATCH},
    {TRUSTED ",\"extras\":\"committee\"", LARGE, 1},
};

static client expected[ACTS], guest;

static enum outcome perform(client *c, int act)
{
    enum outcome rc = introduce(c, acts[act].natoms, acts[act].init);
    return rc == FINE ? step(c, acts[act].natoms, acts[act].nstructures, 0) : rc;
}

static bool same(const client *a, const client *b)
{
    return a->n == b->n && memcmp(a->answer, b->answer, a->n) == 0;
}

static enum outcome converse(client *c)
{
    enum outcome rc = dial(c);
    for (int i = 0; rc == FINE && i < ACTS; i++) {
        rc = perform(c, i);
        if (rc == FINE && !same(c, &expected[i]))
            rc = NONSENSE;
    }
    if (rc == FINE)
        say(c, "EXIT        ", IPI_HEADER);
    hang_up(c);
    return rc;
}

/* Of a server that lacks nothing. */
static void learn_answers(void)
{
    for (int i = 0; i < ACTS; i++) {
        ck_assert_int_eq(dial(&expected[i]), FINE);
        enum outcome rc = perform(&expected[i], i);
        ck_assert_msg(rc == FINE, "%d %s", rc, expected[i].why);
        hang_up(&expected[i]);
    }
}

static void ck_served(void)
{
    enum outcome rc = converse(&guest);
    ck_assert_msg(rc == FINE, "a client that comes later: %d %s", rc, guest.why);
}

/* ---- the driver that does no wrong ---- */

typedef struct {
    pthread_t thread;
    bool forgives; /* being told that there is no memory: it comes again */
    atomic_bool leave;
    atomic_long steps, refusals;
    atomic_int rc;
    client c;
    double *seconds; /* of each step; NULL */
    long room;
} driver;

static driver other;
static client expected_step[FRAMES];

static void learn_steps(void)
{
    client *c = &guest;
    ck_assert_int_eq(dial(c), FINE);
    ck_assert_int_eq(introduce(c, SMALL, ""), FINE);
    for (int k = 0; k < FRAMES; k++) {
        ck_assert_int_eq(step(c, SMALL, 1, k), FINE);
        expected_step[k] = *c;
    }
    hang_up(c);
}

static enum outcome one_step(driver *d)
{
    long n = atomic_load(&d->steps);
    int frame = (int)(n % FRAMES);
    double before = now();
    enum outcome rc = step(&d->c, SMALL, 1, frame);
    if (rc == FINE && !same(&d->c, &expected_step[frame]))
        rc = NONSENSE;
    if (d->seconds != NULL && n < d->room)
        d->seconds[n] = now() - before;
    if (rc == FINE)
        atomic_store(&d->steps, n + 1);
    return rc;
}

static enum outcome come_again(driver *d)
{
    double until = now() + PATIENCE;
    enum outcome rc = SILENT;
    while (!atomic_load(&d->leave) && now() < until) {
        hang_up(&d->c);
        rc = dial(&d->c);
        if (rc == FINE && (rc = introduce(&d->c, SMALL, "")) == FINE)
            return FINE;
        pause_ms(0.2);
    }
    return atomic_load(&d->leave) ? FINE : rc;
}

static void *drive(void *ctx)
{
    driver *d = ctx;
    enum outcome rc = come_again(d);
    while (rc == FINE && !atomic_load(&d->leave)) {
        rc = one_step(d);
        if (rc == REFUSED && d->forgives && strstr(d->c.why, "memory") != NULL) {
            atomic_fetch_add(&d->refusals, 1);
            rc = come_again(d);
        }
    }
    atomic_store(&d->rc, (int)rc);
    hang_up(&d->c);
    return NULL;
}

static bool steps_on(driver *d, long n)
{
    long target = atomic_load(&d->steps) + n;
    double until = now() + PATIENCE;
    while (atomic_load(&d->steps) < target && atomic_load(&d->rc) == FINE && now() < until)
        pause_ms(0.1);
    return atomic_load(&d->rc) == FINE && atomic_load(&d->steps) >= target;
}

static void ck_steps_on(driver *d, long n)
{
    bool so = steps_on(d, n);
    ck_assert_msg(so, "the driver: %d %s", atomic_load(&d->rc), d->c.why);
}

static void driver_begin(driver *d, bool forgives)
{
    d->forgives = forgives;
    d->c.fd = -1;
    atomic_store(&d->leave, false);
    atomic_store(&d->steps, 0);
    atomic_store(&d->refusals, 0);
    atomic_store(&d->rc, FINE);
    ck_assert_int_eq(pthread_create(&d->thread, NULL, drive, d), 0);
    ck_steps_on(d, FRAMES + 1);
}

static void driver_end(driver *d)
{
    atomic_store(&d->leave, true);
    pthread_join(d->thread, NULL);
    ck_assert_msg(atomic_load(&d->rc) == FINE, "the driver: %d %s", atomic_load(&d->rc), d->c.why);
}

/* ---- the control socket ---- */

/* An object, or NULL if it was closed without a whole answer; a new reference. */
static json_t *hear_line(int fd)
{
    static char line[1 << 16];
    size_t n = 0;
    ssize_t k = 1;
    while (n < sizeof line && (k = recv(fd, line + n, sizeof line - n, 0)) > 0)
        if (line[(n += (size_t)k) - 1] == '\n')
            return json_loadb(line, n, 0, NULL);
    ck_assert_msg(k == 0 || errno != EAGAIN, "the control socket is silent");
    return NULL;
}

static int say_line(const char *line)
{
    int fd = make_socket();
    if (call_at(fd, one.control) == FINE)
        ck_assert_int_ge((int)send(fd, line, strlen(line), MSG_NOSIGNAL), -1);
    return fd;
}

static json_t *ask_control(const char *line)
{
    int fd = say_line(line);
    json_t *answer = hear_line(fd);
    close(fd);
    return answer;
}

static json_t *ask_status(void)
{
    json_t *answer = ask_control("{\"command\":\"status\"}\n");
    ck_assert_msg(json_is_array(json_object_get(answer, "links")), "no status");
    return answer;
}

static void ck_no_links(void)
{
    double until = now() + PATIENCE;
    size_t n = 1;
    while (n > 0 && now() < until) {
        json_t *status = ask_status();
        n = json_array_size(json_object_get(status, "links"));
        json_decref(status);
    }
    ck_assert_uint_eq(n, 0);
}

/* ---- without memory ---- */

/* _i 0: one allocation fails; 1: that one and all that follow. */
static void fail_from(int _i, long n)
{
    if (_i == 0)
        nf_mem_fail_once(n);
    else
        nf_mem_fail_after(n);
}

/* jansson does not tell an object that it had no memory for from one that is none: such an INIT, or command, is as if it
 * had not been understood. */
static void ck_excused(enum outcome rc, int hit, long n)
{
    bool told =
        rc == REFUSED && (strstr(guest.why, "memory") != NULL || strstr(guest.why, "elements are not known") != NULL);
    ck_assert_msg(rc == FINE || (hit && (rc == CLOSED || told)), "allocation %ld: %d %s", n, rc, guest.why);
}

static void learn(void)
{
    start(&one);
    learn_answers();
    learn_steps();
    stop(&one);
    ck_assert_msg(one.rc == 0, "%s", one.err.msg);
}

/* A server each time, so that nothing is there yet that it keeps; the driver too may be the first to need something, since
 * its steps meet the guest's. */
START_TEST(a_guest_without_memory)
{
    learn();
    for (long n = 0;; n += stride[_i]) {
        start(&one);
        driver_begin(&other, true);
        fail_from(_i, n);
        enum outcome rc = converse(&guest);
        int hit = nf_mem_fail_stop();
        ck_excused(rc, hit, n);
        ck_steps_on(&other, FRAMES);
        ck_assert_msg(_i > 0 || rc == FINE || atomic_load(&other.refusals) == 0, "allocation %ld: both suffer", n);
        ck_served();
        driver_end(&other);
        stop(&one);
        ck_assert_msg(one.rc == 0, "%s", one.err.msg);
        if (!hit)
            break;
        ck_assert_int_lt(n, 2000);
    }
}
END_TEST

/* From the first moment on, with all that it can have. */
START_TEST(a_server_without_memory)
{
    learn();
    one.options.http = "127.0.0.1:0";
    one.options.record = one.record;
    for (long n = 0;; n += stride[_i]) {
        fail_from(_i, n);
        unlink(one.record);
        begin(&one);
        bool serves = comes_true(&one.listens, &one.ended);
        enum outcome rc = serves ? converse(&guest) : CLOSED;
        int hit = nf_mem_fail_stop();
        ck_excused(rc, hit, n);
        if (serves)
            ck_served();
        stop(&one);
        ck_assert_msg(one.rc == (serves ? 0 : NF_ENOMEM), "allocation %ld: %d %s", n, one.rc, one.err.msg);
        ck_assert(serves || strstr(one.err.msg, "memory") != NULL || strstr(one.err.msg, "cannot start") != NULL);
        if (!hit)
            break;
        ck_assert_int_lt(n, 2000);
    }
    one.options.http = one.options.record = NULL;
}
END_TEST

static bool is_excuse(const char *reply)
{
    return strstr(reply, "memory") != NULL || strstr(reply, "a command is one JSON object") != NULL;
}

/* The model is read anew, and either it is the same or it is not taken; the driver's first step with it may lack memory. */
START_TEST(a_reload_without_memory)
{
    learn();
    start(&one);
    driver_begin(&other, true);
    for (long n = 0;; n += stride[_i]) {
        char reply[1000] = "";
        fail_from(_i, n);
        int fd = say_line("{\"command\":\"reload\"}\n");
        ck_assert_msg(recv(fd, reply, sizeof reply - 1, 0) >= 0 || errno != EAGAIN, "allocation %ld: silence", n);
        int hit = nf_mem_fail_stop();
        close(fd);
        ck_assert_msg(hit || strstr(reply, "\"ok\":true") != NULL, "allocation %ld: %s", n, reply);
        ck_steps_on(&other, FRAMES);
        if (!hit)
            break;
        ck_assert_int_lt(n, 4000);
    }
    ck_served();
    driver_end(&other);
    stop(&one);
}
END_TEST

/* Either all of the snapshot, or none. */
START_TEST(a_status_without_memory)
{
    learn();
    start(&one);
    driver_begin(&other, false);
    for (long n = 0;; n += stride[_i]) {
        fail_from(_i, n);
        int fd = say_line("{\"command\":\"status\"}\n");
        char reply[4000] = "";
        size_t have = 0;
        ssize_t k;
        while (have < sizeof reply - 1 && strchr(reply, '\n') == NULL &&
               (k = recv(fd, reply + have, sizeof reply - 1 - have, 0)) > 0)
            have += (size_t)k;
        int hit = nf_mem_fail_stop();
        close(fd);
        bool whole = strstr(reply, "\"elements\":[\"O\",\"H\"]") != NULL || strstr(reply, "[\"H\",\"O\"]") != NULL;
        whole = whole && strstr(reply, "\"number\":") != NULL && strstr(reply, one.members[1]) != NULL &&
                strstr(reply, "\"listening\"") != NULL;
        ck_assert_msg(whole || (hit && (have == 0 || is_excuse(reply))), "allocation %ld: %s", n, reply);
        ck_steps_on(&other, 1);
        if (!hit)
            break;
        ck_assert_int_lt(n, 4000);
    }
    driver_end(&other);
    stop(&one);
}
END_TEST

/* ---- a peer that sends byte by byte ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { MANY = 400 };

static double median_of_steps(driver *d)
{
    double seconds[MANY];
    d->seconds = seconds;
    d->room = MANY;
    driver_begin(d, false);
    ck_steps_on(d, MANY);
    driver_end(d);
    d->seconds = NULL;
    qsort(seconds, MANY, sizeof *seconds, by_value);
    return seconds[MANY / 2];
}

typedef struct {
    pthread_t thread;
    atomic_bool leave;
    client c;
} dripper;

static dripper slow;

static void *drip(void *ctx)
{
    dripper *d = ctx;
    message m = {0};
    put_word(&m, "STATUS");
    put_init(&m, LARGE, TRUSTED);
    put_structures(&m, LARGE, 1, 0);
    put_word(&m, "GETFORCE");
    for (size_t i = 0; i < m.n; i++) {
        say(&d->c, m.bytes + i, 1);
        if (!atomic_load(&d->leave))
            pause_ms(0.2);
    }
    return NULL;
}

START_TEST(a_peer_byte_by_byte)
{
    learn();
    start(&one);
    double alone = median_of_steps(&other);
    atomic_store(&slow.leave, false);
    ck_assert_int_eq(dial(&slow.c), FINE);
    ck_assert_int_eq(pthread_create(&slow.thread, NULL, drip, &slow), 0);
    double beside = median_of_steps(&other);
    atomic_store(&slow.leave, true);
    pthread_join(slow.thread, NULL);
    ck_assert_int_eq(hear_word(&slow.c, "NEEDINIT"), FINE);
    ck_assert_int_eq(hear_forces(&slow.c, LARGE, 1), FINE);
    ck_assert(same(&slow.c, &expected[1]));
    hang_up(&slow.c);
    ck_assert_msg(beside < 3 * alone + 5e-4, "%.3g ms, alone %.3g ms", 1e3 * beside, 1e3 * alone);
    stop(&one);
}
END_TEST

/* ---- without descriptors ---- */

enum { MOST_DESCRIPTORS = 256 };

static int count_descriptors(int *highest)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    *highest = 0;
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d)) {
            n++;
            *highest = atoi(e->d_name) > *highest ? atoi(e->d_name) : *highest;
        }
    if (d != NULL)
        closedir(d);
    return n;
}

typedef struct {
    struct rlimit before;
    int n, fd[MOST_DESCRIPTORS];
} famine;

/* No descriptor can be opened any more: all numbers up to the highest in use are taken. */
static void famine_begin(famine *f)
{
    int highest;
    count_descriptors(&highest);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &f->before), 0);
    struct rlimit low = {.rlim_cur = (rlim_t)highest + 1, .rlim_max = f->before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (f->n = 0; f->n < MOST_DESCRIPTORS && (f->fd[f->n] = dup(0)) >= 0;)
        f->n++;
}

static void famine_end(famine *f)
{
    for (int i = 0; i < f->n; i++)
        close(f->fd[i]);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &f->before), 0);
}

/* Seconds of processor time of the whole process in 200 ms. */
static double busy(void)
{
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    pause_ms(200);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    return (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
}

static enum outcome call_page(int fd)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)one.http_port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 ? FINE : CLOSED;
}

/* Who calls meanwhile, at the address, the control socket or the page, keeps no processor busy. */
START_TEST(without_descriptors)
{
    famine f;
    one.options.http = "127.0.0.1:0";
    learn();
    start(&one);
    guest.fd = _i < 2 ? make_socket() : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    famine_begin(&f);
    enum outcome rc = _i == 0   ? call_at(guest.fd, one.place.address.path)
                      : _i == 1 ? call_at(guest.fd, one.control)
                                : call_page(guest.fd);
    double seconds = busy();
    famine_end(&f);
    ck_assert_int_eq(rc, FINE);
    ck_assert_msg(seconds < 0.1, "the server worked %g of 0.2 s", seconds);
    if (_i == 0)
        rc = introduce(&guest, SMALL, "");
    ck_assert_msg(rc == FINE || rc == CLOSED, "%d", rc);
    hang_up(&guest);
    ck_served();
    json_decref(ask_status());
    stop(&one);
    one.options.http = NULL;
}
END_TEST

START_TEST(without_descriptors_others_go_on)
{
    famine f;
    learn();
    start(&one);
    driver_begin(&other, false);
    guest.fd = make_socket();
    famine_begin(&f);
    enum outcome rc = call_at(guest.fd, one.place.address.path);
    bool so = steps_on(&other, 50);
    famine_end(&f);
    ck_assert_msg(so, "the driver: %d %s", atomic_load(&other.rc), other.c.why);
    if (rc == FINE)
        rc = introduce(&guest, SMALL, "");
    ck_assert_msg(rc == FINE || rc == CLOSED, "%d", rc);
    hang_up(&guest);
    ck_served();
    driver_end(&other);
    stop(&one);
}
END_TEST

/* ---- crowds ---- */

enum { CROWD = 64, ROUNDS = 20 };

/* In the order in which they came; every fourth leaves without its answer, every other one without EXIT. */
static void one_round(client *crowd)
{
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(dial(&crowd[i]), FINE);
    for (int i = 0; i < CROWD; i++) {
        message m = {0};
        put_init(&m, SMALL, "");
        put_structures(&m, SMALL, 1, i % FRAMES);
        put_word(&m, "GETFORCE");
        say(&crowd[i], m.bytes, m.n);
    }
    for (int i = 0; i < CROWD; i++) {
        if (i % 4 != 3) {
            ck_assert_int_eq(hear_forces(&crowd[i], SMALL, 1), FINE);
            ck_assert(same(&crowd[i], &expected_step[i % FRAMES]));
        }
        if (i % 2 == 0)
            say(&crowd[i], "EXIT        ", IPI_HEADER);
        hang_up(&crowd[i]);
    }
}

START_TEST(a_crowd)
{
    int highest;
    client *crowd = calloc(CROWD, sizeof *crowd);
    learn();
    start(&one);
    ck_no_links();
    pause_ms(50); /* the server lets go of who asked */
    int before = count_descriptors(&highest);
    for (int k = 0; k < ROUNDS; k++)
        one_round(crowd);
    ck_no_links();
    double until = now() + PATIENCE;
    while (count_descriptors(&highest) != before && now() < until)
        pause_ms(1);
    ck_assert_int_eq(count_descriptors(&highest), before);
    ck_served();
    free(crowd);
    stop(&one);
}
END_TEST

/* A failure leaves threads behind: what comes after it says little. */
static void add(Suite *s, const char *name, const TTest *test, int times)
{
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test, 0, times);
    suite_add_tcase(s, t);
}

Suite *suite(void)
{
    Suite *s = suite_create("server");
    add(s, "guest", a_guest_without_memory, 2);
    add(s, "start", a_server_without_memory, 2);
    add(s, "reload", a_reload_without_memory, 2);
    add(s, "status", a_status_without_memory, 2);
    add(s, "slow", a_peer_byte_by_byte, 1);
    add(s, "descriptors", without_descriptors, 3);
    add(s, "others", without_descriptors_others_go_on, 1);
    add(s, "crowd", a_crowd, 1);
    return s;
}
