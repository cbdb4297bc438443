/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_client.c - clients/c against peers that say what they like, and without memory. Against the program it is tested in
 * tests/e2e/test_clients.py.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

static long allocations_left = -1; /* negative: as many as wanted */

static void *scarce(void *p)
{
    if (allocations_left > 0)
        allocations_left--;
    return p;
}

#define malloc(n)     scarce(allocations_left == 0 ? NULL : malloc(n))
#define calloc(n, m)  scarce(allocations_left == 0 ? NULL : calloc(n, m))
#define realloc(p, n) scarce(allocations_left == 0 ? NULL : realloc(p, n))
#include "../../clients/c/nearfar_client.c"
#undef malloc
#undef calloc
#undef realloc

#include "../../core/base/units.h"
#include "io/species.h"
#include "base/mem.h"
#include "scratch.h"
#include "suite.h"

enum { NATOMS = 2, MOST = 4096 };

static const double positions[2][3 * NATOMS] = {{0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 1.25}};
static const double cell[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

/* ---- a peer ---- */

typedef struct {
    scratch place;
    char address[300];
    int listener;
    pthread_t thread;
    unsigned char say[MOST], heard[MOST]; /* at once, whatever is asked; all that was asked */
    size_t nsay, nheard;
    bool slowly, hold;
} peer;

static void hear(peer *p, int fd)
{
    ssize_t n;
    while (p->nheard < MOST && (n = recv(fd, p->heard + p->nheard, MOST - p->nheard, 0)) > 0)
        p->nheard += (size_t)n;
}

static void *converse(void *ctx)
{
    peer *p = ctx;
    int fd = accept(p->listener, NULL, NULL);
    size_t step = p->slowly ? 1 : p->nsay;
    if (fd < 0)
        return NULL;
    for (size_t i = 0; i < p->nsay; i += step)
        if (send(fd, p->say + i, step, MSG_NOSIGNAL) < 0)
            break;
    if (!p->hold)
        shutdown(fd, SHUT_WR);
    hear(p, fd);
    close(fd);
    return NULL;
}

static void peer_begin(peer *p)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memset(p, 0, sizeof *p);
    scratch_begin(&p->place);
    snprintf(p->address, sizeof p->address, "unix:%s/s", p->place.path);
    snprintf(at.sun_path, sizeof at.sun_path, "%.100s", p->address + 5);
    p->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(p->listener, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(p->listener, 4), 0);
}

static void peer_speak(peer *p)
{
    ck_assert_int_eq(pthread_create(&p->thread, NULL, converse, p), 0);
}

static void peer_end(peer *p)
{
    pthread_join(p->thread, NULL);
    close(p->listener);
    scratch_end(&p->place);
}

static void say(peer *p, const void *data, size_t n)
{
    memcpy(p->say + p->nsay, data, n);
    p->nsay += n;
}

static void say_word(peer *p, const char *word)
{
    char padded[WORD + 1];
    snprintf(padded, sizeof padded, "%-12s", word);
    say(p, padded, WORD);
}

static void say_integer(peer *p, int32_t n)
{
    say(p, &n, sizeof n);
}

/* Energies -1, -2; forces 0, 1, 2, ...; virials 100, 101, ...; extras "a", "bb". */
static void say_forces(peer *p, size_t n, int32_t natoms)
{
    say_word(p, "FORCEREADY");
    for (size_t k = 0; k < n; k++)
        say(p, &(double){-1 - (double)k}, 8);
    say_integer(p, natoms);
    for (size_t i = 0; i < n * 3 * NATOMS; i++)
        say(p, &(double){(double)i}, 8);
    for (size_t i = 0; i < n * 9; i++)
        say(p, &(double){100 + (double)i}, 8);
    for (size_t k = 0; k < n; k++) {
        say_integer(p, (int32_t)k + 1);
        say(p, k == 0 ? "a" : "bb", k + 1);
    }
}

static void say_all(peer *p, size_t n)
{
    say_word(p, "NEEDINIT");
    say_word(p, "READY");
    say_forces(p, n, NATOMS);
}

/* ---- asking ---- */

typedef struct {
    double energies[2], forces[2][3 * NATOMS], virials[2][9];
} answer;

static int ask_peer(nf_client *c, const peer *p, size_t n, double timeout, answer *a)
{
    const nf_client_options options = {"w\"x", "summary", timeout, 0};
    const int numbers[NATOMS] = {8, 1};
    int rc = nf_client_open(c, p->address, &options);
    if (rc == 0)
        rc = nf_client_set_atoms(c, NATOMS, numbers);
    return rc < 0 ? rc
                  : nf_client_evaluate(c, n, NATOMS, positions[0], n == 1 ? cell : NULL, a->energies, a->forces[0],
                                       a->virials[0]);
}

/* What comes of the words of the peer. */
static int outcome(peer *p, double timeout, char error[600])
{
    nf_client c;
    answer a;
    peer_speak(p);
    int rc = ask_peer(&c, p, 1, timeout, &a);
    memcpy(error, c.error, sizeof c.error);
    nf_client_close(&c);
    peer_end(p);
    return rc;
}

