/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_control.c - the control socket under those who know it, those who do not, and those who mean no good.
 */
#define _GNU_SOURCE /* usleep, setenv */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "peer.h"
#include "scratch.h"
#include "server/control.h"
#include "server/runtime_dir.h"
#include "snapshot.h"
#include "suite.h"

#define STATUS "{\"command\":\"status\"}\n"
#define RELOAD "{\"command\":\"reload\",\"path\":\"/models/new\"}\n"

/* A server that computes nothing, and what was asked of it. */
static struct {
    scratch dir;
    char path[300];
    uv_loop_t loop;
    uv_async_t alive; /* what a server has else: without it the loop does not even look */
    nf_control *control;
    int nlinks, nstatus, nreload;
    bool at_once, no_memory;
    char model[64], file[64];
    nf_outside_done *done;
    void *done_ctx;
} at;

static json_t *fake_status(void *ctx)
{
    (void)ctx;
    at.nstatus++;
    return at.no_memory ? NULL : snapshot_make(at.nlinks, 100, "water", 1);
}

static void fake_reload(void *ctx, const char *model, const char *path, nf_outside_done *done, void *done_ctx)
{
    (void)ctx;
    at.nreload++;
    snprintf(at.model, sizeof at.model, "%s", model == NULL ? "(null)" : model);
    snprintf(at.file, sizeof at.file, "%s", path == NULL ? "(null)" : path);
    if (at.at_once) {
        done(done_ctx, 0, "done");
        return;
    }
    at.done = done;
    at.done_ctx = done_ctx;
}

static const nf_outside outside = {NULL, fake_status, fake_reload};

static void begin(void)
{
    nf_error err = {0};
    memset(&at, 0, sizeof at);
    at.nlinks = 2;
    scratch_begin(&at.dir);
    snprintf(at.path, sizeof at.path, "%s/s", at.dir.path);
    ck_assert_int_eq(uv_loop_init(&at.loop), 0);
    uv_async_init(&at.loop, &at.alive, NULL);
    ck_assert_msg(nf_control_open(&at.control, &at.loop, at.path, &outside, &err) == 0, "%s", err.msg);
}

static void end(void)
{
    nf_control_close(at.control);
    uv_close((uv_handle_t *)&at.alive, NULL);
    uv_run(&at.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&at.loop), 0);
    ck_assert(access(at.path, F_OK) != 0);
    scratch_end(&at.dir);
}

/* The next line, parsed. */
static json_t *answer(peer *p)
{
    ck_assert(peer_hear(p, "\n"));
    char *stop = strchr(p->heard, '\n');
    json_t *value = json_loadb(p->heard, (size_t)(stop - p->heard), 0, NULL);
    ck_assert_ptr_nonnull(value);
    p->n -= (size_t)(stop + 1 - p->heard);
    memmove(p->heard, stop + 1, p->n + 1);
    return value;
}

static void expect_status(peer *p)
{
    json_t *got = answer(p);
    ck_assert_str_eq(json_string_value(json_object_get(got, "state")), "serving");
    ck_assert_uint_eq(json_array_size(json_object_get(got, "links")), (size_t)at.nlinks);
    json_decref(got);
}

static void expect_outcome(peer *p, bool ok, const char *words)
{
    json_t *got = answer(p);
    const char *text = json_string_value(json_object_get(got, ok ? "text" : "error"));
    ck_assert(json_is_boolean(json_object_get(got, "ok")) && json_is_true(json_object_get(got, "ok")) == ok);
    ck_assert_msg(text != NULL && strstr(text, words) != NULL, "%s: %s", text, words);
    json_decref(got);
}

/* ---- commands ---- */

START_TEST(status)
{
    peer p;
    begin();
    peer_connect_unix(&p, &at.loop, at.path);
    for (int i = 0; i < 3; i++) {
        peer_say(&p, STATUS);
        expect_status(&p);
    }
    at.no_memory = true;
    peer_say(&p, STATUS);
    expect_outcome(&p, false, "out of memory");
    peer_close(&p);
    end();
}
END_TEST

