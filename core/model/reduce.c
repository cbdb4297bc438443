/* SPDX-License-Identifier: BSD-3-Clause
 *
 * reduce.c - from sums over patches to the result. Every sum has one order, whatever threads and patches did.
 */
#include <math.h>
#include <string.h>

#include "model/evaluation.h"

/* Neumaier's compensated sum, in atom order. */
static double sum_atoms(size_t n, const double *x)
{
    double sum = 0, lost = 0;
    for (size_t i = 0; i < n; i++) {
        double t = sum + x[i];
        lost += fabs(sum) >= fabs(x[i]) ? (sum - t) + x[i] : (x[i] - t) + sum;
        sum = t;
    }
    return sum + lost;
}

static double sum_offsets(const evaluation *e, const nf_member *member)
{
    size_t count[NF_MAX_ELEMENTS] = {0};
    double sum = 0;
    for (size_t i = 0; i < e->job->frame->natoms; i++)
        count[e->space->element[i]]++;
    for (int k = 0; k < e->calc->model->elements.n; k++)
        sum += (double)count[k] * member->offset[k];
    return sum;
}

static double spread(size_t n, const double *x, size_t stride, double mean)
{
    double sum = 0;
    for (size_t m = 0; m < n; m++)
        sum += (x[m * stride] - mean) * (x[m * stride] - mean);
    return n > 1 ? sqrt(sum / (double)(n - 1)) : 0;
}

static double mean_of(size_t n, const double *x, size_t stride)
{
    double sum = 0;
    for (size_t m = 0; m < n; m++)
        sum += x[m * stride];
    return sum / (double)n;
}

/* Energies of the members relative to the first member's offset, so that a large offset costs the mean and the spread
 * no digits. */
static void reduce_energy(const evaluation *e)
{
    nf_result *result = e->job->result;
    const nf_member *members = e->calc->model->members;
    size_t n = e->job->frame->natoms, M = e->nmembers;
    double *relative = e->space->member_energy, offset = sum_offsets(e, &members[0]);
    for (size_t m = 0; m < M; m++) {
        relative[m] = sum_atoms(n, e->space->atom_energy + m * n) + (sum_offsets(e, &members[m]) - offset);
        if (result->member_energy != NULL)
            result->member_energy[m] = relative[m] + offset;
    }
    double mean = mean_of(M, relative, 1);
    result->energy = mean + offset;
    result->energy_std = spread(M, relative, 1, mean);
}

static void reduce_atom_energies(const evaluation *e)
{
    nf_result *result = e->job->result;
    size_t n = e->job->frame->natoms, M = e->nmembers;
    for (size_t i = 0; i < n; i++) {
        const double *x = e->space->atom_energy + i;
        double offset = 0, mean = mean_of(M, x, n);
        for (size_t m = 0; m < M; m++)
            offset += e->calc->model->members[m].offset[e->space->element[i]];
        if (result->atom_energy != NULL)
            result->atom_energy[i] = mean + offset / (double)M;
        if (result->atom_energy_std != NULL)
            result->atom_energy_std[i] = spread(M, x, n, mean);
    }
}

/* Symmetric, as it is by the invariance of the energy under rotation. */
static void virial_of(const evaluation *e, size_t bar, double *out)
{
    size_t n = e->job->frame->natoms;
    double w[9] = {0};
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < 9; c++)
            w[c] += e->space->virial[bar * n + i][c];
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            out[3 * a + b] = 0.5 * (w[3 * a + b] + w[3 * b + a]);
}

static double force_of(const evaluation *e, size_t bar, size_t atom, int axis)
{
    return (double)e->space->force[bar * e->job->frame->natoms + atom][axis] * NF_FORCE_UNIT;
}

static void reduce_forces(const evaluation *e)
{
    nf_result *result = e->job->result;
    size_t n = e->job->frame->natoms, M = e->nmembers;
    for (size_t i = 0; i < n; i++)
        for (int a = 0; a < 3; a++) {
            double mean = force_of(e, 0, i, a), square = 0;
            if (result->forces != NULL)
                result->forces[i][a] = mean;
            for (size_t m = 0; m < M; m++) {
                double own = e->nbar == 1 ? mean : force_of(e, 1 + m, i, a);
                square += (own - mean) * (own - mean);
                if (result->member_forces != NULL)
                    result->member_forces[m * n + i][a] = own;
            }
            if (result->force_std != NULL)
                result->force_std[i][a] = M > 1 ? sqrt(square / (double)(M - 1)) : 0;
        }
}

int nf_reduce(const evaluation *e, nf_error *err)
{
    nf_result *result = e->job->result;
    reduce_energy(e);
    if (!isfinite(result->energy) || !isfinite(result->energy_std))
        return nf_fail(err, NF_EDIVERGED, "the energy is not finite: the structure is unphysical for this model");
    if (result->atom_energy != NULL || result->atom_energy_std != NULL)
        reduce_atom_energies(e);
    reduce_forces(e);
    double w[9];
    virial_of(e, 0, w);
    memcpy(result->virial, w, sizeof w);
    for (size_t m = 0; result->member_virial != NULL && m < e->nmembers; m++)
        virial_of(e, e->nbar == 1 ? 0 : 1 + m, result->member_virial[m]);
    result->nextrapolated = 0;
    for (size_t i = 0; i < e->job->frame->natoms; i++) {
        result->nextrapolated += e->space->extrapolated[i];
        if (result->extrapolated != NULL)
            result->extrapolated[i] = e->space->extrapolated[i];
    }
    return 0;
}
