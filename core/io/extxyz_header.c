/* SPDX-License-Identifier: BSD-3-Clause
 *
 * All pairs of the line become text first; what has a meaning is then taken out of them, one key after the
 * other.
 */
#include "io/extxyz_header.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/vec3.h"
#include "io/extxyz_comment.h"
#include "io/words.h"

struct header {
    nf_structure *s;
    nf_layout *layout;
    const nf_lines *at;
    char *pool; /* room in s->comment */
};

/* ---- pairs ---- */

static char *pool_decoded(struct header *h, const char *text, const char *end)
{
    char *copy = h->pool;
    h->pool += nf_pair_decode(copy, text, end) + 1;
    return copy;
}

/* The value as it is, with the quotes closed that the line leaves open: it will stand inside another line. */
static const char *pool_verbatim(struct header *h, const nf_pair *pair)
{
    char *copy = h->pool;
    size_t n = (size_t)(pair->value_end - pair->value);
    memcpy(copy, pair->value, n);
    memset(copy + n, pair->closer, pair->missing);
    copy[n + pair->missing] = '\0';
    h->pool += n + pair->missing + 1;
    return copy;
}

static int add_pair(struct header *h, const nf_pair *pair, nf_error *err)
{
    nf_structure *s = h->s;
    if (NF_GROW(s->info, s->capacity.info, s->ninfo + 1) < 0)
        return nf_fail_memory(err, "the comment line of a structure");
    nf_info *info = &s->info[s->ninfo++];
    info->key = pool_decoded(h, pair->key, pair->key_end);
    info->value = pair->value == NULL ? NULL : pool_verbatim(h, pair);
    return 0;
}

/* A backslash that protects nothing would protect the blank behind it in the line it is written to. */
static void drop_last_backslash(char *line)
{
    size_t n = strlen(line), first = n;
    while (first > 0 && line[first - 1] == '\\')
        first--;
    if ((n - first) % 2 == 1)
        line[n - 1] = '\0';
}

/* For every pair as it is, with its zeros and closing quotes, and once more what is decoded of it. */
static int reserve(struct header *h, const char *line, nf_error *err)
{
    if (NF_GROW(h->s->comment, h->s->capacity.comment, 4 * strlen(line) + 64) < 0)
        return nf_fail_memory(err, "the comment line of a structure");
    h->pool = h->s->comment;
    return 0;
}

static int split(struct header *h, const char *line, nf_error *err)
{
    nf_pair pair;
    size_t missing = 0;
    while (nf_pair_next(&line, &pair)) {
        TRY(add_pair(h, &pair, err));
        missing = pair.missing;
    }
    if (missing > 0)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: a quote or bracket is not closed", NF_AT(h->at));
    return 0;
}

/* ---- values: 0: understood, 1: it stays text, < 0: error. The text may be changed. ---- */

static int take_lattice(struct header *h, const char *key, char *text, nf_error *err)
{
    double v[9];
    double(*cell)[3] = h->s->cell;
    size_t n = nf_pair_numbers(text, 9, v);
    if (n != 9 && n != 3)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: %s needs 9 finite numbers (vectors a, b, c) or 3 (a box)",
                       NF_AT(h->at), key);
    for (size_t k = 0; k < 3; k++)
        for (size_t c = 0; c < 3; c++)
            cell[k][c] = n == 9 ? v[3 * k + c] : k == c ? v[k] : 0.0;
    for (int k = 0; k < 3; k++)
        h->s->pbc[k] = true;
    return 0;
}

static int truth(const char *word, size_t n)
{
    static const char *const yes[] = {"T", "true", "True", "TRUE", "1"};
    static const char *const no[] = {"F", "false", "False", "FALSE", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (n == strlen(yes[i]) && memcmp(word, yes[i], n) == 0)
            return 1;
        if (n == strlen(no[i]) && memcmp(word, no[i], n) == 0)
            return 0;
    }
    return -1;
}

static int take_pbc(struct header *h, const char *key, char *text, nf_error *err)
{
    static const char separators[] = ", \t\v\f\r";
    int value[3] = {-1, -1, -1};
    size_t n = 0;
    for (text += strspn(text, separators); *text != '\0'; text += strspn(text, separators)) {
        size_t length = strcspn(text, separators);
        value[n < 3 ? n : 2] = n < 3 ? truth(text, length) : -1;
        n++;
        text += length;
    }
    if (n == 1)
        value[1] = value[2] = value[0];
    for (int k = 0; k < 3; k++) {
        if (value[k] < 0)
            return nf_fail(err, NF_EFORMAT, "%s:%ld: %s needs three of T and F", NF_AT(h->at), key);
        h->s->pbc[k] = value[k] == 1;
    }
    return 0;
}

static int take_energy(struct header *h, const char *key, char *text, nf_error *err)
{
    if (h->s->has_energy)
        return 1;
    if (nf_pair_numbers(text, 1, &h->s->energy) != 1)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: %s is not one finite number; remove it if it is unknown", NF_AT(h->at),
                       key);
    h->s->has_energy = true;
    h->s->energy_key = key;
    return 0;
}

