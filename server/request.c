/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/request.h"

#include <string.h>

#include "base/mem.h"
#include "base/units.h"

/* Byte by byte, as they came. */
static bool same_structure(const nf_request *r, size_t a, size_t b)
{
    size_t n = 3 * r->natoms;
    return memcmp(r->frames[a].cell, r->frames[b].cell, sizeof r->frames[a].cell) == 0 &&
           memcmp(r->pos + n * a, r->pos + n * b, n * sizeof *r->pos) == 0;
}

static int count_jobs(nf_request *r, nf_error *err)
{
    if (NF_GROW(r->job_of, r->cap_job_of, r->nstructures))
        return nf_fail_memory(err, "a structure");
    r->njobs = 0;
    for (size_t k = 0; k < r->nstructures; k++) {
        r->njobs += k == 0 || !same_structure(r, k - 1, k);
        r->job_of[k] = r->njobs - 1;
    }
    return 0;
}

static size_t nmembers(const nf_request *r)
{
    return nf_model_nmembers(r->with->model);
}

size_t nf_request_member_numbers(const nf_request *r)
{
    return r->kind == NF_EXTRAS_COMMITTEE ? 3 * r->njobs * r->natoms * nmembers(r) : 0;
}

static int reserve(nf_request *r, nf_error *err)
{
    size_t n = r->njobs, atoms = n * r->natoms, members = n * nmembers(r);
    if (NF_GROW(r->forces, r->cap_forces, atoms) || NF_GROW(r->results, r->cap_results, n) ||
        NF_GROW(r->jobs, r->cap_jobs, n) || NF_GROW(r->wire, r->cap_wire, r->nstructures) ||
        NF_GROW(r->extras_begin, r->cap_extras_begin, n + 1))
        return nf_fail_memory(err, "a structure");
    if (r->kind == NF_EXTRAS_COMMITTEE && (NF_GROW(r->member_energy, r->cap_member_energy, members) ||
                                           NF_GROW(r->member_forces, r->cap_member_forces, members * r->natoms) ||
                                           NF_GROW(r->member_virial, r->cap_member_virial, members)))
        return nf_fail_memory(err, "the members of a committee");
    return 0;
}

static void want_members(nf_request *r, size_t j)
{
    nf_result *result = &r->results[j];
    size_t n = nmembers(r);
    result->nmembers = n;
    result->member_energy = r->member_energy + j * n;
    result->member_forces = r->member_forces + j * n * r->natoms;
    result->member_virial = r->member_virial + j * n;
}

void nf_request_begin(nf_request *r, nf_link_options *options, size_t nstructures, bool judge)
{
    nf_link_options *before = r->options;
    nf_request_release(r);
    r->options = nf_link_options_ref(options);
    nf_link_options_free(before);
    r->judge = judge;
    r->natoms = options->natoms;
    r->nstructures = nstructures;
    r->ndone = 0;
    r->code = 0;
}

int nf_request_cell(nf_request *r, size_t k, const double h[9], nf_error *err)
{
    if (NF_GROW(r->frames, r->cap_frames, k + 1))
        return nf_fail_memory(err, "a structure");
    r->frames[k] = (nf_frame)NF_FRAME_INIT;
    for (int v = 0; v < 3; v++)
        for (int c = 0; c < 3; c++)
            r->frames[k].cell[v][c] = h[3 * c + v] * NF_BOHR; /* vectors are columns on the wire */
    return 0;
}

int nf_request_positions(nf_request *r, size_t first, size_t count, const unsigned char *payload, nf_error *err)
{
    if (NF_GROW(r->pos, r->cap_pos, first + count))
        return nf_fail_memory(err, "the positions");
    double *to = r->pos + first;
    memcpy(to, payload, count * sizeof *to);
    for (size_t i = 0; i < count; i++)
        to[i] *= NF_BOHR;
    return 0;
}

