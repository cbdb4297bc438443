/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_neighbours.c - lists against all pairs and images, and when a list still holds.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/vec3.h"
#include "listing.h"
#include "suite.h"

static const int numbers[2] = {1, 8};

/* ---- all pairs ---- */

typedef struct {
    int atom;
    double d[3];
} pair;

static int by_atom_and_place(const void *pa, const void *pb)
{
    const pair *a = pa, *b = pb;
    if (a->atom != b->atom)
        return a->atom - b->atom;
    for (int c = 0; c < 3; c++)
        if (fabs(a->d[c] - b->d[c]) > 1e-6)
            return a->d[c] < b->d[c] ? -1 : 1;
    return 0;
}

/* Which lattice shifts n can bring atom j within the cutoff of atom i: fraction of d + n in +-cutoff/height. */
static void find_range(const listing *l, const double d[3], double cutoff, int low[3], int high[3])
{
    double s[3];
    nf_row_times33(d, l->cell.inverse, s);
    for (int k = 0; k < 3; k++) {
        double reach = cutoff / l->cell.height[k] + 1e-6;
        low[k] = l->cell.periodic[k] ? (int)floor(-s[k] - reach) : 0;
        high[k] = l->cell.periodic[k] ? (int)ceil(-s[k] + reach) : 0;
    }
}

static size_t brute_force(const listing *l, const nf_frame *frame, size_t i, double cutoff, pair *out, size_t room)
{
    int a[3], b[3], n[3];
    size_t count = 0;
    for (size_t j = 0; j < frame->natoms; j++) {
        double x[3];
        for (int c = 0; c < 3; c++)
            x[c] = frame->pos[j][c] - frame->pos[i][c];
        find_range(l, x, cutoff, a, b);
        for (n[0] = a[0]; n[0] <= b[0]; n[0]++)
            for (n[1] = a[1]; n[1] <= b[1]; n[1]++)
                for (n[2] = a[2]; n[2] <= b[2]; n[2]++) {
                    const double f[3] = {n[0], n[1], n[2]};
                    pair p = {(int)j, {0}};
                    nf_row_times33(f, l->cell.h, p.d);
                    for (int c = 0; c < 3; c++)
                        p.d[c] += x[c];
                    if (nf_norm3(p.d) >= cutoff || (i == j && n[0] == 0 && n[1] == 0 && n[2] == 0))
                        continue;
                    ck_assert_uint_lt(count, room);
                    out[count++] = p;
                }
    }
    qsort(out, count, sizeof *out, by_atom_and_place);
    return count;
}

/* ---- what a patch says ---- */

static size_t from_environment(const nf_patch *patch, const nf_environment *env, int nelements, pair *out)
{
    size_t count = 0;
    for (int e = 0; e < nelements; e++) {
        ck_assert_int_eq(env->first[e] % NF_LANES, 0);
        for (int k = env->first[e]; k < env->first[e] + env->count[e]; k++)
            out[count++] = (pair){patch->owner[env->point[k]], {env->x[k], env->y[k], env->z[k]}};
    }
    qsort(out, count, sizeof *out, by_atom_and_place);
    return count;
}

static void check_padding(const nf_environment *env, int nelements, double cutoff)
{
    for (int e = 0; e < nelements; e++)
        for (int k = env->first[e] + env->count[e]; k < (e + 1 < nelements ? env->first[e + 1] : env->n); k++) {
            ck_assert_double_ge(env->r[k], cutoff);
            ck_assert_uint_eq(env->point[k], UINT32_MAX);
        }
}

static void check_centre(const listing *l, const nf_frame *frame, size_t p, size_t c, nf_arena *arena)
{
    static pair want[20000], got[20000];
    nf_error err = {0};
    nf_environment env;
    nf_patch_view view = listing_view(l, p, frame, l->cell.h);
    size_t mark = nf_arena_mark(arena), i = (size_t)view.patch->centre[c];
    ck_assert_int_eq(nf_patch_environment(&view, c, &env, arena, &err), 0);
    size_t n = brute_force(l, frame, i, l->list.cutoff, want, 20000);
    ck_assert_uint_eq(from_environment(view.patch, &env, l->nelements, got), n);
    check_padding(&env, l->nelements, l->list.cutoff);
    for (size_t k = 0; k < n; k++)
        ck_assert_int_eq(by_atom_and_place(&want[k], &got[k]), 0);
    nf_arena_rewind(arena, mark);
}

