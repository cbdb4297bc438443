/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/request.h"

#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "model/evaluation.h"

enum { SHORT_EXTRAS = 160 }; /* bytes that a summary needs at most */

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

static size_t reply_size(const nf_request *r)
{
    return r->shared ? ipi_forceready_shared_size(r->nstructures, r->wire)
                     : ipi_forceready_size((uint32_t)r->natoms, r->nstructures, r->wire);
}

/* Makes room for the reply with what its extras are known to need by now. */
static int reserve_reply(nf_request *r, nf_error *err)
{
    r->nreply = reply_size(r);
    if (r->nreply == 0)
        return nf_fail(err, NF_ELIMIT, "a reply of %zu structures of %zu atoms is too long for the protocol",
                       r->nstructures, r->natoms);
    if (NF_GROW(r->reply, r->cap_reply, r->nreply))
        return nf_fail_memory(err, "a reply");
    if (!r->shared)
        r->forces = (double(*)[3])(r->reply + ipi_forces_at(r->nstructures));
    return 0;
}

/* Forces are computed where the reply has them. */
static int reserve_forces(nf_request *r, nf_error *err)
{
    if (NF_GROW(r->wire, r->cap_wire, r->nstructures))
        return nf_fail_memory(err, "a structure");
    for (size_t k = 0; k < r->nstructures; k++)
        r->wire[k].nextras = r->kind == NF_EXTRAS_NONE ? 0 : SHORT_EXTRAS;
    if (r->shared && NF_GROW(r->shared_forces, r->cap_shared_forces, r->nstructures * r->natoms))
        return nf_fail_memory(err, "a structure");
    r->forces = r->shared_forces;
    return reserve_reply(r, err);
}

