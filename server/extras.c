/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/extras.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"

enum { LONGEST_NUMBER = 32 };

const char *nf_extras_name(nf_extras kind)
{
    static const char *const names[] = {
        [NF_EXTRAS_NONE] = "none", [NF_EXTRAS_SUMMARY] = "summary", [NF_EXTRAS_COMMITTEE] = "committee"};
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : NULL;
}

static int put(nf_extras_buffer *b, const char *text)
{
    size_t n = strlen(text);
    if (NF_GROW(b->text, b->capacity, b->n + n + 1))
        return NF_ENOMEM;
    memcpy(b->text + b->n, text, n + 1);
    b->n += n;
    return 0;
}

/* [x, x, ...], each times factor, to all digits. */
static int put_list(nf_extras_buffer *b, size_t n, const double *x, double factor)
{
    if (NF_GROW(b->text, b->capacity, b->n + (n + 1) * LONGEST_NUMBER))
        return NF_ENOMEM;
    char *at = b->text + b->n;
    *at++ = '[';
    for (size_t i = 0; i < n; i++)
        at += snprintf(at, LONGEST_NUMBER, "%s%.17g", i == 0 ? "" : ",", x[i] * factor);
    *at++ = ']';
    *at = '\0';
    b->n = (size_t)(at - b->text);
    return 0;
}

/* "key": [[...], [...], ...] with one row of n numbers a member. */
static int put_rows(nf_extras_buffer *b, const char *key, size_t nmembers, size_t n, const double *x, double factor)
{
    TRY(put(b, key));
    for (size_t m = 0; m < nmembers; m++) {
        TRY(put(b, m == 0 ? "[" : ","));
        TRY(put_list(b, n, x + m * n, factor));
    }
    return put(b, "]");
}

/* Without the closing brace: the committee's keys follow. */
static int put_summary(nf_extras_buffer *b, const nf_result *r)
{
    char text[128];
    snprintf(text, sizeof text, "{\"energy_std\":%.17g,\"extrapolated\":%ld", r->energy_std / NF_HARTREE,
             r->nextrapolated);
    return put(b, text);
}

static int put_committee(nf_extras_buffer *b, const nf_result *r, size_t natoms)
{
    TRY(put(b, ",\"committee_pot\":"));
    TRY(put_list(b, r->nmembers, r->member_energy, 1 / NF_HARTREE));
    TRY(put_rows(b, ",\"committee_force\":", r->nmembers, 3 * natoms, (const double *)r->member_forces,
                 NF_BOHR / NF_HARTREE));
    return put_rows(b, ",\"committee_virial\":", r->nmembers, 9, (const double *)r->member_virial, 1 / NF_HARTREE);
}

int nf_extras_write(nf_extras_buffer *out, nf_extras kind, const nf_result *result, size_t natoms)
{
    if (kind == NF_EXTRAS_NONE)
        return 0;
    TRY(put_summary(out, result));
    if (kind == NF_EXTRAS_COMMITTEE)
        TRY(put_committee(out, result, natoms));
    return put(out, "}");
}
