/* SPDX-License-Identifier: BSD-3-Clause
 *
 * consumer.c - a user's program: nothing but nearfar.h and the shared library, as C and (included by consumer.cpp) C++.
 */
#include <nearfar/nearfar.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    nf_error err;
    nf_model *model = NULL;
    const char *path = argc > 1 ? argv[1] : "no-such-model";
    nf_model_opts opts = NF_MODEL_OPTS_INIT;
    nf_frame frame = NF_FRAME_INIT;
    nf_result result = NF_RESULT_INIT;
    int code = nf_model_load(&model, 1, &path, &opts, &err);
    printf("nearfar %s: code %d, frame of %d atoms, energy %g\n", nf_version(), code, (int)frame.natoms, result.energy);
    if (code == 0) {
        nf_model_free(model);
        return 0;
    }
    printf("%s\n", err.msg);
    return code == NF_EIO && model == NULL ? 0 : 1;
}
