/* SPDX-License-Identifier: BSD-3-Clause
 *
 * number.h - decimal numbers in text files, with the same bits on the way in and out.
 */
#ifndef NF_IO_NUMBER_H
#define NF_IO_NUMBER_H

#include <stddef.h>

enum { NF_NUMBER_TEXT = 32 };

/** Reads a finite decimal number (no hexadecimal, no nan) at text, correctly rounded. Returns the first
 * character behind it, NULL if there is none. */
const char *nf_number_parse(const char *text, double *value);

/** The shortest of 15, 16 or 17 digits that reads back to the same bits. Returns the length. */
size_t nf_number_format(char out[NF_NUMBER_TEXT], double value);

#endif
