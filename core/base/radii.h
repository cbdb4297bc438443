/* SPDX-License-Identifier: BSD-3-Clause
 *
 * radii.h - covalent radii. Source: Cordero et al., Dalton Trans. 2832 (2008), doi:10.1039/b801115j.
 */
#ifndef NF_BASE_RADII_H
#define NF_BASE_RADII_H

/** Angstrom; 0 for noble gases and beyond curium, where a bond length says nothing. */
double nf_covalent_radius(int atomic_number);

#endif
