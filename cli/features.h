/* SPDX-License-Identifier: BSD-3-Clause
 *
 * features.h - descriptor values, on request their derivatives, and the frames they belong to, as an .npz file for
 * numpy. What is in it is described in docs/eval.md.
 */
#ifndef NF_CLI_FEATURES_H
#define NF_CLI_FEATURES_H

#include "io/structure.h"

typedef struct features features;

/** What a file is to hold besides values. */
typedef struct {
    bool gradients;
    bool uncompressed; /* else derivatives are deflated: half of them are zeros */
} features_options;

/** Begins the file; it has frames of that model. */
int features_create(features **out, const char *path, const nf_model *model, const features_options *options,
                    nf_error *err);
/** The next frame and what was computed of it: energy, virial and forces are looked at. After a failure only
 *  features_discard is left. */
int features_add(features *f, nf_team *team, nf_calc *calc, const nf_structure *s, const nf_result *result,
                 nf_error *err);
/** Completes the file and frees f. */
int features_close(features *f, nf_error *err);
/** Frees f and leaves no file; NULL is fine. */
void features_discard(features *f);

#endif
