/* SPDX-License-Identifier: BSD-3-Clause
 *
 * shared.c - libnearfar.so is the objects of core with only nearfar.h visible; a shared library wants a source.
 */
#include "nearfar/nearfar.h"

typedef int nf_shared_library_has_no_code_of_its_own;
