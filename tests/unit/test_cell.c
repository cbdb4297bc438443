/* SPDX-License-Identifier: BSD-3-Clause
 *
 * test_cell.c - completed cells, and cells that are refused.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/vec3.h"
#include "geom/cell.h"
#include "suite.h"

static const bool everywhere[3] = {true, true, true};

static int make(nf_cell *cell, const double rows[3][3], bool a, bool b, bool c)
{
    nf_error err = {0};
    const bool pbc[3] = {a, b, c};
    int rc = nf_cell_make(cell, rows, pbc, &err);
    ck_assert(rc == 0 || err.msg[0] != '\0');
    return rc;
}

static void check_inverse(const nf_cell *cell)
{
    for (int i = 0; i < 3; i++) {
        double e[3];
        nf_row_times33(cell->h[i], cell->inverse, e);
        for (int k = 0; k < 3; k++)
            ck_assert_double_eq_tol(e[k], i == k, 1e-12);
    }
}

/* All eight choices of periodic directions, of random rows. */
START_TEST(completion)
{
    nf_rng rng = {(uint64_t)_i};
    const bool pbc[3] = {_i & 1, _i >> 1 & 1, _i >> 2 & 1};
    for (int n = 0; n < 50; n++) {
        double rows[3][3];
        nf_cell cell;
        for (int k = 0; k < 9; k++)
            (&rows[0][0])[k] = nf_rng_between(&rng, -10, 10);
        for (int d = 0; d < 3; d++)
            if (!pbc[d] && n % 2)
                memset(rows[d], 0, sizeof rows[d]); /* a zero row says the same as pbc */
        if (make(&cell, (const double(*)[3])rows, pbc[0], pbc[1], pbc[2]) != 0)
            continue;
        check_inverse(&cell);
        for (int d = 0; d < 3; d++) {
            ck_assert_int_eq(cell.periodic[d], pbc[d]);
            ck_assert_double_gt(cell.height[d], 0);
            if (pbc[d]) {
                ck_assert_mem_eq(cell.h[d], rows[d], sizeof rows[d]);
                continue;
            }
            ck_assert_double_eq_tol(nf_norm3(cell.h[d]), 1, 1e-12);
            ck_assert_double_eq_tol(cell.height[d], 1, 1e-12);
            for (int e = 0; e < 3; e++)
                if (pbc[e])
                    ck_assert_double_eq_tol(nf_dot3(cell.h[d], cell.h[e]), 0, 1e-11);
        }
        double volume = pbc[0] && pbc[1] && pbc[2] ? fabs(nf_det33((const double(*)[3])rows)) : 0;
        ck_assert_double_eq_tol(cell.volume, volume, 1e-9);
    }
}
END_TEST

START_TEST(left_handed)
{
    const double rows[3][3] = {{0, 4, 0}, {5, 0, 0}, {0, 0, 6}};
    nf_cell cell;
    ck_assert_int_eq(make(&cell, rows, true, true, true), 0);
    ck_assert_double_eq_tol(cell.volume, 120, 1e-12);
    ck_assert_double_eq_tol(cell.height[0], 4, 1e-12);
    ck_assert_double_eq_tol(cell.height[1], 5, 1e-12);
}
END_TEST

START_TEST(heights)
{
    const double rows[3][3] = {{4, 0, 0}, {3, 3, 0}, {0, 0, 6}};
    nf_cell cell;
    ck_assert_int_eq(make(&cell, rows, true, true, true), 0);
    ck_assert_double_eq_tol(cell.height[0], 4 / sqrt(2), 1e-12);
    ck_assert_double_eq_tol(cell.height[1], 3, 1e-12);
    ck_assert_double_eq_tol(cell.height[2], 6, 1e-12);
}
END_TEST

static const double refused[][3][3] = {
    {{4, 0, 0}, {8, 0, 0}, {0, 0, 4}},    /* parallel */
    {{4, 0, 0}, {0, 4, 0}, {4, 4, 0}},    /* coplanar */
    {{4, 0, 0}, {0, 4, 0}, {4, 4, 1e-8}}, /* nearly */
    {{4, 0, 0}, {0, NAN, 0}, {0, 0, 4}},
    {{4, 0, 0}, {0, 4, 0}, {0, HUGE_VAL, 4}},
    {{1e-200, 0, 0}, {0, 1e-200, 0}, {0, 0, 1e-200}},
};

START_TEST(refusals)
{
    nf_cell cell;
    nf_error err = {0};
    ck_assert_int_eq(nf_cell_make(&cell, refused[_i], everywhere, &err), NF_EINVAL);
    ck_assert(strstr(err.msg, "cell") != NULL);
}
END_TEST

/* Two periodic vectors that are parallel; a third that is nonsense does not matter where it is not periodic. */
START_TEST(partly_periodic)
{
    const double rows[3][3] = {{4, 0, 0}, {8, 0, 0}, {4, 0, 0}};
    nf_cell cell;
    ck_assert_int_eq(make(&cell, rows, true, true, false), NF_EINVAL);
    ck_assert_int_eq(make(&cell, rows, true, false, false), 0);
    ck_assert_int_eq(make(&cell, rows, false, false, false), 0);
    check_inverse(&cell);
}
END_TEST

/* Nothing within the safe distance is refused, whatever the cell's shape. */
START_TEST(far_positions)
{
    static const double skewed[3][3] = {{0.5, 0, 0}, {7, 2, 0}, {-3, 5, 0.1}};
    double s[3];
    nf_cell cell;
    nf_error err;
    ck_assert_int_eq(make(&cell, skewed, _i & 1, _i & 2, _i & 4), 0);
    double safe = nf_cell_safe_distance(&cell);
    ck_assert_double_gt(safe, 1e3);
    for (int corner = 0; corner < 8; corner++) {
        double x[3] = {corner & 1 ? safe : -safe, corner & 2 ? safe : -safe, corner & 4 ? safe : -safe};
        ck_assert_int_eq(nf_cell_fractions(&cell, 0, x, s, &err), 0);
    }
    const double far[3] = {1e12, 1e12, 1e12}, none[3] = {0, NAN, 0};
    ck_assert_int_eq(nf_cell_fractions(&cell, 4, far, s, &err), NF_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "atom 5"));
    ck_assert_int_eq(nf_cell_fractions(&cell, 4, none, s, &err), NF_EINVAL);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("cell");
    TCase *t = tcase_create("unit");
    tcase_add_loop_test(t, completion, 0, 8);
    tcase_add_test(t, left_handed);
    tcase_add_test(t, heights);
    tcase_add_loop_test(t, refusals, 0, sizeof refused / sizeof *refused);
    tcase_add_test(t, partly_periodic);
    tcase_add_loop_test(t, far_positions, 0, 8);
    suite_add_tcase(s, t);
    return s;
}
