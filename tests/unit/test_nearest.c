/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The known word that a mistyped one was meant to be.
 */
#include <string.h>

#include "server/nearest.h"
#include "suite.h"

static const char *const known[] = {"species", "extras", "batch_size", "links", "skin", "run", "wait"};

static const char *meant(const char *typed)
{
    nf_nearest search = {.typed = typed, .n = strlen(typed)};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        nf_nearest_try(&search, known[i]);
    return search.best == NULL ? "" : search.best;
}

START_TEST(one_letter_off)
{
    ck_assert_str_eq(meant("species"), "species");
    ck_assert_str_eq(meant("Species"), "species");
    ck_assert_str_eq(meant("specie"), "species");
    ck_assert_str_eq(meant("extra"), "extras");
    ck_assert_str_eq(meant("batchsize"), "batch_size");
    ck_assert_str_eq(meant("batch-size"), "batch_size");
    ck_assert_str_eq(meant("wiat"), "wait");
    ck_assert_str_eq(meant("spceies"), "species");
    ck_assert_str_eq(meant("rum"), "run");
    ck_assert_str_eq(meant("rnu"), "run");
    ck_assert_str_eq(meant("lins"), "links");
}
END_TEST

START_TEST(other_words)
{
    ck_assert_str_eq(meant(""), "");
    ck_assert_str_eq(meant("verbosity"), "");
    ck_assert_str_eq(meant("sp"), "");
    ck_assert_str_eq(meant("0123456789012345678901234567890123456789"), "");
}
END_TEST

START_TEST(long_known_words)
{
    nf_nearest search = {.typed = "x", .n = 1};
    nf_nearest_try(&search, "0123456789012345678901234567890123456789");
    ck_assert_ptr_null(search.best);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("nearest");
    TCase *t = tcase_create("all");
    tcase_add_test(t, one_letter_off);
    tcase_add_test(t, other_words);
    tcase_add_test(t, long_known_words);
    suite_add_tcase(s, t);
    return s;
}
