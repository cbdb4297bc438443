/* SPDX-License-Identifier: BSD-3-Clause
 *
 * n2p2_functions.c - lines "symfunction_short" of input.nn: what stands where for each type, what is allowed, and the
 * order of the functions of an element, which is the order of scaling.data and of the networks' inputs.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/n2p2.h"

/* ---- the lines of all types ---- */

#define AT(member) offsetof(n2p2_function, member)

enum { MAX_NUMBERS = 5 };

/* After the type: elements of neighbours, numbers, then the subtype of a compact function. */
typedef struct {
    int type, nneighbours, nnumbers, noptional; /* noptional: of the numbers, the last ones */
    size_t numbers[MAX_NUMBERS];
    const char *usage;
} line_format;

static const line_format formats[] = {
    {2, 1, 3, 0, {AT(eta), AT(rs), AT(rc)}, "El 2 El1 eta rs rc"},
    {3, 2, 5, 1, {AT(eta), AT(lambda), AT(zeta), AT(rc), AT(rs)}, "El 3 El1 El2 eta lambda zeta rc [rs]"},
    {9, 2, 5, 1, {AT(eta), AT(lambda), AT(zeta), AT(rc), AT(rs)}, "El 9 El1 El2 eta lambda zeta rc [rs]"},
    {12, 0, 3, 0, {AT(eta), AT(rs), AT(rc)}, "El 12 eta rs rc"},
    {13, 0, 5, 0, {AT(eta), AT(rs), AT(lambda), AT(zeta), AT(rc)}, "El 13 eta rs lambda zeta rc"},
    {20, 1, 2, 0, {AT(rl), AT(rc)}, "El 20 El1 rl rc subtype"},
    {21, 2, 4, 0, {AT(rl), AT(rc), AT(angle_left), AT(angle_right)}, "El 21 El1 El2 rl rc left right subtype"},
    {22, 2, 4, 0, {AT(rl), AT(rc), AT(angle_left), AT(angle_right)}, "El 22 El1 El2 rl rc left right subtype"},
    {23, 0, 2, 0, {AT(rl), AT(rc)}, "El 23 rl rc subtype"},
    {24, 0, 4, 0, {AT(rl), AT(rc), AT(angle_left), AT(angle_right)}, "El 24 rl rc left right subtype"},
    {25, 0, 4, 0, {AT(rl), AT(rc), AT(angle_left), AT(angle_right)}, "El 25 rl rc left right subtype"},
};

static const line_format *format_of(int type)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].type == type)
            return &formats[i];
    return NULL;
}

bool n2p2_is_compact(int type)
{
    return type >= 20;
}

bool n2p2_is_angular(int type)
{
    return type != 2 && type != 12 && type != 20 && type != 23;
}

/* ---- checks ---- */

static int check_exponential(const nf_text *text, const n2p2_function *f, nf_error *err)
{
    if (n2p2_is_angular(f->type) && !(f->zeta > 0))
        return n2p2_wrong(text, "zeta must be positive", err);
    return 0;
}

/* n2p2's conditions: a window of angles may reach beyond 0 or 180 degrees only if it is centred there. */
static int check_compact(const nf_text *text, const n2p2_function *f, nf_error *err)
{
    if (!(f->rl < f->rc))
        return n2p2_wrong(text, "rl must be less than rc", err);
    if (!n2p2_is_angular(f->type))
        return 0;
    double left = f->angle_left, right = f->angle_right, center = (left + right) / 2;
    if (!(left < right))
        return n2p2_wrong(text, "the left angle must be less than the right one", err);
    if ((left < 0 && center != 0) || (right > 180 && center != 180))
        return n2p2_wrong(text, "angles outside of [0, 180] need a window centred at 0 or 180", err);
    return 0;
}

static int check_function(const nf_text *text, const n2p2_function *f, nf_error *err)
{
    if (!(f->rc > 0))
        return n2p2_wrong(text, "the cutoff radius must be positive", err);
    return n2p2_is_compact(f->type) ? check_compact(text, f, err) : check_exponential(text, f, err);
}

