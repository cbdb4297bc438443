/* SPDX-License-Identifier: BSD-3-Clause */
#include "eval.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

nf_model *load_model(const char *path, nf_units units)
{
    nf_error err = {0};
    nf_model *model = NULL;
    nf_model_opts opts = NF_MODEL_OPTS_INIT;
    opts.units = units;
    int rc = nf_model_load(&model, 1, &path, &opts, &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    return model;
}

void lab_open(lab *l, nf_model *model, int nthreads, double skin)
{
    nf_error err = {0};
    nf_calc_opts opts = NF_CALC_OPTS_INIT;
    opts.skin = skin;
    l->model = model;
    ck_assert_msg(nf_calc_new(&l->calc, model, &opts, &err) == 0, "%s", err.msg);
    ck_assert_msg(nf_team_new(&l->team, nthreads, &err) == 0, "%s", err.msg);
}

void lab_close(lab *l)
{
    nf_calc_free(l->calc);
    nf_team_free(l->team);
    nf_model_free(l->model);
    memset(l, 0, sizeof *l);
}

static void *resize(void *p, size_t bytes)
{
    p = realloc(p, bytes);
    ck_assert_ptr_nonnull(p);
    return p;
}

static void grow_atoms(nf_result *r, size_t n)
{
    r->forces = resize(r->forces, n * sizeof *r->forces);
    r->atom_energy = resize(r->atom_energy, n * sizeof *r->atom_energy);
    r->force_std = resize(r->force_std, n * sizeof *r->force_std);
    r->atom_energy_std = resize(r->atom_energy_std, n * sizeof *r->atom_energy_std);
    r->extrapolated = resize(r->extrapolated, n * sizeof *r->extrapolated);
}

static void grow_members(nf_result *r, size_t members, size_t n)
{
    r->member_energy = resize(r->member_energy, members * sizeof *r->member_energy);
    r->member_forces = resize(r->member_forces, members * n * sizeof *r->member_forces);
    r->member_virial = resize(r->member_virial, members * sizeof *r->member_virial);
}

void answer_prepare(answer *a, const nf_model *model, size_t natoms)
{
    size_t members = nf_model_nmembers(model), n = natoms > 0 ? natoms : 1;
    if (a->room < n)
        grow_atoms(&a->r, n);
    if (a->member_room < members * n)
        grow_members(&a->r, members, n);
    a->room = a->room < n ? n : a->room;
    a->member_room = a->member_room < members * n ? members * n : a->member_room;
    a->natoms = natoms;
    a->r.size = sizeof a->r;
    a->r.nmembers = members;
}

void answer_free(answer *a)
{
    free(a->r.forces);
    free(a->r.atom_energy);
    free(a->r.force_std);
    free(a->r.atom_energy_std);
    free(a->r.extrapolated);
    free(a->r.member_energy);
    free(a->r.member_forces);
    free(a->r.member_virial);
    memset(a, 0, sizeof *a);
}

void lab_eval(lab *l, const nf_frame *frame, answer *out)
{
    nf_job job = {.calc = l->calc, .frame = frame, .result = &out->r}, *jobs = &job;
    answer_prepare(out, l->model, frame->natoms);
    int rc = nf_eval(l->team, 1, &jobs, NULL, NULL);
    ck_assert_msg(rc == 0, "%s", job.err.msg);
}

double lab_energy(lab *l, const nf_frame *frame)
{
    nf_result r = NF_RESULT_INIT;
    nf_job job = {.calc = l->calc, .frame = frame, .result = &r}, *jobs = &job;
    int rc = nf_eval(l->team, 1, &jobs, NULL, NULL);
    ck_assert_msg(rc == 0, "%s", job.err.msg);
    return r.energy;
}

size_t lab_features(lab *l, const nf_frame *frame, double **out)
{
    nf_error err = {0};
    size_t stride = 1;
    for (size_t e = 0; e < nf_model_nelements(l->model); e++) {
        size_t n = nf_model_nfeatures(l->model, nf_model_element(l->model, e));
        stride = n > stride ? n : stride;
    }
    *out = calloc(frame->natoms * stride, sizeof **out);
    int rc = nf_features(l->team, l->calc, frame, stride, *out, &err);
    ck_assert_msg(rc == 0, "%s", err.msg);
    return stride;
}

static int same(const void *a, const void *b, size_t bytes)
{
    return memcmp(a, b, bytes) == 0;
}

int same_answer(const answer *a, const answer *b)
{
    const nf_result *x = &a->r, *y = &b->r;
    size_t n = a->natoms, M = x->nmembers;
    if (n != b->natoms || M != y->nmembers || x->nextrapolated != y->nextrapolated)
        return 0;
    return same(&x->energy, &y->energy, sizeof x->energy) && same(&x->energy_std, &y->energy_std, sizeof x->energy) &&
           same(x->virial, y->virial, sizeof x->virial) && same(x->forces, y->forces, n * sizeof *x->forces) &&
           same(x->atom_energy, y->atom_energy, n * sizeof *x->atom_energy) &&
           same(x->force_std, y->force_std, n * sizeof *x->force_std) &&
           same(x->atom_energy_std, y->atom_energy_std, n * sizeof *x->atom_energy_std) &&
           same(x->extrapolated, y->extrapolated, n * sizeof *x->extrapolated) &&
           same(x->member_energy, y->member_energy, M * sizeof *x->member_energy) &&
           same(x->member_forces, y->member_forces, M * n * sizeof *x->member_forces) &&
           same(x->member_virial, y->member_virial, M * sizeof *x->member_virial);
}

double worst_difference(size_t n, const double *a, const double *b)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs(a[i] - b[i]);
        if (!(d <= worst))
            worst = isnan(d) ? HUGE_VAL : d;
    }
    return worst;
}

double largest(size_t n, const double *a)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fabs(a[i]) > most ? fabs(a[i]) : most;
    return most;
}
