/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_http.c - the page, its numbers and the metrics over raw sockets, asked well and badly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "peer.h"
#include "server/http.h"
#include "server/metrics.h"
#include "snapshot.h"
#include "suite.h"

static struct {
    uv_loop_t loop;
    uv_async_t alive; /* what a server has else: without it the loop does not even look */
    nf_http *http;
    int nlinks, nstatus;
    bool no_memory;
} at;

static json_t *fake_status(void *ctx)
{
    (void)ctx;
    at.nstatus++;
    return at.no_memory ? NULL : snapshot_make(at.nlinks, 100, "water", 1);
}

static const nf_outside outside = {NULL, fake_status, NULL};

static void begin(const char *where, bool allow_remote)
{
    nf_error err = {0};
    memset(&at, 0, sizeof at);
    at.nlinks = 2;
    ck_assert_int_eq(uv_loop_init(&at.loop), 0);
    uv_async_init(&at.loop, &at.alive, NULL);
    ck_assert_msg(nf_http_open(&at.http, &at.loop, where, allow_remote, &outside, &err) == 0, "%s", err.msg);
    ck_assert_int_gt(nf_http_port(at.http), 0);
}

static void end(void)
{
    nf_http_close(at.http);
    uv_close((uv_handle_t *)&at.alive, NULL);
    uv_run(&at.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&at.loop), 0);
}

static void dial(peer *p)
{
    peer_connect_tcp(p, &at.loop, nf_http_port(at.http));
}

/* Says a request and hears the answer to its end, which the server makes by closing. */
static void ask(peer *p, const char *method, const char *path, const char *host)
{
    char text[1000];
    dial(p);
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, path, host);
    peer_say(p, text);
    ck_assert_msg(peer_hear(p, NULL), "%s %s: no end of %s", method, path, p->heard);
}

static void check_code(const peer *p, int code)
{
    char want[32];
    snprintf(want, sizeof want, "HTTP/1.1 %d ", code);
    ck_assert_msg(strncmp(p->heard, want, strlen(want)) == 0, "%s, not: %.300s", want, p->heard);
}

static const char *body(const peer *p)
{
    const char *blank = strstr(p->heard, "\r\n\r\n");
    ck_assert_ptr_nonnull(blank);
    return blank + 4;
}

static bool has(const peer *p, const char *text)
{
    return strstr(p->heard, text) != NULL;
}

/* ---- what there is ---- */

START_TEST(resources)
{
    static const struct {
        const char *path, *type, *text;
    } known[] = {
        {"/", "text/html; charset=utf-8", "<title>nearfar</title>"},
        {"/status.json", "application/json", "\"state\":\"serving\""},
        {"/metrics", "text/plain; version=0.0.4", "\nnearfar_steps_total 1780\n"},
        {"/metrics?x=1", "text/plain; version=0.0.4", "# TYPE nearfar_steps_total counter"},
    };
    peer p;
    begin("127.0.0.1:0", false);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ask(&p, "GET", known[i].path, "localhost");
        check_code(&p, 200);
        ck_assert_msg(has(&p, known[i].type) && strstr(body(&p), known[i].text), "%s", p.heard);
        ck_assert(has(&p, "Content-Security-Policy: default-src 'none';") && has(&p, "nosniff") && has(&p, "no-store"));
        peer_close(&p);
        ask(&p, "HEAD", known[i].path, "localhost");
        check_code(&p, 200);
        ck_assert(has(&p, known[i].type) && body(&p)[0] == '\0');
        peer_close(&p);
    }
    ask(&p, "GET", "/status.json", "localhost");
    json_t *value = json_loads(body(&p), 0, NULL);
    ck_assert(json_is_object(value));
    json_decref(value);
    peer_close(&p);
    end();
}
END_TEST

/* The page runs and loads only itself. */
START_TEST(page)
{
    char policy[200], mark[33];
    peer p;
    begin("127.0.0.1:0", false);
    ask(&p, "GET", "/", "127.0.0.1");
    ck_assert_int_eq(sscanf(strstr(p.heard, "script-src"), "script-src 'nonce-%32[0-9a-f]'", mark), 1);
    ck_assert_uint_eq(strlen(mark), 32);
    snprintf(policy, sizeof policy, "<script nonce=\"%s\">", mark);
    ck_assert(has(&p, policy));
    snprintf(policy, sizeof policy, "<style nonce=\"%s\">", mark);
    ck_assert(has(&p, policy));
    ck_assert(!has(&p, "@@@@@@@@") && !has(&p, "src=") && !has(&p, "url(") && !has(&p, "style=\""));
    peer_close(&p);
    end();
}
END_TEST