/* ---- one line ---- */

/* "p1".."p4", with "a" the asymmetric ones, and "e". n2p2 takes whatever begins with e and has at most three letters
 * for "e": there is no asymmetric exponential. */
static int read_subtype(const n2p2_potential *p, const nf_text *text, int i, n2p2_function *f, nf_error *err)
{
    const char *word = text->word[i];
    size_t n = strlen(word);
    bool poly = n >= 2 && word[0] == 'p' && word[1] >= '1' && word[1] <= '4' && (n == 2 || (n == 3 && word[2] == 'a'));
    if (!poly && (word[0] != 'e' || n > 3))
        return nf_fail(err, NF_EFORMAT, "%s:%ld: '%.20s' is not a subtype (p1 to p4, p1a to p4a, e)", text->path,
                       text->line, word);
    if (!poly && n > 1)
        nf_log_write(&p->log, NF_LOG_WARNING, "%s:%ld: the subtype '%s' is read as 'e', as in n2p2", text->path,
                     text->line, word);
    snprintf(f->subtype, sizeof f->subtype, "%s", word);
    return 0;
}

static int read_neighbours(const n2p2_potential *p, const nf_text *text, int n, n2p2_function *f, nf_error *err)
{
    for (int i = 0; i < n; i++) {
        int e;
        TRY(n2p2_element_word(p, text, 3 + i, &e, err));
        f->neighbour[i] = p->elements.number[e];
    }
    if (n == 2 && f->neighbour[0] > f->neighbour[1]) {
        int first = f->neighbour[0];
        f->neighbour[0] = f->neighbour[1];
        f->neighbour[1] = first;
    }
    return 0;
}

static int read_line(const n2p2_potential *p, const nf_text *text, const line_format *format, n2p2_function *f,
                     nf_error *err)
{
    char usage[80];
    int first = 3 + format->nneighbours, last = first + format->nnumbers + n2p2_is_compact(format->type);
    snprintf(usage, sizeof usage, "%s %s", text->word[0], format->usage);
    TRY(nf_text_require(text, last - format->noptional, usage, err));
    TRY(read_neighbours(p, text, format->nneighbours, f, err));
    for (int i = 0; i < format->nnumbers && first + i < text->nwords; i++)
        TRY(nf_text_number(text, first + i, (double *)((char *)f + format->numbers[i]), err));
    if (n2p2_is_compact(format->type))
        TRY(read_subtype(p, text, last - 1, f, err));
    if (text->nwords > last)
        nf_log_write(&p->log, NF_LOG_WARNING, "%s:%ld: ignored after the last value: %.40s", text->path, text->line,
                     text->word[last]);
    return check_function(text, f, err);
}

int n2p2_take_function(n2p2_potential *p, const nf_text *text, nf_error *err)
{
    n2p2_function f = {.line = text->line};
    int e;
    TRY(nf_text_require(text, 3, "symfunction_short El type ...", err));
    TRY(n2p2_element_word(p, text, 1, &e, err));
    TRY(nf_text_integer(text, 2, &f.type, err));
    const line_format *format = format_of(f.type);
    if (format == NULL)
        return nf_fail(err, NF_EUNSUPPORTED,
                       "%s:%ld: symmetry functions of type %d are not supported (2, 3, 9, 12, 13, 20 to 25 are)",
                       text->path, text->line, f.type);
    f.element = p->elements.number[e];
    TRY(read_line(p, text, format, &f, err));
    n2p2_element *of = &p->of[e];
    if (NF_GROW(of->functions, of->cap_functions, of->nfunctions + 1))
        return nf_fail_memory(err, "symmetry functions");
    of->functions[of->nfunctions++] = f;
    return 0;
}

/* ---- order ---- */

enum { NKEYS = 8 };

