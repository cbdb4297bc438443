/* SPDX-License-Identifier: BSD-3-Clause
 *
 * nearfar_client.c - the side of i-PI, over a connection that we open ourselves.
 *
 *     we      STATUS             INIT | STATUS        POSDATA | GETFORCE ...
 *     server          NEEDINIT                 READY                     FORCEREADY ...
 *
 * INIT carries a JSON object with the elements, the model and the number of structures in a message; it is said anew when
 * one of them changes. In place of any answer the server may say ERROR with a sentence, and closes.
 * A connection on which anything went wrong is closed, since nobody knows at which byte it stands.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "nearfar_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* CODATA 2018 */
static const double bohr = 0.529177210903, hartree = 27.211386245988;

static const struct timespec a_moment = {0, 10000000};

enum { WORD = 12, INPUT = 1 << 14, NO_SOCKET = -1, MOST_INT32 = 0x7fffffff, TEXT_MOST = 1 << 30 };

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_ < 0)                                                                                                   \
            return rc_;                                                                                                \
    } while (0)

typedef struct {
    unsigned char *data;
    size_t n, capacity;
    int failed; /* no memory: what was put since is lost */
} bytes;

struct nf_client_state {
    char *address, *model, *extras, *species;
    size_t natoms; /* in species; 0: not counted */
    double timeout, wait, deadline;
    int fd;
    pid_t owner;       /* who opened it: a child must not write in between */
    size_t told_batch; /* structures in a message, by the INIT that the server has; 0: it has none that holds */
    bytes out;
    unsigned char in[INPUT];
    size_t in_first, in_end;
    bytes texts;      /* the extras of the last call, each with a NUL behind it */
    bytes text_begin; /* size_t, one more than texts */
};

/* ---- errors, memory, time ---- */

static int fail(nf_client *c, int code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(c->error, sizeof c->error, format, ap);
    va_end(ap);
    return code;
}

static int no_memory(nf_client *c)
{
    return fail(c, NF_CLIENT_ENOMEM, "no memory");
}

static unsigned char *room(bytes *b, size_t n)
{
    if (b->failed || n > SIZE_MAX / 4 - b->n) {
        b->failed = 1;
        return NULL;
    }
    if (b->n + n > b->capacity) {
        size_t capacity = 2 * (b->n + n);
        unsigned char *data = (unsigned char *)realloc(b->data, capacity);
        if (data == NULL) {
            b->failed = 1;
            return NULL;
        }
        b->data = data;
        b->capacity = capacity;
    }
    b->n += n;
    return b->data + b->n - n;
}

static void put(bytes *b, const void *p, size_t n)
{
    unsigned char *to = room(b, n);
    if (to != NULL && n > 0)
        memcpy(to, p, n);
}

static void put_text(bytes *b, const char *text)
{
    put(b, text, strlen(text));
}

static void clear(bytes *b)
{
    b->n = 0;
    b->failed = 0;
}

