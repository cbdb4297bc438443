# SPDX-License-Identifier: BSD-3-Clause
"""What PLUMED and i-PI write, as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

BOLTZMANN = 8.31446261815324e-3  # kJ/mol/K


def columns(path: Path) -> dict[str, np.ndarray]:
    """A file of PLUMED, by the names in its first line. After a restart the line is there once more."""
    names: list[str] = []
    rows: list[list[float]] = []
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:2] == ["#!", "FIELDS"]:
            names = words[2:]
        elif words and not words[0].startswith("#"):
            rows.append([float(w) for w in words])
    return dict(zip(names, np.array(rows).reshape(-1, len(names)).T))


def hills_bias(hills: dict[str, np.ndarray], name: str, s: np.ndarray, well_tempered: bool = True) -> np.ndarray:
    """V(s), kJ/mol, of Gaussians that are cut at half their square exponent 6.25 and stretched to be continuous there.

    HILLS of well-tempered runs hold heights for the free energy, gamma/(gamma-1) times those of the bias.
    """
    cut = 6.25
    bias = np.zeros_like(s, dtype=float)
    scale = (1 - 1 / hills["biasf"]) if well_tempered else np.ones_like(hills["height"])
    for centre, sigma, height in zip(hills[name], hills[f"sigma_{name}"], hills["height"] * scale):
        exponent = 0.5 * ((s - centre) / sigma) ** 2
        bias += np.where(exponent < cut, height * (np.exp(-exponent) - np.exp(-cut)) / (1 - np.exp(-cut)), 0)
    return bias


def positions(path: Path) -> np.ndarray:
    """[frames][atoms][3] of an XYZ file with the same atoms throughout."""
    lines = path.read_text().splitlines()
    natoms = int(lines[0])
    lines = lines[:len(lines) // (natoms + 2) * (natoms + 2)]
    return np.array([line.split()[1:4] for i, line in enumerate(lines) if i % (natoms + 2) > 1],
                    dtype=float).reshape(-1, natoms, 3)
