/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/writer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { LONGEST_PIECE = 1024 };

void nf_writer_add(nf_writer *t, const char *bytes, size_t n)
{
    if (t->failed || NF_GROW(t->bytes, t->capacity, t->n + n + 1)) {
        t->failed = true;
        return;
    }
    memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
    t->bytes[t->n] = '\0';
}

void nf_writer_print(nf_writer *t, const char *fmt, ...)
{
    char piece[LONGEST_PIECE];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(piece, sizeof piece, fmt, ap);
    va_end(ap);
    nf_writer_add(t, piece, n < 0 ? 0 : n < LONGEST_PIECE ? (size_t)n : LONGEST_PIECE - 1);
}

/* The digits of value from `end` downwards; returns where they begin. */
static char *put_digits(char *end, unsigned long long value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

void nf_writer_integer(nf_writer *t, long long value)
{
    char digits[24], *end = digits + sizeof digits;
    char *at = put_digits(end, value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value);
    if (value < 0)
        *--at = '-';
    nf_writer_add(t, at, (size_t)(end - at));
}

/* |value| < 1e9. */
static void add_decimals(nf_writer *t, double value)
{
    char digits[40], *end = digits + sizeof digits;
    unsigned long long millionths = (unsigned long long)(fabs(value) * 1e6 + 0.5), rest = millionths % 1000000;
    char *at = end;
    if (rest > 0) {
        at = put_digits(end, rest + 1000000); /* zeros in front stay */
        *at = '.';
        while (end[-1] == '0')
            end--;
    }
    at = put_digits(at, millionths / 1000000);
    if (value < 0)
        *--at = '-';
    nf_writer_add(t, at, (size_t)(end - at));
}

void nf_writer_number(nf_writer *t, double value)
{
    double size = fabs(value);
    if (!isfinite(value))
        nf_writer_add(t, "null", 4);
    else if (size < 9e15 && value == (double)(long long)value)
        nf_writer_integer(t, (long long)value);
    else if (size >= 1e-3 && size < 1e9)
        add_decimals(t, value);
    else
        nf_writer_print(t, "%.9g", value);
}

/* ---- JSON ---- */

static void add_escaped(nf_writer *t, const char *s, size_t n)
{
    size_t from = 0;
    nf_writer_add(t, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] >= ' ' && s[i] != '"' && s[i] != '\\')
            continue;
        nf_writer_add(t, s + from, i - from);
        nf_writer_print(t, "\\u%04x", (unsigned)(unsigned char)s[i]);
        from = i + 1;
    }
    nf_writer_add(t, s + from, n - from);
    nf_writer_add(t, "\"", 1);
}

static void add_object(nf_writer *t, json_t *object)
{
    const char *key;
    json_t *value;
    char before = '{';
    json_object_foreach(object, key, value)
    {
        nf_writer_add(t, &before, 1);
        add_escaped(t, key, strlen(key));
        nf_writer_add(t, ":", 1);
        nf_writer_json(t, value);
        before = ',';
    }
    nf_writer_add(t, before == '{' ? "{}" : "}", before == '{' ? 2 : 1);
}

static void add_array(nf_writer *t, const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        nf_writer_add(t, i == 0 ? "[" : ",", 1);
        nf_writer_json(t, json_array_get(array, i));
    }
    nf_writer_add(t, json_array_size(array) == 0 ? "[]" : "]", json_array_size(array) == 0 ? 2 : 1);
}

void nf_writer_json(nf_writer *t, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        add_object(t, (json_t *)value);
        break;
    case JSON_ARRAY:
        add_array(t, value);
        break;
    case JSON_STRING:
        add_escaped(t, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        nf_writer_integer(t, json_integer_value(value));
        break;
    case JSON_REAL:
        nf_writer_number(t, json_real_value(value));
        break;
    default:
        nf_writer_print(t, "%s", json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
    }
}

void nf_writer_free(nf_writer *t)
{
    nf_free(t->bytes);
    *t = (nf_writer){0};
}

json_t *nf_json_text(const char *text)
{
    json_t *value = json_string(text);
    char *ascii = value == NULL ? nf_strdup(text) : NULL;
    if (ascii == NULL)
        return value;
    for (char *p = ascii; *p != '\0'; p++)
        if ((unsigned char)*p > 126)
            *p = '?';
    value = json_string(ascii);
    nf_free(ascii);
    return value;
}
