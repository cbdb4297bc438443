/* SPDX-License-Identifier: BSD-3-Clause
 *
 * text.h - small text files of numbers and keywords, line by line, with errors that name file and line.
 */
#ifndef NF_IO_TEXT_H
#define NF_IO_TEXT_H

#include "base/status.h"
#include "io/hash.h"

enum { NF_TEXT_MAX_WORDS = 256 };

typedef struct nf_text {
    const char *path; /* borrowed */
    char *data, *at;
    char *kept; /* for nf_text_rewind */
    long line;  /* of the words below, 1-based */
    int nwords;
    char *word[NF_TEXT_MAX_WORDS];
} nf_text;

/** Reads the whole file; its bytes go into the hash (NULL: none). NF_EIO; NF_EFORMAT for binary data; NF_ELIMIT above
 *  1 GiB. */
int nf_text_open(nf_text *text, const char *path, nf_hash *hash, nf_error *err);
/** Keeps a copy of what is there, for nf_text_rewind: a second opening might find another file. */
int nf_text_keep(nf_text *text, nf_error *err);
/** Once, after nf_text_keep: begins again. */
void nf_text_rewind(nf_text *text);
void nf_text_close(nf_text *text);

/** Next line that has words (separated by blanks, tabs and carriage returns) before a comment sign.
 *  1: there is one, 0: end, negative: error. */
int nf_text_next(nf_text *text, const char *comment_signs, nf_error *err);

/** Word i as a finite number / an integer. NF_EFORMAT names file, line and word. */
int nf_text_number(const nf_text *text, int i, double *out, nf_error *err);
int nf_text_integer(const nf_text *text, int i, int *out, nf_error *err);
/** Fails unless there are at least n words. `usage` says what belongs there. */
int nf_text_require(const nf_text *text, int n, const char *usage, nf_error *err);

#endif
