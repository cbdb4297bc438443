/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/replies.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "server/link_options.h"

enum { MOST_ASKED = 4096, SHOWN = 24 };

void nf_replies_begin(nf_replies *r)
{
    static const ipi_limits limits = {INT32_MAX, NF_LINK_BATCH_MOST, IPI_INIT_MAX};
    ipi_dec_init(&r->decoder, &limits);
}

void nf_replies_free(nf_replies *r)
{
    nf_free(r->asked);
    r->asked = NULL;
}

/* ---- what the driver asks for ---- */

static int batch_of_json(const char *text)
{
    json_t *all = json_loads(text, 0, NULL), *batch = json_object_get(all, "batch_size");
    json_int_t n = json_is_integer(batch) ? json_integer_value(batch) : 1;
    json_decref(all);
    return n >= 1 && n <= NF_LINK_BATCH_MOST ? (int)n : 1;
}

/* What the server does not accept closes the link: no reply's length depends on it. */
static int batch_of(const char *text)
{
    ipi_param p;
    int batch = 1;
    if (text[strspn(text, " \t\r\n")] == '{')
        return batch_of_json(text);
    while (ipi_init_next(&text, &p))
        if (p.nkey == 10 && memcmp(p.key, "batch_size", 10) == 0 && p.value != NULL)
            batch = ipi_batch_size(p.value, p.nvalue);
    return batch >= 1 ? batch : 1;
}

static int push(nf_replies *r)
{
    if (r->nasked == MOST_ASKED) {
        r->broken = true;
        return 0;
    }
    if (r->first > 0 && r->first + r->nasked == r->capacity) {
        memmove(r->asked, r->asked + r->first, r->nasked * sizeof *r->asked);
        r->first = 0;
    }
    if (NF_GROW(r->asked, r->capacity, r->first + r->nasked + 1) < 0)
        return NF_ENOMEM;
    r->asked[r->first + r->nasked++] = r->posdata;
    return 0;
}

static int take_event(nf_replies *r, const ipi_event *ev)
{
    switch (ev->kind) {
    case IPI_INIT:
        if (ipi_dec_set_batch(&r->decoder, batch_of(ev->init.text)) < 0)
            r->broken = true;
        return 0;
    case IPI_POSDATA:
        r->posdata = (nf_reply_shape){ev->posdata.natoms, ev->posdata.nstructures};
        return 0;
    case IPI_STATUS:
        r->owed++;
        return 0;
    case IPI_GETFORCE:
        r->owed++;
        return push(r);
    default:
        return 0;
    }
}

int nf_replies_ask(nf_replies *r, const unsigned char *bytes, size_t n)
{
    ipi_event ev;
    for (size_t used = 0; !r->broken; bytes += used, n -= used) {
        int rc = ipi_feed(&r->decoder, bytes, n, &used, &ev);
        if (rc < 0)
            r->broken = true;
        if (rc <= 0)
            return 0;
        TRY(take_event(r, &ev));
    }
    return 0;
}

/* ---- what comes back ---- */

static uint64_t size_of_part(const nf_replies *r)
{
    uint64_t b = r->shape.nstructures, n = r->shape.natoms;
    switch (r->part) {
    case NF_PART_WORD:
        return IPI_HEADER;
    case NF_PART_ENERGY:
        return 8 * b;
    case NF_PART_NATOMS:
    case NF_PART_LENGTH:
        return 4;
    case NF_PART_FORCES:
        return 24 * b * n;
    case NF_PART_VIRIAL:
        return 72 * b;
    case NF_PART_EXTRAS:
        return r->nextras;
    default:
        return UINT64_MAX;
    }
}

static size_t unit_of_part(const nf_replies *r)
{
    switch (r->part) {
    case NF_PART_WORD:
        return IPI_HEADER;
    case NF_PART_NATOMS:
    case NF_PART_LENGTH:
        return 4;
    case NF_PART_ENERGY:
    case NF_PART_FORCES:
    case NF_PART_VIRIAL:
        return 8;
    default:
        return 1;
    }
}

static void answered(nf_replies *r)
{
    r->part = NF_PART_WORD;
    r->owed -= r->owed > 0;
}

static void after_word(nf_replies *r)
{
    if (memcmp(r->unit, "FORCEREADY  ", IPI_HEADER) != 0) {
        answered(r);
        return;
    }
    r->part = r->nasked > 0 && r->asked[r->first].nstructures > 0 ? NF_PART_ENERGY : NF_PART_LOST;
    if (r->nasked == 0)
        return;
    r->shape = r->asked[r->first++];
    if (--r->nasked == 0)
        r->first = 0;
}

static void next_extras(nf_replies *r)
{
    r->part = NF_PART_LENGTH;
    if (++r->structure < r->shape.nstructures)
        return;
    r->nreplies++;
    answered(r);
}

static void next_part(nf_replies *r)
{
    int32_t length;
    r->at = 0;
    switch (r->part) {
    case NF_PART_WORD:
        after_word(r);
        break;
    case NF_PART_VIRIAL:
        r->structure = 0;
        r->part = NF_PART_LENGTH;
        break;
    case NF_PART_LENGTH:
        memcpy(&length, r->unit, sizeof length);
        r->nextras = (uint32_t)length;
        r->part = length < 0 ? NF_PART_LOST : NF_PART_EXTRAS;
        if (length == 0)
            next_extras(r);
        break;
    case NF_PART_EXTRAS:
        next_extras(r);
        break;
    default:
        r->part = (nf_reply_part)(r->part + 1);
    }
}

