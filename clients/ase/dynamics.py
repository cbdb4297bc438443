#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""dynamics.py STRUCTURE nve|nvt|npt - molecular dynamics with ASE.

nvt is Langevin's equation, npt the equations of Martyna, Tobias and Klein with a cell that keeps its shape. Every
--stride steps a line: time, temperature, potential energy, pressure, volume and, but for nvt, what should not change.
The frames go to --out, extended XYZ.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.velocitydistribution import thermalize_momenta, Stationary
from ase.md.verlet import VelocityVerlet

from launch import nearfar


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("structure", type=Path)
    p.add_argument("ensemble", choices=("nve", "nvt", "npt"))
    p.add_argument("-m", "--model", type=Path, default=Path("/usr/share/cp2k/NNP/bulkH2O-jcp2020-cnnp"))
    p.add_argument("-o", "--out", type=Path, default=Path("dynamics.xyz"))
    p.add_argument("--steps", type=int, default=1000)
    p.add_argument("--stride", type=int, default=10)
    p.add_argument("--timestep", type=float, default=0.5, help="fs")
    p.add_argument("--temperature", type=float, default=300.0, help="K")
    p.add_argument("--pressure", type=float, default=0.0, help="GPa")
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args()


def integrator(atoms: Atoms, a: argparse.Namespace) -> MolecularDynamics:
    dt = a.timestep * units.fs
    if a.ensemble == "nve":
        return VelocityVerlet(atoms, dt)
    if a.ensemble == "nvt":
        return Langevin(atoms, dt, temperature_K=a.temperature, friction=0.01 / units.fs,
                        rng=np.random.default_rng(a.seed), fixcm=False)
    return IsotropicMTKNPT(atoms, dt, temperature_K=a.temperature, pressure_au=a.pressure * units.GPa,
                           tdamp=100 * dt, pdamp=1000 * dt)


def conserved(atoms: Atoms, md: MolecularDynamics) -> float:
    """Of nve and npt, eV; not a number for nvt."""
    if isinstance(md, IsotropicMTKNPT):
        return float(md.get_conserved_energy())
    return float("nan") if isinstance(md, Langevin) else float(atoms.get_total_energy())


def line(atoms: Atoms, md: MolecularDynamics) -> str:
    periodic = atoms.cell.rank == 3 and atoms.pbc.all()
    pressure = -atoms.get_stress(include_ideal_gas=True)[:3].mean() / units.GPa if periodic else 0.0
    volume = atoms.get_volume() if periodic else 0.0
    return (f"{md.get_time() / units.fs:10.2f} {atoms.get_temperature():8.2f} {atoms.get_potential_energy():16.6f} "
            f"{pressure:9.4f} {volume:10.3f} {conserved(atoms, md):16.6f}")


def main() -> None:
    a = arguments()
    atoms = ase.io.read(a.structure)
    thermalize_momenta(atoms, temperature_K=a.temperature, rng=np.random.default_rng(a.seed))
    Stationary(atoms)
    with nearfar(atoms, a.model) as calc, open(a.out, "w") as frames:
        atoms.calc = calc
        md = integrator(atoms, a)
        print(f"#{'t/fs':>9} {'T/K':>8} {'potential/eV':>16} {'p/GPa':>9} {'V/A^3':>10} {'conserved/eV':>16}")
        for _ in md.irun(a.steps):
            if md.nsteps % a.stride == 0:
                print(line(atoms, md), flush=True)
                ase.io.write(frames, atoms, format="extxyz")


if __name__ == "__main__":
    main()
