/* SPDX-License-Identifier: BSD-3-Clause
 *
 * symbols.h - element symbols of many atoms: one table look-up each instead of a search.
 */
#ifndef NF_IO_SYMBOLS_H
#define NF_IO_SYMBOLS_H

#include <stddef.h>

typedef struct {
    unsigned char number[27][27]; /* by first letter and second, 1 to 26; 0 is no letter, or no element */
} nf_symbols;

void nf_symbols_init(nf_symbols *table);
/** Atomic number of the n letters at text, upper or lower case; 0 if they are no symbol. */
int nf_symbols_find(const nf_symbols *table, const char *text, size_t n);

#endif