/* Every atom is a centre once, and sees what all pairs say. */
static void check_listing(const listing *l, const nf_frame *frame)
{
    int seen[SPECIMEN_MAX] = {0};
    for (size_t p = 0; p < l->list.npatches; p++) {
        const nf_patch *patch = &l->list.patches[p];
        nf_arena arena = {0};
        ck_assert_int_eq(nf_arena_reserve(&arena, nf_environment_bytes(patch, l->nelements) + 16 * NF_ARENA_STEP), 0);
        for (size_t c = 0; c < patch->ncentres; c++) {
            seen[patch->centre[c]]++;
            check_centre(l, frame, p, c, &arena);
        }
        nf_arena_free(&arena);
    }
    for (size_t i = 0; i < frame->natoms; i++)
        ck_assert_int_eq(seen[i], 1);
}

START_TEST(all_pairs)
{
    static specimen s;
    static listing l;
    for (int kind = 0; kind < NSPECIMENS; kind++)
        for (int skin = 0; skin < 2; skin++) {
            specimen_make(&s, (enum specimen_kind)kind, 5 + 20 * ((size_t)_i % 3), 2, numbers, (unsigned)_i);
            listing_make(&l, &s.frame, 2, numbers, 1.5 + 0.7 * (_i % 6), skin);
            check_listing(&l, &s.frame);
            listing_free(&l);
        }
}
END_TEST

/* Cells that are long and thin, flat, very skewed; atoms on the faces and corners. */
START_TEST(odd_cells)
{
    static const double cells[][3][3] = {
        {{1.1, 0, 0}, {0, 30, 0}, {0, 0, 7}},      {{25, 0, 0}, {24, 1.5, 0}, {0, 0, 9}},
        {{4, 0, 0}, {-3.9, 4, 0}, {3.9, -3.9, 4}}, {{3, 3, 0}, {0, 3, 3}, {3, 0, 3}},
        {{-6, 0, 0}, {0, -6, 0}, {0, 0, -6}},
    };
    static const double faces[][3] = {
        {0, 0, 0}, {0.5, 0, 0}, {0.999999999999, 0.5, 0}, {0.25, 1, 0.5}, {-1e-17, 0.75, 0.25}};
    static specimen s;
    static listing l;
    specimen_make(&s, CUBIC, 5, 2, numbers, 1);
    memcpy(s.frame.cell, cells[_i], sizeof s.frame.cell);
    for (size_t i = 0; i < 5; i++)
        nf_row_times33(faces[i], s.frame.cell, s.pos[i]);
    listing_make(&l, &s.frame, 2, numbers, 4.2, 0.3);
    check_listing(&l, &s.frame);
    listing_free(&l);
}
END_TEST

/* A larger system: many bins, patches of 64. */
START_TEST(many_atoms)
{
    static specimen s;
    static listing l;
    nf_rng rng = {5};
    specimen_make(&s, CUBIC, 1, 2, numbers, 1);
    for (int d = 0; d < 3; d++)
        s.frame.cell[d][d] = 24 + d;
    for (size_t i = 0; i < SPECIMEN_MAX; i++) {
        for (int c = 0; c < 3; c++)
            s.pos[i][c] = nf_rng_between(&rng, -30, 60);
        s.species[i] = numbers[i % 2];
    }
    s.frame.natoms = SPECIMEN_MAX;
    listing_make(&l, &s.frame, 2, numbers, 5, 1);
    check_listing(&l, &s.frame);
    listing_free(&l);
}
END_TEST

/* ---- how long a list holds ---- */

START_TEST(holding)
{
    static specimen s, moved;
    static listing l;
    nf_cell cell;
    specimen_make(&s, CUBIC, 12, 2, numbers, 2);
    listing_make(&l, &s.frame, 2, numbers, 3, 1.0);
    ck_assert(nf_list_holds(&l.list, &l.cell, 12, s.frame.pos, l.element));
    specimen_copy(&moved, &s);
    moved.pos[4][1] += 0.499;
    ck_assert(nf_list_holds(&l.list, &l.cell, 12, moved.frame.pos, l.element));
    moved.pos[4][1] += 0.002;
    ck_assert(!nf_list_holds(&l.list, &l.cell, 12, moved.frame.pos, l.element));
    ck_assert(!nf_list_holds(&l.list, &l.cell, 11, s.frame.pos, l.element));
    moved.pos[4][1] = NAN;
    ck_assert(!nf_list_holds(&l.list, &l.cell, 12, moved.frame.pos, l.element));
    l.element[3] = 1 - l.element[3];
    ck_assert(!nf_list_holds(&l.list, &l.cell, 12, s.frame.pos, l.element));
    l.element[3] = 1 - l.element[3];
    cell = l.cell;
    cell.periodic[2] = false;
    ck_assert(!nf_list_holds(&l.list, &cell, 12, s.frame.pos, l.element));
    listing_free(&l);
}
END_TEST

