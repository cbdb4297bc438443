/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/status_text.h"

#include <math.h>
#include <string.h>

enum { CELL = 32 };

/* ---- values, which may be missing ---- */

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *word(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "-" : text;
}

/* Names come from elsewhere: no control characters to the terminal. */
static const char *clean(char out[CELL * 8], const char *text)
{
    size_t n = 0;
    for (; text[n] != '\0' && n + 1 < CELL * 8; n++)
        out[n] = (unsigned char)text[n] < ' ' || text[n] == 127 ? '?' : text[n];
    out[n] = '\0';
    return out;
}

/* At least three digits, no more than mean something. */
static const char *digits(char out[CELL], double x)
{
    double a = fabs(x);
    if (isnan(x))
        return strcpy(out, "-");
    snprintf(out, CELL, "%.*f", a >= 100 || a == 0 ? 0 : a >= 10 ? 1 : a >= 1 ? 2 : 3, x);
    return out;
}

static const char *whole(char out[CELL], double x)
{
    if (isnan(x))
        return strcpy(out, "-");
    snprintf(out, CELL, "%.0f", x);
    return out;
}

static const char *duration(char out[CELL], double s)
{
    if (isnan(s))
        return strcpy(out, "-");
    long minutes = (long)(s / 60);
    if (s < 100)
        snprintf(out, CELL, "%.*f s", s < 10 ? 1 : 0, s);
    else if (minutes < 60)
        snprintf(out, CELL, "%ld min", minutes);
    else if (minutes < 24 * 60)
        snprintf(out, CELL, "%ld h %02ld min", minutes / 60, minutes % 60);
    else
        snprintf(out, CELL, "%ld d %ld h", minutes / 1440, minutes / 60 % 24);
    return out;
}

/* Of the time that is neither. */
static const char *percent(char out[CELL], double part, double rest)
{
    if (!(part + rest > 0))
        return strcpy(out, "-");
    snprintf(out, CELL, "%.0f %%", 100 * part / (part + rest));
    return out;
}

/* ---- paragraphs ---- */

/* Of the column of addresses. */
static int width_of_addresses(const json_t *s)
{
    size_t i, width = 12;
    const json_t *address;
    json_array_foreach(json_object_get(s, "addresses"), i, address)
    {
        size_t n = strlen(word(address, "address"));
        width = n > width ? n : width;
    }
    return width < 60 ? (int)width : 60;
}

static void print_server(FILE *to, const json_t *s)
{
    char a[CELL], b[CELL], c[CELL], d[CELL];
    const json_t *totals = json_object_get(s, "totals");
    double computing = number(totals, "computing_s"), waiting = number(totals, "waiting_s");
    fprintf(to, "nearfar %s, process %s: %s for %s; %s thread%s on cores %s, %s, ", word(s, "nearfar"),
            whole(a, number(s, "pid")), word(s, "state"), duration(b, number(s, "uptime_s")),
            whole(c, number(s, "threads")), number(s, "threads") == 1 ? "" : "s", word(s, "cpus"), word(s, "isa"));
    fprintf(to, "%s MiB\n", digits(d, number(s, "resident_kB") / 1024));
    fprintf(to, "  steps %s, structures %s, failures %s, neighbour lists %s\n", whole(a, number(totals, "steps")),
            whole(b, number(totals, "structures")), whole(c, number(totals, "failures")),
            whole(d, number(totals, "neighbour_lists")));
    fprintf(to, "  computing %s (%s), ", duration(a, computing), percent(b, computing, waiting));
    fprintf(to, "waiting for drivers %s (%s)\n", duration(c, waiting), percent(d, waiting, computing));
}