/* n2p2's keys after the type, all ascending: exponential functions by cutoff radius, eta, rs, zeta, lambda, neighbours;
 * compact ones by subtype (as text), neighbours, rc, rl, angles. Lines that are equal keep their order. */
static void keys_of(const n2p2_function *f, double keys[NKEYS])
{
    const double exponential[NKEYS] = {f->rc,     f->eta,          f->rs,           f->zeta,
                                       f->lambda, f->neighbour[0], f->neighbour[1], (double)f->line};
    const double compact[NKEYS] = {f->neighbour[0], f->neighbour[1], f->rc,          f->rl,
                                   f->angle_left,   f->angle_right,  (double)f->line};
    memcpy(keys, n2p2_is_compact(f->type) ? compact : exponential, NKEYS * sizeof *keys);
}

static int sorted_order(const void *pa, const void *pb)
{
    const n2p2_function *a = pa, *b = pb;
    double keys_a[NKEYS], keys_b[NKEYS];
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    int text = strcmp(a->subtype, b->subtype);
    if (text != 0)
        return text;
    keys_of(a, keys_a);
    keys_of(b, keys_b);
    for (int k = 0; k < NKEYS; k++)
        if (keys_a[k] != keys_b[k])
            return keys_a[k] < keys_b[k] ? -1 : 1;
    return 0;
}

/* n2p2 sorts by the shift that is written, and computes types 3 and 9 without it if it is negative. */
static void drop_negative_shift(const n2p2_potential *p, const char *path, n2p2_function *f)
{
    if ((f->type != 3 && f->type != 9) || f->rs >= 0)
        return;
    nf_log_write(&p->log, NF_LOG_WARNING, "%s:%ld: a negative shift of an angular function counts as 0, as in n2p2",
                 path, f->line);
    f->rs = 0;
}

/* The function before k that n2p2 puts into the same group, NULL if there is none. */
static const n2p2_function *group_neighbour(const n2p2_element *of, size_t k)
{
    const n2p2_function *f = &of->functions[k];
    for (size_t i = k; i-- > 0;) {
        const n2p2_function *g = &of->functions[i];
        if (g->type == f->type && g->neighbour[0] == f->neighbour[0] && g->neighbour[1] == f->neighbour[1])
            return g;
    }
    return NULL;
}

/* n2p2 (2.3.0) takes the factor of the distance between the neighbours from the previous function of a group if the
 * radii are the same, even if the subtypes are not. Its functions computed one by one agree with the definition. */
static void warn_of_subtypes(const n2p2_potential *p, const char *path, const n2p2_element *of)
{
    for (size_t k = 0; k < of->nfunctions; k++) {
        const n2p2_function *f = &of->functions[k], *g;
        if ((f->type != 21 && f->type != 24) || (g = group_neighbour(of, k)) == NULL)
            continue;
        if (f->rl != g->rl || f->rc != g->rc || strcmp(f->subtype, g->subtype) == 0)
            continue;
        nf_log_write(&p->log, NF_LOG_WARNING,
                     "%s:%ld: subtypes %s and %s (line %ld) with the same radii: n2p2 mixes them up, nearfar computes "
                     "what is written",
                     path, f->line, f->subtype, g->subtype, g->line);
        return;
    }
}

int n2p2_sort_functions(n2p2_potential *p, const char *path, nf_error *err)
{
    for (int e = 0; e < p->elements.n; e++) {
        n2p2_element *of = &p->of[e];
        if (of->nfunctions == 0)
            return nf_fail(err, NF_EFORMAT, "%s: element %s has no symmetry functions", path,
                           nf_element_symbol(p->elements.number[e]));
        qsort(of->functions, of->nfunctions, sizeof *of->functions, sorted_order);
        for (size_t k = 0; k < of->nfunctions; k++)
            drop_negative_shift(p, path, &of->functions[k]);
        warn_of_subtypes(p, path, of);
    }
    return 0;
}
