# SPDX-License-Identifier: BSD-3-Clause
"""Through shared memory i-PI gets the numbers of the socket, to the last digit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ipi import Simulation

WAYS = {
    "plain": {},
    "classic": {"consolidate": False},
    "no-skin": {"options": ["--skin", "0"]},
    "links-1": {"options": ["--links", "1"]},
    "links-4": {"options": ["--links", "4"]},
    "batch-8": {"batch_size": 8},
    "batch-8-links-1": {"batch_size": 8, "options": ["--links", "1"]},
    "batch-3-links-1": {"batch_size": 3, "options": ["--links", "1"]},  # the third is filled up with copies
    "batch-3-links-2": {"batch_size": 3, "options": ["--links", "2"]},
}


@pytest.fixture(scope="module")
def socket(potential: list[Path], water16: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, str]]:
    """What a socket gives, by number of beads."""
    return {beads: Simulation(water16, steps=40, models=potential, beads=beads, ensemble="nvt" if beads > 1 else "nve")
            .run(tmp_path_factory.mktemp("socket")).printed() for beads in (1, 8)}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("beads", (1, 8))
def test_same_trajectory(beads: int, way: dict[str, object], socket: dict[int, dict[str, str]], potential: list[Path],
                         water16: Path, tmp_path: Path) -> None:
    simulation = Simulation(water16, steps=40, models=potential, beads=beads, ensemble="nvt" if beads > 1 else "nve",
                            mode="shm")
    printed = replace(simulation, **way).run(tmp_path).printed()
    assert len(printed) >= 3
    for name, text in socket[beads].items():
        assert printed[name] == text, f"{name} differs"
