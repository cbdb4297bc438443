/* SPDX-License-Identifier: BSD-3-Clause
 *
 * suite.h - every test program defines suite(); main.c runs it.
 */
#ifndef NF_TEST_SUITE_H
#define NF_TEST_SUITE_H

#include <check.h>

Suite *suite(void);

/** Path of `name` in the shared reference data; NULL (after saying so once) where there is none, as in a user's clone:
 *  the test returns early then. The result lives until the next call. */
const char *shared_path(const char *name);

#endif
