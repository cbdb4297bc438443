/* SPDX-License-Identifier: BSD-3-Clause
 *
 * neighbours.c - bins, patches, and when a list still holds.
 */
#include "geom/neighbours.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec3.h"

/* Guards the search radius against the rounding of wrapped coordinates. */
static const double rounding_guard = 1e-7; /* Angstrom */

void nf_list_free(nf_list *list)
{
    for (size_t i = 0; i < list->cap_patches; i++)
        nf_patch_free(&list->patches[i]);
    nf_free(list->patches);
    nf_free(list->pos);
    nf_free(list->element);
    nf_free(list->order);
    nf_free(list->bin);
    nf_free(list->start);
    nf_free(list->wrap);
    nf_free(list->wrapped);
    memset(list, 0, sizeof *list);
}

/* ---- does it still hold? ---- */

/* A lower bound of the smallest singular value of F = h0^-1 h. */
static double smallest_stretch(const nf_cell *from, const nf_cell *to, double F[3][3])
{
    double departure = 0;
    for (int i = 0; i < 3; i++) {
        nf_row_times33(from->inverse[i], to->h, F[i]);
        for (int k = 0; k < 3; k++) {
            double e = F[i][k] - (i == k);
            departure += e * e;
        }
    }
    return 1 - sqrt(departure);
}

bool nf_list_holds(const nf_list *list, const nf_cell *cell, size_t natoms, const double (*pos)[3], const int *element)
{
    double F[3][3];
    if (!list->valid || list->natoms != natoms || memcmp(list->element, element, natoms * sizeof *element) != 0 ||
        memcmp(list->cell.periodic, cell->periodic, sizeof cell->periodic) != 0)
        return false;
    double reach = smallest_stretch(&list->cell, cell, F) * (list->cutoff + list->skin);
    double allowed = 0.5 * (reach - list->cutoff) * (1 - 1e-9);
    if (!(allowed > 0))
        return allowed == 0 && memcmp(list->pos, pos, natoms * sizeof *pos) == 0 &&
               memcmp(list->cell.h, cell->h, sizeof cell->h) == 0;
    for (size_t i = 0; i < natoms; i++) {
        double x0[3], u[3];
        nf_row_times33(list->pos[i], F, x0);
        for (int c = 0; c < 3; c++)
            u[c] = pos[i][c] - x0[c];
        if (!(nf_dot3(u, u) <= allowed * allowed))
            return false;
    }
    return true;
}

/* ---- bins ---- */

static int reserve(nf_list *list, size_t natoms, nf_error *err)
{
    size_t n = natoms == 0 ? 1 : natoms;
    if (NF_GROW(list->pos, list->cap_pos, n) || NF_GROW(list->element, list->cap_element, n) ||
        NF_GROW(list->order, list->cap_order, n) || NF_GROW(list->bin, list->cap_bin, n) ||
        NF_GROW(list->wrap, list->cap_wrap, n) || NF_GROW(list->wrapped, list->cap_wrapped, n))
        return nf_fail_memory(err, "the neighbour list");
    return 0;
}

/* Fraction of atom i along each direction, wrapped into [0, 1) where periodic. */
static int wrap_atom(nf_list *list, size_t i, const double x[3], double s[3], nf_error *err)
{
    TRY(nf_cell_fractions(&list->cell, i, x, s, err));
    for (int d = 0; d < 3; d++) {
        double n = list->cell.periodic[d] ? -floor(s[d]) : 0;
        list->wrap[i][d] = (int32_t)n;
        s[d] += n;
    }
    return 0;
}

static int wrap_all(nf_list *list, double low[3], double high[3], nf_error *err)
{
    for (int d = 0; d < 3; d++) {
        low[d] = list->cell.periodic[d] ? 0 : HUGE_VAL;
        high[d] = list->cell.periodic[d] ? 1 : -HUGE_VAL;
    }
    for (size_t i = 0; i < list->natoms; i++) {
        double s[3];
        TRY(wrap_atom(list, i, list->pos[i], s, err));
        for (int d = 0; d < 3; d++) {
            low[d] = list->cell.periodic[d] ? 0 : fmin(low[d], s[d]);
            high[d] = list->cell.periodic[d] ? 1 : fmax(high[d], s[d]);
        }
        nf_row_times33(s, list->cell.h, list->wrapped[i]);
    }
    return 0;
}

/* About two bins per search radius, and not many more bins than atoms. */
static int choose_bins(nf_list *list, const double low[3], const double high[3], nf_error *err)
{
    double radius = list->radius, images = 1;
    double limit = fmax(2, cbrt(4.0 * (double)list->natoms + 64));
    for (int d = 0; d < 3; d++) {
        double extent = high[d] > low[d] ? high[d] - low[d] : 0;
        double height = extent * list->cell.height[d]; /* of a non-periodic direction: 1 */
        double n = floor(2 * height / radius);
        list->nbin[d] = n < 1 ? 1 : (int)fmin(n, limit);
        list->low[d] = low[d];
        list->width[d] = extent > 0 ? extent / list->nbin[d] : 1;
        double reach = ceil(radius / (list->width[d] * list->cell.height[d]));
        if (!list->cell.periodic[d])
            reach = fmin(reach, list->nbin[d] - 1);
        images *= 2 * reach + 1;
        if (!(images < 4e6))
            return nf_fail(err, NF_ELIMIT, "the cell is %g Angstrom thin: too many images within %g Angstrom",
                           list->cell.height[d], radius);
        list->reach[d] = (int)reach;
    }
    return 0;
}

