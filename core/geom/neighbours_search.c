/* SPDX-License-Identifier: BSD-3-Clause
 *
 * neighbours_search.c - the neighbours of one patch: search over bins and images, points numbered once, rows in
 * canonical order (element, atom, image), so that sums over neighbours have the same order for ever.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec3.h"
#include "geom/neighbours.h"

struct nf_found {
    int32_t element, atom, image[3]; /* image relative to the centre, both atoms as given */
};

void nf_list_scratch_free(nf_list_scratch *s)
{
    nf_free(s->key);
    nf_free(s->value);
    nf_free(s->generation);
    nf_free(s->found);
    memset(s, 0, sizeof *s);
}

/* ---- one row ---- */

typedef struct {
    const nf_list *list;
    nf_list_scratch *scratch;
    size_t n;
    int32_t centre;
    double radius2;
    nf_error *err;
} row;

static int add_found(row *r, int32_t atom, const int image[3])
{
    nf_list_scratch *s = r->scratch;
    if (r->n >= NF_MAX_NEIGHBOURS)
        return nf_fail(r->err, NF_ELIMIT,
                       "atom %d has more than %d neighbours within %g Angstrom: the structure has "
                       "collapsed or its units are wrong",
                       r->centre + 1, NF_MAX_NEIGHBOURS, r->list->cutoff + r->list->skin);
    if (NF_GROW(s->found, s->cap_found, r->n + 1))
        return nf_fail_memory(r->err, "a neighbour list");
    struct nf_found *f = &s->found[r->n++];
    f->element = r->list->element[atom];
    f->atom = atom;
    for (int d = 0; d < 3; d++) /* from wrapped to given positions */
        f->image[d] = image[d] + r->list->wrap[atom][d] - r->list->wrap[r->centre][d];
    return 0;
}

static int search_bin(row *r, int32_t bin, const int image[3], const double origin[3])
{
    const nf_list *list = r->list;
    bool home = image[0] == 0 && image[1] == 0 && image[2] == 0;
    for (int32_t k = list->start[bin]; k < list->start[bin + 1]; k++) {
        int32_t j = list->order[k];
        const double *x = list->wrapped[j];
        double d[3] = {x[0] - origin[0], x[1] - origin[1], x[2] - origin[2]};
        if (nf_dot3(d, d) < r->radius2 && !(home && j == r->centre))
            TRY(add_found(r, j, image));
    }
    return 0;
}

/* Bin b + offset along d: its number in the home cell and the image it lies in. False if there is none. */
static bool step(const nf_list *list, int d, int b, int offset, int *bin, int *image)
{
    int t = b + offset, n = list->nbin[d];
    *image = t >= 0 ? t / n : -((n - 1 - t) / n);
    *bin = t - *image * n;
    return list->cell.periodic[d] || *image == 0;
}

static int search_offset(row *r, const int b[3], const int offset[3])
{
    int bin[3], image[3];
    double n[3], shift[3], origin[3];
    for (int d = 0; d < 3; d++) {
        if (!step(r->list, d, b[d], offset[d], &bin[d], &image[d]))
            return 0;
        n[d] = image[d];
    }
    nf_row_times33(n, r->list->cell.h, shift);
    for (int d = 0; d < 3; d++)
        origin[d] = r->list->wrapped[r->centre][d] - shift[d];
    return search_bin(r, nf_bin_number(r->list, bin), image, origin);
}

static int canonical(const void *pa, const void *pb)
{
    const struct nf_found *a = pa, *b = pb;
    if (a->element != b->element)
        return a->element < b->element ? -1 : 1;
    if (a->atom != b->atom)
        return a->atom < b->atom ? -1 : 1;
    for (int d = 0; d < 3; d++)
        if (a->image[d] != b->image[d])
            return a->image[d] < b->image[d] ? -1 : 1;
    return 0;
}

static int search_row(row *r)
{
    int b[3], o[3];
    const int *reach = r->list->reach;
    nf_bin_coordinates(r->list, r->list->bin[r->centre], b);
    for (o[2] = -reach[2]; o[2] <= reach[2]; o[2]++)
        for (o[1] = -reach[1]; o[1] <= reach[1]; o[1]++)
            for (o[0] = -reach[0]; o[0] <= reach[0]; o[0]++)
                TRY(search_offset(r, b, o));
    if (r->n > 1)
        qsort(r->scratch->found, r->n, sizeof *r->scratch->found, canonical);
    return 0;
}

/* ---- points: (atom, shift) -> number, by open addressing ---- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 33)) * 0xff51afd7ed558ccdu;
    return z ^ (z >> 29);
}

static int clear_points(nf_list_scratch *s, size_t nslots, nf_error *err)
{
    if (NF_GROW(s->key, s->cap_key, nslots) || NF_GROW(s->value, s->cap_value, nslots) ||
        NF_GROW(s->generation, s->cap_generation, nslots))
        return nf_fail_memory(err, "the points of a patch");
    if (s->nslots != nslots || ++s->now == 0) {
        memset(s->generation, 0, s->cap_generation * sizeof *s->generation);
        s->now = 1;
    }
    s->nslots = nslots;
    s->used = 0;
    return 0;
}

static bool same_shift(const nf_patch *p, uint32_t index, const int32_t shift[3])
{
    return memcmp(p->shifts[index], shift, sizeof p->shifts[index]) == 0;
}

/* Shifts are few: a linear search that begins with the last one found. */
static int find_shift(nf_patch *p, const int32_t shift[3], uint32_t *index, nf_error *err)
{
    for (size_t k = p->nshifts; k-- > 0;)
        if (same_shift(p, (uint32_t)k, shift)) {
            *index = (uint32_t)k;
            return 0;
        }
    if (NF_GROW(p->shifts, p->cap_shifts, p->nshifts + 1))
        return nf_fail_memory(err, "the images of a patch");
    memcpy(p->shifts[p->nshifts], shift, sizeof *p->shifts);
    *index = (uint32_t)p->nshifts++;
    return 0;
}

