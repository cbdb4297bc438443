/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link_states.c - what a link does when its driver says something: an action for every word in every state.
 */
#include <string.h>

#include "server/link_inside.h"
#include "server/server.h"

enum { STATUS_MOST = 100000, INIT_ATOMS_MOST = 2 * NF_LINK_ATOMS_MOST };

static void say_needinit(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    nf_link_say(link, IPI_NEEDINIT);
}

/* Nobody needs to ask so often while one answer is made. */
static void count_owed(nf_link *link, int *owed)
{
    if (++*owed > STATUS_MOST)
        nf_link_fail(link, NF_EFORMAT, "the driver sent STATUS %d times without waiting for an answer", *owed);
}

static void say_ready(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    if (link->writing)
        count_owed(link, &link->ready_owed);
    else
        nf_link_say(link, IPI_READY);
}

static void say_havedata(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    nf_link_say(link, IPI_HAVEDATA);
}

static void hold_status(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    count_owed(link, link->force_wanted ? &link->ready_owed : &link->status_held);
}

static void on_unknown_key(void *ctx, const char *key, const char *meant)
{
    nf_link *link = ctx;
    nf_server_unknown_key(link->server, key, meant);
}

static bool same_species(const nf_link_options *a, const nf_link_options *b)
{
    return a->natoms == b->natoms &&
           (a->natoms == 0 || memcmp(a->species, b->species, a->natoms * sizeof *a->species) == 0);
}

static bool have_species(nf_link *link)
{
    if (link->options->natoms == 0 && !nf_service_any_species(link->options->service))
        nf_link_fail(
            link, NF_EINVAL,
            "the elements are not known: give --species FILE|LIST to nearfar, or name them in INIT, in i-PI by "
            "<parameters> "
            "{ species : O H H * 64 } in <ffsocket>");
    return link->state != NF_LINK_CLOSED;
}

/* Once a link: a peer may send INIT as often as it likes. */
static void say_options(nf_link *link)
{
    const nf_link_options *o = link->options, *before = link->place->defaults;
    if (link->extra || link->said_options)
        return;
    link->said_options = true;
    if (o->service != before->service)
        nf_server_log(link->server, NF_LOG_INFO, "link %d: INIT asks for model %s", link->number,
                      o->service->options->name);
    if (o->own != NULL)
        nf_server_log(link->server, NF_LOG_INFO, "link %d: INIT names %zu atoms", link->number, o->natoms);
    if (o->extras != before->extras)
        nf_server_log(link->server, NF_LOG_INFO, "link %d: INIT asks for extras %s", link->number,
                      nf_extras_name(o->extras));
    if (o->batch > 1)
        nf_server_log(link->server, NF_LOG_INFO, "link %d: batches of %d structures", link->number, o->batch);
}

static void take_options(nf_link *link, nf_link_options *options)
{
    link->judged = link->judged && same_species(link->options, options) && link->options->service == options->service;
    nf_link_options_free(link->options);
    link->options = options;
    say_options(link);
    if (ipi_dec_set_batch(&link->decoder, options->batch) < 0)
        nf_link_fail(link, NF_EFORMAT, "%s", ipi_dec_error(&link->decoder));
}

static void take_init(nf_link *link, const ipi_event *ev)
{
    nf_link_origin origin = {.nservices = link->server->options->nservices,
                             .services = link->server->services,
                             .local = link->place->options->address.local,
                             .unknown = on_unknown_key,
                             .ctx = link};
    nf_link_options *options;
    nf_error err;
    link->errors = nf_link_wants_errors(ev->init.text);
    int rc = nf_link_options_read(&options, link->place->defaults, ev->init.text, &origin, &err);
    if (rc < 0) {
        nf_link_fail(link, rc, "%s", err.msg);
        return;
    }
    if (options->own != NULL && (link->init_atoms += options->natoms) > INIT_ATOMS_MOST) {
        nf_link_options_free(options);
        nf_link_fail(link, NF_ELIMIT, "the driver's INIT texts name more than %d atoms before it asks for anything",
                     INIT_ATOMS_MOST);
        return;
    }
    take_options(link, options);
    link->ipi = ev->init.ntext > 0 && ev->init.text[0] != '\0' && ev->init.text[0] != '{'; /* ASE sends one NUL */
    if (have_species(link) && link->state == NF_LINK_WANT_INIT)
        link->state = NF_LINK_READY;
}

