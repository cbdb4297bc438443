/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/features.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/npz.h"
#include "model/model.h"

/* ---- the arrays ---- */

/* One row a frame, or, from NUMBERS on, one row an atom. */
enum { NATOMS, CELL, PBC, ENERGY, ENERGY_REF, VIRIAL, VIRIAL_REF, NUMBERS, POSITIONS, FORCES, FORCES_REF, NFRAME };

typedef struct {
    const char *name;
    nf_npz_type type;
    size_t ntail, tail[2];
} array_kind;

static const array_kind frame_kinds[NFRAME] = {
    [NATOMS] = {"natoms", NF_NPZ_I64, 0, {0}},
    [CELL] = {"cell", NF_NPZ_F64, 2, {3, 3}},
    [PBC] = {"pbc", NF_NPZ_BOOL, 1, {3}},
    [ENERGY] = {"energy", NF_NPZ_F64, 0, {0}},
    [ENERGY_REF] = {"energy_ref", NF_NPZ_F64, 0, {0}},
    [VIRIAL] = {"virial", NF_NPZ_F64, 2, {3, 3}},
    [VIRIAL_REF] = {"virial_ref", NF_NPZ_F64, 2, {3, 3}},
    [NUMBERS] = {"numbers", NF_NPZ_I32, 0, {0}},
    [POSITIONS] = {"positions", NF_NPZ_F64, 1, {3}},
    [FORCES] = {"forces", NF_NPZ_F64, 1, {3}},
    [FORCES_REF] = {"forces_ref", NF_NPZ_F64, 1, {3}},
};

/* Of one element: a row a centre, and a row a pair of centre and atom. */
typedef struct {
    size_t nfeatures;
    int64_t nrows;
    nf_npz_array *values, *frame, *atom;
    nf_npz_array *gradient, *gradient_centre, *gradient_atom, *gradient_strain;
} element_arrays;

struct features {
    nf_npz *npz;
    const nf_model *model;
    features_options options;
    int64_t nframes;
    nf_npz_array *of_frames[NFRAME];
    element_arrays of_element[NF_MAX_ELEMENTS];
    size_t stride;
    double *values;  /* [natoms][stride] */
    int64_t *row;    /* [natoms] of a centre among those of its element */
    double *nothing; /* [3 natoms] NaN: no reference */
    int64_t *same;   /* the row of a centre, for each of its pairs */
    size_t cap_values, cap_row, cap_nothing, cap_same;
    const nf_structure *structure; /* while its derivatives are written */
    nf_error *err;
};

/* ---- creating ---- */

/* An array whose name is that of a quantity and an element: "features_H". */
static int add_array(features *f, nf_npz_array **out, const char *format, int e, nf_npz_type type, size_t ntail,
                     const size_t *tail, nf_error *err)
{
    char name[64];
    snprintf(name, sizeof name, format, nf_element_symbol(nf_model_element(f->model, (size_t)e)));
    return nf_npz_add(f->npz, out, name, type, ntail, tail, err);
}

static void compress(const element_arrays *x)
{
    nf_npz_compress(x->gradient);
    nf_npz_compress(x->gradient_centre);
    nf_npz_compress(x->gradient_atom);
    nf_npz_compress(x->gradient_strain);
}

static int add_element(features *f, int e, nf_error *err)
{
    element_arrays *x = &f->of_element[e];
    x->nfeatures = nf_model_nfeatures(f->model, nf_model_element(f->model, (size_t)e));
    const size_t tail[3] = {x->nfeatures, 3, 3};
    f->stride = x->nfeatures > f->stride ? x->nfeatures : f->stride;
    TRY(add_array(f, &x->values, "features_%s", e, NF_NPZ_F64, 1, tail, err));
    TRY(add_array(f, &x->frame, "frame_%s", e, NF_NPZ_I64, 0, NULL, err));
    TRY(add_array(f, &x->atom, "atom_%s", e, NF_NPZ_I32, 0, NULL, err));
    if (!f->options.gradients)
        return 0;
    TRY(add_array(f, &x->gradient, "gradient_%s", e, NF_NPZ_F64, 2, tail, err));
    TRY(add_array(f, &x->gradient_centre, "gradient_%s_centre", e, NF_NPZ_I64, 0, NULL, err));
    TRY(add_array(f, &x->gradient_atom, "gradient_%s_atom", e, NF_NPZ_I32, 0, NULL, err));
    TRY(add_array(f, &x->gradient_strain, "gradient_%s_strain", e, NF_NPZ_F64, 3, tail, err));
    if (!f->options.uncompressed)
        compress(x);
    return 0;
}