START_TEST(not_what_there_is)
{
    static const struct {
        const char *method, *path;
        int code;
    } asked[] = {
        {"GET", "/nothing", 404},       {"GET", "//", 404},
        {"GET", "/../etc/passwd", 404}, {"POST", "/", 405},
        {"PUT", "/metrics", 405},       {"DELETE", "/metrics", 405},
        {"OPTIONS", "/", 405},          {"NONSENSE", "/status.json", 405},
        {"HEAD", "/nothing", 404},      {"GET", "/status.json/", 404},
    };
    peer p;
    begin("127.0.0.1:0", false);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        ask(&p, asked[i].method, asked[i].path, "localhost");
        check_code(&p, asked[i].code);
        ck_assert(asked[i].code != 405 || has(&p, "Allow: GET, HEAD"));
        peer_close(&p);
    }
    at.no_memory = true;
    ask(&p, "GET", "/status.json", "localhost");
    check_code(&p, 503);
    peer_close(&p);
    ask(&p, "GET", "/metrics", "localhost");
    check_code(&p, 503);
    peer_close(&p);
    end();
}
END_TEST

/* A page of somebody else's may have its own name lead here; then the browser says that name. */
START_TEST(hosts)
{
    static const char *const welcome[] = {"localhost",    "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:9",
                                          "127.3.2.1:80", "[::1]",          "[::1]:7000"};
    static const char *const refused[] = {"example.org",
                                          "example.org:80",
                                          "localhost.example.org",
                                          "127.0.0.1.example.org",
                                          "",
                                          "[",
                                          "[::1",
                                          "192.168.1.7:80",
                                          "[fe80::1]",
                                          "a b",
                                          "0",
                                          "localhost@example.org"};
    peer p;
    begin("127.0.0.1:0", false);
    for (size_t i = 0; i < sizeof welcome / sizeof *welcome; i++) {
        ask(&p, "GET", "/metrics", welcome[i]);
        check_code(&p, 200);
        peer_close(&p);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ask(&p, "GET", "/metrics", refused[i]);
        ck_assert_msg(strncmp(p.heard, "HTTP/1.1 4", 10) == 0 && !has(&p, "nearfar_"), "'%s': %.100s", refused[i],
                      p.heard);
        peer_close(&p);
    }
    dial(&p);
    peer_say(&p, "GET /metrics HTTP/1.0\r\n\r\n");
    ck_assert(peer_hear(&p, NULL) && strstr(p.heard, " 40") != NULL && !has(&p, "nearfar_"));
    peer_close(&p);
    end();
    begin("0.0.0.0:0", true);
    ask(&p, "GET", "/metrics", "192.168.1.7:80"); /* an address cannot be made to lead elsewhere */
    check_code(&p, 200);
    peer_close(&p);
    ask(&p, "GET", "/metrics", "example.org");
    check_code(&p, 403);
    peer_close(&p);
    end();
}
END_TEST

START_TEST(one_connection_many_requests)
{
    static const char request[] = "GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    peer p;
    begin("127.0.0.1:0", false);
    dial(&p);
    for (int i = 0; i < 5; i++) {
        peer_say(&p, request);
        ck_assert(peer_hear(&p, "computing_s\":") && peer_hear(&p, "}}"));
        ck_assert(!p.ended);
        peer_forget(&p);
    }
    ck_assert_int_lt(at.nstatus, 5); /* who asks in the same moment gets the same */
    for (const char *c = request; *c != '\0'; c++)
        peer_say_bytes(&p, c, 1);
    ck_assert(peer_hear(&p, "}}"));
    peer_forget(&p);
    peer_say(&p, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
    ck_assert(peer_hear(&p, "nearfar_link_extrapolated"));
    peer_close(&p);
    end();
}
END_TEST

/* ---- peers that are many, slow, silent or mad ---- */

START_TEST(garbage)
{
    static const char *const said[] = {"hello\r\n\r\n",
                                       "\r\n\r\n\r\n",
                                       "GET\r\n\r\n",
                                       "{\"command\":\"status\"}\n\n",
                                       "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
                                       "\x16\x03\x01\x02\x00\x01\x00\x01",
                                       "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n"};
    static char header[1 << 16];
    peer p;
    begin("127.0.0.1:0", false);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        dial(&p);
        peer_say(&p, said[i]);
        shutdown(p.fd, SHUT_WR);
        peer_hear(&p, NULL);
        peer_close(&p);
    }
    memset(header, 'x', sizeof header);
    memcpy(header, "GET /", 5);
    dial(&p);
    peer_say_bytes(&p, header, sizeof header);
    ck_assert(peer_hear(&p, NULL) && !has(&p, " 200 "));
    peer_close(&p);
    ask(&p, "GET", "/metrics", "localhost");
    check_code(&p, 200);
    peer_close(&p);
    end();
}
END_TEST

