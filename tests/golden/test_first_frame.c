/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_first_frame.c - a species list in the wrong order is refused, whatever the error; a correct frame is not, however
 * hot or compressed it is within reason.
 *
 * Every potential of at least two elements is put to it: those beside the clone (../shared/n2p2, the frames of its
 * bulk.extxyz or set.extxyz), and the committee for water of Debian's cp2k-data with its members.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/units.h"
#include "eval.h"
#include "io/extxyz.h"
#include "model/model.h"
#include "suite.h"

#define COMMITTEE "/usr/share/cp2k/NNP/bulkH2O-jcp2020-cnnp"
#define WATER     NF_TESTS "/../clients/demo/water-192.xyz"

enum { FRAMES = 2 /* of each potential */, PAIRS = 4 /* of each kind and frame */ };

/* A frame of one's own, to spoil. */
typedef struct {
    size_t natoms;
    double (*pos)[3];
    int *species;
    nf_frame frame;
} sample;

typedef struct {
    lab lab;
    nf_rng rng;
    char name[1000];
} court;

static sample sample_copy(const nf_frame *frame)
{
    sample s = {.natoms = frame->natoms, .frame = *frame};
    s.pos = malloc(s.natoms * sizeof *s.pos);
    s.species = malloc(s.natoms * sizeof *s.species);
    ck_assert(s.pos != NULL && s.species != NULL);
    memcpy(s.pos, frame->pos, s.natoms * sizeof *s.pos);
    memcpy(s.species, frame->species, s.natoms * sizeof *s.species);
    s.frame.pos = (const double(*)[3])s.pos;
    s.frame.species = s.species;
    return s;
}

static void sample_free(sample *s)
{
    free(s->pos);
    free(s->species);
}

/* ---- verdicts ---- */

static nf_job judged(court *c, const nf_frame *frame, nf_result *result, bool judge)
{
    nf_job job = {.calc = c->lab.calc, .frame = frame, .result = result, .judge = judge}, *jobs = &job;
    nf_eval(c->lab.team, 1, &jobs, NULL, NULL);
    return job;
}

static void must_accept(court *c, const nf_frame *frame, const char *what)
{
    nf_result result = NF_RESULT_INIT;
    nf_job job = judged(c, frame, &result, true);
    ck_assert_msg(job.code == 0, "%s, %s: %s", c->name, what, job.err.msg);
}

/* Unless the list is right, as some permutations leave it. */
static void must_refuse(court *c, const nf_frame *frame, const nf_frame *right, const char *what)
{
    nf_result result = NF_RESULT_INIT;
    if (memcmp(frame->species, right->species, right->natoms * sizeof *right->species) == 0)
        return;
    nf_job job = judged(c, frame, &result, true);
    ck_assert_msg(job.code == NF_EINVAL, "%s, %s: not refused", c->name, what);
    ck_assert_msg(strstr(job.err.msg, "are the species in this order?") != NULL, "%s", job.err.msg);
}

/* ---- wrong orders ---- */

static size_t any_atom(court *c, const nf_frame *frame)
{
    return (size_t)(nf_rng_next(&c->rng) % frame->natoms);
}

static double distance2(const nf_frame *frame, size_t i, size_t j)
{
    double least = HUGE_VAL;
    for (int n = 0; n < 27; n++) {
        int shift[3] = {n % 3 - 1, n / 3 % 3 - 1, n / 9 - 1};
        double sum = 0;
        for (int a = 0; a < 3; a++) {
            double d = frame->pos[j][a] - frame->pos[i][a];
            for (int b = 0; b < 3; b++)
                d += shift[b] * frame->cell[b][a];
            sum += d * d;
        }
        least = fmin(least, sum);
    }
    return least;
}

/* Of another element. */
static size_t nearest(const nf_frame *frame, size_t i)
{
    size_t best = i;
    double least = HUGE_VAL;
    for (size_t j = 0; j < frame->natoms; j++)
        if (frame->species[j] != frame->species[i] && distance2(frame, i, j) < least) {
            least = distance2(frame, i, j);
            best = j;
        }
    return best;
}

