/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cmd_status.c - nearfar status: looks at a running server, and has it load another model.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/common.h"
#include "cli/options.h"
#include "cli/status_text.h"
#include "server/ask.h"
#include "server/runtime_dir.h"
#include "server/writer.h"

enum { MOST_SERVERS = 64 };

static const double answer_seconds = 5, load_seconds = 3600;

typedef struct {
    bool watch, json;
    const char *reload, *model;
    char path[NF_SOCKET_PATH];
} settings;

/* ---- which server ---- */

static int list_servers(const nf_runtime_server *servers, int n)
{
    for (int i = 0; i < n; i++) {
        json_t *snapshot;
        if (nf_ask(&snapshot, servers[i].path, json_pack("{ss}", "command", "status"), answer_seconds, NULL) == 0)
            status_print_line(stdout, servers[i].path, snapshot);
        json_decref(snapshot);
    }
    return 0;
}

static int take_path(settings *s, const char *argument, nf_error *err)
{
    const char *path = strncmp(argument, "unix:", 5) == 0 ? argument + 5 : argument;
    if (path[0] == '\0' || strlen(path) >= sizeof s->path)
        return nf_fail(err, NF_EINVAL, "'%.120s' is no socket of a server: unix:/path", argument);
    memcpy(s->path, path, strlen(path) + 1);
    return 0;
}

/* ---- status ---- */

static int print_json(const json_t *snapshot)
{
    nf_writer line = {0};
    nf_writer_json(&line, snapshot);
    bool good = !line.failed && puts(line.bytes) >= 0;
    nf_writer_free(&line);
    return good ? 0 : NF_ENOMEM;
}

/* Drawn anew on a terminal, one below the other elsewhere. */
static void print_text(const settings *s, const json_t *snapshot)
{
    static bool again;
    if (s->watch && isatty(STDOUT_FILENO))
        printf("\033[H\033[J");
    else if (again)
        printf("\n");
    again = true;
    status_print(stdout, snapshot);
}

static int show(const settings *s, nf_error *err)
{
    json_t *snapshot;
    TRY(nf_ask(&snapshot, s->path, json_pack("{ss}", "command", "status"), answer_seconds, err));
    int rc = 0;
    if (s->json)
        rc = print_json(snapshot);
    else
        print_text(s, snapshot);
    json_decref(snapshot);
    return fflush(stdout) != 0 || rc != 0 ? nf_fail(err, NF_EIO, "cannot write the status") : 0;
}

/* Until the server is gone, or we are interrupted. */
static int watch(const settings *s, nf_error *err)
{
    const struct timespec second = {.tv_sec = 1};
    int rc = show(s, err);
    if (rc != 0)
        return rc;
    while (rc == 0 && nanosleep(&second, NULL) == 0)
        rc = access(s->path, F_OK) == 0 ? show(s, err) : NF_EIO;
    if (access(s->path, F_OK) == 0 && rc != 0)
        return rc;
    fprintf(stderr, "nearfar: the server has ended\n");
    return 0;
}

/* ---- reload ---- */

static int print_outcome(const json_t *answer, nf_error *err)
{
    const char *text = json_string_value(json_object_get(answer, "text"));
    const char *reason = json_string_value(json_object_get(answer, "error"));
    if (!json_is_true(json_object_get(answer, "ok")))
        return nf_fail(err, NF_EINVAL, "%.230s", reason == NULL ? "the server's answer makes no sense" : reason);
    puts(text == NULL ? "done" : text);
    return 0;
}

static int reload(const settings *s, nf_error *err)
{
    char path[PATH_MAX];
    json_t *answer;
    bool same = strcmp(s->reload, "-") == 0;
    if (!same && realpath(s->reload, path) == NULL)
        return nf_fail(err, NF_EIO, "there is no model at %.150s", s->reload);
    json_t *question = json_pack("{ssss?ss?}", "command", "reload", "model", s->model, "path", same ? NULL : path);
    TRY(nf_ask(&answer, s->path, question, load_seconds, err));
    int rc = print_outcome(answer, err);
    json_decref(answer);
    return rc;
}

/* ---- the command ---- */

static int look(settings *s, nf_error *err)
{
    if (s->reload != NULL)
        return reload(s, err);
    return s->watch ? watch(s, err) : show(s, err);
}

static int find_and_look(settings *s, nf_error *err)
{
    nf_runtime_server servers[MOST_SERVERS];
    int n = nf_runtime_servers(servers, MOST_SERVERS);
    if (n == 0)
        return nf_fail(err, NF_EIO, "no server of this user is running on this machine");
    if (n == 1) {
        memcpy(s->path, servers[0].path, sizeof s->path);
        return look(s, err);
    }
    if (!s->watch && !s->json && s->reload == NULL)
        return list_servers(servers, n);
    fflush(stdout);
    return nf_fail(err, NF_EINVAL,
                   "%d servers of this user are running: name one, such as unix:%s (nearfar status "
                   "lists them)",
                   n, servers[0].path);
}

int cmd_status(int argc, char **argv)
{
    settings s = {.watch = false};
    const option options[] = {
        {"watch", 'w', OPTION_FLAG, &s.watch, 0, 0, NULL, NULL, "again each second, until the server ends or Ctrl-C"},
        {"json", 0, OPTION_FLAG, &s.json, 0, 0, NULL, NULL, "for programs: all that is known, on one line"},
        {"reload", 0, OPTION_TEXT, &s.reload, 0, 0, NULL, "MODEL",
         "have it load and serve this model from the next job on (-: the files it has)"},
        {"model", 0, OPTION_TEXT, &s.model, 0, 0, NULL, "NAME", "which of its models (it serves several)"},
    };
    nf_error err = {0};
    int n, rc = options_parse("status", "[unix:PATH] [options]", options, sizeof options / sizeof *options, argc, argv,
                              &n);
    if (rc != 0)
        return rc < 0 ? 2 : 0;
    if (n > 1 || (s.model != NULL && s.reload == NULL)) {
        fprintf(stderr, "nearfar status: %s (nearfar status --help)\n",
                n > 1 ? "one server at a time" : "--model goes with --reload");
        return 2;
    }
    rc = n == 1 ? take_path(&s, argv[0], &err) : 0;
    if (rc == 0)
        rc = n == 1 ? look(&s, &err) : find_and_look(&s, &err);
    return rc == 0 ? 0 : cli_fail(&err);
}