static void print_model(FILE *to, const json_t *m, int width)
{
    char a[CELL], b[CELL], c[CELL], text[CELL * 8];
    size_t i;
    const json_t *value;
    (void)width;
    fprintf(to, "\nmodel %s, generation %s: %s member%s,", clean(text, word(m, "name")),
            whole(a, number(m, "generation")), whole(b, number(m, "members")), number(m, "members") == 1 ? "" : "s");
    json_array_foreach(json_object_get(m, "elements"), i, value) if (json_is_string(value))
        fprintf(to, " %s", clean(text, json_string_value(value)));
    fprintf(to, ", cutoff %s Angstrom, SHA-256 %.12s\n", digits(c, number(m, "cutoff")), word(m, "sha256"));
    json_array_foreach(json_object_get(m, "paths"), i, value) if (json_is_string(value))
        fprintf(to, "  %s\n", clean(text, json_string_value(value)));
}

static void print_address(FILE *to, const json_t *address, int width)
{
    char a[CELL], b[CELL], c[CELL], name[CELL * 8], model[CELL * 8];
    fprintf(to, "%-*s %-16s %-10s %13s %6s %8s\n", width, clean(name, word(address, "address")),
            clean(model, word(address, "model")), word(address, "state"), duration(a, number(address, "state_s")),
            whole(b, number(address, "links")), whole(c, number(address, "natoms")));
}

/* Of a structure, in meV an atom. */
static double spread(const json_t *link)
{
    return 1000 * number(link, "energy_std") / number(link, "natoms");
}

static void print_link(FILE *to, const json_t *link, int width)
{
    char a[CELL], b[CELL], c[CELL], d[CELL], text[CELL * 8];
    const json_t *latency = json_object_get(link, "latency_ms");
    fprintf(to, "%4s %-*s %-10s %9s %7s %8s ", whole(a, number(link, "number")), width,
            clean(text, word(link, "address")), word(link, "state"), whole(b, number(link, "steps")),
            whole(c, number(link, "natoms")), digits(d, number(link, "steps_per_s")));
    fprintf(to, "%8s %8s %8s %9s ", digits(a, number(latency, "p50")), digits(b, number(latency, "p99")),
            digits(c, number(latency, "max")), percent(d, number(link, "computing_s"), number(link, "waiting_s")));
    fprintf(to, "%9s %6s\n", digits(a, spread(link)), whole(b, number(link, "extrapolated")));
    if (json_is_string(json_object_get(link, "reason")))
        fprintf(to, "     %s\n", clean(text, word(link, "reason")));
}

static void print_list(FILE *to, const json_t *s, const char *key,
                       void (*print)(FILE *to, const json_t *object, int width))
{
    size_t i;
    const json_t *object;
    json_array_foreach(json_object_get(s, key), i, object) print(to, object, width_of_addresses(s));
}

void status_print(FILE *to, const json_t *s)
{
    int width = width_of_addresses(s);
    print_server(to, s);
    print_list(to, s, "models", print_model);
    fprintf(to, "\n%-*s %-16s %-10s %13s %6s %8s\n", width, "address", "model", "state", "for", "links", "atoms");
    print_list(to, s, "addresses", print_address);
    if (json_array_size(json_object_get(s, "links")) == 0)
        return;
    fprintf(to, "\n%*s latency/ms %26s spread extra-\n", width + 48, "", "");
    fprintf(to, "link %-*s %-10s %9s %7s %8s %8s %8s %8s %9s %9s %s\n", width, "address", "state", "steps", "atoms",
            "steps/s", "median", "99 %", "longest", "computing", "meV/atom", "polated");
    print_list(to, s, "links", print_link);
}

void status_print_line(FILE *to, const char *path, const json_t *s)
{
    char a[CELL], b[CELL], c[CELL], text[CELL * 8];
    size_t i;
    const json_t *address;
    fprintf(to, "unix:%s  %s for %s, %s links, %s steps:", path, word(s, "state"), duration(a, number(s, "uptime_s")),
            whole(b, number(json_object_get(s, "totals"), "links")),
            whole(c, number(json_object_get(s, "totals"), "steps")));
    json_array_foreach(json_object_get(s, "addresses"), i, address)
        fprintf(to, " %s", clean(text, word(address, "address")));
    fprintf(to, "\n");
}
