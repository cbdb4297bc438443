# SPDX-License-Identifier: BSD-3-Clause
"""What people do with ASE: relaxations, dynamics, the examples of clients/ase; and what a step costs."""

from __future__ import annotations

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from subprocess import CompletedProcess, run

import ase.io
import numpy as np
import pytest
from ase import units
from ase.optimize import BFGS, FIRE

from programs import ONE_THREAD, ROOT, nearfar_path
from test_ase import TO_EVAL, Call, dimer, evaluated, served, triclinic

EXAMPLES = ROOT / "clients/ase"


def example(name: str, *args: object, where: Path) -> CompletedProcess[str]:
    env = {**os.environ, **ONE_THREAD, "NEARFAR": str(nearfar_path())}
    done = run([sys.executable, str(EXAMPLES / name), *map(str, args)], cwd=where, env=env, capture_output=True,
               text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def numbers(text: str) -> np.ndarray:
    """The lines of dynamics.py: time, temperature, potential, pressure, volume, conserved."""
    return np.array([line.split() for line in text.splitlines() if not line.startswith("#")], dtype=float)


@pytest.mark.parametrize("optimizer", [BFGS, FIRE], ids=["BFGS", "FIRE"])
def test_a_molecule_relaxes(call: Call, committee: list[Path], tmp_path: Path, optimizer: type) -> None:
    atoms = dimer()
    with served(atoms, committee, tmp_path, "unix"):
        assert optimizer(atoms, logfile=None).run(fmax=0.005, steps=600)
        energy = atoms.get_potential_energy() * TO_EVAL
    assert energy == pytest.approx(evaluated(call, committee, [atoms], tmp_path)[0].get_potential_energy(), abs=1e-9)


def test_atoms_and_cell_relax(call: Call, committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """clients/ase/relax.py from a strained cell with nine numbers, under pressure: the stress becomes that pressure."""
    ase.io.write(tmp_path / "start.xyz", triclinic(ase.io.read(water16)), format="extxyz")
    example("relax.py", "start.xyz", "--cell", "--fmax", 0.01, "--pressure", 0.5, "-m", *committee, where=tmp_path)
    relaxed = ase.io.read(tmp_path / "relaxed.xyz")
    assert np.linalg.norm(relaxed.get_forces(), axis=1).max() < 0.015  # the filter's forces are those of the first cell
    pressure = -relaxed.get_stress() / units.GPa
    np.testing.assert_allclose(pressure, [0.5, 0.5, 0.5, 0, 0, 0], atol=0.2)
    expected = evaluated(call, committee, [relaxed], tmp_path)[0]
    assert relaxed.get_potential_energy() * TO_EVAL == pytest.approx(expected.get_potential_energy(), abs=1e-6)


def test_energy_is_conserved(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    done = example("dynamics.py", water16, "nve", "--steps", 200, "--timestep", 0.25, "-m", *committee, where=tmp_path)
    potential, conserved = numbers(done.stdout)[2:, [2, 5]].T
    assert conserved.std() < 0.01 * potential.std()


def test_a_thermostat_heats(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    done = example("dynamics.py", water16, "nvt", "--steps", 200, "--temperature", 600, "-m", *committee, where=tmp_path)
    assert numbers(done.stdout)[-5:, 1].mean() > 320


def test_a_barostat_conserves(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """With a pressure that works: the conserved quantity holds only with the right stress."""
    done = example("dynamics.py", water16, "npt", "--steps", 200, "--timestep", 0.25, "--pressure", 2, "-m", *committee,
                   where=tmp_path)
    _, _, potential, _, volume, conserved = numbers(done.stdout)[2:].T
    assert volume[-1] < 0.95 * volume[0]
    assert conserved.std() < 0.01 * potential.std()
    assert len(ase.io.read(tmp_path / "dynamics.xyz", index=":")) == 21


def test_a_step_does_not_stall(committee: list[Path]) -> None:
    """ASE sends a step in five pieces and leaves Nagle's algorithm on: 40 ms a step where nobody looks after it."""
    spec = spec_from_file_location("ase_step", ROOT / "tests/bench/ase_step.py")
    ase_step = module_from_spec(spec)
    spec.loader.exec_module(ase_step)
    for mode in ("unix", "tcp"):
        assert np.median(ase_step.steps(dimer()[:3], committee[0], mode, 50)) < 15e-3
