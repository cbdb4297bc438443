# SPDX-License-Identifier: BSD-3-Clause
"""Messages of the i-PI protocol as the listening side writes and reads them: bytes and numbers, no sockets.

Lengths are in Bohr, energies in Hartree. A cell h has the lattice vectors as columns and goes row by row.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

HEADER = 12
BOHR = 0.529177210903   # Angstrom, CODATA 2018


def word(name: str) -> bytes:
    return name.encode().ljust(HEADER)


STATUS, GETFORCE, EXIT, POSDATA = (word(name) for name in ("STATUS", "GETFORCE", "EXIT", "POSDATA"))


def int32(*values: int) -> bytes:
    return struct.pack(f"={len(values)}i", *values)


def init(text: bytes = b" ", number: int = 0, length: int | None = None) -> bytes:
    """i-PI sends one blank where its input has no parameters, ASE one NUL. `length` announces another one."""
    return word("INIT") + int32(number, len(text) if length is None else length) + text


@dataclass(frozen=True)
class Structure:
    cell: np.ndarray        # (3, 3), columns are the lattice vectors; zeros: not periodic
    positions: np.ndarray   # (n, 3)
    species: tuple[str, ...] = ()

    def moved(self, by: np.ndarray | float) -> Structure:
        return replace(self, positions=self.positions + by)

    def strained(self, matrix: np.ndarray) -> Structure:
        return replace(self, cell=matrix @ self.cell, positions=self.positions @ matrix.T)

    def with_cell(self, cell: np.ndarray) -> Structure:
        return replace(self, cell=np.asarray(cell, float))

    def with_positions(self, positions: np.ndarray) -> Structure:
        return replace(self, positions=np.asarray(positions, float))

    def with_number(self, index: tuple[int, int], value: float) -> Structure:
        """One coordinate of one atom is `value`."""
        positions = self.positions.copy()
        positions[index] = value
        return self.with_positions(positions)

    @property
    def natoms(self) -> int:
        return len(self.positions)

    @property
    def periodic(self) -> bool:
        return bool(np.any(self.cell))

    def inverse(self) -> np.ndarray:
        try:
            return np.linalg.inv(self.cell)
        except np.linalg.LinAlgError:
            return np.zeros((3, 3))


def pieces(s: Structure, inverse: np.ndarray | None = None, natoms: int | None = None) -> list[tuple[str, bytes]]:
    """POSDATA field by field."""
    inverse = s.inverse() if inverse is None else inverse
    return [("header", POSDATA), ("cell", floats(s.cell)), ("inverse", floats(inverse)),
            ("natoms", int32(s.natoms if natoms is None else natoms)), ("positions", floats(s.positions))]


def posdata(s: Structure, inverse: np.ndarray | None = None, natoms: int | None = None) -> bytes:
    return b"".join(data for _, data in pieces(s, inverse, natoms))


def step(s: Structure) -> bytes:
    """As i-PI sends it by default: one piece."""
    return posdata(s) + GETFORCE


def batch(structures: Sequence[Structure]) -> bytes:
    """The batched layout, to a driver that got batch_size in INIT: the number of atoms goes first."""
    cells = b"".join(floats(s.cell) + floats(s.inverse()) for s in structures)
    return POSDATA + int32(structures[0].natoms) + cells + b"".join(floats(s.positions) for s in structures) + GETFORCE


def floats(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, dtype=np.float64).tobytes()


@dataclass(frozen=True)
class Forces:
    """What follows FORCEREADY, for one structure."""
    energy: float
    forces: np.ndarray   # (n, 3)
    virial: np.ndarray   # (3, 3)
    extras: bytes

    def finite(self) -> bool:
        return bool(np.isfinite(self.energy) and np.isfinite(self.forces).all() and np.isfinite(self.virial).all())

    def bits(self) -> bytes:
        return floats(np.array(self.energy)) + floats(self.forces) + floats(self.virial)

    def extras_complaint(self) -> tuple[bool, str] | None:
        """(serious, why): what a server would stumble over."""
        if not self.extras:
            return False, "0 bytes of extras: ASE takes the empty read for a closed socket; send one blank"
        try:
            text = self.extras.decode()
        except UnicodeDecodeError as error:
            return True, f"extras are not UTF-8: {error.reason} at byte {error.start}"
        if not text.strip(" \0\n\r\t"):
            return None
        try:
            value = json.loads(text)
        except ValueError:
            return False, "extras are text, not JSON: i-PI keeps them, but nobody finds a number in them"
        return None if isinstance(value, dict) else (True, "extras are JSON, but not an object: i-PI's thread dies")


def read_xyz(lines: Sequence[str], box: float) -> Structure:
    """(Extended) XYZ in Angstrom; without a Lattice the cell is a cube of `box` Bohr."""
    count = int(lines[0])
    rows = [line.split() for line in lines[2:2 + count]]
    positions = np.array([[float(x) for x in row[1:4]] for row in rows]) / BOHR
    cell = np.eye(3) * box
    if 'Lattice="' in lines[1]:
        numbers = lines[1].split('Lattice="')[1].split('"')[0].split()
        cell = np.array([float(x) for x in numbers]).reshape(3, 3).T / BOHR
    return Structure(cell, positions, tuple(row[0] for row in rows))


WATER = Structure(np.eye(3) * 40.0, 20.0 + np.array([[0.2, 0.1, 0.3], [1.64, 1.21, 0.35], [-1.24, 1.23, 0.25]]),
                  ("O", "H", "H"))