START_TEST(in_pieces_and_together)
{
    peer p;
    begin();
    peer_connect_unix(&p, &at.loop, at.path);
    for (const char *c = STATUS; *c != '\0'; c++)
        peer_say_bytes(&p, c, 1);
    expect_status(&p);
    peer_say(&p, STATUS "\n \r\n" STATUS "[]\n" STATUS);
    expect_status(&p);
    expect_status(&p);
    expect_outcome(&p, false, "one JSON object");
    expect_status(&p);
    peer_say(&p, "{\"command\":\"status\"}");
    shutdown(p.fd, SHUT_WR);
    expect_status(&p);
    ck_assert(peer_hear(&p, NULL));
    ck_assert_uint_eq(p.n, 0);
    peer_close(&p);
    end();
}
END_TEST

START_TEST(garbage)
{
    static const char *const lines[] = {
        "hello",
        "{",
        "{}",
        "null",
        "7",
        "[{\"command\":\"status\"}]",
        "{\"command\":7}",
        "{\"command\":\"Status\"}",
        "{\"command\":\"quit\"}",
        "{\"command\":\"status\",\"command\":\"reload\"}",
        "{\"command\":\"reload\",\"path\":7}",
        "{\"command\":\"reload\",\"path\":\"\"}",
        "{\"command\":\"reload\",\"path\":\"models/new\"}",
        "{\"command\":\"reload\",\"path\":\"/a\\u0000b\"}",
        "{\"command\":\"reload\",\"model\":[]}",
        "\xff\xfe",
        "GET / HTTP/1.1\r",
    };
    peer p;
    begin();
    peer_connect_unix(&p, &at.loop, at.path);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        peer_say(&p, lines[i]);
        peer_say(&p, "\n");
        expect_outcome(&p, false, "");
    }
    peer_say_bytes(&p, "\0\n", 2);
    expect_outcome(&p, false, "one JSON object");
    peer_say(&p, STATUS);
    expect_status(&p);
    ck_assert_int_eq(at.nreload, 0);
    peer_close(&p);
    end();
}
END_TEST

START_TEST(lines_are_bounded)
{
    static char line[1 << 20];
    peer p;
    begin();
    memset(line, ' ', sizeof line);
    peer_connect_unix(&p, &at.loop, at.path);
    for (int i = 0; i < 20; i++)
        peer_say_bytes(&p, line, 1024);
    expect_outcome(&p, false, "at most");
    ck_assert(peer_hear(&p, NULL));
    peer_close(&p);
    peer_connect_unix(&p, &at.loop, at.path); /* all at once, and nothing read */
    peer_say_bytes(&p, line, sizeof line);
    peer_close(&p);
    end();
}
END_TEST

/* ---- reload ---- */

START_TEST(reloading)
{
    peer p;
    begin();
    peer_connect_unix(&p, &at.loop, at.path);
    peer_say(&p, "{\"command\":\"reload\",\"model\":\"water\",\"path\":\"/models/new\"}\n" STATUS);
    ck_assert_str_eq(at.model, "water");
    ck_assert_str_eq(at.file, "/models/new");
    peer_turn(&at.loop);
    ck_assert_int_eq(at.nstatus, 0); /* one thing after the other */
    at.done(at.done_ctx, 0, "water: generation 2");
    expect_outcome(&p, true, "water: generation 2");
    expect_status(&p);
    peer_say(&p, "{\"command\":\"reload\",\"model\":null}\n");
    ck_assert_str_eq(at.model, "(null)");
    ck_assert_str_eq(at.file, "(null)");
    at.done(at.done_ctx, NF_EFORMAT, "/models/\xff: no such element");
    expect_outcome(&p, false, "/models/?: no such element");
    at.at_once = true;
    peer_say(&p, RELOAD STATUS);
    expect_outcome(&p, true, "done");
    expect_status(&p);
    peer_close(&p);
    end();
}
END_TEST

START_TEST(reload_ends_after_its_asker)
{
    peer p, other;
    begin();
    peer_connect_unix(&p, &at.loop, at.path);
    peer_say(&p, RELOAD);
    peer_close(&p);
    peer_connect_unix(&other, &at.loop, at.path);
    peer_say(&other, STATUS);
    expect_status(&other);
    at.done(at.done_ctx, 0, "done");
    peer_turn(&at.loop);
    peer_say(&other, RELOAD);
    end();
    at.done(at.done_ctx, 0, "done"); /* all is gone */
    free(other.heard);
    close(other.fd);
}
END_TEST

