/* SPDX-License-Identifier: BSD-3-Clause
 *
 * format.h - the family of model file formats: readers fill a spec and know no model.
 */
#ifndef NF_IO_FORMAT_H
#define NF_IO_FORMAT_H

#include "base/spec.h"
#include "io/hash.h"

typedef struct nf_format {
    const char *name;
    bool built_in; /* what matches is a word, not a path; it stands alone */
    /** Does the path look like this format? Cheap; a reader's error is better than a wrong guess. */
    bool (*matches)(const char *path);
    /** Paths are the members of a committee, in order. Every byte that is read goes into the hash, once. */
    int (*read)(nf_spec *spec, size_t npaths, const char *const paths[], const nf_model_opts *opts, nf_hash *hash,
                nf_error *err);
} nf_format;

/** Is this the word for a model that needs no file? */
bool nf_format_is_built_in(const char *path);

/** Finds the format of the first path and reads all; adds "sha256" to the tree. */
int nf_format_read(nf_spec *spec, size_t npaths, const char *const paths[], const nf_model_opts *opts, nf_error *err);

#endif