static int parse_matrix(struct header *h, const char *key, const char *text, double m[3][3], nf_error *err)
{
    static const int voigt[3][3] = {{0, 5, 4}, {5, 1, 3}, {4, 3, 2}};
    double v[9];
    size_t n = nf_pair_numbers(text, 9, v);
    if (n != 9 && n != 6)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: %s needs 9 finite numbers or 6 (xx yy zz yz xz xy)", NF_AT(h->at),
                       key);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            m[i][k] = n == 9 ? v[3 * k + i] : v[voigt[i][k]];
    return 0;
}

static int take_virial(struct header *h, const char *key, char *text, nf_error *err)
{
    TRY(parse_matrix(h, key, text, h->s->virial, err));
    h->s->has_virial = true;
    return 0;
}

/* Molecules come with a stress of zeros and no cell: no volume, no virial. */
static int take_stress(struct header *h, const char *key, char *text, nf_error *err)
{
    nf_structure *s = h->s;
    double volume = fabs(nf_det33((const double(*)[3])s->cell));
    if (s->has_virial || volume == 0.0)
        return 1;
    TRY(parse_matrix(h, key, text, s->stress, err));
    for (int k = 0; k < 9; k++) {
        double w = -s->stress[k / 3][k % 3] * volume;
        if (!isfinite(w))
            return nf_fail(err, NF_EFORMAT, "%s:%ld: %s times the volume is not finite", NF_AT(h->at), key);
        s->virial[k / 3][k % 3] = w;
    }
    s->has_virial = s->has_stress = true;
    return 0;
}

static int take_properties(struct header *h, const char *key, char *text, nf_error *err)
{
    (void)key;
    return nf_layout_parse(h->layout, h->s, text, h->at, err);
}

static const struct {
    const char *key;
    int (*take)(struct header *h, const char *key, char *text, nf_error *err);
} keys[] = {
    /* stress needs the Lattice, pbc overrides what the Lattice says */
    {"Lattice", take_lattice},    {"pbc", take_pbc},       {"Properties", take_properties}, {"energy", take_energy},
    {"free_energy", take_energy}, {"virial", take_virial}, {"stress", take_stress},
};

static int check_once(const struct header *h, const nf_info *first, nf_error *err)
{
    if (first->value == NULL)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: %s has no value", NF_AT(h->at), first->key);
    for (const nf_info *other = first + 1; other < h->s->info + h->s->ninfo; other++)
        if (strcmp(first->key, other->key) == 0)
            return nf_fail(err, NF_EFORMAT, "%s:%ld: %s is there twice", NF_AT(h->at), first->key);
    return 0;
}

static void remove_info(nf_structure *s, const nf_info *info)
{
    size_t i = (size_t)(info - s->info);
    s->ninfo--;
    memmove(s->info + i, s->info + i + 1, (s->ninfo - i) * sizeof *s->info);
}

static int understand(struct header *h, nf_error *err)
{
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const nf_info *info = nf_structure_info(h->s, keys[k].key);
        if (info == NULL)
            continue;
        TRY(check_once(h, info, err));
        char *text = pool_decoded(h, info->value, info->value + strlen(info->value));
        int rc = keys[k].take(h, keys[k].key, text, err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            remove_info(h->s, info);
    }
    return 0;
}

/* ---- the line ---- */

static bool has_value(const nf_structure *s, const char *key)
{
    const nf_info *info = nf_structure_info(s, key);
    return info != NULL && info->value != NULL;
}

static bool is_extended(const nf_structure *s, const char *line)
{
    return has_value(s, "Properties") || has_value(s, "Lattice") || strstr(line, "Properties=") != NULL ||
           strstr(line, "Lattice=") != NULL;
}

/* The comment of a plain file may be prose, "energy = unknown, it's late": it becomes one pair. */
static int keep_as_text(struct header *h, const char *line, nf_error *err)
{
    nf_structure *s = h->s;
    long begin = s->line;
    nf_structure_clear(s);
    s->line = begin;
    if (NF_GROW(s->info, s->capacity.info, 1) < 0)
        return nf_fail_memory(err, "the comment line of a structure");
    nf_pair_quote(s->comment, line);
    s->info[s->ninfo++] = (nf_info){"comment", s->comment};
    return 0;
}

int nf_header_parse(nf_structure *s, nf_layout *layout, bool *plain, char *line, const nf_lines *at, nf_error *err)
{
    char standard[] = NF_LAYOUT_PLAIN;
    struct header h = {.s = s, .layout = layout, .at = at};
    nf_error why = {0};
    drop_last_backslash(line);
    TRY(reserve(&h, line, err));
    int rc = split(&h, line, &why);
    *plain = !has_value(s, "Properties");
    bool extended = is_extended(s, line);
    if (rc == 0)
        rc = understand(&h, &why);
    if (rc == NF_EFORMAT && !extended)
        rc = keep_as_text(&h, line, &why);
    if (rc < 0)
        return nf_fail(err, rc, "%s", why.msg);
    return *plain ? nf_layout_parse(layout, s, standard, at, err) : 0;
}