static void refuses_exchanged(court *c, const nf_frame *right, size_t i, size_t j, const char *what)
{
    sample s = sample_copy(right);
    s.species[i] = right->species[j];
    s.species[j] = right->species[i];
    must_refuse(c, &s.frame, right, what);
    sample_free(&s);
}

static void refuses_pairs(court *c, const nf_frame *right)
{
    for (int k = 0; k < PAIRS; k++) {
        size_t i = any_atom(c, right), j = any_atom(c, right);
        while (right->species[j] == right->species[i])
            j = any_atom(c, right);
        refuses_exchanged(c, right, i, nearest(right, i), "an atom exchanged with its neighbour");
        refuses_exchanged(c, right, i, j, "two atoms anywhere exchanged");
    }
}

static void refuses_reordered(court *c, const nf_frame *right)
{
    sample s = sample_copy(right);
    size_t n = right->natoms;
    for (size_t i = 0; i < n; i++)
        s.species[i] = right->species[n - 1 - i];
    must_refuse(c, &s.frame, right, "the list reversed");
    for (size_t shift = 1; shift <= 2; shift++) { /* O H H ... as H H O ..., H O H ... */
        for (size_t i = 0; i < n; i++)
            s.species[i] = right->species[(i + shift) % n];
        must_refuse(c, &s.frame, right, "the list shifted");
    }
    memcpy(s.species, right->species, n * sizeof *s.species);
    for (size_t i = n - 1; i > 0; i--) {
        size_t j = (size_t)(nf_rng_next(&c->rng) % (i + 1));
        int species = s.species[i];
        s.species[i] = s.species[j];
        s.species[j] = species;
    }
    must_refuse(c, &s.frame, right, "the list shuffled");
    sample_free(&s);
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void refuses_sorted(court *c, const nf_frame *right)
{
    sample s = sample_copy(right);
    qsort(s.species, s.natoms, sizeof *s.species, by_number);
    must_refuse(c, &s.frame, right, "light elements first");
    for (size_t i = 0; i < s.natoms / 2; i++) {
        int species = s.species[i];
        s.species[i] = s.species[s.natoms - 1 - i];
        s.species[s.natoms - 1 - i] = species;
    }
    must_refuse(c, &s.frame, right, "heavy elements first");
    sample_free(&s);
}

/* ---- correct frames ---- */

static void scale(sample *s, double by)
{
    for (size_t i = 0; i < 3 * s->natoms; i++)
        (&s->pos[0][0])[i] *= by;
    for (int k = 0; k < 9; k++)
        (&s->frame.cell[0][0])[k] *= by;
}

static void accepts_compressed(court *c, const nf_frame *right)
{
    for (int percent = 85; percent <= 120; percent += 5) {
        char what[40];
        sample s = sample_copy(right);
        scale(&s, percent / 100.0);
        snprintf(what, sizeof what, "lengths of %d %%", percent);
        must_accept(c, &s.frame, what);
        sample_free(&s);
    }
}

static void accepts_displaced(court *c, const nf_frame *right)
{
    for (int k = 0; k < 4; k++) {
        sample s = sample_copy(right);
        for (size_t i = 0; i < 3 * s.natoms; i++)
            (&s.pos[0][0])[i] += 0.05 * nf_rng_normal(&c->rng);
        must_accept(c, &s.frame, "displaced by 0.05 Angstrom in every direction");
        sample_free(&s);
    }
}

/* Free surfaces that cut through molecules. */
static void accepts_cut(court *c, const nf_frame *right)
{
    sample s = sample_copy(right);
    for (int a = 0; a < 3; a++)
        s.frame.cell[2][a] *= 3;
    must_accept(c, &s.frame, "a slab with broken bonds");
    s.frame.natoms /= 2;
    must_accept(c, &s.frame, "half of the atoms");
    sample_free(&s);
}

/* A step of Langevin dynamics with all masses alike and large, which samples the same temperature: x += v h / 2, friction
 * and noise, x += v h / 2, v += F h / m. Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34. */
static void dynamics_step(court *c, sample *s, double (*v)[3], double (*f)[3], double kt)
{
    const double h = 1, mass = 12 * 103.6427, keep = exp(-h / 20), noise = sqrt((1 - keep * keep) * kt / mass);
    nf_result result = NF_RESULT_INIT;
    result.forces = f;
    for (size_t i = 0; i < s->natoms; i++)
        for (int a = 0; a < 3; a++) {
            s->pos[i][a] += 0.5 * h * v[i][a];
            v[i][a] = keep * v[i][a] + noise * nf_rng_normal(&c->rng);
            s->pos[i][a] += 0.5 * h * v[i][a];
        }
    nf_job job = judged(c, &s->frame, &result, false);
    ck_assert_msg(job.code == 0, "%s", job.err.msg);
    for (size_t i = 0; i < 3 * s->natoms; i++)
        (&v[0][0])[i] += h / mass * (&f[0][0])[i];
}

static void accepts_hot(court *c, const nf_frame *right, double kelvin, int steps)
{
    char what[40];
    sample s = sample_copy(right);
    double(*v)[3] = calloc(s.natoms, sizeof *v), (*f)[3] = calloc(s.natoms, sizeof *f);
    ck_assert(v != NULL && f != NULL);
    for (int k = 0; k < steps; k++)
        dynamics_step(c, &s, v, f, 8.617333e-5 * kelvin);
    snprintf(what, sizeof what, "%g K", kelvin);
    must_accept(c, &s.frame, what);
    free(v);
    free(f);
    sample_free(&s);
}

/* ---- potentials ---- */

static void court_open(court *c, const char *path, nf_units units, const char *name)
{
    lab_open(&c->lab, load_model(path, units), 2, 1.0);
    c->rng = (nf_rng){1};
    snprintf(c->name, sizeof c->name, "%s", name);
}

static void try_frame(court *c, const nf_frame *frame)
{
    must_accept(c, frame, "as it is");
    refuses_pairs(c, frame);
    refuses_reordered(c, frame);
    refuses_sorted(c, frame);
    accepts_displaced(c, frame);
    accepts_compressed(c, frame);
    accepts_cut(c, frame);
    accepts_hot(c, frame, 1000, frame->natoms > 200 ? 10 : 40);
}

static size_t nelements(const nf_structure *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->natoms; i++) {
        size_t j = 0;
        while (s->species[j] != s->species[i])
            j++;
        n += j == i;
    }
    return n;
}

