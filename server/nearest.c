/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/nearest.h"

#include <string.h>

enum { LONGEST = 32 };

static char small(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t d = a < b ? a : b;
    return d < c ? d : c;
}

/* Letters to put in, take out or change, by rows of the usual table. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t row[LONGEST + 1];
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 0; i < na; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < nb; j++) {
            size_t above = row[j + 1];
            row[j + 1] = smallest(above + 1, row[j] + 1, diagonal + (small(a[i]) != small(b[j])));
            diagonal = above;
        }
    }
    return row[nb];
}

void nf_nearest_try(nf_nearest *search, const char *word)
{
    size_t n = strlen(word);
    if (n > LONGEST || search->n > LONGEST)
        return;
    size_t edits = distance(search->typed, search->n, word, n), most = n / 3 > 1 ? n / 3 : 1;
    if (edits > most || (search->best != NULL && edits >= search->edits))
        return;
    search->best = word;
    search->edits = edits;
}
