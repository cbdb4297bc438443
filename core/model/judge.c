/* SPDX-License-Identifier: BSD-3-Clause
 *
 * judge.c - does a first frame look like the model's? Units of the wrong kind and species in the wrong order have the
 * right number of everything, so only the numbers can tell.
 */
#include <math.h>
#include <stdio.h>

#include "base/radii.h"
#include "model/evaluation.h"

static void check_distance(nf_calc *calc, const nf_frame *frame, const nf_list *list)
{
    size_t pair[2] = {0, 0};
    double r = nf_list_shortest(list, pair);
    double a = nf_covalent_radius(frame->species[pair[0]]), b = nf_covalent_radius(frame->species[pair[1]]);
    if (frame->natoms < 3 || r == HUGE_VAL || a == 0 || b == 0)
        return;
    if (r < 0.5 * (a + b) || r > 1.6 * (a + b))
        snprintf(
            calc->greeting[0], sizeof calc->greeting[0],
            "the shortest distance in the first frame is %.3f Angstrom (%s%zu-%s%zu), a bond would be %.2f: are its "
            "positions in Angstrom?",
            r, nf_element_symbol(frame->species[pair[0]]), pair[0] + 1, nf_element_symbol(frame->species[pair[1]]),
            pair[1] + 1, a + b);
}

static void check_range(nf_calc *calc, const nf_frame *frame, const nf_workspace *space)
{
    double outside = 0, all = 0;
    for (size_t i = 0; i < frame->natoms; i++) {
        outside += space->extrapolated[i];
        all += (double)nf_model_nfeatures(calc->model, frame->species[i]);
    }
    if (outside > 0.3 * all)
        snprintf(calc->greeting[1], sizeof calc->greeting[1],
                 "%.0f %% of the descriptor values of the first frame lie outside the training range: are the model's "
                 "units right?",
                 100 * outside / all);
}

int nf_judge(const evaluation *e, nf_error *err)
{
    nf_calc *calc = e->calc;
    const nf_frame *frame = e->job->frame;
    (void)err;
    if (atomic_exchange(&calc->greeted, true) || calc->model->units == NF_UNITS_REDUCED)
        return 0;
    check_distance(calc, frame, &e->slot->list);
    check_range(calc, frame, e->space);
    atomic_store(&calc->greets, true);
    return 0;
}

void nf_judge_log(nf_calc *calc)
{
    if (!atomic_exchange(&calc->greets, false))
        return;
    for (int i = 0; i < 2; i++)
        if (calc->greeting[i][0] != '\0') {
            nf_log_write(&calc->log, NF_LOG_WARNING, "%s", calc->greeting[i]);
            calc->greeting[i][0] = '\0';
        }
}
