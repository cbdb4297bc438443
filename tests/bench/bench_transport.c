/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bench_transport unix|tcp fused|classic ATOMS BLOCKS STEPS COMMAND... - what a step costs beside the evaluation.
 *
 * One driver of molecular dynamics, two force servers: a bare one here, in a process of its own, that answers zeros as
 * fast as blocking sockets let it, and COMMAND, in which the word ADDRESS stands for unix:/path or tcp:host:port. Both
 * are asked by the same code, in turn, STEPS steps a block, so that whatever else the machine does hits both. Structures
 * are water molecules (O H H) on a grid.
 *
 *     fused      POSDATA and GETFORCE in one send; the reply; STATUS, READY        i-PI's consolidated messages
 *     classic    STATUS, READY; POSDATA; STATUS, HAVEDATA; GETFORCE; the reply     i-PI without them, ASE
 *
 * Prints microseconds a step of both (median of blocks) and their ratio (median of the blocks' ratios, quartiles).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 12, CELLS = 144, BEFORE = HEADER + CELLS + 4, TAIL = 72 + 4, DRIVER_BUFFER = 1 << 20 };

typedef struct {
    bool unix_socket;
    char *path, word[96]; /* word: what nearfar calls the place */
    int listener, port;
} place;

typedef struct {
    bool fused;
    size_t natoms, nposdata, nreply;
    unsigned char *posdata; /* POSDATA with its payload, GETFORCE behind it */
    unsigned char *reply;
} traffic;

typedef struct {
    place where;
    int fd;
    pid_t pid;
    double *us; /* [blocks] of a step */
} server;

static char paths[2][64]; /* of the sockets, also for whoever ends early */

static void remove_sockets(void)
{
    for (int k = 0; k < 2; k++)
        unlink(paths[k]);
}

static void die(const char *what)
{
    fprintf(stderr, "bench_transport: %s: %s\n", what, errno != 0 ? strerror(errno) : "unexpected");
    exit(1);
}

static void *take(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (p == NULL)
        die("memory");
    return p;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- bytes ---- */

static void send_all(int fd, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            die("send");
        p += k;
        n -= (size_t)k;
    }
}

static void receive(int fd, void *bytes, size_t n)
{
    unsigned char *p = bytes;
    while (n > 0) {
        ssize_t k = recv(fd, p, n, MSG_WAITALL);
        if (k <= 0)
            die("the other end has gone");
        p += k;
        n -= (size_t)k;
    }
}

static void put_word(unsigned char *to, const char *word)
{
    memset(to, ' ', HEADER);
    memcpy(to, word, strlen(word));
}

static bool is(const unsigned char *header, const char *word)
{
    unsigned char padded[HEADER];
    put_word(padded, word);
    return memcmp(header, padded, HEADER) == 0;
}

static void say(int fd, const char *word)
{
    unsigned char header[HEADER];
    put_word(header, word);
    send_all(fd, header, HEADER);
}

static void expect(int fd, const char *word)
{
    unsigned char header[HEADER];
    receive(fd, header, HEADER);
    errno = 0;
    if (!is(header, word))
        die(word);
}

/* ---- places ---- */

static void no_delay(const place *where, int fd)
{
    if (!where->unix_socket && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) != 0)
        die("TCP_NODELAY");
}

static void listen_unix(place *p, int k)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    p->path = paths[k];
    snprintf(p->path, sizeof paths[k], "/tmp/bench-transport-%d-%d", (int)getpid(), k);
    snprintf(p->word, sizeof p->word, "unix:%s", p->path);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", p->path);
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&a, sizeof a) != 0)
        die(p->path);
}

static void listen_tcp(place *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(p->listener, (struct sockaddr *)&a, &n) != 0)
        die("127.0.0.1");
    p->port = ntohs(a.sin_port);
    snprintf(p->word, sizeof p->word, "tcp:127.0.0.1:%d", p->port);
}

static void listen_at(place *p, bool unix_socket, int k)
{
    p->unix_socket = unix_socket;
    if (unix_socket)
        listen_unix(p, k);
    else
        listen_tcp(p);
    if (listen(p->listener, 4) != 0)
        die("listen");
}

static int connect_to(const place *p)
{
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    struct sockaddr_in i = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)p->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (p->unix_socket)
        snprintf(u.sun_path, sizeof u.sun_path, "%s", p->path);
    int fd = socket(p->unix_socket ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    int rc =
        p->unix_socket ? connect(fd, (struct sockaddr *)&u, sizeof u) : connect(fd, (struct sockaddr *)&i, sizeof i);
    if (fd < 0 || rc != 0)
        die("connect");
    no_delay(p, fd);
    return fd;
}

