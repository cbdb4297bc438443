/* SPDX-License-Identifier: BSD-3-Clause
 *
 * text.h - a text that grows. What could not be added for want of memory is remembered, so that one check at the end
 * is enough.
 */
#ifndef NF_SERVER_TEXT_H
#define NF_SERVER_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *bytes; /* n of them and a zero; NULL while nothing was added */
    size_t n, capacity;
    bool failed;
} nf_text;

void nf_text_add(nf_text *t, const char *bytes, size_t n);
/** As printf, a piece of at most 1023 characters. */
void nf_text_print(nf_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void nf_text_integer(nf_text *t, long long value);
/** To six decimals, or nine digits where those say more. Much faster than printf: the loop has to write some thousand
 *  numbers between two messages. Not finite: null. */
void nf_text_number(nf_text *t, double value);
/** A JSON value on one line. */
void nf_text_json(nf_text *t, const json_t *value);
void nf_text_free(nf_text *t);

/** A JSON string. Names of files may be no UTF-8, which JSON cannot hold: then bytes beyond ASCII become '?'. NULL
 *  without memory. */
json_t *nf_json_text(const char *text);

#endif