static size_t find_heard(const peer *p, const char *word)
{
    for (size_t i = 0; i + WORD <= p->nheard; i++)
        if (memcmp(p->heard + i, word, strlen(word)) == 0)
            return i;
    ck_abort_msg("%s was not said", word);
    return 0;
}

START_TEST(numbers_and_units)
{
    peer p;
    nf_client c;
    answer a;
    size_t n = (size_t)_i + 1, length;
    peer_begin(&p);
    say_all(&p, n);
    p.slowly = _i == 1;
    peer_speak(&p);
    ck_assert_msg(ask_peer(&c, &p, n, 5, &a) == 0, "%s", c.error);
    for (size_t k = 0; k < n; k++) {
        ck_assert_double_eq(a.energies[k], (-1 - (double)k) * NF_HARTREE);
        ck_assert_double_eq(a.forces[k][5], (double)(6 * k + 5) * (NF_HARTREE / NF_BOHR));
        ck_assert_double_eq(a.virials[k][1], (double)(101 + 9 * k) * NF_HARTREE);
        ck_assert_str_eq(nf_client_extras(&c, k, &length), k == 0 ? "a" : "bb");
        ck_assert_uint_eq(length, k + 1);
    }
    ck_assert_str_eq(nf_client_extras(&c, n, &length), "");
    ck_assert_uint_eq(length, 0);
    nf_client_close(&c);
    nf_client_close(&c);
    peer_end(&p);
}
END_TEST

START_TEST(what_is_said)
{
    peer p;
    char error[600], init[200];
    double h[18], x[3 * NATOMS];
    peer_begin(&p);
    say_all(&p, 1);
    ck_assert_int_eq(outcome(&p, 5, error), 0);
    size_t at = find_heard(&p, "INIT        ") + WORD;
    snprintf(init, sizeof init, "%s", (const char *)p.heard + at + 8);
    *strstr(init, "STATUS") = '\0';
    ck_assert_str_eq(init, "{\"errors\":true,\"batch_size\":1,\"model\":\"w\\u0022x\",\"extras\":\"summary\","
                           "\"species\":\"O ; H ; \"}");
    at = find_heard(&p, "POSDATA     ") + WORD;
    memcpy(h, p.heard + at, sizeof h);
    memcpy(x, p.heard + at + sizeof h + 4, sizeof x);
    ck_assert_double_eq(h[1], 4 / NF_BOHR); /* vectors are columns */
    ck_assert_double_eq(x[5], 1 / NF_BOHR);
    find_heard(&p, "GETFORCE    ");
}
END_TEST

/* ---- peers that do not behave ---- */

START_TEST(ends_anywhere)
{
    char error[600];
    peer whole;
    peer_begin(&whole);
    say_all(&whole, 1);
    for (size_t n = 0; n < whole.nsay; n += 5) {
        peer p;
        peer_begin(&p);
        memcpy(p.say, whole.say, n);
        p.nsay = n;
        int rc = outcome(&p, 5, error);
        ck_assert_msg(rc == NF_CLIENT_EIO && strstr(error, "closed the connection") != NULL, "%zu: %s", n, error);
    }
    close(whole.listener);
    scratch_end(&whole.place);
}
END_TEST

START_TEST(silent_anywhere)
{
    char error[600];
    static const size_t places[] = {0, 5, 12, 24, 40, 60};
    peer p;
    peer_begin(&p);
    say_all(&p, 1);
    p.nsay = places[_i];
    p.hold = true;
    double before = now();
    ck_assert_int_eq(outcome(&p, 0.2, error), NF_CLIENT_ETIME);
    ck_assert_ptr_nonnull(strstr(error, "within 0.2 s"));
    ck_assert_double_lt(now() - before, 3);
}
END_TEST

static void expect(peer *p, int code, const char *sentence)
{
    char error[600];
    int rc = outcome(p, 5, error);
    ck_assert_msg(rc == code && strstr(error, sentence) != NULL, "%d: %s", rc, error);
}

START_TEST(no_nearfar)
{
    static const char *const texts[] = {"STATUS      ", "HTTP/1.1 400 Bad", "\x1b[31m\xff\xff\xff\xff\xff\xff\xff\xff"};
    static const char *const sentences[] = {"as i-PI does", "'HTTP/1.1 400'", "'?[31m"};
    peer p;
    peer_begin(&p);
    say(&p, texts[_i], strlen(texts[_i]));
    expect(&p, NF_CLIENT_EPEER, sentences[_i]);
}
END_TEST

START_TEST(other_atoms)
{
    peer p;
    peer_begin(&p);
    say_word(&p, "NEEDINIT");
    say_word(&p, "READY");
    say_forces(&p, 1, 3);
    expect(&p, NF_CLIENT_EPEER, "answers for 3 atoms, 2 were sent");
}
END_TEST

START_TEST(negative_extras)
{
    const int32_t minus = -1;
    peer p;
    peer_begin(&p);
    say_all(&p, 1);
    memcpy(p.say + p.nsay - 5, &minus, sizeof minus);
    expect(&p, NF_CLIENT_EPEER, "-1 bytes of extras");
}
END_TEST

