# SPDX-License-Identifier: BSD-3-Clause
"""i-PI gets the same numbers, to the last bit, however it talks to nearfar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ipi import Result, Simulation

WAYS = {
    "tcp": {"mode": "inet"},
    "unix-classic": {"consolidate": False},
    "tcp-classic": {"mode": "inet", "consolidate": False},
    "one-thread": {"options": ["--threads", "1"]},
    "no-skin": {"options": ["--skin", "0"]},
}
BEADS_WAYS = {
    "links-1": {"options": ["--links", "1"]},
    "links-2": {"options": ["--links", "2"]},
    "links-8": {"options": ["--links", "8"]},
    "batch-4": {"batch_size": 4},
    "batch-8": {"batch_size": 8},
    "batch-8-tcp": {"batch_size": 8, "mode": "inet"},
    "batch-2-links-4": {"batch_size": 2, "options": ["--links", "4"]},
    "batch-8-links-8": {"batch_size": 8, "options": ["--links", "8"]},
}


@pytest.fixture(scope="module")
def classical(potential: list[Path], water16: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Simulation, Result]:
    """1 bead over a unix socket, consolidated."""
    simulation = Simulation(water16, models=potential)
    return simulation, simulation.run(tmp_path_factory.mktemp("classical"))


@pytest.fixture(scope="module")
def quantum(potential: list[Path], water16: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Simulation, Result]:
    """8 beads over as many links as i-PI uses."""
    simulation = Simulation(water16, models=potential, beads=8, ensemble="nvt")
    return simulation, simulation.run(tmp_path_factory.mktemp("quantum"))


def same_trajectory(reference: tuple[Simulation, Result], way: dict[str, object], where: Path) -> None:
    simulation, expected = reference
    printed = replace(simulation, **way).run(where).printed()
    assert len(printed) >= 3
    for name, text in expected.printed().items():
        assert printed[name] == text, f"{name} differs"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_classical_trajectory(classical: tuple[Simulation, Result], way: dict[str, object], tmp_path: Path) -> None:
    same_trajectory(classical, way, tmp_path)


@pytest.mark.parametrize("way", (WAYS | BEADS_WAYS).values(), ids=(WAYS | BEADS_WAYS).keys())
def test_quantum_trajectory(quantum: tuple[Simulation, Result], way: dict[str, object], tmp_path: Path) -> None:
    same_trajectory(quantum, way, tmp_path)


def test_triclinic_cell(potential: list[Path], water16: Path, tmp_path: Path) -> None:
    """The same liquid in another cell of its lattice: same energy, same pressure."""
    import ase.io

    atoms = ase.io.read(water16)
    sheared = atoms.copy()
    sheared.set_cell(atoms.cell.array + [[0, 0, 0], [atoms.cell[0, 0], 0, 0], [0, atoms.cell[1, 1], 0]])
    sheared.write(tmp_path / "sheared.xyz", format="extxyz")
    cubic, other = (Simulation(path, steps=1, models=potential).run(tmp_path / path.stem)
                    for path in (water16, tmp_path / "sheared.xyz"))
    assert other.out[0, 4] == pytest.approx(cubic.out[0, 4], abs=1e-9)


def drift(result: Result, natoms: int) -> float:
    """eV per atom and picosecond."""
    return float(np.polyfit(result.time, result.conserved, 1)[0]) / natoms


def test_energy_conservation_64(committee: list[Path], water64: Path, tmp_path: Path) -> None:
    """Wrong forces walk: 75 fs from a start that is hot for this potential."""
    result = Simulation(water64, steps=300, models=committee).run(tmp_path, seconds=300)
    conserved, potential = result.conserved[20:], result.out[20:, 4]
    assert conserved.std() < 0.01 * potential.std()
    assert abs(drift(result, 192)) < 1e-3


def test_energy_conservation_16(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """Images of an atom inside its cutoff, 0.25 ps."""
    result = Simulation(water16, steps=1000, models=committee).run(tmp_path, seconds=300)
    conserved, potential = result.conserved[20:], result.out[20:, 4]
    assert conserved.std() < 0.01 * potential.std()
    assert abs(drift(result, 48)) < 2e-4


def test_summary_extras(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """Spread of the committee and count of extrapolated values, one line a bead, without being asked for."""
    outputs = "<trajectory filename='spread' extra_type='energy_std,extrapolated'> extras </trajectory>"
    Simulation(water16, steps=5, beads=2, models=committee, outputs=outputs).run(tmp_path)
    for bead in range(2):
        values = np.loadtxt(tmp_path / f"run.spread_{bead}")
        assert values.shape == (6, 2)
        assert np.all(values[:, 0] > 0) and np.all(values[:, 0] < 0.1)
