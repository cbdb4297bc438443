/* SPDX-License-Identifier: BSD-3-Clause
 *
 * status_text.h - the snapshot of a server for people.
 */
#ifndef NF_CLI_STATUS_TEXT_H
#define NF_CLI_STATUS_TEXT_H

#include <jansson.h>
#include <stdio.h>

/** All of it. */
void status_print(FILE *to, const json_t *snapshot);
/** One line, for a list of servers. */
void status_print_line(FILE *to, const char *path, const json_t *snapshot);

#endif
