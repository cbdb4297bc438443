/* SPDX-License-Identifier: BSD-3-Clause
 *
 * evaluation.h - one job while it is evaluated, and its steps. Internal to core/model.
 *
 *   nf_prepare       check the frame, find or begin a list, a workspace               one thread at a time
 *   nf_sweep_patch   descriptor -> readouts -> pull back -> sums over atoms           any patches at the same time
 *   nf_reduce        from sums over patches to the result
 *   nf_judge         does a first frame look like the model's?
 *
 * A model that is zero for every frame needs none of them but the checks: nf_job_evaluate_now.
 */
#ifndef NF_MODEL_EVALUATION_H
#define NF_MODEL_EVALUATION_H

#include "model/calc.h"

struct evaluation;

/* What to do with a patch instead of energies and forces; the arena has room for the descriptor's forward and for one
 * environment. 0 or an error. */
typedef int nf_visit(struct evaluation *e, const nf_patch_view *view, nf_arena *arena, nf_error *err);

typedef struct evaluation {
    nf_job *job;
    nf_calc *calc;
    nf_slot *slot;
    bool fresh; /* the list of the slot is made for this job */
    nf_workspace *space;
    nf_cell cell;
    size_t nbar, nmembers;
    atomic_size_t failed; /* rank of the error in the job; SIZE_MAX: none. Patches above it need no sweep */
    nf_visit *visit;      /* NULL: energies and forces */
    void *visit_ctx;
} evaluation;

/* Internal code of a patch: numbers that are not finite, where another patch may know why. Becomes NF_EDIVERGED. */
enum { NF_VAGUE = -1000 };

/** Are the sizes of a request right? NF_EINVAL, NF_ELIMIT. */
int nf_check_request(const nf_model *model, const nf_frame *frame, const nf_result *result, nf_error *err);
/** Everything before the patches. One thread at a time. */
int nf_prepare(evaluation *e, nf_error *err);

/** Energies and forces of patch `index`, or a visit. The arena is all its working memory. NF_VAGUE. */
int nf_sweep_patch(evaluation *e, size_t index, nf_arena *arena, nf_error *err);
/** NF_VAGUE if not all n descriptor values are finite: it would hide in an activation function. */
int nf_check_values(const double *g, size_t n, nf_error *err);

/** Sums over patches into the job's result: forces from fixed point, energies and virials in atom order.
 *  NF_EDIVERGED if the energy is not finite. */
int nf_reduce(const evaluation *e, nf_error *err);

/** Looks at a finished evaluation: notes what there is to say of a calculator's first frame, and refuses a frame that
 *  nf_job.judge asks to be judged. On any thread. NF_EINVAL. */
int nf_judge(const evaluation *e, nf_error *err);
/** Says what nf_judge noted, if that has not been said. On any thread. */
void nf_judge_log(nf_calc *calc);

/** Does the job's model need no neighbours at all? Then nf_job_evaluate_now does on any thread, at any moment, what
 *  nf_eval and a stream would do on theirs. */
bool nf_job_is_immediate(const nf_job *job);
/** Checks the frame and fills the result, or code and err, of a job that is immediate. No allocation and no lock, the
 *  calc is not changed: several threads may do so with one calc. farthest: no coordinate is beyond it, if the caller knows
 *  that, else HUGE_VAL. */
void nf_job_evaluate_now(nf_job *job, double farthest);

/** Calls visit for every patch of the frame, on the threads of the team. The patches stay as they are until the calc is
 *  used again. The first error of the frame or of a visit. */
int nf_visit_patches(nf_team *team, nf_calc *calc, const nf_frame *frame, nf_visit *visit, void *ctx, nf_error *err);

#endif
