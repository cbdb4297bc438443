# SPDX-License-Identifier: BSD-3-Clause
"""Free energies of the proton's place delta = d(O-H) - d(H...O) between two molecules, and the committee's spread there.

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
from wham import probabilities  # noqa: E402

HARTREE = 27211.386245988  # meV
KT = BOLTZMANN * 300
DONOR, PROTON, ACCEPTOR = 18, 20, 45
NEAR, FAR = 2.9, -1.3
WALL, WALL_AT = 2000.0, -0.1  # on delta, in plumed.dat
EDGES = np.arange(-1.3, 0.25, 0.05)  # of beads
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2
CENTROID_EDGES = np.arange(FAR, 0.1, 0.02)
CENTROIDS = (CENTROID_EDGES[1:] + CENTROID_EDGES[:-1]) / 2


@dataclass
class Run:
    """A finished run: positions [frames][beads][atoms][3] in Angstrom, spread [frames][beads] in meV of the box."""

    positions: np.ndarray
    spread: np.ndarray
    hills: dict[str, np.ndarray]
    steps: int
    length: float

    @classmethod
    def read(cls, where: Path) -> Run:
        beads = np.stack([positions(p) for p in sorted(where.glob("sharing.pos_*"))], axis=1)
        spread = np.stack([np.loadtxt(p, ndmin=1) for p in sorted(where.glob("sharing.spread_*"))], axis=1) * HARTREE
        length = float(ase.io.read(where / "start.xyz").cell.lengths()[0])
        return cls(beads, spread[:len(beads)], columns(where / "HILLS"),
                   round(columns(where / "COLVAR")["time"][-1]), length)

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
    return free - np.min(free[enough], initial=np.inf)


def windows(run: Run, nwindows: int = 40) -> list[tuple[np.ndarray, np.ndarray]]:
    """The run in pieces short enough for the bias to stand still: frames, and the bias in kT over CENTROIDS."""
    nframes = len(run.positions)
    stride = run.steps / (nframes - 1)
    pieces = []
    for frames in np.array_split(np.arange(nframes // 20, nframes), nwindows):
        if len(frames):
            before = run.hills["time"] < frames.mean() * stride
            bias = hills_bias({name: column[before] for name, column in run.hills.items()}, "delta", CENTROIDS)
            pieces.append((frames, (bias + WALL * np.clip(CENTROIDS - WALL_AT, 0, None) ** 2) / KT))
    return pieces


def from_metadynamics(run: Run, pieces: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Of the beads: every piece is an umbrella window for the centroid, and a frame's beads get its centroid's weight."""
    x = run.centroids
    c = run.delta(x)
    inside = (run.distance(x, DONOR, ACCEPTOR) < NEAR) & (c > FAR)
    which = np.digitize(c, CENTROID_EDGES) - 1
    inside &= which < len(CENTROIDS)
    counts = np.array([np.bincount(which[f[inside[f]]], minlength=len(CENTROIDS)) for f, _ in pieces])
    some, seen = counts.any(axis=1), counts.any(axis=0)
    p = np.zeros(len(CENTROIDS))
    p[seen] = probabilities(counts[some][:, seen], np.array([b for _, b in pieces])[some][:, seen], 1e-5)
    weight = p / np.maximum(counts.sum(axis=0), 1)
    frames = np.concatenate([f[inside[f]] for f, _ in pieces])
    beads = run.delta(run.positions[frames])
    weights = np.repeat(weight[which[frames]][:, None], beads.shape[1], axis=1)
    return minus_log(np.histogram(beads, EDGES, weights=weights)[0], np.histogram(beads, EDGES)[0] > 4)


def error_of_metadynamics(run: Run, pieces: list[tuple[np.ndarray, np.ndarray]], nblocks: int = 8,
                          draws: int = 20) -> np.ndarray:
    """Standard error, from blocks of the run drawn at random; of the shape, for a free energy has no zero."""
    rng, blocks = np.random.default_rng(1), np.array_split(np.arange(len(pieces)), nblocks)
    free = from_metadynamics(run, pieces)
    drawn = []
    for _ in range(draws):
        chosen = [pieces[i] for b in rng.integers(nblocks, size=nblocks) for i in blocks[b]]
        other = from_metadynamics(run, chosen)
        drawn.append(other - np.nanmean((other - free)[free < 5 * KT]))
    seen = np.isfinite(drawn).sum(axis=0) > draws // 2
    error = np.full(len(free), np.nan)
    error[seen] = np.nanstd(np.array(drawn)[:, seen], axis=0)
    return error


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