/* More than there are places: who is served next has only to wait until one goes. */
START_TEST(many_silent_peers)
{
    enum { MANY = 80 };
    peer p[MANY], last;
    begin("127.0.0.1:0", false);
    for (int i = 0; i < MANY; i++) {
        dial(&p[i]);
        if (i % 2 == 0)
            peer_say(&p[i], "GET /metrics HTTP/1.1\r\nHost: loc");
    }
    uv_unref((uv_handle_t *)&at.alive);
    ck_assert_int_eq(uv_loop_alive(&at.loop), 0);
    uv_ref((uv_handle_t *)&at.alive);
    for (int i = 0; i < MANY; i++)
        peer_close(&p[i]);
    ask(&last, "GET", "/metrics", "localhost");
    check_code(&last, 200);
    peer_close(&last);
    end();
}
END_TEST

START_TEST(who_does_not_read_waits)
{
    peer slow, other;
    begin("127.0.0.1:0", false);
    at.nlinks = 256;
    dial(&slow);
    for (int i = 0; i < 200; i++)
        peer_say(&slow, "GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ask(&other, "GET", "/status.json", "localhost");
    check_code(&other, 200);
    peer_close(&other);
    ck_assert(peer_hear(&slow, "}}HTTP/1.1 200"));
    end(); /* with an answer half sent */
    free(slow.heard);
    close(slow.fd);
}
END_TEST

/* ---- places ---- */

START_TEST(places)
{
    static const struct {
        const char *where, *words;
    } bad[] = {
        {"", "is not HOST:PORT"},
        {"localhost", "is not HOST:PORT"},
        {":9090", "is not HOST:PORT"},
        {"127.0.0.1:", "is not HOST:PORT"},
        {"127.0.0.1:65536", "is not HOST:PORT"},
        {"127.0.0.1:-1", "is not HOST:PORT"},
        {"127.0.0.1:80x", "is not HOST:PORT"},
        {"::1:9090", "is not HOST:PORT"},
        {"[::1]9090", "is not HOST:PORT"},
        {"0.0.0.0:0", "can be reached from elsewhere"},
        {"[::]:0", "can be reached from elsewhere"},
        {"192.0.2.1:0", "can be reached from elsewhere"},
        {"no.such.host.invalid:0", "cannot resolve"},
    };
    char where[40];
    nf_http *h;
    nf_error err;
    peer p;
    begin("127.0.0.1:0", false);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(nf_http_open(&h, &at.loop, bad[i].where, false, &outside, &err), NF_EINVAL);
        ck_assert_ptr_null(h);
        ck_assert_msg(strstr(err.msg, bad[i].words) != NULL, "%s: %s", bad[i].where, err.msg);
    }
    snprintf(where, sizeof where, "localhost:%d", nf_http_port(at.http));
    if (nf_http_open(&h, &at.loop, where, false, &outside, &err) == 0)
        nf_http_close(h); /* localhost is [::1] here */
    else
        ck_assert_msg(strstr(err.msg, "in use") != NULL, "%s", err.msg);
    snprintf(where, sizeof where, "127.0.0.1:%d", nf_http_port(at.http));
    ck_assert_int_eq(nf_http_open(&h, &at.loop, where, false, &outside, &err), NF_EIO);
    ck_assert_ptr_nonnull(strstr(nf_http_url(at.http), where));
    if (nf_http_open(&h, &at.loop, "[::1]:0", false, &outside, &err) == 0) {
        ck_assert(strncmp(nf_http_url(h), "http://[::1]:", 13) == 0);
        nf_http_close(h);
    }
    ask(&p, "GET", "/metrics", "localhost");
    check_code(&p, 200);
    peer_close(&p);
    end();
}
END_TEST

