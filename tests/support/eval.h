/* SPDX-License-Identifier: BSD-3-Clause
 *
 * eval.h - nf_eval for tests: one structure in, every number out, and a failed test instead of an error code.
 */
#ifndef NF_TEST_EVAL_H
#define NF_TEST_EVAL_H

#include "nearfar/nearfar.h"

/** A model with a calc and a team of its own. */
typedef struct {
    nf_model *model;
    nf_calc *calc;
    nf_team *team;
} lab;

/** Loads one n2p2 directory (or a directory of members). Fails the test if it cannot be loaded. */
nf_model *load_model(const char *path, nf_units units);

/** Takes over the model. */
void lab_open(lab *l, nf_model *model, int nthreads, double skin);
void lab_close(lab *l);

/** Everything a result can hold; owns its buffers. Zero-initialise; grows. */
typedef struct {
    nf_result r;
    size_t natoms;
    size_t room, member_room;
} answer;

/** Points the result at buffers for that many atoms and all members. */
void answer_prepare(answer *a, const nf_model *model, size_t natoms);
void answer_free(answer *a);

/** Evaluates. Fails the test on an error. */
void lab_eval(lab *l, const nf_frame *frame, answer *out);
double lab_energy(lab *l, const nf_frame *frame);
/** nf_features with the smallest stride, in *out (to be freed with free); returns the stride. */
size_t lab_features(lab *l, const nf_frame *frame, double **out);

/** Are all numbers of two answers the same bits? */
int same_answer(const answer *a, const answer *b);

/** Largest |a - b| of n numbers, NaN counting as infinite; and largest |a|. */
double worst_difference(size_t n, const double *a, const double *b);
double largest(size_t n, const double *a);

#endif