/* ---- the bare server ---- */

typedef struct {
    int fd;
    size_t begin, end;
    unsigned char bytes[DRIVER_BUFFER];
} reader;

/* The next n bytes, as many system calls as the kernel needs; n fits the buffer. */
static const unsigned char *next(reader *r, size_t n)
{
    if (DRIVER_BUFFER - r->begin < n) {
        memmove(r->bytes, r->bytes + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    while (r->end - r->begin < n) {
        ssize_t k = recv(r->fd, r->bytes + r->end, DRIVER_BUFFER - r->end, 0);
        if (k <= 0)
            _exit(0);
        r->end += (size_t)k;
    }
    const unsigned char *p = r->bytes + r->begin;
    r->begin += n;
    if (r->begin == r->end)
        r->begin = r->end = 0;
    return p;
}

static void serve_bare(const place *where, const traffic *t)
{
    static reader r;
    bool have_data = false;
    r.fd = connect_to(where);
    for (;;) {
        const unsigned char *word = next(&r, HEADER);
        if (is(word, "STATUS")) {
            say(r.fd, have_data ? "HAVEDATA" : "READY");
        } else if (is(word, "POSDATA")) {
            next(&r, t->nposdata - HEADER);
            have_data = true;
        } else if (is(word, "GETFORCE")) {
            send_all(r.fd, t->reply, t->nreply);
            have_data = false;
        } else {
            _exit(is(word, "EXIT") ? 0 : 1);
        }
    }
}

/* ---- the driver of molecular dynamics ---- */

static void write_positions(double *x, size_t natoms)
{
    static const double water[3][3] = {{0, 0, 0}, {0.76, 0.59, 0}, {-0.76, 0.59, 0}};
    const double bohr = 0.529177210903, edge = 3.1;
    size_t n = (size_t)ceil(cbrt((double)natoms / 3));
    for (size_t i = 0; i < natoms; i++) {
        size_t at[3] = {i / 3 % n, i / 3 / n % n, i / 3 / n / n};
        for (int a = 0; a < 3; a++)
            x[3 * i + a] = (edge * (double)at[a] + water[i % 3][a]) / bohr;
    }
}

static void make_traffic(traffic *t, bool fused, size_t natoms)
{
    const double edge = 3.1 * fmax(4, ceil(cbrt((double)natoms / 3))) / 0.529177210903;
    const double cells[18] = {edge, 0, 0, 0, edge, 0, 0, 0, edge, 1 / edge, 0, 0, 0, 1 / edge, 0, 0, 0, 1 / edge};
    int32_t n = (int32_t)natoms;
    double *x = take(24 * natoms);
    write_positions(x, natoms);
    *t = (traffic){.fused = fused, .natoms = natoms, .nposdata = BEFORE + 24 * natoms};
    t->nreply = HEADER + 8 + 4 + 24 * natoms + TAIL;
    t->posdata = take(t->nposdata + HEADER);
    t->reply = take(t->nreply);
    put_word(t->posdata, "POSDATA");
    memcpy(t->posdata + HEADER, cells, CELLS);
    memcpy(t->posdata + HEADER + CELLS, &n, 4);
    memcpy(t->posdata + BEFORE, x, 24 * natoms);
    put_word(t->posdata + t->nposdata, "GETFORCE");
    put_word(t->reply, "FORCEREADY");
    memcpy(t->reply + HEADER + 8, &n, 4);
    free(x);
}

static void receive_forces(int fd, const traffic *t)
{
    static unsigned char head[HEADER + 8 + 4], extras[4096];
    static unsigned char *forces;
    int32_t nextra;
    if (forces == NULL)
        forces = take(24 * t->natoms + TAIL);
    receive(fd, head, sizeof head);
    receive(fd, forces, 24 * t->natoms + TAIL);
    memcpy(&nextra, forces + 24 * t->natoms + TAIL - 4, 4);
    errno = 0;
    if (!is(head, "FORCEREADY") || nextra < 0 || nextra > (int32_t)sizeof extras)
        die("reply");
    receive(fd, extras, (size_t)nextra);
}

static void step(int fd, const traffic *t)
{
    if (t->fused) {
        send_all(fd, t->posdata, t->nposdata + HEADER);
        receive_forces(fd, t);
        say(fd, "STATUS");
        expect(fd, "READY");
        return;
    }
    say(fd, "STATUS");
    expect(fd, "READY");
    send_all(fd, t->posdata, t->nposdata);
    say(fd, "STATUS");
    expect(fd, "HAVEDATA");
    say(fd, "GETFORCE");
    receive_forces(fd, t);
}

static void greet(int fd)
{
    unsigned char header[HEADER];
    const int32_t init[2] = {0, 1};
    say(fd, "STATUS");
    receive(fd, header, HEADER);
    if (is(header, "NEEDINIT")) {
        say(fd, "INIT");
        send_all(fd, init, sizeof init);
        send_all(fd, " ", 1);
        say(fd, "STATUS");
        expect(fd, "READY");
    }
}

static double block(int fd, const traffic *t, int steps)
{
    double begin = now();
    for (int i = 0; i < steps; i++)
        step(fd, t);
    return 1e6 * (now() - begin) / steps;
}

/* ---- both servers ---- */

/* Until it calls. */
static void wait_for(const server *s)
{
    struct pollfd p = {.fd = s->where.listener, .events = POLLIN};
    while (poll(&p, 1, 100) == 0) {
        errno = 0;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
            die("a server has ended before it called");
    }
}

static void start(server *s, const traffic *t, char **command)
{
    s->pid = fork();
    if (s->pid < 0)
        die("fork");
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (command == NULL)
            serve_bare(&s->where, t);
        for (char **word = command; *word != NULL; word++)
            if (strcmp(*word, "ADDRESS") == 0)
                *word = s->where.word;
        execvp(command[0], command);
        _exit(127);
    }
    wait_for(s);
    s->fd = accept(s->where.listener, NULL, NULL);
    if (s->fd < 0 || fcntl(s->fd, F_SETFD, FD_CLOEXEC) != 0)
        die("accept");
    no_delay(&s->where, s->fd);
    greet(s->fd);
}

static void leave(server *s)
{
    int status;
    say(s->fd, "EXIT");
    close(s->fd);
    waitpid(s->pid, &status, 0);
    errno = 0;
    if (status != 0)
        die("a server failed");
    free(s->us);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const traffic *t, server both[2], int blocks)
{
    double *ratio = take((size_t)blocks * sizeof *ratio);
    for (int b = 0; b < blocks; b++)
        ratio[b] = both[1].us[b] / both[0].us[b];
    qsort(ratio, (size_t)blocks, sizeof *ratio, ascending);
    for (int k = 0; k < 2; k++)
        qsort(both[k].us, (size_t)blocks, sizeof(double), ascending);
    printf("%-4s %-7s %6zu atoms   bare %8.1f us   it %8.1f us   +%7.1f us   ratio %.2f (%.2f to %.2f)\n",
           both[0].where.unix_socket ? "unix" : "tcp", t->fused ? "fused" : "classic", t->natoms,
           both[0].us[blocks / 2], both[1].us[blocks / 2], both[1].us[blocks / 2] - both[0].us[blocks / 2],
           ratio[blocks / 2], ratio[blocks / 4], ratio[3 * blocks / 4]);
    free(ratio);
}

int main(int argc, char **argv)
{
    traffic t;
    server both[2] = {{.fd = -1}, {.fd = -1}};
    if (argc < 7 || atoi(argv[3]) < 1 || atoi(argv[4]) < 1 || atoi(argv[5]) < 1) {
        fprintf(stderr, "usage: bench_transport unix|tcp fused|classic ATOMS BLOCKS STEPS COMMAND...\n");
        return 2;
    }
    int blocks = atoi(argv[4]), steps = atoi(argv[5]);
    atexit(remove_sockets);
    make_traffic(&t, strcmp(argv[2], "fused") == 0, (size_t)atoi(argv[3]));
    for (int k = 0; k < 2; k++) {
        listen_at(&both[k].where, strcmp(argv[1], "unix") == 0, k);
        both[k].us = take((size_t)blocks * sizeof *both[k].us);
        start(&both[k], &t, k == 0 ? NULL : argv + 6);
        block(both[k].fd, &t, steps / 4 + 1);
    }
    for (int b = 0; b < 2 * blocks; b++) {
        int k = (b ^ b >> 1) & 1; /* 0 1 1 0 ..., so that neither is always the first */
        both[k].us[b / 2] = block(both[k].fd, &t, steps);
    }
    report(&t, both, blocks);
    for (int k = 0; k < 2; k++)
        leave(&both[k]);
    free(t.posdata);
    free(t.reply);
    return 0;
}