/* The loop lives no longer than those who have work for it. */
START_TEST(loop_ends)
{
    peer p[3];
    begin();
    at.nlinks = 256;
    for (int i = 0; i < 3; i++)
        peer_connect_unix(&p[i], &at.loop, at.path);
    for (int i = 0; i < 20; i++)
        peer_say(&p[0], STATUS); /* nothing is read: an answer waits to be sent */
    peer_say(&p[1], RELOAD);
    ck_assert_str_eq(at.file, "/models/new");
    uv_unref((uv_handle_t *)&at.alive);
    ck_assert_int_eq(uv_loop_alive(&at.loop), 0);
    end();
    at.done(at.done_ctx, 0, "done");
    for (int i = 0; i < 3; i++) {
        free(p[i].heard);
        close(p[i].fd);
    }
}
END_TEST

/* ---- peers that are many, slow or silent ---- */

START_TEST(silent_peers_make_room)
{
    enum { MANY = NF_CONTROL_MOST + 8 };
    peer p[MANY];
    begin();
    for (int i = 0; i < MANY; i++) {
        peer_connect_unix(&p[i], &at.loop, at.path);
        if (i == 0)
            peer_say(&p[i], RELOAD); /* waits for something */
        if (i == 20) {
            peer_say(&p[1], STATUS); /* not silent */
            expect_status(&p[1]);
        }
    }
    peer_say(&p[MANY - 1], STATUS);
    expect_status(&p[MANY - 1]);
    peer_say(&p[1], STATUS);
    expect_status(&p[1]);
    for (int i = 2; i < 10; i++)
        ck_assert(peer_hear(&p[i], NULL));
    at.done(at.done_ctx, 0, "done");
    expect_outcome(&p[0], true, "done");
    for (int i = 0; i < MANY; i++)
        peer_close(&p[i]);
    end();
}
END_TEST

START_TEST(who_does_not_read_waits)
{
    enum { ASKED = 40 };
    peer slow, other;
    begin();
    at.nlinks = 256;
    peer_connect_unix(&slow, &at.loop, at.path);
    for (int i = 0; i < ASKED; i++)
        peer_say(&slow, STATUS);
    for (int i = 0; i < 20; i++)
        peer_turn(&at.loop);
    int before = at.nstatus;
    ck_assert_int_lt(before, ASKED); /* no more than fits into the socket, and one */
    peer_connect_unix(&other, &at.loop, at.path);
    peer_say(&other, STATUS);
    expect_status(&other);
    for (int i = 0; i < ASKED; i++)
        expect_status(&slow);
    ck_assert_int_eq(at.nstatus, ASKED + 1);
    peer_close(&other);
    peer_close(&slow);
    end();
}
END_TEST

START_TEST(peers_that_vanish)
{
    begin();
    at.nlinks = 256;
    for (int i = 0; i < 200; i++) {
        peer p;
        peer_connect_unix(&p, &at.loop, at.path);
        if (i % 3 > 0)
            peer_say(&p, i % 3 == 1 ? STATUS STATUS STATUS : "{\"comm");
        peer_close(&p);
    }
    end();
}
END_TEST

/* The child has another user; only root can try. */
START_TEST(another_user)
{
    begin();
    if (geteuid() == 0) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        memcpy(to.sun_path, at.path, strlen(at.path) + 1);
        chmod(at.dir.path, 0755);
        chmod(at.path, 0777);
        pid_t child = fork();
        if (child == 0) {
            char bytes[16];
            int fd = socket(AF_UNIX, SOCK_STREAM, 0);
            if (setgid(65534) != 0 || setuid(65534) != 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
                _exit(2);
            (void)!send(fd, STATUS, strlen(STATUS), MSG_NOSIGNAL);
            _exit(recv(fd, bytes, sizeof bytes, 0) > 0 ? 1 : 0);
        }
        int code = -1;
        for (int i = 0; i < 5000 && waitpid(child, &code, WNOHANG) == 0; i++) {
            peer_turn(&at.loop);
            usleep(1000);
        }
        ck_assert_int_eq(code, 0);
        ck_assert_int_eq(at.nstatus, 0);
    }
    end();
}
END_TEST

/* ---- the place ---- */

static void refused(const char *path, const char *words)
{
    nf_control *c;
    nf_error err = {0};
    ck_assert_int_lt(nf_control_open(&c, &at.loop, path, &outside, &err), 0);
    ck_assert_ptr_null(c);
    ck_assert_msg(strstr(err.msg, words) != NULL, "%s", err.msg);
}