static int reserve(nf_request *r, nf_error *err)
{
    size_t n = r->njobs, members = n * nmembers(r);
    if (NF_GROW(r->results, r->cap_results, n) || NF_GROW(r->jobs, r->cap_jobs, n) ||
        NF_GROW(r->extras_begin, r->cap_extras_begin, n + 1))
        return nf_fail_memory(err, "a structure");
    if (r->kind == NF_EXTRAS_COMMITTEE && (NF_GROW(r->member_energy, r->cap_member_energy, members) ||
                                           NF_GROW(r->member_forces, r->cap_member_forces, members * r->natoms) ||
                                           NF_GROW(r->member_virial, r->cap_member_virial, members)))
        return nf_fail_memory(err, "the members of a committee");
    return reserve_forces(r, err);
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
    r->shared = false;
    if (r->kern == NULL)
        r->kern = nf_kern_select();
    r->ndone = 0;
    r->code = 0;
    r->farthest = 0;
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

double *nf_request_room(nf_request *r, size_t nbytes, nf_error *err)
{
    size_t count = nbytes / sizeof *r->pos + (nbytes % sizeof *r->pos != 0);
    if (NF_GROW(r->pos, r->cap_pos, count)) {
        nf_fail_memory(err, "the positions");
        return NULL;
    }
    return r->pos;
}

int nf_request_positions(nf_request *r, size_t first, size_t count, const unsigned char *payload, nf_error *err)
{
    double *pos = nf_request_room(r, (first + count) * sizeof *pos, err);
    if (pos == NULL)
        return NF_ENOMEM;
    const void *from = payload != NULL ? payload : (const void *)(pos + first);
    double farthest = r->kern->take(count, NF_BOHR, from, pos + first);
    if (farthest > r->farthest)
        r->farthest = farthest;
    return 0;
}

int nf_request_read(nf_request *r, const nf_shm *shm, nf_error *err)
{
    size_t n = r->nstructures, count = 3 * r->natoms * n;
    double *pos = nf_request_room(r, count * sizeof *pos, err);
    if (pos == NULL)
        return NF_ENOMEM;
    if (NF_GROW(r->shared_small, r->cap_shared_small, 10 * n))
        return nf_fail_memory(err, "a structure");
    TRY(nf_shm_read(shm, IPI_SEGMENT_CELLS, 0, r->shared_small, 9 * n, err));
    for (size_t k = 0; k < n; k++)
        TRY(nf_request_cell(r, k, r->shared_small + 9 * k, err));
    TRY(nf_shm_read(shm, IPI_SEGMENT_POSITIONS, 0, pos, count, err));
    r->shared = true;
    return nf_request_positions(r, 0, count, NULL, err);
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
    r->results[j].forces = r->forces + k * r->natoms;
    if (r->kind == NF_EXTRAS_COMMITTEE)
        want_members(r, j);
    r->jobs[j] = (nf_job){.calc = r->with->calc,
                          .frame = frame,
                          .result = &r->results[j],
                          .user = r,
                          .abandoned = &r->abandoned,
                          .judge = r->judge && j == 0};
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

/* Forces that are zero stay so where they are: are these the ones of the request before? */
static bool spare_zeros(nf_request *r)
{
    size_t n = 3 * r->natoms * r->nstructures;
    bool same = r->zeros == r->forces && r->nzeros == n && r->njobs == r->nstructures;
    r->zeros = r->njobs == r->nstructures ? r->forces : NULL;
    r->nzeros = n;
    return same;
}

bool nf_request_evaluate_now(nf_request *r)
{
    if (!nf_job_is_immediate(&r->jobs[0])) {
        r->zeros = NULL;
        return false;
    }
    bool same = spare_zeros(r);
    for (size_t j = 0; j < r->njobs && r->code == 0; j++) {
        if (same)
            r->results[j].forces = NULL;
        nf_job_evaluate_now(&r->jobs[j], r->farthest);
        r->code = r->jobs[j].code;
        r->err = r->jobs[j].err;
    }
    if (r->code == 0)
        r->code = nf_request_encode(r, &r->err);
    return true;
}

void nf_request_abandon(nf_request *r)
{
    __atomic_store_n(&r->abandoned, 1, __ATOMIC_RELAXED);
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

/* The structure that a job evaluates. */
static size_t structure_of(const nf_request *r, size_t j)
{
    return (size_t)(r->jobs[j].frame - r->frames);
}

static void fill_wire(ipi_reply *wire, const nf_request *r, size_t j)
{
    const nf_result *result = &r->results[j];
    wire->energy = result->energy / NF_HARTREE;
    for (int c = 0; c < 9; c++)
        wire->virial[c] = result->virial[c / 3][c % 3] / NF_HARTREE;
    wire->extras = r->extras.n == 0 ? NULL : r->extras.text + r->extras_begin[j];
    wire->nextras = (uint32_t)(r->extras_begin[j + 1] - r->extras_begin[j]);
}

static void to_wire(nf_request *r)
{
    for (size_t j = 0; j < r->njobs; j++)
        if (!nf_job_is_immediate(&r->jobs[j])) /* zeros are zeros in any unit */
            r->kern->scale(3 * r->natoms, NF_BOHR / NF_HARTREE, r->forces[structure_of(r, j) * r->natoms]);
    for (size_t k = 0; k < r->nstructures; k++)
        fill_wire(&r->wire[k], r, r->job_of[k]);
}

static void point_to_forces(nf_request *r)
{
    for (size_t k = 0; k < r->nstructures; k++)
        r->wire[k].forces = r->forces[structure_of(r, r->job_of[k]) * r->natoms];
}

/* Energies and virials, each in one piece. */
static void gather_small(nf_request *r)
{
    for (size_t k = 0; k < r->nstructures; k++) {
        r->shared_small[k] = r->wire[k].energy;
        memcpy(r->shared_small + r->nstructures + 9 * k, r->wire[k].virial, sizeof r->wire[k].virial);
    }
}

/* Forces lie one job behind the other: in one piece but for copies of a structure. */
static int write_forces(const nf_request *r, const nf_shm *shm, nf_error *err)
{
    size_t each = 3 * r->natoms;
    for (size_t k = 0, n; k < r->nstructures; k += n) {
        n = 1;
        while (k + n < r->nstructures && r->wire[k + n].forces == r->wire[k].forces + n * each)
            n++;
        TRY(nf_shm_write(shm, IPI_SEGMENT_FORCES, k * each, r->wire[k].forces, n * each, err));
    }
    return 0;
}

int nf_request_write(const nf_request *r, const nf_shm *shm, nf_error *err)
{
    size_t n = r->nstructures;
    TRY(nf_shm_write(shm, IPI_SEGMENT_ENERGIES, 0, r->shared_small, n, err));
    TRY(nf_shm_write(shm, IPI_SEGMENT_VIRIALS, 0, r->shared_small + n, 9 * n, err));
    return write_forces(r, shm, err);
}

static void write_reply(nf_request *r)
{
    if (r->shared)
        ipi_forceready_shared(r->reply, r->nstructures, r->wire);
    else
        ipi_forceready(r->reply, (uint32_t)r->natoms, r->nstructures, r->wire);
}

int nf_request_encode(nf_request *r, nf_error *err)
{
    TRY(write_extras(r, err));
    to_wire(r);
    if (r->shared)
        gather_small(r);
    TRY(reserve_reply(r, err));
    point_to_forces(r);
    write_reply(r);
    return 0;
}

void nf_request_free(nf_request *r)
{
    nf_request_release(r);
    nf_free(r->pos);
    nf_free(r->shared_forces);
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
    nf_free(r->shared_small);
    nf_free(r->job_of);
    nf_link_options_free(r->options);
    *r = (nf_request){0};
}
