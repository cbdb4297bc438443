/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fuzz_species.c - any bytes, as a file and as a list, are either refused with a message or are elements.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/species.h"
#include "io/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int rc, int *species, size_t n, const nf_error *err)
{
    if (rc == 0 ? n == 0 : rc != err->code || err->msg[0] == '\0' || species != NULL)
        abort();
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (nf_element_symbol(species[i]) == NULL)
            abort();
    nf_free(species);
}

/* Gigabytes of atoms are allowed, but no use here. */
static int has_large_number(const uint8_t *data, size_t size)
{
    size_t digits = 0;
    for (size_t i = 0; i < size && digits < 5; i++)
        digits = nf_is_digit((char)data[i]) ? digits + 1 : 0;
    return digits == 5;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int *species;
    size_t n;
    nf_error err = {0};
    if (has_large_number(data, size))
        return 0;
    int rc = nf_species_parse_file(&species, &n, "input", data, size, &err);
    check(rc, species, n, &err);
    char *list = nf_calloc(size + 1, 1);
    if (list == NULL)
        return 0;
    if (size > 0)
        memcpy(list, data, size);
    rc = nf_species_parse_list(&species, &n, list, 0, &err);
    check(rc, species, n, &err);
    nf_free(list);
    return 0;
}
