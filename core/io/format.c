/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/format.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const nf_format nf_format_null, nf_format_n2p2;

static const nf_format *const formats[] = {&nf_format_null, &nf_format_n2p2};

static const nf_format *find_format(const char *path)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i]->matches(path))
            return formats[i];
    return NULL;
}

bool nf_format_is_built_in(const char *path)
{
    const nf_format *format = find_format(path);
    return format != NULL && format->built_in;
}

/* A directory must be searchable too, or its files would seem not to be there. */
static int check_access(const char *path, nf_error *err)
{
    struct stat info;
    if (stat(path, &info) == 0 && access(path, S_ISDIR(info.st_mode) ? R_OK | X_OK : R_OK) == 0)
        return 0;
    return nf_fail(err, NF_EIO, "cannot open the model %s: %s", path, strerror(errno));
}

static int check_paths(size_t npaths, const char *const paths[], nf_error *err)
{
    for (size_t i = 0; i < npaths; i++) {
        bool built_in = nf_format_is_built_in(paths[i]);
        if (built_in && npaths > 1)
            return nf_fail(err, NF_EINVAL,
                           "the model '%s' is no member of a committee (a directory of that name: ./%s)", paths[i],
                           paths[i]);
        if (!built_in)
            TRY(check_access(paths[i], err));
    }
    return 0;
}

static int read_hashed(const nf_format *format, nf_spec *spec, size_t npaths, const char *const paths[],
                       const nf_model_opts *opts, nf_error *err)
{
    nf_hash hash;
    char text[NF_HASH_TEXT];
    nf_hash_begin(&hash);
    TRY(format->read(spec, npaths, paths, opts, &hash, err));
    nf_hash_end(&hash, text);
    return json_object_set_new(spec->tree, "sha256", json_string(text)) ? nf_fail_memory(err, "a model") : 0;
}

int nf_format_read(nf_spec *spec, size_t npaths, const char *const paths[], const nf_model_opts *opts, nf_error *err)
{
    TRY(check_paths(npaths, paths, err));
    const nf_format *format = find_format(paths[0]);
    if (format != NULL)
        return read_hashed(format, spec, npaths, paths, opts, err);
    return nf_fail(err, NF_EFORMAT,
                   "%s is no model that nearfar knows: expected an n2p2/RuNNer directory with input.nn, "
                   "scaling.data and weights.*.data, or a directory of nnp-1, nnp-2, ...",
                   paths[0]);
}
