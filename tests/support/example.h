/* SPDX-License-Identifier: BSD-3-Clause
 *
 * example.h - models made of the examples that the classes of the registries give: what no file format of ours has.
 */
#ifndef NF_TEST_EXAMPLE_H
#define NF_TEST_EXAMPLE_H

#include "near/descriptor.h"
#include "nearfar/nearfar.h"

/** Elements of these models: H, C, O. */
enum { EXAMPLE_NELEMENTS = 3 };
extern const int example_elements[EXAMPLE_NELEMENTS];

/** The descriptor's example under networks whose inputs are shifted and scaled to a few tenths in random structures.
 *  Fails the test if it cannot be made. */
nf_model *example_model(const nf_descriptor_class *class, unsigned seed);

#endif
