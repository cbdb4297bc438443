# SPDX-License-Identifier: BSD-3-Clause
"""The output files of the demo's i-PI run, also while they are being written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np

HARTREE = 27.211386245988  # eV, CODATA 2018


@dataclass(frozen=True)
class Row:
    """One step: fs, eV of the whole box (mean over beads), kelvin. Spread: rms over the beads."""

    step: int
    time: float
    conserved: float
    temperature: float
    potential: float
    kinetic_h: float
    spread: float
    extrapolated: int


class Run:
    """What is in the directory so far."""

    def __init__(self, where: Path, beads: int) -> None:
        self.where, self.beads = where, beads
        start = ase.io.read(where / "start.xyz")
        self.symbols: list[str] = list(start.get_chemical_symbols())
        self.lengths: np.ndarray = start.cell.lengths()
        self.natoms, self.nmolecules = len(start), self.symbols.count("O")
        self._rows: list[Row] = []
        self._files = [where / "water.out"] + [where / f"water.spread_{b:0{len(str(beads - 1))}d}" for b in range(beads)]
        self._seen = [0] * len(self._files)
        self._lines: list[list[list[float]]] = [[] for _ in self._files]

    def rows(self) -> list[Row]:
        """All complete steps."""
        for k, path in enumerate(self._files):
            self._read_more(k, path)
        for i in range(len(self._rows), min(map(len, self._lines))):
            out, extras = self._lines[0][i], np.array([lines[i] for lines in self._lines[1:]])
            self._rows.append(Row(int(out[0]), *out[1:6], float(np.sqrt(np.mean(extras[:, 0] ** 2))) * HARTREE,
                                  int(extras[:, 1].sum())))
        return self._rows

    def last_row(self) -> Row | None:
        rows = self.rows()
        return rows[-1] if rows else None

    def first_potential(self) -> float:
        return self.rows()[0].potential

    def _read_more(self, k: int, path: Path) -> None:
        """Complete new lines of numbers."""
        if not path.exists():
            return
        with open(path, "rb") as f:
            f.seek(self._seen[k])
            text = f.read()
        text = text[:text.rfind(b"\n") + 1]
        self._seen[k] += len(text)
        for line in text.decode().splitlines():
            words = line.split()
            if words and not words[0].startswith("#"):
                self._lines[k].append([float(w) for w in words])

    def positions(self) -> np.ndarray:
        """[frames][beads][atoms][3], Angstrom, without the first third of the run."""
        paths = sorted(self.where.glob("water.pos_*.xyz"))
        beads = [np.array([f.positions for f in ase.io.iread(p, index=":", format="xyz")]) for p in paths]
        return self._later_frames(beads)

    def member_energies(self) -> np.ndarray:
        """[frames][beads][members], eV of the whole box, of the frames of positions(). --committee prints them."""
        paths = sorted(self.where.glob("water.energies_*"))
        return self._later_frames([np.loadtxt(p, ndmin=2) * HARTREE for p in paths])

    @staticmethod
    def _later_frames(beads: list[np.ndarray]) -> np.ndarray:
        """Of each bead the frames that all have, without the first third: [frames][beads]..."""
        nframes = min(len(b) for b in beads)
        return np.stack([b[nframes // 3:nframes] for b in beads], axis=1)
