/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/extxyz_comment.h"

#include <string.h>

#include "io/number.h"
#include "io/words.h"

struct quoting {
    char opener, closer;
    size_t depth; /* 0: outside */
};

static char closer_of(char c)
{
    static const char openers[] = "\"'[{", closers[] = "\"']}";
    const char *at = c == '\0' ? NULL : strchr(openers, c);
    return at == NULL ? '\0' : closers[at - openers];
}

/* Steps over one character that no backslash protects. True if it opens or closes quotes. */
static bool is_delimiter(struct quoting *q, char c)
{
    if (q->depth == 0) {
        *q = (struct quoting){c, closer_of(c), closer_of(c) != '\0'};
        return q->depth > 0;
    }
    if (c == q->closer)
        q->depth--;
    else if (c == q->opener)
        q->depth++;
    else
        return false;
    return true;
}

/* End of the word at p: outside quotes a blank, or '=' if that counts, else the end of the line. */
static const char *word_end(const char *p, bool at_equals, struct quoting *q)
{
    *q = (struct quoting){0};
    for (; *p != '\0'; p++) {
        if (*p == '\\' && p[1] != '\0')
            p++;
        else if (!is_delimiter(q, *p) && q->depth == 0 && (nf_is_blank(*p) || (at_equals && *p == '=')))
            break;
    }
    return p;
}

/* Where the value behind an '=' begins: blanks may follow, unless they are followed by a pair of its own. */
static const char *value_begin(const char *p)
{
    struct quoting q;
    const char *next = nf_skip_blanks(p);
    const char *end = word_end(next, true, &q);
    return next > p && end > next && *end == '=' ? p : next;
}

bool nf_pair_next(const char **cursor, nf_pair *pair)
{
    struct quoting q;
    const char *p = nf_skip_blanks(*cursor);
    *pair = (nf_pair){.key = p};
    if (*p == '\0')
        return false;
    p = word_end(p, true, &q);
    if (p == pair->key) /* "=== frame 7 ===" of a plain file */
        p = word_end(p, false, &q);
    pair->key_end = p;
    const char *equals = nf_skip_blanks(p);
    if (*equals == '=' && *pair->key != '=') {
        pair->value = value_begin(equals + 1);
        pair->value_end = p = word_end(pair->value, false, &q);
    }
    pair->closer = q.closer;
    pair->missing = q.depth;
    *cursor = p;
    return true;
}

size_t nf_pair_decode(char *out, const char *text, const char *end)
{
    struct quoting q = {0};
    size_t n = 0;
    for (const char *p = text; p < end; p++) {
        if (*p == '\\' && p + 1 < end)
            out[n++] = *++p;
        else if (!is_delimiter(&q, *p))
            out[n++] = *p;
    }
    out[n] = '\0';
    return n;
}

bool nf_pair_is_empty(const char *text)
{
    struct quoting q = {0};
    for (; *text != '\0'; text++)
        if (*text == '\\' || !is_delimiter(&q, *text))
            return false;
    return true;
}

static const char *skip_separators(const char *p)
{
    while (nf_is_blank(*p) || *p == ',')
        p++;
    return p;
}

size_t nf_pair_numbers(const char *text, size_t max, double *out)
{
    size_t n = 0;
    const char *p = skip_separators(text);
    for (; *p != '\0' && n < max; p = skip_separators(p)) {
        p = nf_number_parse(p, &out[n++]);
        if (p == NULL || (*p != '\0' && *p != ',' && !nf_is_blank(*p)))
            return 0;
    }
    return n + (*p != '\0');
}

size_t nf_pair_quote(char *out, const char *text)
{
    size_t n = 0;
    out[n++] = '"';
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            out[n++] = '\\';
        out[n++] = *text;
    }
    out[n++] = '"';
    out[n] = '\0';
    return n;
}

bool nf_pair_needs_quotes(const char *text)
{
    return *text == '\0' || strpbrk(text, " \t\v\f\r\"'{}[]=\\") != NULL;
}
