# SPDX-License-Identifier: BSD-3-Clause
"""ASE's SocketIOCalculator against `nearfar eval` on the same structures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.socketio import SocketIOCalculator
from ase.md.verlet import VelocityVerlet

from programs import Program, free_port, nearfar_path, unique_name

HARTREE = 27.211386245988  # CODATA 2018; ASE's own are of 2014
TO_EVAL = HARTREE / units.Hartree  # what ASE calls an eV

Call = Callable[..., "CompletedProcess[str]"]


@contextmanager
def served(atoms: Atoms, models: list[Path], where: Path, mode: str) -> Iterator[Program]:
    """atoms.calc is a socket with nearfar at its other end."""
    ase.io.write(where / "order.xyz", atoms, format="extxyz")
    place = {"unixsocket": unique_name()} if mode == "unix" else {"port": free_port()}
    address = f"unix:{place['unixsocket']}" if mode == "unix" else f"tcp:127.0.0.1:{place['port']}"
    with SocketIOCalculator(timeout=60, **place) as calc:
        with Program("nearfar", [nearfar_path(), "run", *models, address, "--species", "order.xyz"], where) as nearfar:
            atoms.calc = calc
            yield nearfar
            calc.close()
            assert nearfar.wait(20) == 0, nearfar.story()


def evaluated(call: Call, models: list[Path], atoms: Atoms, where: Path) -> Atoms:
    """What `nearfar eval` says; 17 digits of the positions, so that both see the same structure."""
    bare = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    with open(where / "in.xyz", "w") as f:
        lattice = " ".join(f"{x:.17g}" for x in bare.cell.array.ravel())
        pbc = " ".join("T" if p else "F" for p in bare.pbc)
        head = f'Lattice="{lattice}" ' if bare.pbc.any() else ""
        f.write(f'{len(bare)}\n{head}Properties=species:S:1:pos:R:3 pbc="{pbc}"\n')
        for symbol, x in zip(bare.symbols, bare.positions):
            f.write(f"{symbol} {x[0]:.17g} {x[1]:.17g} {x[2]:.17g}\n")
    done = call("eval", *models, "in.xyz", "-o", "out.xyz")
    assert done.returncode == 0, done.stderr
    return ase.io.read(where / "out.xyz")


def triclinic(atoms: Atoms) -> Atoms:
    """A strained copy with all nine cell numbers in use."""
    strain = np.eye(3) + [[0.02, 0.01, -0.03], [0.04, -0.01, 0.02], [0.01, -0.02, 0.0]]
    other = atoms.copy()
    other.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return other


@pytest.mark.parametrize("mode", ["unix", "tcp"])
@pytest.mark.parametrize("cell", ["cubic", "triclinic"])
def test_same_as_eval(call: Call, committee: list[Path], water16: Path, tmp_path: Path, mode: str, cell: str) -> None:
    atoms = ase.io.read(water16)
    atoms = triclinic(atoms) if cell == "triclinic" else atoms
    expected = evaluated(call, committee, atoms, tmp_path)
    with served(atoms, committee, tmp_path, mode):
        assert atoms.get_potential_energy() * TO_EVAL == pytest.approx(expected.get_potential_energy(), rel=1e-11)
        np.testing.assert_allclose(atoms.get_forces(), expected.get_forces(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(atoms.get_stress(), expected.get_stress(), rtol=0, atol=1e-8)


def test_stress_is_the_derivative(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """Sign and volume, against differences of energies of strained cells."""
    atoms = triclinic(ase.io.read(water16))
    cell, step, slopes = atoms.cell.array.copy(), 1e-4, []
    with served(atoms, committee, tmp_path, "unix"):
        stress = atoms.get_stress(voigt=False)
        for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
            energies = []
            for sign in (1, -1):
                strain = np.eye(3)
                strain[i, j] += sign * step / 2
                strain[j, i] += sign * step / 2
                atoms.set_cell(cell @ strain, scale_atoms=True)
                energies.append(atoms.get_potential_energy())
                atoms.set_cell(cell, scale_atoms=True)
            slopes.append((energies[0] - energies[1]) / (2 * step) / atoms.get_volume() - stress[i, j])
    assert np.abs(slopes).max() < 1e-6


def test_molecule_without_cell(call: Call, committee: list[Path], tmp_path: Path) -> None:
    atoms = Atoms("OHHOHH", positions=[[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0],
                                       [0, -2.8, 0.1], [0.76, -3.3, 0.2], [0.05, -1.85, 0]])
    expected = evaluated(call, committee, atoms, tmp_path)
    with served(atoms, committee, tmp_path, "unix"):
        assert atoms.get_potential_energy() * TO_EVAL == pytest.approx(expected.get_potential_energy(), rel=1e-11)
        np.testing.assert_allclose(atoms.get_forces(), expected.get_forces(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("mode", ["unix", "tcp"])
def test_dynamics(committee: list[Path], water16: Path, tmp_path: Path, mode: str) -> None:
    atoms = ase.io.read(water16)
    atoms.set_velocities(np.random.default_rng(5).normal(scale=0.005, size=(len(atoms), 3)))
    with served(atoms, committee, tmp_path, mode):
        start = atoms.get_total_energy()
        VelocityVerlet(atoms, timestep=0.25 * units.fs).run(20)
        assert atoms.get_total_energy() == pytest.approx(start, abs=0.02)