/* A link that joins others in the middle of a run may begin with a structure as wild as the run is: that the driver's list
 * of species is right is known from the answers that the others gave. */
static bool known_from_others(const nf_link *link)
{
    if (link->server->options->listen) /* clients are strangers to each other */
        return false;
    for (const nf_link *other = link->server->links; other != NULL; other = other->next)
        if (other != link && other->place == link->place && other->state != NF_LINK_CLOSED && other->judged &&
            other->meter.steps > 0 && other->options->service == link->options->service &&
            same_species(other->options, link->options))
            return true;
    return false;
}

void nf_link_begin(nf_link *link, uint32_t nstructures)
{
    bool judge = !link->judged && !link->options->trust_species && !known_from_others(link);
    nf_request_begin(&link->request, link->options, nstructures, judge);
    link->judged = true;
    link->state = NF_LINK_FILLING;
}

/* A model to which all elements are one takes as many atoms as come first. */
static bool have_number(nf_link *link, size_t natoms)
{
    nf_error err;
    nf_link_options *any;
    if (link->options->natoms != 0)
        return true;
    int rc = natoms > NF_LINK_ATOMS_MOST
                 ? nf_fail(&err, NF_ELIMIT, "more than %d atoms, which only --species gives", NF_LINK_ATOMS_MOST)
                 : nf_link_options_any(&any, link->options, natoms, &err);
    if (rc != 0) {
        nf_link_fail(link, rc, "%s", err.msg);
        return false;
    }
    nf_link_options_free(link->options);
    link->options = any;
    return true;
}

/* Where the number of atoms comes from that a structure must have. */
static const char *who_says(const nf_link_options *o)
{
    return o->any ? "the first structure had" : o->own != NULL ? "species in its INIT has" : "--species has";
}

static void take_posdata(nf_link *link, const ipi_event *ev)
{
    if (link->finishing) {
        nf_link_close(link);
        return;
    }
    if (!have_species(link) || !have_number(link, ev->posdata.natoms))
        return;
    const nf_link_options *o = link->options;
    if (ev->posdata.natoms != o->natoms) {
        nf_link_fail(link, NF_EINVAL, "the driver sends %u atoms, %s %zu", ev->posdata.natoms, who_says(o), o->natoms);
        return;
    }
    if (link->state == NF_LINK_BUSY || link->writing) {
        link->paused = true;
        link->next_structures = ev->posdata.nstructures;
        uv_read_stop(&link->socket.stream);
    } else {
        nf_link_begin(link, ev->posdata.nstructures);
    }
}

static void take_cell(nf_link *link, const ipi_event *ev)
{
    nf_error err;
    int rc = nf_request_cell(&link->request, ev->cell.structure, ev->cell.h, &err);
    if (rc != 0)
        nf_link_fail(link, rc, "%s", err.msg);
}

static void take_positions(nf_link *link, const ipi_event *ev)
{
    nf_error err;
    int rc =
        nf_request_positions(&link->request, ev->positions.first, ev->positions.count, ev->positions.payload, &err);
    if (rc != 0)
        nf_link_fail(link, rc, "%s", err.msg);
}

/* i-PI can give the same names to two links that it takes up one after the other, and both would have wrong numbers. */
static void refuse_shared_twice(nf_link *link)
{
    for (nf_link *other = link->server->links; other != NULL; other = other->next)
        if (other != link && other->state != NF_LINK_CLOSED && nf_shm_same(&other->shm, &link->shm)) {
            const char *const why =
                "the driver gave the same shared memory to two links: use --links 1, or mode='unix'";
            nf_link_fail(other, NF_EIO, "%s", why);
            nf_link_fail(link, NF_EIO, "%s", why);
            return;
        }
}

