/* SPDX-License-Identifier: BSD-3-Clause
 *
 * extxyz_header.h - what the comment line says about a frame.
 */
#ifndef NF_IO_EXTXYZ_HEADER_H
#define NF_IO_EXTXYZ_HEADER_H

#include "io/extxyz_layout.h"

/** Reads the line into cell, pbc, references, info and columns of an empty s, and into the layout of the
 * atoms' lines. *plain: the line has no Properties. The line is changed and need not stay. `at` is for
 * messages. */
int nf_header_parse(nf_structure *s, nf_layout *layout, bool *plain, char *line, const nf_lines *at, nf_error *err);

#endif
