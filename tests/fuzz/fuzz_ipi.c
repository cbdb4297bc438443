/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fuzz_ipi.c - the i-PI codec under any bytes in any pieces.
 *
 *     input   max_atoms | max_structures | max_init/64 | batch | seed of the cuts | shared memory | the stream
 *
 * 255 stands for the largest value of the type, an odd number for shared memory. The stream is fed whole, in pieces,
 * and in pieces of which positions mostly go past the decoder: all must give the same events, each in an order and
 * within limits that the server can rely on.
 */
#undef NDEBUG /* a fuzz target without its assertions tests nothing */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/ipi.h"

enum { OPTIONS = 6, DOUBLES_MAX = 3 * 4096 };

typedef struct {
    ipi_dec dec;
    ipi_limits limits;
    bool busy; /* between POSDATA and POSDATA_END */
    uint32_t natoms, nstructures, cells;
    size_t got, expected;
    bool shared;
    int segments;
    unsigned char *array; /* where positions are read to */
    uint64_t hash;        /* of all events, but not of how positions were cut */
} listener;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t option(uint8_t byte, uint32_t largest)
{
    return byte == 255 ? largest : byte;
}

static void listener_start(listener *l, const uint8_t *options)
{
    memset(l, 0, sizeof *l);
    l->limits.max_atoms = option(options[0], UINT32_MAX);
    l->limits.max_structures = option(options[1], UINT32_MAX);
    l->limits.max_init = options[2] == 255 ? UINT32_MAX : 64u * options[2];
    ipi_dec_init(&l->dec, &l->limits);
    l->shared = options[5] % 2 != 0;
    if (l->shared)
        ipi_dec_set_shared(&l->dec);
    (void)ipi_dec_set_batch(&l->dec, (int)option(options[3], INT32_MAX));
}

/* FNV-1a. */
static void mix(listener *l, const void *from, size_t n)
{
    const unsigned char *p = from;
    for (size_t i = 0; i < n; i++)
        l->hash = (l->hash ^ p[i]) * 0x100000001b3u;
}

static void check_items(const char *text, size_t ntext)
{
    const char *cursor = text;
    ipi_param item;
    while (ipi_init_next(&cursor, &item)) {
        assert(item.nkey + item.nvalue > 0 || item.value != NULL);
        assert(item.key >= text && item.key + item.nkey <= text + ntext);
        assert(item.value == NULL || (item.value >= item.key && item.value + item.nvalue <= text + ntext));
        assert(cursor > text && cursor <= text + ntext);
    }
    assert(*cursor == '\0');
}

/* The last one counts. */
static int batch_of(const char *text)
{
    static const char key[] = "batch_size";
    int batch = 1;
    ipi_param item;
    while (ipi_init_next(&text, &item))
        if (item.nkey == strlen(key) && memcmp(item.key, key, item.nkey) == 0)
            batch = ipi_batch_size(item.value, item.nvalue);
    return batch;
}

static void take_init(listener *l, const ipi_event *ev)
{
    assert(!l->busy && ev->init.ntext <= l->limits.max_init && ev->init.ntext <= IPI_INIT_MAX);
    assert(ev->init.text[ev->init.ntext] == '\0');
    mix(l, &ev->init.bead, sizeof ev->init.bead);
    mix(l, ev->init.text, ev->init.ntext);
    check_items(ev->init.text, ev->init.ntext);
    int batch = batch_of(ev->init.text);
    assert(batch == -1 || batch > 0);
    (void)ipi_dec_set_batch(&l->dec, batch);
}

static void take_posdata(listener *l, const ipi_event *ev)
{
    assert(!l->busy && ev->posdata.natoms > 0 && ev->posdata.natoms <= l->limits.max_atoms);
    assert(ev->posdata.nstructures == 1 || ev->posdata.nstructures <= l->limits.max_structures);
    l->busy = true;
    l->natoms = ev->posdata.natoms;
    l->nstructures = ev->posdata.nstructures;
    l->cells = 0;
    l->got = 0;
    l->expected = (size_t)3 * l->natoms * l->nstructures;
    assert(l->expected / 3 / l->natoms == l->nstructures && l->expected <= SIZE_MAX / sizeof(double));
    mix(l, &l->natoms, sizeof l->natoms);
    mix(l, &l->nstructures, sizeof l->nstructures);
}

static void take_cell(listener *l, const ipi_event *ev)
{
    assert(l->busy && l->got == 0 && ev->cell.structure == l->cells && l->cells < l->nstructures);
    l->cells++;
    mix(l, ev->cell.h, sizeof ev->cell.h);
}

static void take_positions(listener *l, const ipi_event *ev)
{
    assert(l->busy && l->cells == l->nstructures && ev->positions.first == l->got && ev->positions.count > 0);
    assert(ev->positions.count <= l->expected - l->got);
    const unsigned char *payload = ev->positions.payload;
    if (payload == NULL)
        payload = l->array + ev->positions.first * sizeof(double);
    l->got += ev->positions.count;
    mix(l, payload, ev->positions.count * sizeof(double));
}

static void take_segment(listener *l, const ipi_event *ev)
{
    assert(l->busy && l->shared && (int)ev->segment.which == l->segments && l->segments < IPI_SEGMENTS);
    assert(ev->segment.nname > 0 && ev->segment.nname <= IPI_SEGMENT_NAME);
    assert(ev->segment.name[ev->segment.nname] == '\0');
    l->segments++;
    mix(l, ev->segment.name, ev->segment.nname);
}

