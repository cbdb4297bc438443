/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Numbers in text: the short way to a double must give what strtod gives, bit by bit.
 */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "io/number.h"
#include "suite.h"

static double random_double(nf_rng *rng)
{
    double x;
    do {
        uint64_t bits = nf_rng_next(rng);
        memcpy(&x, &bits, sizeof x);
    } while (!isfinite(x));
    return x;
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void assert_as_strtod(const char *text)
{
    double x = NAN;
    const char *end = nf_number_parse(text, &x);
    char *want_end;
    double want = strtod(text, &want_end);
    if (!isfinite(want) ? end != NULL : end != want_end || !same_bits(x, want))
        ck_abort_msg("%s: %.17g is not %.17g", text, x, want);
}

START_TEST(as_strtod)
{
    static const char *const text[] = {
        "0",
        "-0",
        "+0.0",
        "1",
        ".5",
        "5.",
        "-1.5e+3x",
        "1e",
        "1e+",
        "1E5",
        "1e-5 ",
        "9007199254740992",
        "9007199254740993",
        "9007199254740993e1",
        "123456789012345678901234567890",
        "0.1e-22",
        "1e22",
        "1e23",
        "1.7976931348623157e308",
        "4.9e-324",
        "1e-400",
        "0e999999999999",
        "0.00000000000000000000000000001",
        "00000000000000000000000000001.5",
        "1.00000000000000000000000000000e-5",
        "7.8591816335298936e-67",
        "0.000000000000000000000000000000000000000000000001e48",
    };
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        assert_as_strtod(text[i]);
}
END_TEST

START_TEST(random_text_as_strtod)
{
    nf_rng rng = {20240607};
    char text[400];
    for (int i = 0; i < 200000; i++) {
        int digits = 1 + (int)(nf_rng_next(&rng) % 20);
        double small = nf_rng_between(&rng, -1000.0, 1000.0);
        snprintf(text, sizeof text, "%.*g", digits, random_double(&rng));
        assert_as_strtod(text);
        snprintf(text, sizeof text, "%.*f", digits, small);
        assert_as_strtod(text);
    }
}
END_TEST

START_TEST(no_numbers)
{
    static const char *const text[] = {"",          "-",  ".",     "-.",     "e5", "nan", "inf",
                                       "-Infinity", "x1", "1e309", "-1e999", " 1", "--1"};
    double x;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        ck_assert_msg(nf_number_parse(text[i], &x) == NULL, "%s", text[i]);
}
END_TEST

START_TEST(hexadecimal_ends_early)
{
    double x;
    const char *text = "0x1p3";
    ck_assert_ptr_eq(nf_number_parse(text, &x), text + 1);
}
END_TEST

static void assert_round_trip(double x)
{
    char text[NF_NUMBER_TEXT];
    double back;
    size_t n = nf_number_format(text, x);
    if (n != strlen(text) || nf_number_parse(text, &back) == NULL || !same_bits(back, x))
        ck_abort_msg("%a does not survive %s", x, text);
}

START_TEST(written_numbers_read_back)
{
    nf_rng rng = {7};
    static const double edge[] = {0.0, -0.0, DBL_MAX, -DBL_MAX, DBL_MIN, DBL_TRUE_MIN, 0.1, 1.0 / 3.0, 1e22, 1e23};
    for (size_t i = 0; i < sizeof edge / sizeof *edge; i++)
        assert_round_trip(edge[i]);
    for (int i = 0; i < 200000; i++) {
        assert_round_trip(random_double(&rng));
        assert_round_trip(nf_rng_normal(&rng));
    }
}
END_TEST

START_TEST(written_numbers_are_short)
{
    static const struct {
        double x;
        const char *text;
    } row[] = {{0.1, "0.1"},
               {-0.0, "-0"},
               {3, "3"},
               {1.0 / 3.0, "0.3333333333333333"},
               {0.1 + 0.2, "0.30000000000000004"},
               {1e100, "1e+100"},
               {NAN, "nan"},
               {-INFINITY, "-inf"}};
    char text[NF_NUMBER_TEXT];
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        nf_number_format(text, row[i].x);
        ck_assert_str_eq(text, row[i].text);
    }
}
END_TEST

Suite *suite(void)
{
    Suite *all = suite_create("number");
    TCase *t = tcase_create("numbers");
    tcase_add_test(t, as_strtod);
    tcase_add_test(t, random_text_as_strtod);
    tcase_add_test(t, no_numbers);
    tcase_add_test(t, hexadecimal_ends_early);
    tcase_add_test(t, written_numbers_read_back);
    tcase_add_test(t, written_numbers_are_short);
    tcase_set_timeout(t, 60);
    suite_add_tcase(all, t);
    return all;
}
