/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ipi_decode.c - what the server of the protocol says, from bytes to events.
 *
 * A table of steps, one per stage. A step gathers the fixed-size piece it needs and then makes an event, goes
 * on to another stage, or finds the peer broken. Positions are the only piece without a bound and the only
 * one not copied: they are reported where they lie, except for a double split between two feeds.
 *
 *     HEADER ─┬─► HEADER                                      STATUS, GETFORCE, EXIT
 *             ├─► INIT_HEAD ─► INIT_TEXT ─► HEADER
 *             ├─► POSDATA_HEAD ─► CELL x B ─► POSITIONS ─► HEADER
 *             └─► SHARED_HEAD ─► (NAME ─► NAME_HEAD) x 6, or NAME_HEAD ─► HEADER
 *
 * The two layouts of POSDATA differ in one thing: the single one has its cell before the number of atoms.
 * POSDATA_HEAD leaves that cell in the scratch buffer, where CELL looks first.
 *
 * Positions may also be read past the decoder, into the caller's array. The bytes of a double that is not whole
 * yet are then both there and in the scratch buffer, so that either way can go on with it.
 */
#include "protocol/ipi.h"

#include <stdio.h>
#include <string.h>

enum { BROKEN = -1, MORE = 0, EVENT = 1, GO_ON = 2 };

enum {
    AT_HEADER,
    AT_INIT_HEAD,
    AT_INIT_TEXT,
    AT_POSDATA_HEAD,
    AT_CELL,
    AT_POSITIONS,
    AT_SHARED_HEAD,
    AT_NAME_HEAD,
    AT_NAME,
    AT_BROKEN
};

enum { CELL_BYTES = 9 * sizeof(double), PAIR_BYTES = 2 * CELL_BYTES, ATOM_BYTES = 3 * sizeof(double) };

typedef struct {
    const unsigned char *p;
    size_t n;
} input;

typedef int step(ipi_dec *d, input *in, ipi_event *ev);

/* The driver's words are here because two drivers joined by mistake deserve a sentence of their own. */
static const struct word {
    char name[IPI_HEADER + 1];
    int stage;
    ipi_kind kind;
} words[] = {
    {"STATUS      ", .stage = AT_HEADER, .kind = IPI_STATUS},
    {"GETFORCE    ", .stage = AT_HEADER, .kind = IPI_GETFORCE},
    {"EXIT        ", .stage = AT_HEADER, .kind = IPI_EXIT},
    {"INIT        ", .stage = AT_INIT_HEAD, .kind = IPI_INIT},
    {"POSDATA     ", .stage = AT_POSDATA_HEAD, .kind = IPI_POSDATA},
    {"NEEDINIT    ", .stage = AT_BROKEN},
    {"READY       ", .stage = AT_BROKEN},
    {"HAVEDATA    ", .stage = AT_BROKEN},
    {"FORCEREADY  ", .stage = AT_BROKEN},
};

void ipi_dec_init(ipi_dec *d, const ipi_limits *limits)
{
    memset(d, 0, sizeof *d);
    d->stage = AT_HEADER;
    d->batch = 1;
    d->limits = *limits;
    if (d->limits.max_init > IPI_INIT_MAX)
        d->limits.max_init = IPI_INIT_MAX;
}

const char *ipi_dec_error(const ipi_dec *d)
{
    return d->error;
}

static int broken(ipi_dec *d)
{
    d->stage = AT_BROKEN;
    return BROKEN;
}

int ipi_dec_set_batch(ipi_dec *d, int nstructures)
{
    if (d->stage == AT_BROKEN)
        return BROKEN;
    if (nstructures > 1 && (uint32_t)nstructures > d->limits.max_structures) {
        snprintf(d->error, sizeof d->error, "the peer announced batches of %d structures, above the limit of %u",
                 nstructures, (unsigned)d->limits.max_structures);
        return broken(d);
    }
    d->batch = nstructures > 1 ? (uint32_t)nstructures : 1;
    return 0;
}

