/* SPDX-License-Identifier: BSD-3-Clause
 *
 * judge.c - does a first frame look like the model's? Units of the wrong kind and species in the wrong order have the
 * right number of everything, so only the numbers can tell.
 *
 * Units: distances and descriptor values outside the training range, a warning.
 *
 * Species: what lies outside the training range may be hot, compressed or new just as well. So the question is put to
 * the model: would the frame be markedly more like what it knows if two atoms had each other's species? In a frame that
 * is right no exchange helps, however hot it is, until its energies are those of broken bonds; in a list that is wrong
 * at two entries or everywhere there is one that does. Exchanges are tried around the most doubtful atoms: those with
 * values far outside the range, and those whose energy is unlike that of their element.
 */
#include "model/judge.h"

#include <math.h>
#include <stdio.h>

#include "base/radii.h"
#include "model/exchange.h"

enum {
    SEEDS = 4,      /* doubtful places of each kind that are looked at */
    VICINITY = 7,   /* a doubtful atom and those nearest to it */
    PARTNERS = 24,  /* doubtful atoms of the frame to exchange them with */
    REFINED = 256,  /* atoms with most values outside the range: for these it is found how far */
    CANDIDATES = 32 /* doubtful atoms for the seeds, some of which are near each other */
};

/* What an exchange is worth, in eV. Energies far outside the range are not to be trusted and count no more than
 * `trusted`, and only so far as the members agree; ln(1 + widths outside the range) counts `worth` for each descriptor value.
 * The values separate the published models measured (docs/judging.md). */
static const double worth = 2, trusted = 5, decisive = -2;
/* What is outside the range must fall below this fraction, and only the rest counts: it falls a little by chance where
 * everything is outside. */
static const double remnant = 0.9;

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

/* ---- species ---- */

typedef struct {
    nf_trial trial;
    size_t natoms;
    double *outside;   /* [natoms] doubt: how far outside the range */
    double *deviation; /* [natoms] doubt: of the energy from the element's mean, in standard deviations */
    bool *seen;        /* [natoms] near a seed that has been looked at */
    int partner[2 * PARTNERS];
    int npartners;
    nf_verdict best;
} inquiry;

/* The part of a change of energy that is there for certain, by two standard deviations of the members, within what can
 * be trusted. */
static double certain(double energy, double spread)
{
    double size = fmin(fmax(fabs(energy) - 2 * spread, 0), trusted);
    return energy < 0 ? -size : size;
}

static double gain(const nf_exchange *x)
{
    return worth * (x->after.outside - remnant * x->before.outside) + certain(x->energy, x->spread);
}

/* The atoms of an element (-1: any) with most doubt, worst first; none without any. Returns how many, up to max. */
static int most_doubtful(const inquiry *q, const double *doubt, int element, int max, int *out)
{
    int n = 0;
    for (size_t i = 0; i < q->natoms; i++) {
        if (doubt[i] <= 0 || (element >= 0 && q->trial.element[i] != element))
            continue;
        if (n == max && doubt[i] <= doubt[out[n - 1]])
            continue;
        int at = n < max ? n++ : n - 1;
        for (; at > 0 && doubt[out[at - 1]] < doubt[i]; at--)
            out[at] = out[at - 1];
        out[at] = (int)i;
    }
    return n;
}

static int doubt_values(inquiry *q, nf_error *err)
{
    const int *count = q->trial.e->space->extrapolated;
    int atom[REFINED];
    for (size_t i = 0; i < q->natoms; i++)
        q->outside[i] = count[i];
    int n = most_doubtful(q, q->outside, -1, REFINED, atom);
    for (size_t i = 0; i < q->natoms; i++)
        q->outside[i] = 0;
    for (int i = 0; i < n; i++) {
        nf_strangeness given;
        TRY(nf_trial_given(&q->trial, atom[i], &given, err));
        q->outside[atom[i]] = given.outside;
    }
    return 0;
}

static double mean_energy(const evaluation *e, size_t atom)
{
    double sum = 0;
    for (size_t m = 0; m < e->nmembers; m++)
        sum += e->space->atom_energy[m * e->job->frame->natoms + atom];
    return sum / (double)e->nmembers;
}

static void doubt_energies(inquiry *q)
{
    double n[NF_MAX_ELEMENTS] = {0}, mean[NF_MAX_ELEMENTS] = {0}, square[NF_MAX_ELEMENTS] = {0};
    for (size_t i = 0; i < q->natoms; i++) {
        int k = q->trial.element[i];
        double energy = mean_energy(q->trial.e, i), off = energy - mean[k];
        mean[k] += off / ++n[k]; /* Welford, Technometrics 4, 419 (1962) */
        square[k] += off * (energy - mean[k]);
    }
    for (size_t i = 0; i < q->natoms; i++) {
        int k = q->trial.element[i];
        double deviation = square[k] > 0 ? sqrt(square[k] / n[k]) : 1;
        q->deviation[i] = fabs(mean_energy(q->trial.e, i) - mean[k]) / deviation;
    }
}