static void take_segment(nf_link *link, const ipi_event *ev)
{
    nf_error err;
    uv_os_fd_t fd;
    uid_t owner = uv_fileno(&link->socket.handle, &fd) == 0 ? nf_shm_peer(fd) : (uid_t)-1;
    if (ev->segment.which == 0)
        nf_shm_begin(&link->shm, link->request.natoms, link->request.nstructures);
    int rc = nf_shm_open(&link->shm, ev->segment.which, ev->segment.name, ev->segment.nname, owner, &err);
    if (rc != 0) {
        nf_link_fail(link, rc, "%s", err.msg);
    } else if (ev->segment.which == IPI_SEGMENTS - 1) {
        refuse_shared_twice(link);
        nf_place_next(link->place);
    }
}

static void queue_job(nf_link *link, const ipi_event *ev)
{
    nf_error err;
    (void)ev;
    int rc = link->place->options->address.shared ? nf_request_read(&link->request, &link->shm, &err) : 0;
    if (rc == 0)
        rc = nf_request_complete(&link->request, &err);
    if (rc != 0) {
        nf_link_fail(link, rc, "%s", err.msg);
        return;
    }
    nf_meter_begin(&link->meter, nf_server_clock());
    link->state = NF_LINK_BUSY;
    if (nf_request_evaluate_now(&link->request))
        nf_link_take_result(link);
    else
        nf_server_ready(link->server, link);
}

static void reply_when_done(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    link->asked_twice = link->force_wanted;
    link->force_wanted = true;
}

static void reply_now(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    nf_link_send_forces(link);
}

static void no_structure(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    nf_link_fail(link, NF_EFORMAT, "the driver sent GETFORCE before any positions");
}

/* The forces that were asked for before EXIT are still sent. */
static void leave(nf_link *link, const ipi_event *ev)
{
    (void)ev;
    if (!link->writing && !(link->state == NF_LINK_BUSY && link->force_wanted)) {
        nf_link_close(link);
        return;
    }
    link->exited = true;
    uv_read_stop(&link->socket.stream);
}

typedef void action(nf_link *link, const ipi_event *ev);

/* Every state has an answer to every word. While a message is FILLING only its own pieces can come. */
static action *const rules[NF_LINK_NSTATES][IPI_EXIT + 1] = {
    [NF_LINK_WANT_INIT] = {[IPI_STATUS] = say_needinit,
                           [IPI_INIT] = take_init,
                           [IPI_POSDATA] = take_posdata,
                           [IPI_GETFORCE] = no_structure,
                           [IPI_EXIT] = leave},
    [NF_LINK_READY] = {[IPI_STATUS] = say_ready,
                       [IPI_INIT] = take_init,
                       [IPI_POSDATA] = take_posdata,
                       [IPI_GETFORCE] = no_structure,
                       [IPI_EXIT] = leave},
    [NF_LINK_FILLING] = {[IPI_CELL] = take_cell,
                         [IPI_POSITIONS] = take_positions,
                         [IPI_SEGMENT] = take_segment,
                         [IPI_POSDATA_END] = queue_job},
    [NF_LINK_BUSY] = {[IPI_STATUS] = hold_status,
                      [IPI_INIT] = take_init,
                      [IPI_POSDATA] = take_posdata,
                      [IPI_GETFORCE] = reply_when_done,
                      [IPI_EXIT] = leave},
    [NF_LINK_HAVE_DATA] = {[IPI_STATUS] = say_havedata,
                           [IPI_INIT] = take_init,
                           [IPI_POSDATA] = take_posdata,
                           [IPI_GETFORCE] = reply_now,
                           [IPI_EXIT] = leave},
};

void nf_link_act(nf_link *link, const ipi_event *ev)
{
    action *what = rules[link->state][ev->kind];
    if (what == NULL)
        nf_link_fail(link, NF_EFORMAT, "the driver sent a message out of turn");
    else
        what(link, ev);
}