static char *copy_of(const char *text)
{
    char *copy = (char *)malloc(strlen(text) + 1);
    return copy == NULL ? NULL : strcpy(copy, text);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void begin(nf_client *c)
{
    c->error[0] = '\0';
    c->state->deadline = now() + c->state->timeout;
}

static void disconnect(struct nf_client_state *s)
{
    if (s->fd != NO_SOCKET)
        close(s->fd);
    s->fd = NO_SOCKET;
    s->told_batch = 0;
    s->in_first = s->in_end = 0;
}

/* ---- bytes over the wire ---- */

static int await(nf_client *c, short what)
{
    struct nf_client_state *s = c->state;
    for (;;) {
        struct pollfd one = {s->fd, what, 0};
        double left = s->deadline - now();
        if (left <= 0)
            return fail(c, NF_CLIENT_ETIME, "no answer from %s within %g s", s->address, s->timeout);
        int n = poll(&one, 1, left > 1000 ? 1000000 : (int)(left * 1000) + 1);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return fail(c, NF_CLIENT_EIO, "cannot wait for %s: %s", s->address, strerror(errno));
    }
}

static int passing(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int send_out(nf_client *c)
{
    struct nf_client_state *s = c->state;
    const unsigned char *at = s->out.data;
    size_t left = s->out.n;
    while (left > 0) {
        ssize_t n = send(s->fd, at, left, MSG_NOSIGNAL);
        if (n < 0 && !passing(errno))
            return fail(c, NF_CLIENT_EIO, "cannot send to %s: %s", s->address, strerror(errno));
        if (n < 0) {
            TRY(await(c, POLLOUT));
            continue;
        }
        at += n;
        left -= (size_t)n;
    }
    return 0;
}

static int receive(nf_client *c, unsigned char *to, size_t most, size_t *n)
{
    for (;;) {
        ssize_t got = recv(c->state->fd, to, most, 0);
        *n = got > 0 ? (size_t)got : 0;
        if (got > 0)
            return 0;
        if (got == 0 || errno == ECONNRESET)
            return fail(c, NF_CLIENT_EIO, "the server at %s has closed the connection; it knows why",
                        c->state->address);
        if (!passing(errno))
            return fail(c, NF_CLIENT_EIO, "cannot read from %s: %s", c->state->address, strerror(errno));
        TRY(await(c, POLLIN));
    }
}

/* Exactly n bytes; what is short goes through the buffer. */
static int take(nf_client *c, void *to, size_t n)
{
    struct nf_client_state *s = c->state;
    unsigned char *at = (unsigned char *)to;
    while (n > 0) {
        size_t have = s->in_end - s->in_first, part;
        if (have == 0 && n >= INPUT) {
            TRY(receive(c, at, n, &part));
        } else if (have == 0) {
            s->in_first = s->in_end = 0;
            TRY(receive(c, s->in, INPUT, &s->in_end));
            continue;
        } else {
            part = have < n ? have : n;
            memcpy(at, s->in + s->in_first, part);
            s->in_first += part;
        }
        at += part;
        n -= part;
    }
    return 0;
}

static int take_reason(nf_client *c)
{
    char text[sizeof c->error];
    int32_t n;
    TRY(take(c, &n, sizeof n));
    if (n < 0)
        return fail(c, NF_CLIENT_EPEER, "%s sends an error of %d bytes", c->state->address, (int)n);
    size_t kept = (size_t)n < sizeof text - 1 ? (size_t)n : sizeof text - 1;
    TRY(take(c, text, kept));
    text[kept] = '\0';
    return fail(c, NF_CLIENT_EREFUSED, "%s", text);
}

static int refuse_word(nf_client *c, const char *word)
{
    if (strcmp(word, "STATUS      ") == 0)
        return fail(c, NF_CLIENT_EPEER, "who listens at %s asks for answers, as i-PI does: that is no nearfar listen",
                    c->state->address);
    char shown[WORD + 1];
    for (size_t i = 0; i <= WORD; i++)
        shown[i] = (char)(word[i] == '\0' || (word[i] >= ' ' && word[i] <= '~') ? word[i] : '?');
    return fail(c, NF_CLIENT_EPEER, "the answer of %s begins with '%s': that is no nearfar listen", c->state->address,
                shown);
}

/* The next header, which is `expected`, or the reason why it is not. */
static int take_word(nf_client *c, const char *expected)
{
    char word[WORD + 1] = "", padded[WORD + 1];
    TRY(take(c, word, WORD));
    snprintf(padded, sizeof padded, "%-12s", expected);
    if (strcmp(word, padded) == 0)
        return 0;
    return strcmp(word, "ERROR       ") == 0 ? take_reason(c) : refuse_word(c, word);
}

static void put_word(bytes *b, const char *word)
{
    char padded[WORD + 1];
    snprintf(padded, sizeof padded, "%-12s", word);
    put(b, padded, WORD);
}

/* A server that closes in the middle of what we send has said why before. */
static int ask(nf_client *c, const char *expected)
{
    if (c->state->out.failed)
        return no_memory(c);
    int rc = send_out(c);
    if (rc == NF_CLIENT_EIO) {
        char why[sizeof c->error];
        memcpy(why, c->error, sizeof why);
        if (take_word(c, "") != NF_CLIENT_EREFUSED) {
            memcpy(c->error, why, sizeof why);
            return rc;
        }
        return NF_CLIENT_EREFUSED;
    }
    return rc < 0 ? rc : take_word(c, expected);
}

/* ---- connecting ---- */

static int make_socket(nf_client *c, int family)
{
    struct nf_client_state *s = c->state;
    int one = 1;
    s->fd = socket(family, SOCK_STREAM, 0);
    if (s->fd < 0) {
        s->fd = NO_SOCKET;
        return fail(c, NF_CLIENT_EIO, "cannot make a socket: %s", strerror(errno));
    }
    fcntl(s->fd, F_SETFD, FD_CLOEXEC);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    if (family != AF_UNIX)
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    s->owner = getpid();
    return 0;
}

static int not_connected(nf_client *c, int error)
{
    disconnect(c->state);
    return fail(c, NF_CLIENT_EIO, "cannot reach a nearfar listen at %s: %s", c->state->address, strerror(error));
}

static int connect_to(nf_client *c, const struct sockaddr *to, socklen_t size)
{
    struct nf_client_state *s = c->state;
    int rc, error = 0;
    socklen_t n = sizeof error;
    TRY(make_socket(c, to->sa_family));
    while ((rc = connect(s->fd, to, size)) != 0 && errno == EAGAIN && now() < s->deadline)
        nanosleep(&a_moment, NULL); /* the queue of a unix socket is full */
    if (rc == 0)
        return 0;
    if (errno != EINPROGRESS && errno != EINTR)
        return not_connected(c, errno);
    TRY(await(c, POLLOUT));
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    return error == 0 ? 0 : not_connected(c, error);
}

static int connect_local(nf_client *c, const char *name)
{
    struct sockaddr_un to;
    memset(&to, 0, sizeof to);
    to.sun_family = AF_UNIX;
    snprintf(to.sun_path, sizeof to.sun_path, "%s%s", name[0] == '/' ? "" : "/tmp/ipi_", name);
    return connect_to(c, (const struct sockaddr *)&to, sizeof to);
}

/* HOST and PORT of HOST:PORT or [IPv6]:PORT; 0 if that is what it is. */
static int split_host(const char *text, char host[256], const char **port)
{
    const char *colon = strrchr(text, ':');
    char *end;
    size_t n = colon == NULL ? 0 : (size_t)(colon - text);
    if (n > 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        n -= 2;
    }
    if (n == 0 || n > 255)
        return -1;
    memcpy(host, text, n);
    host[n] = '\0';
    *port = colon + 1;
    long number = strtol(*port, &end, 10);
    return **port >= '0' && **port <= '9' && *end == '\0' && number >= 1 && number <= 65535 ? 0 : -1;
}

static int connect_remote(nf_client *c, const char *place)
{
    char host[256];
    const char *port;
    struct addrinfo hints, *list = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    split_host(place, host, &port);
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0)
        return fail(c, NF_CLIENT_EIO, "cannot resolve %s: %s", c->state->address, gai_strerror(rc));
    rc = NF_CLIENT_EIO;
    for (const struct addrinfo *a = list; a != NULL && rc == NF_CLIENT_EIO; a = a->ai_next)
        rc = connect_to(c, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(list);
    return rc;
}

static int connect_once(nf_client *c)
{
    const char *address = c->state->address;
    return strncmp(address, "unix:", 5) == 0 ? connect_local(c, address + 5) : connect_remote(c, address + 4);
}

/* As often as `wait` allows: a server that is just starting needs a moment. */
static int connect_patiently(nf_client *c)
{
    double until = now() + c->state->wait;
    int rc;
    while ((rc = connect_once(c)) == NF_CLIENT_EIO && now() < until && now() < c->state->deadline)
        nanosleep(&a_moment, NULL);
    return rc;
}

static int greet(nf_client *c)
{
    TRY(connect_patiently(c));
    clear(&c->state->out);
    put_word(&c->state->out, "STATUS");
    return ask(c, "NEEDINIT");
}

/* Nothing is under way between two calls: whatever there is to read, an end above all, makes the connection useless. */
static int usable(const struct nf_client_state *s)
{
    char byte;
    return s->fd != NO_SOCKET && s->owner == getpid() && s->in_first == s->in_end &&
           recv(s->fd, &byte, 1, MSG_PEEK) < 0 && passing(errno);
}

/* ---- INIT ---- */

static void put_json(bytes *b, const char *text)
{
    put_text(b, "\"");
    for (; *text != '\0'; text++) {
        char escaped[8];
        if (*text == '"' || *text == '\\' || (unsigned char)*text < ' ')
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            snprintf(escaped, sizeof escaped, "%c", *text);
        put_text(b, escaped);
    }
    put_text(b, "\"");
}

static void put_key(bytes *b, const char *key, const char *value)
{
    if (value == NULL)
        return;
    put_text(b, ",");
    put_json(b, key);
    put_text(b, ":");
    put_json(b, value);
}

static void put_options(bytes *b, const struct nf_client_state *s, size_t batch)
{
    char text[80];
    snprintf(text, sizeof text, "{\"errors\":true,\"batch_size\":%lu", (unsigned long)batch);
    put_text(b, text);
    put_key(b, "model", s->model);
    put_key(b, "extras", s->extras);
    put_key(b, "species", s->species);
    put_text(b, "}");
}

static int say_init(nf_client *c, size_t batch)
{
    struct nf_client_state *s = c->state;
    int32_t head[2] = {0, 0};
    clear(&s->out);
    put_word(&s->out, "INIT");
    put(&s->out, head, sizeof head);
    size_t begin = s->out.n;
    put_options(&s->out, s, batch);
    if (s->out.failed || s->out.n - begin > MOST_INT32)
        return no_memory(c);
    head[1] = (int32_t)(s->out.n - begin);
    memcpy(s->out.data + WORD, head, sizeof head);
    put_word(&s->out, "STATUS");
    TRY(ask(c, "READY"));
    s->told_batch = batch;
    return 0;
}

static int make_ready(nf_client *c, size_t batch)
{
    struct nf_client_state *s = c->state;
    if (!usable(s)) {
        disconnect(s);
        TRY(greet(c));
    }
    return s->told_batch == batch ? 0 : say_init(c, batch);
}

/* ---- structures ---- */

static void put_scaled(bytes *b, size_t n, const double *x, double unit)
{
    unsigned char *to = n > SIZE_MAX / sizeof *x ? NULL : room(b, n * sizeof *x);
    if (to == NULL) {
        b->failed = 1;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double y = x[i] / unit;
        memcpy(to + i * sizeof y, &y, sizeof y);
    }
}

/* Lattice vectors are columns on the wire; behind them goes room for the inverse, which nearfar makes itself. */
static void put_cell(bytes *b, const double *cell)
{
    double h[18] = {0};
    for (int i = 0; i < 9 && cell != NULL; i++)
        h[i] = cell[3 * (i % 3) + i / 3] / bohr;
    put(b, h, sizeof h);
}

static void put_natoms(bytes *b, size_t natoms)
{
    int32_t n = (int32_t)natoms;
    put(b, &n, sizeof n);
}

static void compose(bytes *b, size_t n, size_t natoms, const double *positions, const double *cells)
{
    clear(b);
    put_word(b, "POSDATA");
    if (n > 1)
        put_natoms(b, natoms);
    for (size_t k = 0; k < n; k++)
        put_cell(b, cells == NULL ? NULL : cells + 9 * k);
    if (n == 1)
        put_natoms(b, natoms);
    put_scaled(b, 3 * natoms * n, positions, bohr);
    put_word(b, "GETFORCE");
}

static int take_scaled(nf_client *c, size_t n, double *x, double unit)
{
    TRY(take(c, x, n * sizeof *x));
    for (size_t i = 0; i < n; i++)
        x[i] *= unit;
    return 0;
}

/* Numbers that nobody wants. */
static int pass_over(nf_client *c, size_t n)
{
    double some[512];
    while (n > 0) {
        size_t part = n < 512 ? n : 512;
        TRY(take(c, some, part * sizeof *some));
        n -= part;
    }
    return 0;
}

static int take_numbers(nf_client *c, size_t n, double *x, double unit)
{
    return x == NULL ? pass_over(c, n) : take_scaled(c, n, x, unit);
}

static int take_text(nf_client *c)
{
    struct nf_client_state *s = c->state;
    size_t begin = s->texts.n;
    int32_t n;
    TRY(take(c, &n, sizeof n));
    if (n < 0 || n > TEXT_MOST)
        return fail(c, NF_CLIENT_EPEER, "%s announces %d bytes of extras", s->address, (int)n);
    unsigned char *to = room(&s->texts, (size_t)n + 1);
    put(&s->text_begin, &begin, sizeof begin);
    if (to == NULL || s->text_begin.failed)
        return no_memory(c);
    to[n] = '\0';
    return take(c, to, (size_t)n);
}

static int take_result(nf_client *c, size_t n, size_t natoms, double *energies, double *forces, double *virials)
{
    int32_t announced;
    TRY(take_scaled(c, n, energies, hartree));
    TRY(take(c, &announced, sizeof announced));
    if (announced < 0 || (size_t)announced != natoms)
        return fail(c, NF_CLIENT_EPEER, "%s answers for %d atoms, %lu were sent", c->state->address, (int)announced,
                    (unsigned long)natoms);
    TRY(take_numbers(c, 3 * natoms * n, forces, hartree / bohr));
    TRY(take_numbers(c, 9 * n, virials, hartree));
    for (size_t k = 0; k < n; k++)
        TRY(take_text(c));
    return 0;
}

static int check(nf_client *c, size_t n, size_t natoms, const double *positions, const double *energies)
{
    const struct nf_client_state *s = c->state;
    if (n < 1 || natoms < 1 || natoms > MOST_INT32 || n > SIZE_MAX / 64 / natoms)
        return fail(c, NF_CLIENT_EINVAL, "%lu structures of %lu atoms cannot be sent", (unsigned long)n,
                    (unsigned long)natoms);
    if (positions == NULL || energies == NULL)
        return fail(c, NF_CLIENT_EINVAL, "positions and energies must not be NULL");
    if (s->natoms > 0 && s->natoms != natoms)
        return fail(c, NF_CLIENT_EINVAL, "elements are given for %lu atoms, positions for %lu",
                    (unsigned long)s->natoms, (unsigned long)natoms);
    return 0;
}

static int evaluate(nf_client *c, size_t n, size_t natoms, const double *positions, const double *cells,
                    double *energies, double *forces, double *virials)
{
    TRY(make_ready(c, n));
    compose(&c->state->out, n, natoms, positions, cells);
    TRY(ask(c, "FORCEREADY"));
    return take_result(c, n, natoms, energies, forces, virials);
}

/* ---- elements ---- */

static const char symbols[][3] = {
    "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si", "P",  "S",  "Cl",
    "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se",
    "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb",
    "Te", "I",  "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er",
    "Tm", "Yb", "Lu", "Hf", "Ta", "W",  "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At",
    "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U",  "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No",
    "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"};

enum { ELEMENTS = sizeof symbols / sizeof *symbols, GROUP_MOST = 32 };

static size_t repeats(const int *z, size_t n, size_t group)
{
    size_t end = group;
    while (end < n && z[end] == z[end - group])
        end++;
    return end / group;
}

/* How the list best begins: `group` elements, `times` times. */
static size_t find_group(const int *z, size_t n, size_t *times)
{
    size_t best = 1;
    *times = repeats(z, n, 1);
    for (size_t group = 2; group <= GROUP_MOST && 2 * group <= n; group++) {
        size_t k = *times > 1 && group % best == 0 ? 0 : repeats(z, n, group);
        if (k > 1 && k * group > *times * best) {
            best = group;
            *times = k;
        }
    }
    return best;
}

/* "O H H * 64; Na; Cl; ": an INIT has no room for millions of elements one by one. */
static void put_list(bytes *b, size_t n, const int *z)
{
    while (n > 0) {
        size_t times, group = find_group(z, n, &times);
        char text[32];
        for (size_t i = 0; i < group; i++) {
            put_text(b, symbols[z[i] - 1]);
            put_text(b, " ");
        }
        snprintf(text, sizeof text, "* %lu ", (unsigned long)times);
        put_text(b, times > 1 ? text : "; ");
        z += group * times;
        n -= group * times;
    }
    put(b, "", 1);
}

static void keep_species(struct nf_client_state *s, char *list, size_t natoms)
{
    free(s->species);
    s->species = list;
    s->natoms = natoms;
    s->told_batch = 0;
}

/* ---- outside ---- */

int nf_client_set_atoms(nf_client *c, size_t natoms, const int atomic_numbers[])
{
    bytes list = {NULL, 0, 0, 0};
    c->error[0] = '\0';
    if (natoms == 0)
        return fail(c, NF_CLIENT_EINVAL, "there must be an atom at least");
    for (size_t i = 0; i < natoms; i++)
        if (atomic_numbers[i] < 1 || atomic_numbers[i] > ELEMENTS)
            return fail(c, NF_CLIENT_EINVAL, "atom %lu has the atomic number %d; 1 to %d are elements",
                        (unsigned long)i + 1, atomic_numbers[i], ELEMENTS);
    put_list(&list, natoms, atomic_numbers);
    if (list.failed) {
        free(list.data);
        return no_memory(c);
    }
    keep_species(c->state, (char *)list.data, natoms);
    return 0;
}

int nf_client_set_species(nf_client *c, const char *list)
{
    char *copy = list == NULL ? NULL : copy_of(list);
    c->error[0] = '\0';
    if (list != NULL && copy == NULL)
        return no_memory(c);
    keep_species(c->state, copy, 0);
    return 0;
}

static int check_address(nf_client *c, const char *address)
{
    struct sockaddr_un local;
    char host[256];
    const char *port, *name = address + 5;
    if (strncmp(address, "tcp:", 4) == 0 && split_host(address + 4, host, &port) == 0)
        return 0;
    if (strncmp(address, "unix:", 5) == 0 && name[0] != '\0') {
        size_t n = strlen(name) + (name[0] == '/' ? 0 : strlen("/tmp/ipi_"));
        if (n < sizeof local.sun_path)
            return 0;
        return fail(c, NF_CLIENT_EINVAL, "%.200s is too long: a socket's path has at most %d bytes", address,
                    (int)sizeof local.sun_path - 1);
    }
    return fail(c, NF_CLIENT_EINVAL, "'%.200s' is no address: unix:NAME, unix:/path or tcp:HOST:PORT", address);
}

static int keep_options(nf_client *c, const char *address, const nf_client_options *o)
{
    struct nf_client_state *s = c->state;
    s->timeout = o->timeout > 0 ? o->timeout : 60;
    s->wait = o->wait;
    s->address = copy_of(address);
    s->model = o->model == NULL ? NULL : copy_of(o->model);
    s->extras = o->extras == NULL ? NULL : copy_of(o->extras);
    if (s->address == NULL || (o->model != NULL && s->model == NULL) || (o->extras != NULL && s->extras == NULL))
        return no_memory(c);
    return 0;
}

int nf_client_open(nf_client *c, const char *address, const nf_client_options *options)
{
    const nf_client_options defaults = {NULL, NULL, 0, 0};
    memset(c, 0, sizeof *c);
    TRY(check_address(c, address));
    c->state = (struct nf_client_state *)calloc(1, sizeof *c->state);
    if (c->state == NULL)
        return no_memory(c);
    c->state->fd = NO_SOCKET;
    return keep_options(c, address, options == NULL ? &defaults : options);
}

int nf_client_connect(nf_client *c)
{
    begin(c);
    int rc = make_ready(c, c->state->told_batch > 0 ? c->state->told_batch : 1);
    if (rc < 0)
        disconnect(c->state);
    return rc;
}

int nf_client_evaluate(nf_client *c, size_t n, size_t natoms, const double *positions, const double *cells,
                       double *energies, double *forces, double *virials)
{
    struct nf_client_state *s = c->state;
    begin(c);
    clear(&s->texts);
    clear(&s->text_begin);
    TRY(check(c, n, natoms, positions, energies));
    int rc = evaluate(c, n, natoms, positions, cells, energies, forces, virials);
    if (rc < 0) {
        disconnect(s);
        clear(&s->text_begin);
    }
    return rc;
}

const char *nf_client_extras(const nf_client *c, size_t structure, size_t *length)
{
    const struct nf_client_state *s = c->state;
    size_t n = s == NULL ? 0 : s->text_begin.n / sizeof(size_t), begin, end = 0;
    if (length != NULL)
        *length = 0;
    if (structure >= n)
        return "";
    memcpy(&begin, s->text_begin.data + structure * sizeof begin, sizeof begin);
    end = s->texts.n;
    if (structure + 1 < n)
        memcpy(&end, s->text_begin.data + (structure + 1) * sizeof end, sizeof end);
    if (length != NULL)
        *length = end - begin - 1;
    return (const char *)s->texts.data + begin;
}

void nf_client_close(nf_client *c)
{
    struct nf_client_state *s = c->state;
    if (s == NULL)
        return;
    if (usable(s))
        (void)!send(s->fd, "EXIT        ", WORD, MSG_NOSIGNAL);
    disconnect(s);
    free(s->address);
    free(s->model);
    free(s->extras);
    free(s->species);
    free(s->out.data);
    free(s->texts.data);
    free(s->text_begin.data);
    free(s);
    c->state = NULL;
}