/* Of each element as many, so that there is one to exchange with for every species. */
static void choose_partners(inquiry *q)
{
    int nelements = q->trial.e->calc->model->elements.n, each = PARTNERS / (2 * nelements);
    const double *doubt[2] = {q->outside, q->deviation};
    each = each > 0 ? each : 1;
    for (int k = 0; k < nelements; k++)
        for (int d = 0; d < 2; d++)
            if (q->npartners + each <= 2 * PARTNERS)
                q->npartners += most_doubtful(q, doubt[d], k, each, q->partner + q->npartners);
}

static int try_exchange(inquiry *q, int a, int b, nf_error *err)
{
    nf_exchange x;
    bool helps;
    if (q->trial.element[a] == q->trial.element[b])
        return 0;
    TRY(nf_trial_exchange(&q->trial, a, b, remnant, &x, &helps, err));
    if (helps && gain(&x) < q->best.gain)
        q->best = (nf_verdict){gain(&x), x};
    return 0;
}

/* All exchanges of the atoms around a doubtful one: among each other and with the doubtful ones of the frame. */
static int look_around(inquiry *q, int seed, nf_error *err)
{
    int atom[VICINITY] = {seed}, n = 1 + nf_trial_nearest(&q->trial, seed, VICINITY - 1, atom + 1);
    for (int i = 0; i < n; i++)
        q->seen[atom[i]] = true;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < i; j++)
            TRY(try_exchange(q, atom[i], atom[j], err));
        for (int j = 0; j < q->npartners; j++)
            TRY(try_exchange(q, atom[i], q->partner[j], err));
    }
    return 0;
}

static int look_at_worst(inquiry *q, const double *doubt, nf_error *err)
{
    int atom[CANDIDATES], n = most_doubtful(q, doubt, -1, CANDIDATES, atom), places = 0;
    for (int i = 0; i < n && places < SEEDS && q->best.gain > decisive; i++)
        if (!q->seen[atom[i]]) {
            TRY(look_around(q, atom[i], err));
            places++;
        }
    return 0;
}

static int inquire(inquiry *q, nf_error *err)
{
    TRY(doubt_values(q, err));
    doubt_energies(q);
    choose_partners(q);
    TRY(look_at_worst(q, q->outside, err));
    return look_at_worst(q, q->deviation, err);
}

static int inquiry_open(inquiry *q, const evaluation *e, nf_error *err)
{
    *q = (inquiry){.natoms = e->job->frame->natoms};
    TRY(nf_trial_open(&q->trial, e, err));
    q->outside = nf_calloc(q->natoms, sizeof *q->outside);
    q->deviation = nf_calloc(q->natoms, sizeof *q->deviation);
    q->seen = nf_calloc(q->natoms, sizeof *q->seen);
    if (q->outside == NULL || q->deviation == NULL || q->seen == NULL)
        return nf_fail_memory(err, "judging a frame");
    return 0;
}

static void inquiry_close(inquiry *q)
{
    nf_trial_close(&q->trial);
    nf_free(q->outside);
    nf_free(q->deviation);
    nf_free(q->seen);
}

int nf_judge_species(const evaluation *e, nf_verdict *out, nf_error *err)
{
    inquiry q;
    int rc = inquiry_open(&q, e, err);
    if (rc == 0)
        rc = inquire(&q, err);
    *out = q.best;
    inquiry_close(&q);
    return rc;
}

static int refuse(const evaluation *e, const nf_exchange *x, nf_error *err)
{
    const nf_frame *frame = e->job->frame;
    char energy[80] = "", outside[80] = "";
    if (x->energy < 0)
        snprintf(energy, sizeof energy, " %.3g eV less energy,", -x->energy);
    if (x->before.count > 0)
        snprintf(outside, sizeof outside, " %.0f instead of %.0f values outside the training range,", x->after.count,
                 x->before.count);
    return nf_fail(err, NF_EINVAL,
                   "the model would rather have atom %d as %s and atom %d as %s than the other way round:%s%s are the "
                   "species in this order?",
                   x->atom[0] + 1, nf_element_symbol(frame->species[x->atom[1]]), x->atom[1] + 1,
                   nf_element_symbol(frame->species[x->atom[0]]), energy, outside);
}

/* A single model without ranges does not know when its energies mean something. */
static bool has_evidence(const nf_model *model)
{
    size_t n = 0;
    for (size_t m = 0; m < model->nmembers; m++)
        for (int k = 0; k < model->elements.n; k++)
            n += model->members[m].range[k].n;
    return n > 0 || model->nmembers > 1;
}

static int judge_species(const evaluation *e, nf_error *err)
{
    nf_verdict verdict;
    if (e->calc->model->elements.n < 2 || !has_evidence(e->calc->model))
        return 0;
    TRY(nf_judge_species(e, &verdict, err));
    return verdict.gain <= decisive ? refuse(e, &verdict.exchange, err) : 0;
}

int nf_judge(const evaluation *e, nf_error *err)
{
    nf_calc *calc = e->calc;
    const nf_frame *frame = e->job->frame;
    if (calc->model->units == NF_UNITS_REDUCED)
        return 0;
    if (!atomic_exchange(&calc->greeted, true)) {
        check_distance(calc, frame, &e->slot->list);
        check_range(calc, frame, e->space);
        atomic_store(&calc->greets, true);
    }
    return e->job->judge ? judge_species(e, err) : 0;
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