/* NF_UNITS_REDUCED: nothing is known of the file's units. The reference for ethylbenzene calls its numbers Angstrom and
 * eV; they are bohr and hartree, or the liquid would have 0.13 g/cm^3 instead of 0.87. */
static nf_units units_of(const nf_structure *s, const char *folder)
{
    const nf_info *info = nf_structure_info(s, "units");
    if (info == NULL)
        return NF_UNITS_REDUCED;
    if (strncmp(info->value, "bohr", 4) == 0 || strstr(folder, "Ethylbenzene_SCAN") != NULL)
        return NF_UNITS_BOHR_HARTREE;
    return strncmp(info->value, "angstrom", 8) == 0 ? NF_UNITS_ANGSTROM_EV : NF_UNITS_REDUCED;
}

static int loads(const char *folder, nf_units units)
{
    nf_error err = {0};
    nf_model *model;
    nf_model_opts opts = NF_MODEL_OPTS_INIT;
    opts.units = units;
    int rc = nf_model_load(&model, 1, &folder, &opts, &err);
    if (rc != 0)
        printf("first frame skipped: %s\n", err.msg);
    size_t n = rc == 0 ? nf_model_nelements(model) : 0;
    nf_model_free(model);
    return n > 1;
}

static int next(nf_xyz_reader *reader, nf_structure *s)
{
    nf_error err = {0};
    int rc = nf_xyz_next(reader, s, &err);
    ck_assert_msg(rc >= 0, "%s", err.msg);
    return rc;
}

