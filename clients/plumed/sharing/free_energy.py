# SPDX-License-Identifier: BSD-3-Clause
"""Free energies of the proton's place delta = d(O-H) - d(H...O) between two water molecules, and the committee's spread there.

Under the condition that the centroids of the two oxygens are closer than 2.9 A and that of delta is above -1.3 A: inside
the walls of plumed.dat.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from files import BOLTZMANN, columns, hills_bias, positions  # noqa: E402

HARTREE = 27211.386245988  # meV
KT = BOLTZMANN * 300
DONOR, PROTON, ACCEPTOR = 18, 20, 45
NEAR, FAR = 2.9, -1.3
EDGES = np.arange(-1.3, 0.25, 0.05)
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2


@dataclass
class Run:
    """A finished run: positions [frames][beads][atoms][3] in Angstrom, spread [frames][beads] in meV of the box."""

    positions: np.ndarray
    spread: np.ndarray
    hills: dict[str, np.ndarray]
    length: float

    @classmethod
    def read(cls, where: Path) -> Run:
        beads = np.stack([positions(p) for p in sorted(where.glob("sharing.pos_*"))], axis=1)
        spread = np.stack([np.loadtxt(p, ndmin=1) for p in sorted(where.glob("sharing.spread_*"))], axis=1) * HARTREE
        length = float(ase.io.read(where / "start.xyz").cell.lengths()[0])
        return cls(beads, spread[:len(beads)], columns(where / "HILLS"), length)

    @property
    def centroids(self) -> np.ndarray:
        return self.positions.mean(axis=1)

    def distance(self, x: np.ndarray, i: int, j: int) -> np.ndarray:
        d = x[..., i, :] - x[..., j, :]
        d -= self.length * np.round(d / self.length)
        return np.sqrt((d ** 2).sum(-1))

    def delta(self, x: np.ndarray, donor: int = DONOR, proton: int = PROTON, acceptor: int = ACCEPTOR) -> np.ndarray:
        return self.distance(x, donor, proton) - self.distance(x, proton, acceptor)


def minus_log(weights: np.ndarray, enough: np.ndarray) -> np.ndarray:
    """kJ/mol above the lowest; not a number where there is not enough."""
    free = np.full(len(weights), np.nan)
    free[enough] = -KT * np.log(weights[enough])
    return free - np.nanmin(free)


def from_hills(run: Run, skip: float = 0.1) -> np.ndarray:
    """Of the beads. The hills say how often the centroid is where; what beads do around a centroid is not biased:

    P(delta) = sum over centroids c of exp(-F(c)/kT) P(delta | c).
    """
    x = run.positions[int(skip * len(run.positions)):]
    c, fine = run.delta(x.mean(axis=1)), np.arange(FAR, 0.25, 0.02)
    inside = (run.distance(x.mean(axis=1), DONOR, ACCEPTOR) < NEAR) & (c > FAR)
    gamma = run.hills["biasf"][0]
    free = -hills_bias(run.hills, "delta", (fine[1:] + fine[:-1]) / 2) * gamma / (gamma - 1)
    visits = np.histogram(c[c > FAR], fine)[0]
    which = np.clip(np.digitize(c, fine) - 1, 0, len(visits) - 1)
    weights = np.where(inside, np.exp(-(free - free.min())[which] / KT) / np.maximum(visits[which], 1), 0)
    beads = run.delta(x)
    seen = np.histogram(beads[inside], EDGES)[0]
    return minus_log(np.histogram(beads, EDGES, weights=np.repeat(weights[:, None], x.shape[1], axis=1))[0], seen > 4)


def from_the_others(run: Run, skip: float = 0.25) -> np.ndarray:
    """Counted over all other hydrogen bonds of the box, which no bias acts upon: where they go by themselves."""
    x = run.positions[int(skip * len(run.positions)):]
    centroids, natoms = x.mean(axis=1), x.shape[2]
    counts, biased = np.zeros(len(MIDDLES)), (DONOR, ACCEPTOR)
    for donor in range(0, natoms, 3):
        for acceptor in range(0, natoms, 3):
            if donor == acceptor or donor in biased or acceptor in biased:
                continue
            near = run.distance(centroids, donor, acceptor) < NEAR
            for proton in (donor + 1, donor + 2):
                inside = near & (run.delta(centroids, donor, proton, acceptor) > FAR)
                counts += np.histogram(run.delta(x[inside], donor, proton, acceptor), EDGES)[0]
    return minus_log(counts, counts > 4 * x.shape[1])


def spread(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of the committee's spread, meV of the box, by the place of the bead."""
    beads = run.delta(run.positions)
    mean, error = np.full(len(MIDDLES), np.nan), np.full(len(MIDDLES), np.nan)
    for i in range(len(MIDDLES)):
        values = run.spread[(beads >= EDGES[i]) & (beads < EDGES[i + 1])]
        if len(values) > 4:
            mean[i], error[i] = values.mean(), values.std() / np.sqrt(len(values))
    return mean, error