static void leave_socket(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    close(fd);
}

START_TEST(places)
{
    char path[400];
    struct stat info;
    nf_control *c;
    mode_t before = umask(0);
    begin();
    ck_assert_int_eq(stat(at.path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
    umask(before);
    refused(at.path, "somebody listens");
    ck_assert_int_eq(access(at.path, F_OK), 0);
    write_file(at.dir.path, "file", "x", 1);
    snprintf(path, sizeof path, "%s/file", at.dir.path);
    refused(path, "is no socket");
    snprintf(path, sizeof path, "%s/none/s", at.dir.path);
    refused(path, "cannot listen");
    refused("", "1 to 107 bytes");
    snprintf(path, sizeof path, "/tmp/%0200d", 0);
    refused(path, "1 to 107 bytes");
    snprintf(path, sizeof path, "%s/stale", at.dir.path);
    leave_socket(path);
    ck_assert_int_eq(nf_control_open(&c, &at.loop, path, &outside, NULL), 0);
    ck_assert_str_eq(nf_control_path(c), path);
    unlink(path);
    leave_socket(path); /* somebody else's by now */
    nf_control_close(c);
    ck_assert_int_eq(access(path, F_OK), 0);
    end();
}
END_TEST

START_TEST(own_directory)
{
    char dir[300], path[400], dead[400];
    nf_runtime_server found[8];
    nf_control *c;
    begin();
    setenv("XDG_RUNTIME_DIR", at.dir.path, 1);
    snprintf(dir, sizeof dir, "%s/nearfar", at.dir.path);
    ck_assert_int_eq(symlink("/tmp", dir), 0);
    refused(NULL, "is no directory");
    unlink(dir);
    mkdir(dir, 0755);
    refused(NULL, "others may enter");
    if (geteuid() == 0) {
        chmod(dir, 0700);
        ck_assert_int_eq(chown(dir, 65534, 65534), 0);
        refused(NULL, "another user's");
    }
    rmdir(dir);
    ck_assert_int_eq(nf_control_open(&c, &at.loop, NULL, &outside, NULL), 0);
    snprintf(path, sizeof path, "%s/%ld.sock", dir, (long)getpid());
    ck_assert_str_eq(nf_control_path(c), path);
    snprintf(dead, sizeof dead, "%s/4194305.sock", dir); /* beyond the largest number of a process */
    leave_socket(dead);
    int n = nf_runtime_servers(found, 8), mine = 0;
    for (int i = 0; i < n; i++)
        mine += found[i].pid == (long)getpid() && strcmp(found[i].path, path) == 0;
    ck_assert_int_eq(mine, 1);
    ck_assert(access(dead, F_OK) != 0);
    nf_control_close(c);
    unsetenv("XDG_RUNTIME_DIR");
    end();
}
END_TEST

START_TEST(without_memory)
{
    char path[400];
    begin();
    snprintf(path, sizeof path, "%s/t", at.dir.path);
    for (long n = 0;; n++) {
        nf_control *c;
        peer p;
        nf_mem_fail_after(n);
        int rc = nf_control_open(&c, &at.loop, path, &outside, NULL);
        if (rc == 0) {
            peer_connect_unix(&p, &at.loop, path);
            peer_say(&p, STATUS "nonsense\n" RELOAD);
        } else {
            ck_assert_int_eq(rc, NF_ENOMEM);
        }
        int hit = nf_mem_fail_stop();
        if (rc == 0) {
            if (at.done != NULL)
                at.done(at.done_ctx, 0, "done");
            at.done = NULL;
            peer_close(&p);
            nf_control_close(c);
            peer_turn(&at.loop);
        }
        if (!hit)
            break;
    }
    end();
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("control");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, status);
    tcase_add_test(t, in_pieces_and_together);
    tcase_add_test(t, garbage);
    tcase_add_test(t, lines_are_bounded);
    tcase_add_test(t, reloading);
    tcase_add_test(t, reload_ends_after_its_asker);
    tcase_add_test(t, loop_ends);
    tcase_add_test(t, silent_peers_make_room);
    tcase_add_test(t, who_does_not_read_waits);
    tcase_add_test(t, peers_that_vanish);
    tcase_add_test(t, another_user);
    tcase_add_test(t, places);
    tcase_add_test(t, own_directory);
    tcase_add_test(t, without_memory);
    suite_add_tcase(s, t);
    return s;
}