static void try_file(const char *folder, const char *path)
{
    nf_error err = {0};
    nf_xyz_reader *reader;
    nf_structure s = {0};
    court c;
    ck_assert_msg(nf_xyz_open(&reader, path, &err) == 0, "%s", err.msg);
    int more = next(reader, &s);
#ifdef __SANITIZE_ADDRESS__
    if (s.natoms > 200) {
        printf("first frame skipped: %zu atoms take too long with a sanitizer\n", s.natoms);
        more = 0;
    }
#endif
    nf_units units = more ? units_of(&s, folder) : NF_UNITS_REDUCED;
    if (more && nelements(&s) > 1 && units != NF_UNITS_REDUCED && loads(folder, units)) {
        court_open(&c, folder, units, path);
        int frames = s.natoms > 200 ? 1 : FRAMES;
        for (int k = 0; k < frames && more; k++, more = next(reader, &s)) {
            nf_frame view;
            nf_structure_view(&s, &view);
            sample one = sample_copy(&view);
            scale(&one, units == NF_UNITS_BOHR_HARTREE ? NF_BOHR : 1);
            try_frame(&c, &one.frame);
            sample_free(&one);
        }
        printf("first frame tried: %s\n", path);
        lab_close(&c.lab);
    }
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
}

START_TEST(shared_potentials)
{
    const char *root = shared_path("n2p2");
    static const char *const files[] = {"bulk.extxyz", "set.extxyz"};
    struct dirent **entries;
    if (root == NULL)
        return;
    int n = scandir(root, &entries, NULL, alphasort);
    ck_assert_int_gt(n, 0);
    for (int i = 0; i < n; i++) {
        for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
            char folder[600], path[700];
            snprintf(folder, sizeof folder, "%.300s/%.250s", root, entries[i]->d_name);
            snprintf(path, sizeof path, "%s/%s", folder, files[f]);
            if (access(path, R_OK) == 0)
                try_file(folder, path);
        }
        free(entries[i]);
    }
    free(entries);
}
END_TEST

/* The committee, and members alone. */
static const char *const water_models[] = {COMMITTEE, COMMITTEE "/nnp-1", COMMITTEE "/nnp-5"};