static int bin_along(const nf_list *list, int d, double s)
{
    double b = floor((s - list->low[d]) / list->width[d]);
    return b < 0 ? 0 : b >= list->nbin[d] ? list->nbin[d] - 1 : (int)b;
}

static void bin_of_atom(const nf_list *list, size_t i, int b[3])
{
    double s[3];
    nf_row_times33(list->wrapped[i], list->cell.inverse, s);
    for (int d = 0; d < 3; d++)
        b[d] = bin_along(list, d, s[d]);
}

int32_t nf_bin_number(const nf_list *list, const int b[3])
{
    int y = b[2] % 2 == 0 ? b[1] : list->nbin[1] - 1 - b[1];
    int row = b[2] * list->nbin[1] + y;
    int x = row % 2 == 0 ? b[0] : list->nbin[0] - 1 - b[0];
    return (int32_t)(row * list->nbin[0] + x);
}

void nf_bin_coordinates(const nf_list *list, int32_t number, int b[3])
{
    int row = number / list->nbin[0], x = number % list->nbin[0];
    b[2] = row / list->nbin[1];
    int y = row % list->nbin[1];
    b[0] = row % 2 == 0 ? x : list->nbin[0] - 1 - x;
    b[1] = b[2] % 2 == 0 ? y : list->nbin[1] - 1 - y;
}

/* Counting sort of the atoms by bin. */
static int sort_into_bins(nf_list *list, nf_error *err)
{
    size_t nbins = (size_t)list->nbin[0] * (size_t)list->nbin[1] * (size_t)list->nbin[2];
    if (NF_GROW(list->start, list->cap_start, nbins + 1))
        return nf_fail_memory(err, "the neighbour bins");
    memset(list->start, 0, (nbins + 1) * sizeof *list->start);
    for (size_t i = 0; i < list->natoms; i++) {
        int b[3];
        bin_of_atom(list, i, b);
        list->bin[i] = nf_bin_number(list, b);
        list->start[list->bin[i] + 1]++;
    }
    for (size_t b = 0; b < nbins; b++)
        list->start[b + 1] += list->start[b];
    for (size_t i = list->natoms; i-- > 0;)
        list->order[--list->start[list->bin[i] + 1]] = (int32_t)i;
    for (size_t b = 0; b < nbins; b++)
        list->start[b] = list->start[b + 1];
    list->start[nbins] = (int32_t)list->natoms;
    return 0;
}

static int cut_patches(nf_list *list, nf_error *err)
{
    size_t size = list->natoms < NF_PATCH_CHANGE ? NF_PATCH_SMALL : NF_PATCH_LARGE;
    list->npatches = (list->natoms + size - 1) / size;
    if (NF_GROW(list->patches, list->cap_patches, list->npatches))
        return nf_fail_memory(err, "the patches");
    for (size_t p = 0; p < list->npatches; p++) {
        size_t begin = p * size, end = begin + size < list->natoms ? begin + size : list->natoms;
        nf_patch *patch = &list->patches[p];
        patch->ncentres = end - begin;
        if (NF_GROW(patch->centre, patch->cap_centre, end - begin))
            return nf_fail_memory(err, "a patch");
        memcpy(patch->centre, list->order + begin, (end - begin) * sizeof *patch->centre);
    }
    return 0;
}

int nf_list_begin(nf_list *list, const nf_cell *cell, size_t natoms, const double (*pos)[3], const int *element,
                  double cutoff, double skin, nf_error *err)
{
    double low[3], high[3];
    list->valid = false;
    TRY(reserve(list, natoms, err));
    list->natoms = natoms;
    list->cell = *cell;
    list->cutoff = cutoff;
    list->skin = skin;
    list->radius = cutoff + skin + rounding_guard;
    memcpy(list->pos, pos, natoms * sizeof *pos);
    memcpy(list->element, element, natoms * sizeof *element);
    TRY(wrap_all(list, low, high, err));
    TRY(choose_bins(list, low, high, err));
    TRY(sort_into_bins(list, err));
    return cut_patches(list, err);
}

static double pair_distance(const nf_list *list, const nf_patch *patch, size_t c, uint32_t point)
{
    const int32_t *own = patch->shifts[patch->shift[patch->home[c]]], *shift = patch->shifts[patch->shift[point]];
    double n[3], d[3];
    for (int a = 0; a < 3; a++)
        n[a] = (double)(shift[a] - own[a]);
    nf_row_times33(n, list->cell.h, d);
    for (int a = 0; a < 3; a++)
        d[a] += list->pos[patch->owner[point]][a] - list->pos[patch->centre[c]][a];
    return nf_norm3(d);
}

double nf_list_shortest(const nf_list *list, size_t pair[2])
{
    double shortest = HUGE_VAL;
    for (size_t p = 0; p < list->npatches; p++) {
        const nf_patch *patch = &list->patches[p];
        for (size_t c = 0; c < patch->ncentres; c++)
            for (uint32_t k = patch->first[c]; k < patch->first[c + 1]; k++) {
                double r = pair_distance(list, patch, c, patch->near[k]);
                if (r < shortest) {
                    shortest = r;
                    pair[0] = (size_t)patch->centre[c];
                    pair[1] = (size_t)patch->owner[patch->near[k]];
                }
            }
    }
    return shortest;
}