/* At any of three moments; a long one is cut, a negative length is none. */
START_TEST(reasons)
{
    char text[3000];
    peer p;
    peer_begin(&p);
    if (_i % 3 > 0)
        say_word(&p, "NEEDINIT");
    if (_i % 3 > 1)
        say_word(&p, "READY");
    say_word(&p, "ERROR");
    memset(text, 'x', sizeof text);
    memcpy(text, "because", 7);
    say_integer(&p, _i < 3 ? 7 : _i < 6 ? (int32_t)sizeof text : -7);
    say(&p, text, _i < 3 ? 7 : _i < 6 ? sizeof text : 0);
    expect(&p, _i < 6 ? NF_CLIENT_EREFUSED : NF_CLIENT_EPEER, _i < 6 ? "because" : "-7 bytes");
}
END_TEST

/* ---- what is not sent ---- */

START_TEST(bad_arguments)
{
    static const char *const bad[] = {"water",          "unix:",  "tcp:",        "tcp:host",    "tcp:host:0",
                                      "tcp:host:65536", "tcp::1", "tcp:host:1x", "tcp:host: 1", ""};
    nf_client c;
    double x[3] = {0}, energy;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(nf_client_open(&c, bad[i], NULL) == NF_CLIENT_EINVAL, "%s", bad[i]);
        nf_client_close(&c);
    }
    ck_assert_int_eq(nf_client_open(&c, "tcp:[::1]:1", NULL), 0);
    ck_assert_int_eq(nf_client_set_atoms(&c, 1, (const int[]){119}), NF_CLIENT_EINVAL);
    ck_assert_int_eq(nf_client_set_atoms(&c, 0, NULL), NF_CLIENT_EINVAL);
    ck_assert_int_eq(nf_client_set_atoms(&c, 2, (const int[]){1, 1}), 0);
    ck_assert_int_eq(nf_client_evaluate(&c, 1, 1, x, NULL, &energy, NULL, NULL), NF_CLIENT_EINVAL);
    ck_assert_int_eq(nf_client_evaluate(&c, 0, 2, x, NULL, &energy, NULL, NULL), NF_CLIENT_EINVAL);
    ck_assert_int_eq(nf_client_evaluate(&c, 1, 2, NULL, NULL, &energy, NULL, NULL), NF_CLIENT_EINVAL);
    ck_assert_int_eq(nf_client_evaluate(&c, SIZE_MAX / 4, 2, x, NULL, &energy, NULL, NULL), NF_CLIENT_EINVAL);
    nf_client_close(&c);
}
END_TEST

/* As the server reads them. */
START_TEST(lists_of_elements)
{
    int z[3000], *read;
    size_t n = 0, nread;
    nf_error err;
    nf_client c;
    unsigned seed = (unsigned)_i;
    while (n < 2000) {
        int group = 1 + (int)(seed = seed * 1103515245u + 12345u) % 5u, times = 1 + (int)((seed >> 8) % 40u);
        for (int i = 0; i < group * times; i++, n++)
            z[n] = i < group ? 1 + (int)((seed >> (i + 3)) % (unsigned)(_i + 1)) : z[n - (size_t)group];
    }
    ck_assert_int_eq(nf_client_open(&c, "unix:none", NULL), 0);
    ck_assert_int_eq(nf_client_set_atoms(&c, n, z), 0);
    ck_assert_msg(nf_species_parse_list(&read, &nread, c.state->species, 0, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(nread, n);
    ck_assert_mem_eq(read, z, n * sizeof *z);
    nf_free(read);
    nf_client_close(&c);
}
END_TEST

START_TEST(without_memory)
{
    int rc = NF_CLIENT_ENOMEM;
    for (long n = 0; rc != 0; n++) {
        peer p;
        nf_client c;
        answer a;
        peer_begin(&p);
        say_all(&p, 2);
        peer_speak(&p);
        allocations_left = n;
        rc = ask_peer(&c, &p, 2, 5, &a);
        allocations_left = -1;
        ck_assert_msg(rc == 0 || rc == NF_CLIENT_ENOMEM, "allocation %ld: %s", n, c.error);
        if (rc != 0)
            shutdown(p.listener, SHUT_RDWR); /* nobody may have called */
        nf_client_close(&c);
        peer_end(&p);
        ck_assert_int_lt(n, 40);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("client");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, numbers_and_units, 0, 2);
    tcase_add_test(t, what_is_said);
    tcase_add_test(t, ends_anywhere);
    tcase_add_loop_test(t, silent_anywhere, 0, 6);
    tcase_add_loop_test(t, no_nearfar, 0, 3);
    tcase_add_test(t, other_atoms);
    tcase_add_test(t, negative_extras);
    tcase_add_loop_test(t, reasons, 0, 9);
    tcase_add_test(t, bad_arguments);
    tcase_add_loop_test(t, lists_of_elements, 0, 6);
    tcase_add_test(t, without_memory);
    suite_add_tcase(s, t);
    return s;
}
