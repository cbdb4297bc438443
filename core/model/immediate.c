/* SPDX-License-Identifier: BSD-3-Clause
 *
 * immediate.c - a model that is zero for every frame: the checks that any frame undergoes, and zeros. What is left is
 * one pass over the positions and the forces, so that a caller may do it on whatever thread it is.
 */
#include <string.h>

#include "model/evaluation.h"

/* All at once; who it is is asked only if there is one. */
static bool all_elements_known(const nf_model *model, const nf_frame *frame)
{
    return model->elements.n == NF_MAX_ELEMENTS &&
           !model->kern->outside(frame->natoms, 1, NF_MAX_ELEMENTS, frame->species);
}

static int check_frame(const nf_model *model, const nf_frame *frame, double farthest, nf_error *err)
{
    nf_cell cell;
    double s[3];
    TRY(nf_cell_make(&cell, frame->cell, frame->pbc, err));
    if (!all_elements_known(model, frame))
        TRY(nf_calc_elements(model, frame, NULL, err));
    if (!(farthest < nf_cell_safe_distance(&cell)))
        for (size_t i = 0; i < frame->natoms; i++)
            TRY(nf_cell_fractions(&cell, i, frame->pos[i], s, err));
    return 0;
}

static void clear(void *out, size_t n, size_t size)
{
    if (out != NULL)
        memset(out, 0, n * size);
}

static void fill_with_zeros(nf_result *r, size_t natoms, size_t nmembers)
{
    r->energy = r->energy_std = 0;
    r->nextrapolated = 0;
    memset(r->virial, 0, sizeof r->virial);
    clear(r->forces, natoms, sizeof *r->forces);
    clear(r->atom_energy, natoms, sizeof *r->atom_energy);
    clear(r->force_std, natoms, sizeof *r->force_std);
    clear(r->atom_energy_std, natoms, sizeof *r->atom_energy_std);
    clear(r->extrapolated, natoms, sizeof *r->extrapolated);
    clear(r->member_energy, nmembers, sizeof *r->member_energy);
    clear(r->member_forces, nmembers * natoms, sizeof *r->member_forces);
    clear(r->member_virial, nmembers, sizeof *r->member_virial);
}

bool nf_job_is_immediate(const nf_job *job)
{
    return job->calc->model->zero;
}

void nf_job_evaluate_now(nf_job *job, double farthest)
{
    const nf_model *model = job->calc->model;
    nf_error err = {0};
    job->code = nf_check_request(model, job->frame, job->result, &err);
    if (job->code == 0)
        job->code = check_frame(model, job->frame, farthest, &err);
    if (job->code == 0)
        fill_with_zeros(job->result, job->frame->natoms, model->nmembers);
    job->err = err;
}