/* The size is known in closed form, and exactly that much may be written. */
static void answer(const listener *l)
{
    static const double forces[DOUBLES_MAX];
    ipi_reply reply[255];
    if (l->expected > DOUBLES_MAX || l->nstructures > 255)
        return;
    for (uint32_t i = 0; i < l->nstructures; i++)
        reply[i] = (ipi_reply){.forces = forces, .extras = "{}", .nextras = i % 3};
    size_t size = ipi_forceready_size(l->natoms, l->nstructures, reply);
    unsigned char *out = malloc(size);
    assert(size >= IPI_HEADER + 4 + l->expected * 8 + l->nstructures * (size_t)85 && out != NULL);
    assert(ipi_forceready(out, l->natoms, l->nstructures, reply) == size);
    assert(memcmp(out, "FORCEREADY  ", IPI_HEADER) == 0);
    size_t extras = ipi_forceready_shared_size(l->nstructures, reply);
    assert(extras == size - 4 - l->expected * 8 - l->nstructures * (size_t)80);
    assert(ipi_forceready_shared(out, l->nstructures, reply) == extras);
    free(out);
}

static void take_end(listener *l)
{
    assert(l->busy && l->got == (l->shared ? 0 : l->expected) && l->segments == (l->shared ? IPI_SEGMENTS : 0));
    l->busy = false;
    answer(l);
}

static void take(listener *l, const ipi_event *ev)
{
    unsigned char kind = (unsigned char)ev->kind;
    if (ev->kind != IPI_POSITIONS)
        mix(l, &kind, 1);
    switch (ev->kind) {
    case IPI_INIT:
        take_init(l, ev);
        break;
    case IPI_POSDATA:
        take_posdata(l, ev);
        break;
    case IPI_CELL:
        take_cell(l, ev);
        break;
    case IPI_POSITIONS:
        take_positions(l, ev);
        break;
    case IPI_SEGMENT:
        take_segment(l, ev);
        break;
    case IPI_POSDATA_END:
        take_end(l);
        break;
    case IPI_STATUS:
    case IPI_GETFORCE:
    case IPI_EXIT:
        assert(!l->busy);
        break;
    }
}

static void check_sentence(const ipi_dec *dec, int rc)
{
    const char *sentence = ipi_dec_error(dec);
    assert((rc < 0) == (sentence[0] != '\0') && strlen(sentence) < IPI_MESSAGE_MAX - 1);
    for (; *sentence != '\0'; sentence++)
        assert(*sentence >= ' ' && *sentence <= '~');
}

/* From an own copy, gone afterwards, so that a sanitizer sees a read past it and a pointer kept. */
static int feed(listener *l, const uint8_t *p, size_t n)
{
    unsigned char *copy = malloc(n + 1);
    size_t at = 0, used = 0;
    ipi_event ev;
    int rc;
    assert(copy != NULL);
    unsigned char *piece = copy + 1; /* ends where the copy ends, and is not aligned */
    if (n > 0)
        memcpy(piece, p, n);
    while ((rc = ipi_feed(&l->dec, piece + at, n - at, &used, &ev)) == 1) {
        assert(used <= n - at);
        at += used;
        take(l, &ev);
    }
    assert(used <= n - at && (rc < 0 || at + used == n));
    check_sentence(&l->dec, rc);
    free(copy);
    return rc;
}

static size_t next_cut(uint32_t *state, size_t left)
{
    *state = *state * 1664525u + 1013904223u;
    size_t n = (*state >> 16) % (1u << (*state >> 29));
    return n < left ? n : left;
}

static int feed_in_pieces(listener *l, uint8_t seed, const uint8_t *p, size_t n)
{
    uint32_t state = seed;
    int rc = feed(l, p, 0);
    for (size_t at = 0, step; at < n && rc == 0; at += step) {
        step = next_cut(&state, n - at);
        rc = feed(l, p + at, step);
    }
    return rc;
}

/* The array has room for what has come and no more, and is another one each time. */
static int read_past(listener *l, const uint8_t *p, size_t n, size_t offset)
{
    ipi_event ev;
    unsigned char *array = malloc(offset + n);
    assert(array != NULL);
    free(l->array);
    l->array = array;
    memcpy(array + offset, p, n);
    int rc = ipi_dec_took(&l->dec, array, n, &ev);
    assert(rc == 0 || (rc == 1 && ev.kind == IPI_POSITIONS && ev.positions.payload == NULL));
    if (rc == 1)
        take(l, &ev);
    return feed(l, p, 0);
}

static int read_in_pieces(listener *l, uint8_t seed, const uint8_t *p, size_t n)
{
    uint32_t state = seed;
    int rc = feed(l, p, 0);
    for (size_t at = 0, step; at < n && rc == 0; at += step) {
        size_t offset = 0, direct = ipi_dec_direct(&l->dec, &offset);
        step = next_cut(&state, n - at);
        if (direct > 0 && step > 0 && offset <= sizeof(double[DOUBLES_MAX]) && state >> 31 != 0) {
            step = step < direct ? step : direct;
            rc = read_past(l, p + at, step, offset);
        } else {
            rc = feed(l, p + at, step);
        }
    }
    free(l->array);
    return rc;
}

static void same(const listener *a, const listener *b)
{
    assert(a->hash == b->hash && a->got == b->got && a->busy == b->busy);
    assert(strcmp(ipi_dec_error(&a->dec), ipi_dec_error(&b->dec)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static listener whole, pieces, direct;
    if (size < OPTIONS)
        return 0;
    listener_start(&whole, data);
    listener_start(&pieces, data);
    int rc = feed(&whole, data + OPTIONS, size - OPTIONS);
    assert(feed_in_pieces(&pieces, data[4], data + OPTIONS, size - OPTIONS) == rc);
    same(&pieces, &whole);
    listener_start(&direct, data);
    assert(read_in_pieces(&direct, data[4], data + OPTIONS, size - OPTIONS) == rc);
    same(&direct, &whole);
    return 0;
}
