/* SPDX-License-Identifier: BSD-3-Clause
 *
 * extxyz_layout.h - `Properties=` of extended XYZ: what each word on an atom's line means.
 */
#ifndef NF_IO_EXTXYZ_LAYOUT_H
#define NF_IO_EXTXYZ_LAYOUT_H

#include "io/lines.h"
#include "io/structure.h"

enum nf_slot_kind { NF_SLOT_TEXT, NF_SLOT_SPECIES, NF_SLOT_NUMBER, NF_SLOT_POS, NF_SLOT_FORCES };

typedef struct {
    unsigned kind;
    unsigned component; /* of a vector; of the structure's tokens of an atom */
} nf_slot;

typedef struct {
    size_t nslots, capacity; /* words on a line */
    nf_slot *slot;
} nf_layout;

/** Properties of a file that has none. */
#define NF_LAYOUT_PLAIN "species:S:1:pos:R:3"

/** Sets the layout, has_forces, and the columns of s that are kept as text; their names point into
 * `properties`, which is changed. `at` is for messages. */
int nf_layout_parse(nf_layout *layout, nf_structure *s, char *properties, const nf_lines *at, nf_error *err);

#endif
