/* SPDX-License-Identifier: BSD-3-Clause
 *
 * npz.h - arrays for numpy: a zip archive of .npy files that grow row by row and never are in memory.
 *
 * The data of an array wait in a buffer, and once that is full in a file beside the archive-to-be which has no name any
 * more, so that nothing is left of it however the program ends. The archive appears under its name when it is
 * complete. While it is made the disk holds all data twice.
 *
 * Every array has version 1.0 of the .npy format (NEP 1, numpy.lib.format): 2.0 is for headers beyond 64 KiB, 3.0 for
 * field names that are not Latin-1, and neither occurs. The dates of the entries are 1 January 1980, as numpy.savez has
 * them, so equal arrays give equal bytes. Archives and arrays beyond 4 GB are zip64.
 */
#ifndef NF_IO_NPZ_H
#define NF_IO_NPZ_H

#include <stddef.h>
#include <stdint.h>

#include "nearfar/nearfar.h"

typedef struct nf_npz nf_npz;
typedef struct nf_npz_array nf_npz_array;

/** double, int32_t, int64_t, bool */
typedef enum { NF_NPZ_F64, NF_NPZ_I32, NF_NPZ_I64, NF_NPZ_BOOL } nf_npz_type;

enum { NF_NPZ_MAX_TAIL = 3 };

/** Begins an archive. NF_EINVAL for what is no ordinary file, NF_EIO if no file can be created there. */
int nf_npz_create(nf_npz **out, const char *path, nf_error *err);
/** An array [rows][tail[0]]...[tail[ntail - 1]], without rows so far; *out lives as long as the archive. ntail is at
 *  most NF_NPZ_MAX_TAIL. The key in numpy is `name`. */
int nf_npz_add(nf_npz *npz, nf_npz_array **out, const char *name, nf_npz_type type, size_t ntail, const size_t *tail,
               nf_error *err);
/** Has the array deflated in the archive. That pays where there are many zeros or whole numbers: random mantissas of
 *  doubles shrink by less than a twentieth. Strings are always deflated. */
void nf_npz_compress(nf_npz_array *array);
/** Rows at the end. After a failure the archive cannot be completed. */
int nf_npz_append(nf_npz_array *array, size_t nrows, const void *data, nf_error *err);
/** A string, without dimensions: str(file[name]). UTF-8; what is not becomes U+FFFD. */
int nf_npz_string(nf_npz *npz, const char *name, const char *text, nf_error *err);
/** An array of n strings. */
int nf_npz_strings(nf_npz *npz, const char *name, size_t n, const char *const text[], nf_error *err);
/** Writes the archive and frees npz. After any failure, also an earlier one of another call, what was at `path` before
 *  is untouched. */
int nf_npz_close(nf_npz *npz, nf_error *err);
/** Frees npz and leaves no file; NULL is fine. */
void nf_npz_discard(nf_npz *npz);

#endif