static int new_point(nf_patch *p, int32_t atom, uint32_t shift, nf_error *err)
{
    if (NF_GROW(p->owner, p->cap_owner, p->npoints + 1) || NF_GROW(p->shift, p->cap_shift, p->npoints + 1))
        return nf_fail_memory(err, "the points of a patch");
    p->owner[p->npoints] = atom;
    p->shift[p->npoints] = shift;
    p->npoints++;
    return 0;
}

static int rehash(nf_patch *p, nf_list_scratch *s, nf_error *err)
{
    TRY(clear_points(s, 2 * s->nslots, err));
    for (uint32_t q = 0; q < p->npoints; q++) {
        uint64_t key = (uint64_t)(uint32_t)p->owner[q] << 32 | p->shift[q];
        size_t slot = mix(key) & (s->nslots - 1);
        while (s->generation[slot] == s->now)
            slot = (slot + 1) & (s->nslots - 1);
        s->key[slot] = key;
        s->value[slot] = q;
        s->generation[slot] = s->now;
        s->used++;
    }
    return 0;
}

static int find_point(nf_patch *p, nf_list_scratch *s, int32_t atom, const int32_t shift[3], uint32_t *point,
                      nf_error *err)
{
    uint32_t k = 0;
    TRY(find_shift(p, shift, &k, err));
    if (2 * s->used >= s->nslots)
        TRY(rehash(p, s, err));
    uint64_t key = (uint64_t)(uint32_t)atom << 32 | k;
    size_t slot = mix(key) & (s->nslots - 1);
    while (s->generation[slot] == s->now && s->key[slot] != key)
        slot = (slot + 1) & (s->nslots - 1);
    if (s->generation[slot] != s->now) {
        s->key[slot] = key;
        s->value[slot] = (uint32_t)p->npoints;
        s->generation[slot] = s->now;
        s->used++;
        TRY(new_point(p, atom, k, err));
    }
    *point = s->value[slot];
    return 0;
}

/* ---- the patch ---- */

/* Centres by element, within an element in the order they have: a stable insertion sort of at most 64. */
static void group_by_element(const nf_list *list, nf_patch *p, int nelements)
{
    for (size_t i = 1; i < p->ncentres; i++) {
        int32_t atom = p->centre[i];
        size_t k = i;
        for (; k > 0 && list->element[p->centre[k - 1]] > list->element[atom]; k--)
            p->centre[k] = p->centre[k - 1];
        p->centre[k] = atom;
    }
    memset(p->element_first, 0, sizeof p->element_first);
    for (size_t i = 0; i < p->ncentres; i++)
        p->element_first[list->element[p->centre[i]] + 1]++;
    for (int e = 0; e < nelements; e++)
        p->element_first[e + 1] += p->element_first[e];
}

static int add_row(const nf_list *list, nf_patch *p, size_t c, nf_list_scratch *s, nf_error *err)
{
    row r = {list, s, 0, p->centre[c], list->radius * list->radius, err};
    TRY(search_row(&r));
    if (NF_GROW(p->near, p->cap_near, p->nnear + r.n + 1))
        return nf_fail_memory(err, "a neighbour list");
    const int32_t *own = list->wrap[r.centre];
    for (size_t k = 0; k < r.n; k++) {
        const struct nf_found *f = &s->found[k];
        int32_t shift[3] = {f->image[0] + own[0], f->image[1] + own[1], f->image[2] + own[2]};
        TRY(find_point(p, s, f->atom, shift, &p->near[p->nnear + k], err));
    }
    p->nnear += r.n;
    p->first[c + 1] = (uint32_t)p->nnear;
    if ((int)r.n > p->max_near)
        p->max_near = (int)r.n;
    return 0;
}

int nf_list_patch(nf_list *list, size_t index, int nelements, nf_list_scratch *s, nf_error *err)
{
    nf_patch *p = &list->patches[index];
    group_by_element(list, p, nelements);
    p->npoints = p->nnear = p->nshifts = 0;
    p->max_near = 0;
    if (NF_GROW(p->home, p->cap_home, p->ncentres) || NF_GROW(p->first, p->cap_first, p->ncentres + 1))
        return nf_fail_memory(err, "a patch");
    TRY(clear_points(s, s->nslots == 0 ? 4096 : s->nslots, err));
    p->first[0] = 0;
    for (size_t c = 0; c < p->ncentres; c++)
        TRY(find_point(p, s, p->centre[c], list->wrap[p->centre[c]], &p->home[c], err));
    for (size_t c = 0; c < p->ncentres; c++)
        TRY(add_row(list, p, c, s, err));
    return 0;
}