START_TEST(without_memory)
{
    begin("127.0.0.1:0", false);
    for (long n = 0;; n++) {
        nf_http *h, *own = at.http;
        peer p;
        nf_mem_fail_after(n);
        int rc = nf_http_open(&h, &at.loop, "127.0.0.1:0", false, &outside, NULL);
        if (rc == 0) {
            at.http = h;
            dial(&p);
            peer_say(&p, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            peer_hear(&p, NULL);
            peer_close(&p);
            at.http = own;
        } else {
            ck_assert_int_eq(rc, NF_ENOMEM);
        }
        int hit = nf_mem_fail_stop();
        nf_http_close(h);
        if (!hit)
            break;
    }
    end();
}
END_TEST

/* ---- metrics ---- */

START_TEST(labels_and_numbers)
{
    static const char text[] =
        "{\"nearfar\":\"1\",\"state\":\"serving\",\"uptime_s\":2.5,\"resident_kB\":2,\"addresses\":[{\"address\":"
        "\"unix:a\\\"b\\\\c\\nd{}\",\"model\":\"\xc3\xa9\",\"links\":1}],\"links\":[{\"number\":7,\"address\":\"x\","
        "\"latency_ms\":{\"p50\":1.5,\"p99\":null},\"energy\":-1e-7}],\"totals\":{\"steps\":12345678901}}";
    static const char *const want[] = {
        "nearfar_build_info{version=\"1\",isa=\"\"} 1\n",
        "nearfar_uptime_seconds 2.5\n",
        "nearfar_resident_memory_bytes 2048\n",
        "nearfar_steps_total 12345678901\n",
        "nearfar_address_links{address=\"unix:a\\\"b\\\\c\\nd{}\",model=\"\xc3\xa9\"} 1\n",
        "nearfar_link_latency_p50_seconds{link=\"7\",address=\"x\"} 0.0015\n",
        "nearfar_link_energy_electronvolts{link=\"7\",address=\"x\"} -1e-07\n",
    };
    nf_writer out = {0};
    json_t *snapshot = json_loads(text, 0, NULL);
    nf_metrics(&out, snapshot);
    ck_assert(!out.failed);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        ck_assert_msg(strstr(out.bytes, want[i]) != NULL, "%s in\n%s", want[i], out.bytes);
    ck_assert_ptr_null(strstr(out.bytes, "p99_seconds{"));
    ck_assert_ptr_null(strstr(out.bytes, "\nnearfar_threads "));
    nf_writer_free(&out);
    json_decref(snapshot);
    json_t *empty = json_object();
    nf_metrics(&out, empty);
    ck_assert(!out.failed);
    nf_writer_free(&out);
    json_decref(empty);
}
END_TEST

/* What the loop spends on one who looks; said, and bounded so that a sanitizer passes. */
START_TEST(cost)
{
    enum { REPEATS = 20 };
    json_t *snapshot = snapshot_make(256, 100, "water", 1);
    double seconds[2];
    for (int what = 0; what < 2; what++) {
        clock_t before = clock();
        for (int i = 0; i < REPEATS; i++) {
            nf_writer out = {0};
            what == 0 ? nf_writer_json(&out, snapshot) : nf_metrics(&out, snapshot);
            ck_assert(!out.failed);
            nf_writer_free(&out);
        }
        seconds[what] = (double)(clock() - before) / CLOCKS_PER_SEC / REPEATS;
    }
    printf("256 links: status.json %.2f ms, metrics %.2f ms\n", 1e3 * seconds[0], 1e3 * seconds[1]);
    ck_assert_double_lt(seconds[0], 0.1);
    ck_assert_double_lt(seconds[1], 0.1);
    json_decref(snapshot);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("http");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, resources);
    tcase_add_test(t, page);
    tcase_add_test(t, not_what_there_is);
    tcase_add_test(t, hosts);
    tcase_add_test(t, one_connection_many_requests);
    tcase_add_test(t, garbage);
    tcase_add_test(t, many_silent_peers);
    tcase_add_test(t, who_does_not_read_waits);
    tcase_add_test(t, places);
    tcase_add_test(t, without_memory);
    tcase_add_test(t, labels_and_numbers);
    tcase_add_test(t, cost);
    suite_add_tcase(s, t);
    return s;
}
