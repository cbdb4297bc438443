# SPDX-License-Identifier: BSD-3-Clause
"""ASE's SocketIOCalculator against `nearfar eval` on the same structures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import TextIO

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.calculators.socketio import SocketIOCalculator
from ase.md.verlet import VelocityVerlet

from programs import Program, free_port, nearfar_path, unique_name

HARTREE, BOHR = 27.211386245988, 0.529177210903  # CODATA 2018; ASE's own are of 2014
TO_EVAL = HARTREE / units.Hartree  # what ASE calls an eV
LONGER = BOHR / units.Bohr  # what ASE calls an Angstrom

Call = Callable[..., "CompletedProcess[str]"]


@contextmanager
def served(atoms: Atoms, models: list[Path], where: Path, mode: str, *options: str) -> Iterator[Program]:
    """atoms.calc is a socket with nearfar at its other end."""
    ase.io.write(where / "order.xyz", atoms, format="extxyz")
    place = {"unixsocket": unique_name()} if mode == "unix" else {"port": free_port()}
    address = f"unix:{place['unixsocket']}" if mode == "unix" else f"tcp:127.0.0.1:{place['port']}"
    command = [nearfar_path(), "run", *models, address, "--species", "order.xyz", *options]
    with SocketIOCalculator(timeout=60, **place) as calc:
        with Program("nearfar", command, where) as nearfar:
            atoms.calc = calc
            yield nearfar
            calc.close()
            assert nearfar.wait(20) == 0, nearfar.story()


def write_frame(f: TextIO, atoms: Atoms, scale: float) -> None:
    """Extended XYZ with 17 digits, so that nearfar reads the bits that are here."""
    lattice = " ".join(f"{x:.17g}" for x in (atoms.cell.array * scale).ravel())
    pbc = " ".join("T" if p else "F" for p in atoms.pbc)
    head = f'Lattice="{lattice}" ' if atoms.cell.rank else ""
    f.write(f'{len(atoms)}\n{head}Properties=species:S:1:pos:R:3 pbc="{pbc}"\n')
    for symbol, x in zip(atoms.symbols, atoms.positions * scale):
        f.write(f"{symbol} {x[0]:.17g} {x[1]:.17g} {x[2]:.17g}\n")


def evaluated(call: Call, models: list[Path], frames: list[Atoms], where: Path) -> list[Atoms]:
    """What `nearfar eval` says of the structures as they arrive over the socket: ASE's Bohr is an older one."""
    with open(where / "in.xyz", "w") as f:
        for atoms in frames:
            write_frame(f, atoms, LONGER)
    done = call("eval", *models, "in.xyz", "-o", "out.xyz")
    assert done.returncode == 0, done.stderr
    return list(ase.io.read(where / "out.xyz", index=":"))


def same(atoms: Atoms, expected: Atoms) -> None:
    """Energy, forces and, with three cell vectors, the stress, in nearfar's units."""
    assert atoms.get_potential_energy() * TO_EVAL == pytest.approx(expected.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(atoms.get_forces() * TO_EVAL / LONGER, expected.get_forces(), rtol=0, atol=1e-8)
    if atoms.cell.rank < 3:
        with pytest.raises(PropertyNotImplementedError):
            atoms.get_stress()
    elif all(atoms.pbc):
        stress = atoms.get_stress() * TO_EVAL / LONGER ** 3
        np.testing.assert_allclose(stress, expected.get_stress(), rtol=0, atol=1e-9)


def triclinic(atoms: Atoms) -> Atoms:
    """A strained copy with all nine cell numbers in use."""
    strain = np.eye(3) + [[0.02, 0.01, -0.03], [0.04, -0.01, 0.02], [0.01, -0.02, 0.0]]
    other = atoms.copy()
    other.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return other


def slab(atoms: Atoms) -> Atoms:
    """Whole molecules between two surfaces, half an Angstrom of empty cell on either side: far less than the cutoff."""
    bonds = atoms.get_all_distances(mic=True, vector=True)
    layer = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=(True, True, False))
    for oxygen in range(0, len(atoms), 3):
        for hydrogen in (oxygen + 1, oxygen + 2):
            layer.positions[hydrogen] = layer.positions[oxygen] + bonds[oxygen, hydrogen]
    layer.center(vacuum=0.5, axis=2)
    return layer