/* range[member][feature] = lowest, highest value of the training; NaN where the member has none. */
static int add_range(features *f, int e, nf_error *err)
{
    const nf_model *m = f->model;
    size_t n = f->of_element[e].nfeatures;
    const size_t tail[] = {n, 2};
    nf_npz_array *array;
    TRY(add_array(f, &array, "range_%s", e, NF_NPZ_F64, 2, tail, err));
    double *row = nf_calloc(2 * n + 1, sizeof *row);
    int rc = row == NULL ? nf_fail_memory(err, "training ranges") : 0;
    for (size_t i = 0; rc == 0 && i < m->nmembers; i++) {
        const nf_range *range = &m->members[i].range[e];
        for (size_t k = 0; k < 2 * n; k++)
            row[k] = NAN;
        for (size_t k = 0; k < range->n; k++) {
            row[2 * range->feature[k]] = range->low[k];
            row[2 * range->feature[k] + 1] = range->high[k];
        }
        rc = nf_npz_append(array, 1, row, err);
    }
    nf_free(row);
    return rc;
}

static int add_offset(features *f, int e, nf_error *err)
{
    nf_npz_array *array;
    TRY(add_array(f, &array, "offset_%s", e, NF_NPZ_F64, 0, NULL, err));
    for (size_t i = 0; i < f->model->nmembers; i++)
        TRY(nf_npz_append(array, 1, &f->model->members[i].offset[e], err));
    return 0;
}

static int add_names(features *f, int e, nf_error *err)
{
    enum { LENGTH = 256 };
    int z = nf_model_element(f->model, (size_t)e);
    size_t n = f->of_element[e].nfeatures;
    char key[32], (*text)[LENGTH] = nf_calloc(n + 1, sizeof *text);
    const char **name = nf_calloc(n + 1, sizeof *name);
    int rc = text == NULL || name == NULL ? nf_fail_memory(err, "names") : 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        nf_model_feature_name(f->model, z, i, text[i], LENGTH);
        name[i] = text[i];
    }
    snprintf(key, sizeof key, "names_%s", nf_element_symbol(z));
    if (rc == 0)
        rc = nf_npz_strings(f->npz, key, n, name, err);
    nf_free(text);
    nf_free(name);
    return rc;
}

static int add_constants(features *f, nf_error *err)
{
    const char *symbols[NF_MAX_ELEMENTS];
    size_t n = nf_model_nelements(f->model);
    for (size_t e = 0; e < n; e++)
        symbols[e] = nf_element_symbol(nf_model_element(f->model, e));
    TRY(nf_npz_strings(f->npz, "elements", n, symbols, err));
    TRY(nf_npz_string(f->npz, "units", "Angstrom, eV", err));
    TRY(nf_npz_string(f->npz, "nearfar", nf_version(), err));
    char *description = nf_model_describe(f->model);
    if (description == NULL)
        return nf_fail_memory(err, "a model");
    int rc = nf_npz_string(f->npz, "model", description, err);
    nf_string_free(description);
    return rc;
}

static int add_arrays(features *f, nf_error *err)
{
    TRY(add_constants(f, err));
    for (int k = 0; k < NFRAME; k++) {
        const array_kind *kind = &frame_kinds[k];
        TRY(nf_npz_add(f->npz, &f->of_frames[k], kind->name, kind->type, kind->ntail, kind->tail, err));
    }
    for (int e = 0; e < (int)nf_model_nelements(f->model); e++) {
        TRY(add_element(f, e, err));
        TRY(add_names(f, e, err));
        TRY(add_range(f, e, err));
        TRY(add_offset(f, e, err));
    }
    return 0;
}

int features_create(features **out, const char *path, const nf_model *model, const features_options *options,
                    nf_error *err)
{
    *out = NULL;
    features *f = nf_calloc(1, sizeof *f);
    if (f == NULL)
        return nf_fail_memory(err, "descriptor values");
    f->model = model;
    f->options = *options;
    f->stride = 1;
    int rc = nf_npz_create(&f->npz, path, err);
    if (rc == 0)
        rc = add_arrays(f, err);
    if (rc == 0)
        *out = f;
    else
        features_discard(f);
    return rc;
}