/* Job j evaluates structure k. */
static void make_job(nf_request *r, size_t j, size_t k)
{
    nf_frame *frame = &r->frames[k];
    frame->natoms = r->natoms;
    frame->pos = (const double(*)[3])(r->pos + 3 * k * r->natoms);
    frame->species = r->options->species;
    memcpy(frame->pbc, r->options->pbc, sizeof frame->pbc);
    r->results[j] = (nf_result)NF_RESULT_INIT;
    r->results[j].forces = r->forces + j * r->natoms;
    if (r->kind == NF_EXTRAS_COMMITTEE)
        want_members(r, j);
    r->jobs[j] = (nf_job){
        .calc = r->with->calc, .frame = frame, .result = &r->results[j], .user = r, .judge = r->judge && j == 0};
}

static nf_extras kind_of(const nf_request *r)
{
    nf_extras kind = r->options->extras;
    if (kind != NF_EXTRAS_BY_MODEL)
        return kind;
    return nmembers(r) > 1 ? NF_EXTRAS_SUMMARY : NF_EXTRAS_NONE;
}

int nf_request_complete(nf_request *r, nf_error *err)
{
    nf_request_release(r);
    r->with = nf_service_current(r->options->service);
    r->kind = kind_of(r);
    TRY(count_jobs(r, err));
    TRY(reserve(r, err));
    for (size_t k = 0; k < r->nstructures; k++)
        if (k == 0 || r->job_of[k] != r->job_of[k - 1])
            make_job(r, r->job_of[k], k);
    return 0;
}

void nf_request_release(nf_request *r)
{
    if (r->with != NULL)
        nf_service_release(r->options->service, r->with);
    r->with = NULL;
}

static int write_extras(nf_request *r, nf_error *err)
{
    r->extras.n = 0;
    for (size_t j = 0; j < r->njobs; j++) {
        r->extras_begin[j] = r->extras.n;
        if (nf_extras_write(&r->extras, r->kind, &r->results[j], r->natoms))
            return nf_fail_memory(err, "the extras of a reply");
    }
    r->extras_begin[r->njobs] = r->extras.n;
    return 0;
}

static void fill_wire(ipi_reply *wire, const nf_request *r, size_t j)
{
    const nf_result *result = &r->results[j];
    wire->energy = result->energy / NF_HARTREE;
    wire->forces = r->forces[j * r->natoms];
    for (int c = 0; c < 9; c++)
        wire->virial[c] = result->virial[c / 3][c % 3] / NF_HARTREE;
    wire->extras = r->extras.n == 0 ? NULL : r->extras.text + r->extras_begin[j];
    wire->nextras = (uint32_t)(r->extras_begin[j + 1] - r->extras_begin[j]);
}

static void to_wire(nf_request *r)
{
    for (size_t i = 0; i < r->njobs * r->natoms; i++)
        for (int c = 0; c < 3; c++)
            r->forces[i][c] *= NF_BOHR / NF_HARTREE;
    for (size_t k = 0; k < r->nstructures; k++)
        fill_wire(&r->wire[k], r, r->job_of[k]);
}

int nf_request_encode(nf_request *r, nf_error *err)
{
    TRY(write_extras(r, err));
    to_wire(r);
    r->nreply = ipi_forceready_size((uint32_t)r->natoms, r->nstructures, r->wire);
    if (r->nreply == 0)
        return nf_fail(err, NF_ELIMIT, "a reply of %zu structures of %zu atoms is too long for the protocol",
                       r->nstructures, r->natoms);
    if (NF_GROW(r->reply, r->cap_reply, r->nreply))
        return nf_fail_memory(err, "a reply");
    ipi_forceready(r->reply, (uint32_t)r->natoms, r->nstructures, r->wire);
    return 0;
}

void nf_request_free(nf_request *r)
{
    nf_request_release(r);
    nf_free(r->pos);
    nf_free(r->forces);
    nf_free(r->member_energy);
    nf_free(r->member_forces);
    nf_free(r->member_virial);
    nf_free(r->frames);
    nf_free(r->results);
    nf_free(r->jobs);
    nf_free(r->reply);
    nf_free(r->extras.text);
    nf_free(r->extras_begin);
    nf_free(r->wire);
    nf_free(r->job_of);
    nf_link_options_free(r->options);
    *r = (nf_request){0};
}
