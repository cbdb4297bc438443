/* SPDX-License-Identifier: BSD-3-Clause
 *
 * writer.h - a text that grows. What could not be added for want of memory is remembered, so that one check at the end
 * is enough.
 */
#ifndef NF_SERVER_WRITER_H
#define NF_SERVER_WRITER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *bytes; /* n of them and a zero; NULL while nothing was added */
    size_t n, capacity;
    bool failed;
} nf_writer;

void nf_writer_add(nf_writer *t, const char *bytes, size_t n);
/** As printf, a piece of at most 1023 characters. */
void nf_writer_print(nf_writer *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void nf_writer_integer(nf_writer *t, long long value);
/** To six decimals, or nine digits where those say more. Much faster than printf: the loop has to write some thousand
 *  numbers between two messages. Not finite: null. */
void nf_writer_number(nf_writer *t, double value);
/** A JSON value on one line. */
void nf_writer_json(nf_writer *t, const json_t *value);
void nf_writer_free(nf_writer *t);

/** A JSON string. Names of files may be no UTF-8, which JSON cannot hold: then bytes beyond ASCII become '?'. NULL
 *  without memory. */
json_t *nf_json_text(const char *text);

#endif