static nf_structure read_water(void)
{
    nf_error err = {0};
    nf_xyz_reader *reader;
    nf_structure s = {0};
    ck_assert_msg(nf_xyz_open(&reader, WATER, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(next(reader, &s), 1);
    nf_xyz_reader_free(reader);
    return s;
}

static int have_committee(void)
{
    if (access(COMMITTEE "/nnp-1/input.nn", R_OK) == 0)
        return 1;
    printf("skipped: no committee in %s (Debian package cp2k-data)\n", COMMITTEE);
    return 0;
}

/* The box of water before one of its models. */
typedef struct {
    court c;
    nf_structure s;
    nf_frame frame;
} hearing;

/* 0, and the test has to end, without a committee. */
static int hearing_open(hearing *h, const char *model, nf_units units, const char *name)
{
    if (!have_committee())
        return 0;
    h->s = read_water();
    nf_structure_view(&h->s, &h->frame);
    court_open(&h->c, model, units, name);
    return 1;
}

static void hearing_close(hearing *h)
{
    lab_close(&h->c.lab);
    nf_structure_free(&h->s);
}

static void exchange_species(hearing *h, size_t i, size_t j)
{
    int species = h->s.species[i];
    ck_assert_int_ne(species, h->s.species[j]);
    h->s.species[i] = h->s.species[j];
    h->s.species[j] = species;
}

START_TEST(water)
{
    hearing h;
    if (!hearing_open(&h, water_models[_i], NF_UNITS_BOHR_HARTREE, water_models[_i]))
        return;
    try_frame(&h.c, &h.frame);
    hearing_close(&h);
}
END_TEST

/* Which two atoms, and why. */
START_TEST(names_the_atoms)
{
    hearing h;
    nf_result result = NF_RESULT_INIT;
    if (!hearing_open(&h, COMMITTEE, NF_UNITS_BOHR_HARTREE, "water"))
        return;
    exchange_species(&h, 0, 100);
    nf_job job = judged(&h.c, &h.frame, &result, true);
    ck_assert_int_eq(job.code, NF_EINVAL);
    ck_assert_msg(strstr(job.err.msg, "atom 1 as O") != NULL && strstr(job.err.msg, "atom 101 as H") != NULL, "%s",
                  job.err.msg);
    ck_assert_ptr_nonnull(strstr(job.err.msg, "0 instead of"));
    ck_assert_ptr_nonnull(strstr(job.err.msg, "are the species in this order?"));
    hearing_close(&h);
}
END_TEST

static void forget_ranges(nf_model *model)
{
    for (size_t m = 0; m < model->nmembers; m++)
        for (int k = 0; k < model->elements.n; k++)
            model->members[m].range[k].n = 0;
}

/* Energies alone: a committee knows by its spread when they mean something. A single model does not, and refuses
 * nothing. */
START_TEST(models_without_ranges)
{
    hearing h;
    if (!hearing_open(&h, COMMITTEE, NF_UNITS_BOHR_HARTREE, "a committee without ranges"))
        return;
    forget_ranges(h.c.lab.model);
    must_accept(&h.c, &h.frame, "as it is");
    accepts_displaced(&h.c, &h.frame);
    for (size_t i = 0; i < h.frame.natoms; i += 31)
        refuses_exchanged(&h.c, &h.frame, i, nearest(&h.frame, i), "an atom exchanged with its neighbour");
    hearing_close(&h);
    ck_assert(hearing_open(&h, COMMITTEE "/nnp-1", NF_UNITS_BOHR_HARTREE, "a single model without ranges"));
    forget_ranges(h.c.lab.model);
    must_accept(&h.c, &h.frame, "as it is");
    exchange_species(&h, 0, 1);
    must_accept(&h.c, &h.frame, "two atoms exchanged");
    hearing_close(&h);
}
END_TEST

/* Whichever allocation of a judgement fails, the job says so and nothing is lost. */
START_TEST(survives_no_memory)
{
    hearing h;
    nf_result result = NF_RESULT_INIT;
    if (!hearing_open(&h, COMMITTEE "/nnp-1", NF_UNITS_BOHR_HARTREE, "water"))
        return;
    ck_assert_int_eq(judged(&h.c, &h.frame, &result, false).code, 0);
    for (long n = 0, refused = 1; refused; n++) {
        nf_mem_fail_after(n);
        int code = judged(&h.c, &h.frame, &result, true).code;
        refused = nf_mem_fail_stop();
        ck_assert_int_eq(code, refused ? NF_ENOMEM : 0);
        ck_assert_int_lt(n, 100);
    }
    hearing_close(&h);
}
END_TEST

/* Numbers of a Lennard-Jones fluid or of a mathematical example are nobody's elements. */
START_TEST(reduced_units_are_not_judged)
{
    hearing h;
    if (!hearing_open(&h, COMMITTEE "/nnp-1", NF_UNITS_REDUCED, "reduced"))
        return;
    exchange_species(&h, 0, 1);
    must_accept(&h.c, &h.frame, "two atoms exchanged");
    hearing_close(&h);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("first_frame");
    TCase *t = tcase_create("golden");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, shared_potentials);
    tcase_add_loop_test(t, water, 0, sizeof water_models / sizeof *water_models);
    tcase_add_test(t, names_the_atoms);
    tcase_add_test(t, models_without_ranges);
    tcase_add_test(t, survives_no_memory);
    tcase_add_test(t, reduced_units_are_not_judged);
    suite_add_tcase(s, t);
    return s;
}
