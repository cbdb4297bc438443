# SPDX-License-Identifier: BSD-3-Clause
"""Pair distribution functions of a run."""

from __future__ import annotations

import numpy as np

from outputs import Run


def pair_distributions(run: Run, first: str, second: str, edges: np.ndarray) -> np.ndarray:
    """[frames][bins]: g(r) between two elements, mean over the beads of a frame. Orthorhombic cell."""
    species = np.array(run.symbols)
    a, b = np.flatnonzero(species == first), np.flatnonzero(species == second)
    shell = 4 / 3 * np.pi * (edges[1:] ** 3 - edges[:-1] ** 3)
    npairs = len(a) * (len(b) - (first == second))
    frames = run.positions()
    counts = np.array([sum(distances(x[a], x[b], run.lengths, edges) for x in beads) for beads in frames])
    return counts / (frames.shape[1] * npairs * shell / run.lengths.prod())


def distances(a: np.ndarray, b: np.ndarray, lengths: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Histogram of the distances, nearest images, between two groups of atoms."""
    d = a[:, None, :] - b[None, :, :]
    d -= lengths * np.round(d / lengths)
    r = np.sqrt((d ** 2).sum(-1))
    return np.histogram(r[r > 0], bins=edges)[0]
