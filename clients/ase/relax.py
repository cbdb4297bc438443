#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""relax.py STRUCTURE - moves atoms, and with --cell the cell too, to where forces and stress vanish.

Reads what ASE reads; writes extended XYZ with energy, forces and stress.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import ase.io
import ase.optimize
import numpy as np
from ase import Atoms, units
from ase.filters import FrechetCellFilter

from launch import nearfar

# The logarithm of a strain near 1 is exact to 1e-13 and says so at every step.
warnings.filterwarnings("ignore", message="logm result may be inaccurate")


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("structure", type=Path)
    p.add_argument("-m", "--model", type=Path, default=Path("/usr/share/cp2k/NNP/bulkH2O-jcp2020-cnnp"))
    p.add_argument("-o", "--out", type=Path, default=Path("relaxed.xyz"))
    p.add_argument("--cell", action="store_true", help="relax the cell too")
    p.add_argument("--pressure", type=float, default=0.0, help="GPa, with --cell")
    p.add_argument("--fmax", type=float, default=0.02, help="largest force, eV/A")
    p.add_argument("--steps", type=int, default=2000)
    p.add_argument("--optimizer", choices=("LBFGS", "BFGS", "FIRE"), default="LBFGS")
    return p.parse_args()


def relax(atoms: Atoms, a: argparse.Namespace) -> bool:
    """Whether it converged."""
    what = FrechetCellFilter(atoms, scalar_pressure=a.pressure * units.GPa) if a.cell else atoms
    optimizer = getattr(ase.optimize, a.optimizer)(what)
    return bool(optimizer.run(fmax=a.fmax, steps=a.steps))


def main() -> int:
    a = arguments()
    atoms = ase.io.read(a.structure)
    with nearfar(atoms, a.model) as calc:
        atoms.calc = calc
        converged = relax(atoms, a)
        ase.io.write(a.out, atoms, format="extxyz")
        print(f"energy {atoms.get_potential_energy():.6f} eV, largest force "
              f"{np.linalg.norm(atoms.get_forces(), axis=1).max():.4f} eV/A")
        if atoms.cell.rank == 3:
            print(f"volume {atoms.get_volume():.3f} A^3, largest stress "
                  f"{np.abs(atoms.get_stress()).max() / units.GPa:.4f} GPa")
        print(a.out)
    return 0 if converged else 1


if __name__ == "__main__":
    raise SystemExit(main())
