/* SPDX-License-Identifier: BSD-3-Clause
 *
 * pretend_server.c - control socket and page of a server that computes nothing: its snapshot changes with the clock.
 *
 *     pretend_server CONTROL-PATH|- HOST:PORT|- [LINKS [SPEED]]
 *
 * A reload of a path with "bad" in it fails; it ends with its standard input. SPEED: seconds of the snapshot a second.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/control.h"
#include "server/http.h"
#include "snapshot.h"

typedef struct {
    uv_loop_t loop;
    uv_timer_t timer;
    uv_pipe_t input;
    int nlinks, generation;
    double speed;
    uint64_t begun;
    nf_control *control;
    nf_http *http;
    nf_outside_done *done;
    void *done_ctx;
    char text[200];
    int code;
} pretence;

static json_t *status(void *ctx)
{
    const pretence *p = ctx;
    double t = 60 + p->speed * 1e-9 * (double)(uv_hrtime() - p->begun);
    return snapshot_make(p->nlinks, t, "water", p->generation);
}

static void on_loaded(uv_timer_t *timer)
{
    pretence *p = timer->data;
    p->generation += p->code == 0;
    p->done(p->done_ctx, p->code, p->text);
    p->done = NULL;
}

static void reload(void *ctx, const char *model, const char *path, nf_outside_done *done, void *done_ctx)
{
    pretence *p = ctx;
    if (p->done != NULL) {
        done(done_ctx, NF_EINVAL, "a reload is under way");
        return;
    }
    p->code = path != NULL && strstr(path, "bad") != NULL ? NF_EFORMAT : 0;
    snprintf(
        p->text, sizeof p->text, p->code == 0 ? "%s: generation %d, from %.120s" : "%s: generation %d stays: %.120s",
        model == NULL ? "water" : model, p->generation + (p->code == 0), path == NULL ? "where it came from" : path);
    p->done = done;
    p->done_ctx = done_ctx;
    uv_timer_start(&p->timer, on_loaded, 200, 0);
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    pretence *p = stream->data;
    (void)buf;
    if (n >= 0)
        return;
    nf_control_close(p->control);
    nf_http_close(p->http);
    uv_close((uv_handle_t *)&p->timer, NULL);
    uv_close((uv_handle_t *)stream, NULL);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char bytes[64];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static int serve(pretence *p, const char *path, const char *where)
{
    const nf_outside outside = {p, status, reload};
    nf_error err = {0};
    int rc = 0;
    if (strcmp(path, "-") != 0)
        rc = nf_control_open(&p->control, &p->loop, path[0] == '\0' ? NULL : path, &outside, &err);
    if (rc == 0 && strcmp(where, "-") != 0)
        rc = nf_http_open(&p->http, &p->loop, where, false, &outside, &err);
    if (rc != 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    printf("%s %s\n", p->control == NULL ? "-" : nf_control_path(p->control),
           p->http == NULL ? "-" : nf_http_url(p->http));
    fflush(stdout);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    return uv_loop_close(&p->loop) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static pretence p = {.generation = 1};
    if (argc < 3)
        return 2;
    p.nlinks = argc > 3 ? atoi(argv[3]) : 3;
    p.speed = argc > 4 ? atof(argv[4]) : 1;
    p.begun = uv_hrtime();
    uv_loop_init(&p.loop);
    uv_timer_init(&p.loop, &p.timer);
    uv_pipe_init(&p.loop, &p.input, 0);
    p.timer.data = p.input.data = &p;
    uv_pipe_open(&p.input, 0);
    uv_read_start((uv_stream_t *)&p.input, allocate, on_input);
    return serve(&p, argv[1], argv[2]);
}