/* Whatever the list says it holds for, it has all pairs of. */
START_TEST(holding_is_true)
{
    static specimen s, moved;
    static listing l, now;
    nf_rng rng = {(uint64_t)_i};
    int held = 0;
    specimen_make(&s, (enum specimen_kind)(_i % NSPECIMENS), 14, 2, numbers, (unsigned)_i);
    listing_make(&l, &s.frame, 2, numbers, 3.5, 0.8);
    for (int n = 0; n < 20; n++) {
        double size = 0.02 * n, strain[3][3];
        specimen_copy(&moved, &s);
        for (size_t k = 0; k < 3 * s.frame.natoms; k++)
            (&moved.pos[0][0])[k] += nf_rng_between(&rng, -size, size);
        for (int k = 0; k < 9; k++)
            (&strain[0][0])[k] = (k % 4 == 0) + 0.1 * size * nf_rng_between(&rng, -1, 1);
        specimen_transform(&moved, (const double(*)[3])strain);
        listing_make(&now, &moved.frame, 2, numbers, 3.5, 0);
        if (nf_list_holds(&l.list, &now.cell, moved.frame.natoms, moved.frame.pos, l.element)) {
            nf_cell made_for = l.cell;
            l.cell = now.cell;
            check_listing(&l, &moved.frame);
            l.cell = made_for;
            held++;
        }
        listing_free(&now);
    }
    ck_assert_int_ge(held, 3);
    listing_free(&l);
}
END_TEST

/* Pure strain: atoms keep their fractions, a compressed cell brings others within the cutoff. */
START_TEST(holding_under_strain)
{
    static specimen s, moved;
    static listing l, now;
    int held = 0;
    specimen_make(&s, (enum specimen_kind)_i, 14, 2, numbers, 5);
    listing_make(&l, &s.frame, 2, numbers, 3.5, 0.8);
    for (int n = 0; n < 40; n++) {
        double f = 1 - 0.01 * (n / 2), strain[3][3] = {{f, 0, 0}, {n % 2 ? 1 - f : 0, f, 0}, {0, 0, n % 2 ? 1 / f : f}};
        specimen_copy(&moved, &s);
        specimen_transform(&moved, (const double(*)[3])strain);
        listing_make(&now, &moved.frame, 2, numbers, 3.5, 0);
        if (nf_list_holds(&l.list, &now.cell, moved.frame.natoms, moved.frame.pos, l.element)) {
            nf_cell made_for = l.cell;
            l.cell = now.cell;
            check_listing(&l, &moved.frame);
            l.cell = made_for;
            held++;
        }
        listing_free(&now);
    }
    ck_assert_int_ge(held, 4);
    listing_free(&l);
}
END_TEST

START_TEST(no_skin)
{
    static specimen s;
    static listing l;
    specimen_make(&s, CUBIC, 12, 2, numbers, 3);
    listing_make(&l, &s.frame, 2, numbers, 3, 0);
    ck_assert(nf_list_holds(&l.list, &l.cell, 12, s.frame.pos, l.element));
    s.pos[0][0] += 1e-9;
    ck_assert(!nf_list_holds(&l.list, &l.cell, 12, s.frame.pos, l.element));
    listing_free(&l);
}
END_TEST

START_TEST(shortest)
{
    static specimen s;
    static listing l;
    size_t who[2];
    specimen_make(&s, CUBIC, 3, 2, numbers, 4);
    const double pos[3][3] = {{0.2, 0, 0}, {4, 4, 4}, {8.5, 0, 0}};
    memcpy(s.pos, pos, sizeof pos);
    listing_make(&l, &s.frame, 2, numbers, 3, 1);
    ck_assert_double_eq_tol(nf_list_shortest(&l.list, who), 0.7, 1e-12);
    ck_assert_uint_eq(who[0] + who[1], 2);
    listing_free(&l);
    s.frame.natoms = 1;
    memset(s.frame.cell, 0, sizeof s.frame.cell);
    listing_make(&l, &s.frame, 2, numbers, 3, 1);
    ck_assert(isinf(nf_list_shortest(&l.list, who)));
    listing_free(&l);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("neighbours");
    TCase *t = tcase_create("unit");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, all_pairs, 0, 12);
    tcase_add_loop_test(t, odd_cells, 0, 5);
    tcase_add_test(t, many_atoms);
    tcase_add_test(t, holding);
    tcase_add_loop_test(t, holding_is_true, 0, 2 * NSPECIMENS);
    tcase_add_loop_test(t, holding_under_strain, 0, NSPECIMENS);
    tcase_add_test(t, no_skin);
    tcase_add_test(t, shortest);
    suite_add_tcase(s, t);
    return s;
}
