/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/format.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const nf_format nf_format_n2p2;

static const nf_format *const formats[] = {&nf_format_n2p2};

/* A directory must be searchable too, or its files would seem not to be there. */
static int check_access(const char *path, nf_error *err)
{
    struct stat info;
    if (stat(path, &info) == 0 && access(path, S_ISDIR(info.st_mode) ? R_OK | X_OK : R_OK) == 0)
        return 0;
    return nf_fail(err, NF_EIO, "cannot open the model %s: %s", path, strerror(errno));
}

int nf_format_read(nf_spec *spec, size_t npaths, const char *const paths[], const nf_model_opts *opts, nf_error *err)
{
    for (size_t i = 0; i < npaths; i++)
        TRY(check_access(paths[i], err));
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i]->matches(paths[0]))
            return formats[i]->read(spec, npaths, paths, opts, err);
    return nf_fail(err, NF_EFORMAT,
                   "%s is no model that nearfar knows: expected an n2p2/RuNNer directory with input.nn, "
                   "scaling.data and weights.*.data, or a directory of nnp-1, nnp-2, ...",
                   paths[0]);
}
