# SPDX-License-Identifier: BSD-3-Clause
"""A step of a small molecule through ASE costs about nothing beyond its evaluation, over TCP as well."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ase import Atoms

from test_ase import served


@pytest.mark.parametrize("mode", ["unix", "tcp"])
def test_no_stall(potential: list[Path], tmp_path: Path, mode: str) -> None:
    """ASE sends a structure in five pieces: each would wait 40 ms for a delayed acknowledgement of the one before. The
    fastest step, since a busy machine delays many, but a stall every one."""
    atoms = Atoms("OHH", positions=[[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])
    seconds = []
    with served(atoms, potential, tmp_path, mode):
        for _ in range(50):
            atoms.rattle(0.001, seed=len(seconds))
            begin = time.perf_counter()
            atoms.get_forces()
            seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.01, f"{1000 * min(seconds):.1f} ms the fastest step"
