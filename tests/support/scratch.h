/* SPDX-License-Identifier: BSD-3-Clause
 *
 * scratch.h - a temporary folder for the files a test makes up.
 */
#ifndef NF_TEST_SCRATCH_H
#define NF_TEST_SCRATCH_H

#include <stddef.h>

typedef struct {
    char path[256];
} scratch;

/** A new empty folder below $TMPDIR or /tmp. */
void scratch_begin(scratch *s);
/** Removes it with all that is in it. */
void scratch_end(const scratch *s);
/** Creates a folder in it. */
void scratch_mkdir(const scratch *s, const char *name);
/** Writes a file into a folder; size bytes or, with size (size_t)-1, a string. */
void write_file(const char *folder, const char *name, const void *data, size_t size);
/** The whole file as a string, to be freed with free. */
char *read_file(const char *folder, const char *name);

#define WHOLE_STRING ((size_t)-1)

#endif
