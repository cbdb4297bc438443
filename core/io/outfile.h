/* SPDX-License-Identifier: BSD-3-Clause
 *
 * outfile.h - text into a file that appears under its name when it is complete.
 *
 * Until then it is <name>.<process>.part beside it, so that a killed process, a full disk or an error leave
 * what was there before. Names that are no ordinary files (/dev/null, a pipe) are written to directly; a
 * symbolic link stays one and its target is replaced. Errors stick: only the calls that take an nf_error
 * report them.
 */
#ifndef NF_IO_OUTFILE_H
#define NF_IO_OUTFILE_H

#include <stddef.h>

#include "nearfar/nearfar.h"

/** All zero is closed. */
typedef struct {
    char *path;   /* for messages */
    char *target; /* what the part becomes; NULL: it is written directly */
    char *part;
    void *gz; /* gzFile */
    char *buffer;
    size_t capacity, length;
    int code, number; /* the first error and its errno */
} nf_outfile;

/** The file a path stands for, behind symbolic links; the path itself if there is none yet. To be freed with nf_free;
 *  NULL without memory. */
char *nf_outfile_target(const char *path);

/** "-" is the standard output; a name that ends in .gz is compressed. On failure *out is closed. */
int nf_outfile_create(nf_outfile *out, const char *path, nf_error *err);
/** Room for n bytes at the end of the buffer, to be followed by length += what is used; NULL after an error.
 */
char *nf_outfile_room(nf_outfile *out, size_t n);
void nf_outfile_put(nf_outfile *out, const char *text, size_t n);
/** Reports the first error so far. */
int nf_outfile_check(const nf_outfile *out, nf_error *err);
/** Completes the file, unless there was an error, and closes. */
int nf_outfile_commit(nf_outfile *out, nf_error *err);
/** Closes and removes what is not complete. */
void nf_outfile_discard(nf_outfile *out);

#endif
