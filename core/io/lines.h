/* SPDX-License-Identifier: BSD-3-Clause
 *
 * lines.h - text line by line from a file, gzipped or not, or from memory; it knows where it is, for
 * messages.
 */
#ifndef NF_IO_LINES_H
#define NF_IO_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "nearfar/nearfar.h"

enum { NF_LINE_MAX = 1 << 20 }; /* bytes */

/** All zero is closed. */
typedef struct nf_lines {
    char *path;  /* for messages */
    long number; /* of the line last read, from 1 */
    void *gz;    /* gzFile; NULL: memory */
    const char *memory;
    size_t left; /* bytes of memory not read yet */
    char *buffer;
    size_t capacity, begin, end; /* what is read and not yet given out */
    char *line;                  /* last given out */
    bool again;
    long long size; /* bytes of the file, compressed or not; 0: not known */
} nf_lines;

/** Arguments for "%s:%ld: ...". */
#define NF_AT(in) (in)->path, (in)->number

/** "-" is the standard input. On failure *in is closed. */
int nf_lines_open(nf_lines *in, const char *path, nf_error *err);
/** The text stays the caller's. */
int nf_lines_open_memory(nf_lines *in, const char *name, const void *data, size_t size, nf_error *err);
void nf_lines_close(nf_lines *in);

/** How much of the file has been read, 0 to 1; negative where that is not known, as for the standard input. */
double nf_lines_fraction(const nf_lines *in);

/** The next line without its end (\n or \r\n): *line lives until the next call. 1: got one; 0: end; < 0:
 * error, also for lines above NF_LINE_MAX and for a zero byte, which no text has. */
int nf_lines_next(nf_lines *in, char **line, nf_error *err);
/** As nf_lines_next, but passes over lines of nothing but blanks. */
int nf_lines_next_filled(nf_lines *in, char **line, nf_error *err);
/** Makes the next call give the last line once more. The caller did not change it. */
void nf_lines_unread(nf_lines *in);

#endif
