/* SPDX-License-Identifier: BSD-3-Clause
 *
 * evaluation.h - one job of nf_eval while it runs. Internal to core/model.
 */
#ifndef NF_MODEL_EVALUATION_H
#define NF_MODEL_EVALUATION_H

#include "model/calc.h"

struct evaluation;

/* What to do with a patch instead of energies and forces. 0 or an error. */
typedef int nf_visit(struct evaluation *e, const nf_patch_view *view, nf_arena *arena, nf_error *err);

typedef struct evaluation {
    nf_job *job;
    nf_calc *calc;
    nf_slot *slot;
    nf_workspace *space;
    nf_cell cell;
    size_t nbar, nmembers;
    atomic_size_t left; /* patches */
    atomic_int code;
    atomic_size_t failed; /* rank of the error in the job; SIZE_MAX: none. Patches above it need no sweep */
    nf_visit *visit;      /* NULL: energies and forces */
    void *visit_ctx;
} evaluation;

/** Calls visit for every patch of the frame, on the threads of the team. The patches stay as they are until the calc is
 *  used again. The first error of the frame or of a visit. */
int nf_visit_patches(nf_team *team, nf_calc *calc, const nf_frame *frame, nf_visit *visit, void *ctx, nf_error *err);

/** Sums over patches into the job's result: forces from fixed point, energies and virials in atom order.
 *  NF_EDIVERGED if the energy is not finite. */
int nf_reduce(const evaluation *e, nf_error *err);

/** Looks at a finished evaluation: notes what there is to say of a calculator's first frame, and refuses a frame that
 *  nf_job.judge asks to be judged. On any thread. NF_EINVAL. */
int nf_judge(const evaluation *e, nf_error *err);
/** Says what nf_judge noted, on the caller's thread. */
void nf_judge_log(nf_calc *calc);

#endif
