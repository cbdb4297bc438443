/* SPDX-License-Identifier: BSD-3-Clause
 *
 * examples.h - command lines to begin with, as a table.
 */
#ifndef NF_CLI_EXAMPLES_H
#define NF_CLI_EXAMPLES_H

/** The section EXAMPLES of a command's help, on the standard output; "" is the program itself. Nothing where there are
 *  none. */
void examples_print(const char *command);

#endif
