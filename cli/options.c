/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/options.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/examples.h"
#include "server/nearest.h"

static int complain(const char *command, const char *what, const char *name, const char *value)
{
    fprintf(stderr, "nearfar %s: %s%s%s%s%s (nearfar %s --help)\n", command, what, name, value == NULL ? "" : " '",
            value == NULL ? "" : value, value == NULL ? "" : "'", command);
    return -1;
}

static int complain_unknown(const char *command, const option *options, size_t n, const char *arg)
{
    const char *name = arg + strspn(arg, "-");
    nf_nearest search = {.typed = name, .n = strcspn(name, "=")};
    for (size_t i = 0; i < n; i++)
        nf_nearest_try(&search, options[i].name);
    nf_nearest_try(&search, "help");
    if (search.best == NULL)
        return complain(command, "unknown option ", arg, NULL);
    fprintf(stderr, "nearfar %s: unknown option %s, did you mean --%s? (nearfar %s --help)\n", command, arg,
            search.best, command);
    return -1;
}

static void print_help(const char *command, const char *usage, const option *options, size_t n)
{
    printf("usage: nearfar %s %s\n\n", command, usage);
    for (size_t i = 0; i < n; i++) {
        const option *o = &options[i];
        char left[64], letter[8] = "    ";
        if (o->letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument == NULL ? "" : " ",
                 o->argument == NULL ? "" : o->argument);
        printf("  %-38s %s\n", left, o->help);
    }
    printf("  %-38s %s\n", "    --help", "this");
    examples_print(command);
}

static const option *find(const option *options, size_t n, const char *name, size_t length)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(options[i].name) == length && strncmp(options[i].name, name, length) == 0)
            return &options[i];
    return NULL;
}

static const option *find_letter(const option *options, size_t n, char letter)
{
    for (size_t i = 0; i < n; i++)
        if (options[i].letter != 0 && options[i].letter == letter)
            return &options[i];
    return NULL;
}

static int choose(const option *o, const char *value)
{
    int index = 0;
    size_t length = strlen(value);
    for (const char *p = o->choices; *p != '\0'; index++) {
        size_t n = strcspn(p, "|");
        if (n == length && strncmp(p, value, n) == 0) {
            *(int *)o->target = index;
            return 0;
        }
        p += n + (p[n] == '|');
    }
    return -1;
}

static int number(const option *o, const char *value)
{
    char *end;
    errno = 0;
    double x = strtod(value, &end);
    if (end == value || *end != '\0' || errno != 0 || !(x >= o->low && x <= o->high))
        return -1;
    if (o->kind == OPTION_REAL)
        *(double *)o->target = x;
    else if (x == floor(x) && fabs(x) < INT_MAX)
        *(int *)o->target = (int)x;
    else
        return -1;
    return 0;
}

static int set(const char *command, const option *o, const char *value)
{
    char range[256];
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)o->target = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)o->target = value;
        return 0;
    case OPTION_CHOICE:
        snprintf(range, sizeof range, "--%.30s is one of %.80s, not", o->name, o->choices);
        return choose(o, value) == 0 ? 0 : complain(command, range, "", value);
    default:
        snprintf(range, sizeof range, "--%.30s is %s from %g to %g, not", o->name,
                 o->kind == OPTION_INT ? "a whole number" : "a number", o->low, o->high);
        return number(o, value) == 0 ? 0 : complain(command, range, "", value);
    }
}

int options_parse(const char *command, const char *usage, const option *options, size_t n, int argc, char **argv,
                  int *npositional)
{
    bool only_positional = false;
    *npositional = 0;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (only_positional || arg[0] != '-' || arg[1] == '\0') {
            argv[(*npositional)++] = argv[i];
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            only_positional = true;
            continue;
        }
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            print_help(command, usage, options, n);
            return 1;
        }
        const char *equals = arg[1] == '-' ? strchr(arg, '=') : NULL;
        const option *o = arg[1] == '-'
                              ? find(options, n, arg + 2, equals == NULL ? strlen(arg + 2) : (size_t)(equals - arg - 2))
                              : (arg[2] == '\0' ? find_letter(options, n, arg[1]) : NULL);
        if (o == NULL)
            return complain_unknown(command, options, n, arg);
        const char *value = equals == NULL ? NULL : equals + 1;
        if (o->kind != OPTION_FLAG && value == NULL && (++i >= argc || (value = argv[i]) == NULL))
            return complain(command, arg, " needs a value", NULL);
        if (set(command, o, value) != 0)
            return -1;
    }
    return 0;
}