/* Those of the last k bytes that belong to a unit that is not complete; all of a word or an integer. */
static void keep_unit(nf_replies *r, const unsigned char *bytes, size_t k)
{
    size_t unit = unit_of_part(r);
    if (unit == 1)
        return;
    size_t end = (size_t)((r->at + k - 1) % unit) + 1, n = end < k ? end : k;
    memcpy(r->unit + end - n, bytes + k - n, n);
}

void nf_replies_advance(nf_replies *r, const unsigned char *bytes, size_t n)
{
    r->nbytes += n;
    while (n > 0) {
        uint64_t left = size_of_part(r) - r->at;
        size_t k = n < left ? n : (size_t)left;
        keep_unit(r, bytes, k);
        r->at += k;
        bytes += k;
        n -= k;
        if (k == left)
            next_part(r);
    }
}

size_t nf_replies_wanted(const nf_replies *r)
{
    size_t unit = unit_of_part(r);
    return unit - (size_t)(r->at % unit);
}

/* ---- what is different ---- */

/* The whole of a word or number; false if the stream ends within. */
static bool complete(const nf_replies *r, const unsigned char *bytes, size_t n, unsigned char unit[IPI_HEADER + 1])
{
    size_t wanted = nf_replies_wanted(r), have = unit_of_part(r) - wanted;
    memset(unit, 0, IPI_HEADER + 1);
    memcpy(unit, r->unit, have);
    if (n > 0)
        memcpy(unit + have, bytes, n < wanted ? n : wanted);
    return n >= wanted;
}

/* Printable, between quotes. */
static void quote(const unsigned char *bytes, size_t n, char out[SHOWN + 4])
{
    size_t k = 0, most = n < SHOWN ? n : SHOWN;
    out[k++] = '\'';
    for (size_t i = 0; i < most; i++)
        out[k++] = bytes[i] >= ' ' && bytes[i] <= '~' ? (char)bytes[i] : '?';
    while (k > 1 && out[k - 1] == ' ')
        k--;
    out[k++] = '\'';
    out[k] = '\0';
}

static void name_number(const nf_replies *r, char *out, size_t size)
{
    static const char axes[] = "xyz";
    uint64_t index = r->at / 8, each = r->part == NF_PART_FORCES ? 3 * (uint64_t)r->shape.natoms : 9;
    int n = 0;
    if (r->part == NF_PART_ENERGY) {
        each = 1;
        n = snprintf(out, size, "the energy");
    } else if (r->part == NF_PART_FORCES) {
        n = snprintf(out, size, "force %c of atom %llu", axes[index % 3], (unsigned long long)(index % each / 3 + 1));
    } else {
        n = snprintf(out, size, "virial %c%c", axes[index % 9 / 3], axes[index % 3]);
    }
    if (r->shape.nstructures > 1)
        snprintf(out + n, size - (size_t)n, " of structure %llu", (unsigned long long)(index / each + 1));
}

static void describe_number(const nf_replies *r, const unsigned char *then, const unsigned char *now, char *out,
                            size_t size)
{
    char name[80];
    double a, b;
    memcpy(&a, then, sizeof a);
    memcpy(&b, now, sizeof b);
    name_number(r, name, sizeof name);
    snprintf(out, size, "%s is %.17g recorded, now %.17g (%.3g %s apart)", name, a, b, b - a,
             r->part == NF_PART_FORCES ? "Hartree/Bohr" : "Hartree");
}

static void describe_count(const nf_replies *r, const unsigned char *then, const unsigned char *now, char *out,
                           size_t size)
{
    int32_t a, b;
    memcpy(&a, then, sizeof a);
    memcpy(&b, now, sizeof b);
    snprintf(out, size, "%s %ld recorded, now %ld",
             r->part == NF_PART_NATOMS ? "the number of atoms is" : "the bytes of extras are", (long)a, (long)b);
}

static void describe_text(const nf_replies *r, const unsigned char *then, size_t nthen, const unsigned char *now,
                          size_t nnow, char *out, size_t size)
{
    char a[SHOWN + 4], b[SHOWN + 4], place[60] = "";
    quote(then, nthen, a);
    quote(now, nnow, b);
    if (r->part == NF_PART_EXTRAS)
        snprintf(place, sizeof place, "extras, from byte %llu on, are ", (unsigned long long)r->at + 1);
    snprintf(out, size, "%s%s recorded, now %s", place, a, b);
}

/* From the next byte on: numbers, or else text. */
static void describe_here(const nf_replies *r, const unsigned char *then, size_t nthen, const unsigned char *now,
                          size_t nnow, char *out, size_t size)
{
    unsigned char a[IPI_HEADER + 1], b[IPI_HEADER + 1];
    bool both = complete(r, then, nthen, a) && complete(r, now, nnow, b);
    if (both && r->part == NF_PART_WORD)
        describe_text(r, a, IPI_HEADER, b, IPI_HEADER, out, size);
    else if (both && unit_of_part(r) == 8)
        describe_number(r, a, b, out, size);
    else if (both && unit_of_part(r) == 4)
        describe_count(r, a, b, out, size);
    else
        describe_text(r, then, nthen, now, nnow, out, size);
}

void nf_replies_describe(const nf_replies *r, uint32_t link, const unsigned char *then, size_t nthen,
                         const unsigned char *now, size_t nnow, char *out, size_t size)
{
    unsigned long long reply = r->nreplies, byte = r->nbytes + 1;
    int n = r->part == NF_PART_WORD
                ? snprintf(out, size, "link %lu, behind reply %llu (byte %llu): ", (unsigned long)link, reply, byte)
                : snprintf(out, size, "reply %llu of link %lu (byte %llu): ", reply + 1, (unsigned long)link, byte);
    describe_here(r, then, nthen, now, nnow, out + n, size - (size_t)n);
}