/* ---- a frame ---- */

static int reserve(features *f, size_t natoms, nf_error *err)
{
    size_t before = f->cap_nothing;
    if (NF_GROW(f->values, f->cap_values, natoms * f->stride) || NF_GROW(f->row, f->cap_row, natoms) ||
        NF_GROW(f->nothing, f->cap_nothing, 3 * natoms + 9) || NF_GROW(f->same, f->cap_same, natoms))
        return nf_fail_memory(err, "descriptor values");
    for (size_t i = before; i < f->cap_nothing; i++)
        f->nothing[i] = NAN;
    return 0;
}

static int add_frame(features *f, const nf_structure *s, const nf_result *r, nf_error *err)
{
    const int64_t natoms = (int64_t)s->natoms;
    const void *rows[NFRAME] = {
        [NATOMS] = &natoms,
        [CELL] = s->cell,
        [PBC] = s->pbc,
        [ENERGY] = &r->energy,
        [ENERGY_REF] = s->has_energy ? &s->energy : f->nothing,
        [VIRIAL] = r->virial,
        [VIRIAL_REF] = s->has_virial ? &s->virial[0][0] : f->nothing,
        [NUMBERS] = s->species,
        [POSITIONS] = s->pos,
        [FORCES] = r->forces,
        [FORCES_REF] = s->has_forces ? &s->forces[0][0] : f->nothing,
    };
    for (int k = 0; k < NFRAME; k++)
        TRY(nf_npz_append(f->of_frames[k], k < NUMBERS ? 1 : s->natoms, rows[k], err));
    return 0;
}

static element_arrays *arrays_of(features *f, const nf_structure *s, size_t atom)
{
    return &f->of_element[nf_elements_find(&f->model->elements, s->species[atom])];
}

static int add_values(features *f, const nf_structure *s, nf_error *err)
{
    for (size_t i = 0; i < s->natoms; i++) {
        element_arrays *x = arrays_of(f, s, i);
        int32_t atom = (int32_t)i;
        f->row[i] = x->nrows++;
        TRY(nf_npz_append(x->values, 1, f->values + i * f->stride, err));
        TRY(nf_npz_append(x->frame, 1, &f->nframes, err));
        TRY(nf_npz_append(x->atom, 1, &atom, err));
    }
    return 0;
}

static int add_gradient(void *ctx, const nf_feature_gradient *of)
{
    features *f = ctx;
    element_arrays *x = arrays_of(f, f->structure, of->centre);
    for (size_t p = 0; p < of->npairs; p++)
        f->same[p] = f->row[of->centre];
    TRY(nf_npz_append(x->gradient, of->npairs, of->gradient, f->err));
    TRY(nf_npz_append(x->gradient_centre, of->npairs, f->same, f->err));
    TRY(nf_npz_append(x->gradient_atom, of->npairs, of->atom, f->err));
    return nf_npz_append(x->gradient_strain, 1, of->strain, f->err);
}

int features_add(features *f, nf_team *team, nf_calc *calc, const nf_structure *s, const nf_result *result,
                 nf_error *err)
{
    nf_frame frame;
    nf_structure_view(s, &frame);
    TRY(reserve(f, s->natoms, err));
    TRY(nf_features(team, calc, &frame, f->stride, f->values, err));
    TRY(add_frame(f, s, result, err));
    TRY(add_values(f, s, err));
    f->structure = s;
    f->err = err;
    if (f->options.gradients)
        TRY(nf_feature_gradients(team, calc, &frame, add_gradient, f, err));
    f->nframes++;
    return 0;
}

/* ---- the end ---- */

int features_close(features *f, nf_error *err)
{
    nf_npz *npz = f->npz;
    f->npz = NULL;
    features_discard(f);
    return nf_npz_close(npz, err);
}

void features_discard(features *f)
{
    if (f == NULL)
        return;
    nf_npz_discard(f->npz);
    nf_free(f->values);
    nf_free(f->row);
    nf_free(f->nothing);
    nf_free(f->same);
    nf_free(f);
}
