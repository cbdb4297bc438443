/* SPDX-License-Identifier: BSD-3-Clause
 *
 * k_table.c - the table of the instruction set being compiled.
 */
#include "kern/kernels.h"

#define NAME_(x)    #x
#define NAME(x)     NAME_(x)
#define TABLE_(isa) nf_kern_##isa
#define TABLE(isa)  TABLE_(isa)

extern const nf_kern TABLE(NF_ISA);
const nf_kern TABLE(NF_ISA) = {
    .name = NAME(NF_ISA),
    .radial = KERN(radial),
    .sum = KERN(sum),
    .dot = KERN(dot),
    .axpy = KERN(axpy),
    .scale = KERN(scale),
    .outside = KERN(outside),
    .take = KERN(take),
    .angular = KERN(angular),
    .angular_vjp = KERN(angular_vjp),
    .angular_jvp = KERN(angular_jvp),
    .dense = KERN(dense),
    .dense_back = KERN(dense_back),
    .activate = KERN(activate),
};