void ipi_dec_set_shared(ipi_dec *d)
{
    d->shared = true;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int32_t int32_at(const unsigned char *p)
{
    int32_t i;
    memcpy(&i, p, sizeof i);
    return i;
}

static const unsigned char *take(input *in, size_t n)
{
    const unsigned char *p = in->p;
    in->p += n;
    in->n -= n;
    return p;
}

/* Fills `piece` up to `want` bytes over as many feeds as it takes; d->have counts them, and is the caller's
 * to set back once the piece is used. */
static bool gather(ipi_dec *d, input *in, void *piece, size_t want)
{
    size_t n = d->have < want ? smaller(want - d->have, in->n) : 0;
    if (n > 0)
        memcpy((unsigned char *)piece + d->have, take(in, n), n);
    d->have += n;
    return d->have >= want;
}

/* Names the word in a form that a log can hold, whatever its bytes. */
static int refuse_word(ipi_dec *d, const char *complaint)
{
    char shown[4 * IPI_HEADER + 1];
    size_t len = IPI_HEADER, at = 0;
    while (len > 0 && d->scratch[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = d->scratch[i];
        bool plain = c >= ' ' && c <= '~' && c != '"' && c != '\\';
        at += (size_t)snprintf(shown + at, sizeof shown - at, plain ? "%c" : "\\x%02x", c);
    }
    shown[at] = '\0';
    snprintf(d->error, sizeof d->error, "the peer sent \"%s\", %s", shown, complaint);
    return broken(d);
}

/* nstructures is fixed here, so that ipi_dec_set_batch cannot change the layout of a message under way. */
static int header(ipi_dec *d, input *in, ipi_event *ev)
{
    if (!gather(d, in, d->scratch, IPI_HEADER))
        return MORE;
    const struct word *w = words, *end = words + sizeof words / sizeof *words;
    while (w < end && memcmp(w->name, d->scratch, IPI_HEADER) != 0)
        w++;
    if (w == end)
        return refuse_word(d, "which is no word of the i-PI protocol");
    if (w->stage == AT_BROKEN)
        return refuse_word(d, "which a driver says: it is a driver itself, not a server");
    d->have = 0;
    d->nstructures = d->batch;
    d->stage = w->stage == AT_POSDATA_HEAD && d->shared ? AT_SHARED_HEAD : w->stage;
    ev->kind = w->kind;
    return w->stage == AT_HEADER ? EVENT : GO_ON;
}

static int init_head(ipi_dec *d, input *in, ipi_event *ev)
{
    (void)ev;
    if (!gather(d, in, d->scratch, 2 * sizeof(int32_t)))
        return MORE;
    int32_t ntext = int32_at(d->scratch + sizeof(int32_t));
    if (ntext < 0 || (uint32_t)ntext > d->limits.max_init) {
        snprintf(d->error, sizeof d->error, "the peer announced %d bytes of INIT text; the limit is %u", (int)ntext,
                 (unsigned)d->limits.max_init);
        return broken(d);
    }
    d->bead = int32_at(d->scratch);
    d->ntext = (uint32_t)ntext;
    d->have = 0;
    d->stage = AT_INIT_TEXT;
    return GO_ON;
}

static int init_text(ipi_dec *d, input *in, ipi_event *ev)
{
    if (!gather(d, in, d->text, d->ntext))
        return MORE;
    d->text[d->ntext] = '\0';
    d->have = 0;
    d->stage = AT_HEADER;
    ev->kind = IPI_INIT;
    ev->init.bead = d->bead;
    ev->init.ntext = d->ntext;
    ev->init.text = d->text;
    return EVENT;
}

static const char other_mode[] = "; does it share memory at all (mode='shm')?";

/* i-PI's names where a cell should be, `at` in the scratch buffer: without a word we would wait for the rest of it. */
static bool names_memory(ipi_dec *d, size_t at)
{
    static const char prefix[] = "ipi_shm_";
    if (d->have < at + strlen(prefix) || memcmp(d->scratch + at, prefix, strlen(prefix)) != 0)
        return false;
    snprintf(d->error, sizeof d->error,
             "the peer shares its memory (mode='shm') where a socket was to carry the numbers: connect to shm:NAME");
    return true;
}

/* A few bytes of the peer must not make the caller reserve what it does not have. */
static bool natoms_allowed(ipi_dec *d, int32_t natoms)
{
    if (natoms < 1 || (uint32_t)natoms > d->limits.max_atoms)
        snprintf(d->error, sizeof d->error, "the peer announced %d atoms; 1 to %u are allowed%s", (int)natoms,
                 (unsigned)d->limits.max_atoms, d->shared ? other_mode : "");
    else if ((size_t)natoms > SIZE_MAX / ATOM_BYTES / d->nstructures)
        snprintf(d->error, sizeof d->error, "the peer announced %u structures of %d atoms, more than memory can hold",
                 (unsigned)d->nstructures, (int)natoms);
    else
        return true;
    return false;
}

static int report_posdata(const ipi_dec *d, ipi_event *ev, int32_t natoms)
{
    ev->kind = IPI_POSDATA;
    ev->posdata.natoms = (uint32_t)natoms;
    ev->posdata.nstructures = d->nstructures;
    return EVENT;
}

static int posdata_head(ipi_dec *d, input *in, ipi_event *ev)
{
    size_t before = d->nstructures > 1 ? 0 : PAIR_BYTES;
    bool whole = gather(d, in, d->scratch, before + sizeof(int32_t));
    if (names_memory(d, 2 * sizeof(int32_t)))
        return broken(d);
    if (!whole)
        return MORE;
    int32_t natoms = int32_at(d->scratch + before);
    if (!natoms_allowed(d, natoms))
        return broken(d);
    d->have = before;
    d->cell = 0;
    d->done = 0;
    d->total = (size_t)3 * (size_t)natoms * d->nstructures;
    d->stage = AT_CELL;
    return report_posdata(d, ev, natoms);
}

/* The inverse is dropped: i-PI sends it by rows and ASE by columns. */
static int cell(ipi_dec *d, input *in, ipi_event *ev)
{
    bool whole = gather(d, in, d->scratch, PAIR_BYTES);
    if (d->cell == 0 && names_memory(d, sizeof(int32_t)))
        return broken(d);
    if (!whole)
        return MORE;
    d->have = 0;
    ev->kind = IPI_CELL;
    ev->cell.structure = d->cell++;
    memcpy(ev->cell.h, d->scratch, CELL_BYTES);
    if (d->cell == d->nstructures)
        d->stage = AT_POSITIONS;
    return EVENT;
}

static int report_positions(ipi_dec *d, ipi_event *ev, const unsigned char *payload, size_t count)
{
    ev->kind = IPI_POSITIONS;
    ev->positions.first = d->done;
    ev->positions.count = count;
    ev->positions.payload = payload;
    d->done += count;
    return EVENT;
}

static int positions(ipi_dec *d, input *in, ipi_event *ev)
{
    if (d->done == d->total) {
        d->stage = AT_HEADER;
        ev->kind = IPI_POSDATA_END;
        return EVENT;
    }
    size_t whole = smaller(in->n / sizeof(double), d->total - d->done);
    if (d->have == 0 && whole > 0)
        return report_positions(d, ev, take(in, whole * sizeof(double)), whole);
    if (!gather(d, in, d->scratch, sizeof(double)))
        return MORE;
    d->have = 0;
    return report_positions(d, ev, d->scratch, 1);
}

size_t ipi_dec_direct(const ipi_dec *d, size_t *byte_offset)
{
    if (d->stage != AT_POSITIONS || d->done == d->total)
        return 0;
    *byte_offset = d->done * sizeof(double) + d->have;
    return d->total * sizeof(double) - *byte_offset;
}

int ipi_dec_took(ipi_dec *d, void *array, size_t n, ipi_event *ev)
{
    size_t offset, most = ipi_dec_direct(d, &offset);
    if (d->stage == AT_BROKEN)
        return BROKEN;
    if (n > most) {
        snprintf(d->error, sizeof d->error, "%zu bytes of positions were taken where %zu were to come", n, most);
        return broken(d);
    }
    if (n == 0)
        return MORE;
    unsigned char *first = (unsigned char *)array + d->done * sizeof(double);
    size_t have = d->have + n, whole = have / sizeof(double);
    memcpy(first, d->scratch, d->have);
    d->have = have % sizeof(double);
    memcpy(d->scratch, first + whole * sizeof(double), d->have);
    return whole > 0 ? report_positions(d, ev, NULL, whole) : MORE;
}

static bool segments_fit(ipi_dec *d, uint32_t natoms)
{
    if (d->segment < IPI_SEGMENTS || (natoms == d->segment_atoms && d->nstructures == d->segment_structures))
        return true;
    snprintf(d->error, sizeof d->error, "the peer announced %u x %u atoms; its shared memory was made for %u x %u",
             (unsigned)d->nstructures, (unsigned)natoms, (unsigned)d->segment_structures, (unsigned)d->segment_atoms);
    return false;
}

static bool name_allowed(ipi_dec *d, int32_t nname)
{
    if (nname >= 1 && nname <= IPI_SEGMENT_NAME)
        return true;
    snprintf(d->error, sizeof d->error,
             "the peer announced a name of %d bytes for its shared memory; 1 to %d are allowed%s", (int)nname,
             IPI_SEGMENT_NAME, other_mode);
    return false;
}

static int await_name(ipi_dec *d, const unsigned char *length)
{
    int32_t nname = int32_at(length);
    if (!name_allowed(d, nname))
        return broken(d);
    d->ntext = (uint32_t)nname;
    d->have = 0;
    d->stage = AT_NAME;
    return GO_ON;
}

/* The first time with the length of the first name, which shows a peer that sends a cell here: its number of atoms
 * would be bewildering. */
static int shared_head(ipi_dec *d, input *in, ipi_event *ev)
{
    if (!gather(d, in, d->scratch, sizeof(int32_t)))
        return MORE;
    int32_t natoms = int32_at(d->scratch);
    if (!natoms_allowed(d, natoms) || !segments_fit(d, (uint32_t)natoms))
        return broken(d);
    if (d->segment < IPI_SEGMENTS) {
        if (!gather(d, in, d->scratch, 2 * sizeof(int32_t)))
            return MORE;
        if (await_name(d, d->scratch + sizeof(int32_t)) == BROKEN)
            return BROKEN;
    } else {
        d->stage = AT_NAME_HEAD;
    }
    d->have = 0;
    d->segment_atoms = (uint32_t)natoms;
    d->segment_structures = d->nstructures;
    return report_posdata(d, ev, natoms);
}

/* Also where all names are known: then the message is at its end. */
static int name_head(ipi_dec *d, input *in, ipi_event *ev)
{
    if (d->segment == IPI_SEGMENTS) {
        d->stage = AT_HEADER;
        ev->kind = IPI_POSDATA_END;
        return EVENT;
    }
    return gather(d, in, d->scratch, sizeof(int32_t)) ? await_name(d, d->scratch) : MORE;
}

static int name(ipi_dec *d, input *in, ipi_event *ev)
{
    if (!gather(d, in, d->text, d->ntext))
        return MORE;
    d->text[d->ntext] = '\0';
    d->have = 0;
    d->stage = AT_NAME_HEAD;
    ev->kind = IPI_SEGMENT;
    ev->segment.which = (ipi_segment)d->segment++;
    ev->segment.nname = d->ntext;
    ev->segment.name = d->text;
    return EVENT;
}

static int stay_broken(ipi_dec *d, input *in, ipi_event *ev)
{
    (void)in;
    (void)ev;
    return broken(d);
}

bool ipi_dec_idle(const ipi_dec *d)
{
    return d->stage == AT_HEADER && d->have == 0;
}

int ipi_feed(ipi_dec *d, const unsigned char *p, size_t n, size_t *used, ipi_event *ev)
{
    static step *const steps[] = {
        [AT_HEADER] = header,
        [AT_INIT_HEAD] = init_head,
        [AT_INIT_TEXT] = init_text,
        [AT_POSDATA_HEAD] = posdata_head,
        [AT_CELL] = cell,
        [AT_POSITIONS] = positions,
        [AT_SHARED_HEAD] = shared_head,
        [AT_NAME_HEAD] = name_head,
        [AT_NAME] = name,
        [AT_BROKEN] = stay_broken,
    };
    input in = {p, n};
    int rc;
    do
        rc = steps[d->stage](d, &in, ev);
    while (rc == GO_ON);
    *used = n - in.n;
    return rc;
}
