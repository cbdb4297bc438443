# SPDX-License-Identifier: BSD-3-Clause
"""CODATA 2018. On the wire are Bohr and Hartree, everywhere else Angstrom and eV."""

BOHR = 0.529177210903  # Angstrom
HARTREE = 27.211386245988  # eV
