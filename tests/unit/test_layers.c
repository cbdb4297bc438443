/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_layers.c - arrows between folders point downwards, by the #include lines; and core neither prints nor exits.
 *
 *     base <- kern     base <- geom     base, geom, kern <- near     model: all of core     io: base, near/cutoff.h
 *     protocol: nothing     server: core, protocol     cli: server, core
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"
#include "suite.h"

#define ROOT NF_TESTS "/.."

enum { MAX_ALLOWED = 10 };

typedef struct {
    const char *folder, *allowed[MAX_ALLOWED]; /* beginnings of included names */
} layer;

static const layer layers[] = {
    {"core/base", {"base/", "nearfar/"}},
    {"core/kern", {"base/", "kern/"}},
    {"core/geom", {"base/", "geom/", "nearfar/"}},
    {"core/near", {"base/", "geom/", "kern/", "near/", "nearfar/"}},
    {"core/io", {"base/", "io/", "nearfar/", "near/cutoff.h"}},
    {"core/model", {"base/", "geom/", "kern/", "near/", "io/", "model/", "nearfar/"}},
    {"core/include/nearfar", {NULL}},
    {"protocol", {"protocol/"}},
    {"server", {"base/", "geom/", "kern/", "near/", "io/", "model/", "nearfar/", "protocol/", "server/"}},
    {"cli", {"base/", "geom/", "kern/", "near/", "io/", "model/", "nearfar/", "server/", "cli/"}},
};

/* System headers that have one place. */
static const struct {
    const char *header, *folders[6];
} placed[] = {
    {"omp.h", {NULL}},
    {"mpi.h", {NULL}},
    {"uv.h", {"server"}},
    {"microhttpd.h", {"server"}},
    {"zlib.h", {"core/io", "server"}}, /* there: recordings */
    {"zip.h", {"core/io"}},
    {"sha2.h", {"core/io"}},
    {"immintrin.h", {"core/kern"}},
    {"pthread.h", {"core/base", "core/model", "server"}},
    {"sys/socket.h", {"server"}},
    {"jansson.h", {"core/base", "core/near", "core/io", "core/model", "server", "cli"}},
};

static int in_list(const char *folder, const char *const list[], int n)
{
    for (int i = 0; i < n; i++)
        if (list[i] != NULL && strcmp(list[i], folder) == 0)
            return 1;
    return 0;
}

static void check_system_header(const char *file, const char *folder, const char *header)
{
    for (size_t i = 0; i < sizeof placed / sizeof *placed; i++)
        if (strcmp(placed[i].header, header) == 0)
            ck_assert_msg(in_list(folder, placed[i].folders, 6), "%s includes <%s>", file, header);
}

static void check_own_header(const char *file, const layer *l, const char *header)
{
    for (int i = 0; i < MAX_ALLOWED && l->allowed[i] != NULL; i++)
        if (strncmp(header, l->allowed[i], strlen(l->allowed[i])) == 0)
            return;
    ck_abort_msg("%s includes \"%s\": that is not below %s", file, header, l->folder);
}

static void check_includes(const char *file, const layer *l, const char *text)
{
    for (const char *p = strstr(text, "#include"); p != NULL; p = strstr(p + 1, "#include")) {
        char open, header[256];
        if (sscanf(p, "#include %c%255[^\">]", &open, header) != 2)
            continue;
        if (open == '<')
            check_system_header(file, l->folder, header);
        else
            check_own_header(file, l, header);
    }
}

/* ---- what core must not do ---- */

static const char *const forbidden[] = {"printf(",  "vprintf(", "fprintf(stdout", "fprintf(stderr", "puts(",
                                        "putchar(", "perror(",  "exit(",          "_exit(",         "abort(",
                                        "stderr",   "srand(",   "rand("};

/* Comments and strings become blanks. */
static void blank_out(char *text)
{
    for (char *p = text; *p != '\0';) {
        char *end = p + 1;
        if (strncmp(p, "/*", 2) == 0 && (end = strstr(p, "*/")) != NULL)
            end += 2;
        else if (strncmp(p, "//", 2) == 0)
            end = p + strcspn(p, "\n");
        else if (*p == '"' || *p == '\'') {
            while (*end != *p && *end != '\0')
                end += *end == '\\' ? 2 : 1;
            end += *end != '\0';
        } else {
            p++;
            continue;
        }
        memset(p, ' ', (size_t)(end - p));
        p = end;
    }
}

static int is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static void check_manners(const char *file, char *text)
{
    blank_out(text);
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        for (const char *p = strstr(text, forbidden[i]); p != NULL; p = strstr(p + 1, forbidden[i])) {
            int attribute =
                p > text && p[-1] == '('; /* __attribute__((format(printf, ...))) has no bracket behind it */
            if (!attribute && (p == text || !is_word(p[-1])))
                ck_abort_msg("%s: %.30s", file, p);
        }
}

/* ---- all files ---- */

static int is_source(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 2 && (strcmp(entry->d_name + n - 2, ".c") == 0 || strcmp(entry->d_name + n - 2, ".h") == 0);
}

START_TEST(layer_by_layer)
{
    const layer *l = &layers[_i];
    char folder[512];
    struct dirent **entries;
    snprintf(folder, sizeof folder, "%s/%s", ROOT, l->folder);
    int n = scandir(folder, &entries, is_source, alphasort);
    ck_assert_msg(n > 0, "no sources in %s", folder);
    for (int i = 0; i < n; i++) {
        char file[1024];
        char *text = read_file(folder, entries[i]->d_name);
        snprintf(file, sizeof file, "%s/%s", l->folder, entries[i]->d_name);
        ck_assert_msg(strncmp(text, "/* SPDX-License-Identifier: BSD-3-Clause", 40) == 0, "%s: no licence line", file);
        check_includes(file, l, text);
        if (strncmp(l->folder, "core", 4) == 0 || strcmp(l->folder, "protocol") == 0)
            check_manners(file, text);
        free(text);
        free(entries[i]);
    }
    free(entries);
}
END_TEST

static int is_folder(const struct dirent *entry)
{
    return strchr(entry->d_name, '.') == NULL && strcmp(entry->d_name, "include") != 0;
}

/* A new folder of core has a row above. */
START_TEST(all_folders)
{
    struct dirent **entries;
    int n = scandir(ROOT "/core", &entries, is_folder, alphasort);
    for (int i = 0; i < n; i++) {
        char name[300];
        int known = 0;
        snprintf(name, sizeof name, "core/%s", entries[i]->d_name);
        for (size_t k = 0; k < sizeof layers / sizeof *layers; k++)
            known += strcmp(layers[k].folder, name) == 0;
        ck_assert_msg(known == 1, "%s is no layer of this test", name);
        free(entries[i]);
    }
    free(entries);
}
END_TEST

/* The test itself can tell. */
START_TEST(blanking)
{
    char text[] = "a(\"exit(\"); /* exit( */ b('\"'); // exit(\nc;";
    blank_out(text);
    ck_assert_ptr_null(strstr(text, "exit"));
    ck_assert(strstr(text, "b(") != NULL && strstr(text, "\nc;") != NULL);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("layers");
    TCase *t = tcase_create("unit");
    tcase_add_loop_test(t, layer_by_layer, 0, sizeof layers / sizeof *layers);
    tcase_add_test(t, all_folders);
    tcase_add_test(t, blanking);
    suite_add_tcase(s, t);
    return s;
}
