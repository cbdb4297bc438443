/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The list syntax of species.h: items one after the other; a '*' on its own repeats what came since the last
 * ';', line or '*'.
 */
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "io/species_atoms.h"
#include "io/words.h"

struct list {
    nf_atoms *atoms;
    size_t group; /* first atom of the group */
    const char *what;
};

static bool is_separator(char c)
{
    return nf_is_blank(c) || c == ',';
}

static bool ends_group(char c)
{
    return c == ';' || c == '\n';
}

static const char *skip_separators(const char *p)
{
    while (is_separator(*p))
        p++;
    return p;
}

static const char *item_end(const char *p)
{
    while (*p != '\0' && !ends_group(*p) && !is_separator(*p))
        p++;
    return p;
}

static int bad_item(const struct list *l, const char *item, const char *end, const char *what, nf_error *err)
{
    return nf_fail(err, NF_EFORMAT, "%s: '%s' %s", l->what, nf_excerpt_of(item, (size_t)(end - item)).text, what);
}

/* A count from 1 to a little above the limit; 0 if the text is none. */
static size_t parse_count(const char *p, const char *end)
{
    size_t n = 0;
    for (; p < end && nf_is_digit(*p); p++)
        n = n <= NF_SPECIES_MAX ? 10 * n + (size_t)(*p - '0') : n;
    return p == end ? n : 0;
}

/* `El` or `El*n` */
static int take_item(struct list *l, const char *item, const char *end, nf_error *err)
{
    const char *star = memchr(item, '*', (size_t)(end - item));
    const char *name_end = star == NULL ? end : star;
    size_t n = star == NULL ? 1 : parse_count(star + 1, end);
    char symbol[3] = {0};
    if (n == 0)
        return bad_item(l, item, end, "needs a count behind its '*', as in H*2", err);
    if (name_end > item && name_end - item < (int)sizeof symbol)
        memcpy(symbol, item, (size_t)(name_end - item));
    int z = nf_element_number(symbol);
    if (z == 0)
        return bad_item(l, item, end, "is no element; write elements as in 'O H H * 64'", err);
    size_t first = l->atoms->n;
    TRY(nf_atoms_add(l->atoms, z, l->what, err));
    return nf_atoms_repeat(l->atoms, first, n, l->what, err);
}

/* ` * n` or ` *n` */
static int take_repetition(struct list *l, const char *star, const char **end, nf_error *err)
{
    const char *count = skip_separators(star + 1);
    *end = item_end(count);
    size_t n = parse_count(count, *end);
    if (n == 0)
        return bad_item(l, star, *end, "is no repetition; write a count behind ' * '", err);
    if (l->atoms->n == l->group)
        return bad_item(l, star, *end, "has nothing before it to repeat", err);
    TRY(nf_atoms_repeat(l->atoms, l->group, n, l->what, err));
    l->group = l->atoms->n;
    return 0;
}

int nf_species_list_text(nf_atoms *atoms, const char *list, const char *what, nf_error *err)
{
    struct list l = {.atoms = atoms, .group = atoms->n, .what = what};
    for (const char *p = skip_separators(list); *p != '\0'; p = skip_separators(p)) {
        const char *item = p;
        if (ends_group(*p)) {
            l.group = atoms->n;
            p++;
            continue;
        }
        p = item_end(p);
        if (*item == '*')
            TRY(take_repetition(&l, item, &p, err));
        else
            TRY(take_item(&l, item, p, err));
    }
    return 0;
}

int nf_species_list(nf_atoms *atoms, nf_lines *in, nf_error *err)
{
    char *line, what[sizeof(nf_error)];
    int rc;
    while ((rc = nf_lines_next(in, &line, err)) > 0) {
        snprintf(what, sizeof what, "%s:%ld", NF_AT(in));
        TRY(nf_species_list_text(atoms, line, what, err));
    }
    return rc;
}
