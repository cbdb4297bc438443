/* SPDX-License-Identifier: BSD-3-Clause
 *
 * units.h - CODATA 2018 (Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021)).
 */
#ifndef NF_BASE_UNITS_H
#define NF_BASE_UNITS_H

#define NF_BOHR    0.529177210903  /* Angstrom */
#define NF_HARTREE 27.211386245988 /* eV */

#endif
