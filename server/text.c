/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { LONGEST_PIECE = 1024 };

void nf_text_add(nf_text *t, const char *bytes, size_t n)
{
    if (t->failed || NF_GROW(t->bytes, t->capacity, t->n + n + 1)) {
        t->failed = true;
        return;
    }
    memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
    t->bytes[t->n] = '\0';
}

void nf_text_print(nf_text *t, const char *fmt, ...)
{
    char piece[LONGEST_PIECE];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(piece, sizeof piece, fmt, ap);
    va_end(ap);
    nf_text_add(t, piece, n < 0 ? 0 : n < LONGEST_PIECE ? (size_t)n : LONGEST_PIECE - 1);
}

static int add_piece(const char *bytes, size_t n, void *text)
{
    nf_text_add(text, bytes, n);
    return ((nf_text *)text)->failed ? -1 : 0;
}

void nf_text_json(nf_text *t, const json_t *value)
{
    if (json_dump_callback(value, add_piece, t, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)) != 0)
        t->failed = true;
}

void nf_text_free(nf_text *t)
{
    nf_free(t->bytes);
    *t = (nf_text){0};
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
