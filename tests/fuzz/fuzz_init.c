/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fuzz_init.c - any text of INIT is either refused with a printable sentence, or gives options within their limits.
 * The driver is on another machine: a fuzzer has no business with names of files.
 */
#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/words.h"
#include "server/extras.h"
#include "server/link_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text)
{
    for (; *text != '\0'; text++)
        assert(*text >= ' ' && *text <= '~');
}

static void on_unknown(void *ctx, const char *key, const char *meant)
{
    int *n = ctx;
    (*n)++;
    check_printable(key);
    assert(meant == NULL || meant[0] != '\0');
}

/* Gigabytes of atoms are allowed to be asked for, but no use here. */
static int has_large_number(const char *text)
{
    size_t digits = 0;
    for (; *text != '\0' && digits < 5; text++)
        digits = nf_is_digit(*text) ? digits + 1 : 0;
    return digits == 5;
}

static void check_options(const nf_link_options *o, const nf_link_options *defaults)
{
    assert(o->owners == 1 && o->batch >= 1 && o->batch <= NF_LINK_BATCH_MOST);
    assert(nf_extras_name(o->extras) != NULL && o->charge == 0);
    assert(o->natoms > 0 && o->natoms <= NF_LINK_ATOMS_MOST);
    assert(o->own != NULL ? o->species == o->own : o->species == defaults->species && o->natoms == defaults->natoms);
    for (size_t i = 0; i < o->natoms; i++)
        assert(nf_element_symbol(o->species[i]) != NULL);
}

static void read_text(const char *text)
{
    static const int species[2] = {8, 1};
    static const nf_place_options place = {.natoms = 2, .species = species, .extras = NF_EXTRAS_SUMMARY};
    int nunknown = 0;
    nf_link_origin origin = {.unknown = on_unknown, .ctx = &nunknown};
    nf_link_options *defaults, *o;
    nf_error err = {0};
    if (nf_link_options_new(&defaults, &place, NULL, NULL) != 0)
        return;
    int rc = nf_link_options_read(&o, defaults, text, &origin, &err);
    if (rc == 0) {
        check_options(o, defaults);
    } else {
        assert(o == NULL && err.code == rc && err.msg[0] != '\0');
        check_printable(err.msg);
    }
    nf_link_options_free(o);
    assert(defaults->owners == 1);
    nf_link_options_free(defaults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = nf_calloc(size + 1, 1);
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    if (!has_large_number(text))
        read_text(text);
    nf_free(text);
    return 0;
}
