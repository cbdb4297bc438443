/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/symbols.h"

#include "nearfar/nearfar.h"

static unsigned letter(char c)
{
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a' + 1);
    return c >= 'A' && c <= 'Z' ? (unsigned)(c - 'A' + 1) : 0;
}

void nf_symbols_init(nf_symbols *table)
{
    const char *symbol;
    *table = (nf_symbols){0};
    for (int z = 1; (symbol = nf_element_symbol(z)) != NULL; z++)
        table->number[letter(symbol[0])][letter(symbol[1])] = (unsigned char)z;
}

int nf_symbols_find(const nf_symbols *table, const char *text, size_t n)
{
    if (n == 1)
        return table->number[letter(text[0])][0];
    return n == 2 && letter(text[1]) != 0 ? table->number[letter(text[0])][letter(text[1])] : 0;
}
