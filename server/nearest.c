/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/nearest.h"

#include <stdbool.h>
#include <string.h>

enum { LONGEST = 32 };

static char small(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same(char a, char b)
{
    return small(a) == small(b);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Row i of the table of edits that make the first i letters of a the first j of b, from the two rows above. */
static void fill_row(size_t i, size_t *row, const size_t *above, const size_t *above2, const char *a, const char *b,
                     size_t nb)
{
    row[0] = i;
    for (size_t j = 1; j <= nb; j++) {
        row[j] = smaller(above[j], row[j - 1]) + 1;
        row[j] = smaller(row[j], above[j - 1] + !same(a[i - 1], b[j - 1]));
        if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
            row[j] = smaller(row[j], above2[j - 2] + 1);
    }
}

static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t row[3][LONGEST + 1];
    for (size_t j = 0; j <= nb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= na; i++)
        fill_row(i, row[i % 3], row[(i + 2) % 3], row[(i + 1) % 3], a, b, nb);
    return row[na % 3][nb];
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