def without_vectors(atoms: Atoms, which: list[int]) -> Atoms:
    """A copy with cell vectors of zero, which are not periodic."""
    other = atoms.copy()
    cell = atoms.cell.array.copy()
    cell[which] = 0
    other.set_cell(cell)
    other.pbc = [i not in which for i in range(3)]
    return other


def left_handed(atoms: Atoms) -> Atoms:
    other = atoms.copy()
    other.set_cell(atoms.cell.array[[1, 0, 2]])
    return other


def dimer() -> Atoms:
    return Atoms("OHHOHH", positions=[[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0],
                                      [0, -2.8, 0.1], [0.76, -3.3, 0.2], [0.05, -1.85, 0]])


STRUCTURES: dict[str, tuple[Callable[[Atoms], Atoms], list[str]]] = {
    "cubic": (lambda water: water, []),
    "triclinic": (triclinic, []),
    "left-handed": (lambda water: left_handed(triclinic(water)), []),
    "slab": (slab, ["--pbc", "TTF"]),
    "slab-two-vectors": (lambda water: without_vectors(slab(water), [2]), []),
    "rod": (lambda water: without_vectors(slab(water), [1, 2]), []),
    "molecule": (lambda water: dimer(), []),
}


@pytest.mark.parametrize("mode", ["unix", "tcp"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_same_as_eval(call: Call, committee: list[Path], water16: Path, tmp_path: Path, mode: str, name: str) -> None:
    """Two frames each: the second one meets the neighbour list of the first."""
    make, options = STRUCTURES[name]
    atoms = make(ase.io.read(water16))
    moved = atoms.copy()
    moved.rattle(0.02, seed=4)
    expected = evaluated(call, committee, [atoms, moved], tmp_path)
    with served(atoms, committee, tmp_path, mode, *options):
        same(atoms, expected[0])
        atoms.set_positions(moved.positions)
        same(atoms, expected[1])


def test_a_slab_is_periodic_unless_told(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """The protocol does not carry atoms.pbc; a third vector longer than molecules and cutoff makes it unimportant."""
    energies = {}
    for name, vacuum, options in (("told", 0.5, ["--pbc", "TTF"]), ("untold", 0.5, []), ("vacuum", 8.0, [])):
        atoms = slab(ase.io.read(water16))
        atoms.center(vacuum=vacuum, axis=2)
        with served(atoms, committee, tmp_path, "unix", *options):
            energies[name] = atoms.get_potential_energy()
    assert energies["vacuum"] == pytest.approx(energies["told"], abs=1e-9)
    assert abs(energies["untold"] - energies["told"]) > 0.01


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


def test_no_net_force_on_a_molecule(committee: list[Path], tmp_path: Path) -> None:
    atoms = dimer()
    with served(atoms, committee, tmp_path, "unix"):
        np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("mode", ["unix", "tcp"])
def test_frames_of_dynamics_same_as_eval(call: Call, committee: list[Path], water16: Path, tmp_path: Path,
                                         mode: str) -> None:
    """Lists that have aged give what lists made for the frame give."""
    atoms = ase.io.read(water16)
    atoms.set_velocities(np.random.default_rng(5).normal(scale=0.005, size=(len(atoms), 3)))
    with served(atoms, committee, tmp_path, mode):
        frames = []
        for _ in VelocityVerlet(atoms, timestep=0.5 * units.fs).irun(20):
            frames.append(atoms.copy())
            frames[-1].calc = SinglePointCalculator(atoms, energy=atoms.get_potential_energy(),
                                                    forces=atoms.get_forces(), stress=atoms.get_stress())
    for frame, expected in zip(frames, evaluated(call, committee, frames, tmp_path), strict=True):
        same(frame, expected)
