/* SPDX-License-Identifier: BSD-3-Clause
 *
 * format.h - the family of model file formats: readers fill a spec and know no model.
 */
#ifndef NF_IO_FORMAT_H
#define NF_IO_FORMAT_H

#include "base/spec.h"

typedef struct nf_format {
    const char *name;
    /** Does the path look like this format? Cheap; a reader's error is better than a wrong guess. */
    bool (*matches)(const char *path);
    /** Paths are the members of a committee, in order. */
    int (*read)(nf_spec *spec, size_t npaths, const char *const paths[], const nf_model_opts *opts, nf_error *err);
} nf_format;

/** Finds the format of the first path and reads all. */
int nf_format_read(nf_spec *spec, size_t npaths, const char *const paths[], const nf_model_opts *opts, nf_error *err);

#endif
