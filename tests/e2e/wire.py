# SPDX-License-Identifier: BSD-3-Clause
"""The side of i-PI over a bare socket."""

from __future__ import annotations

import socket
import struct

import numpy as np

BOHR = 0.529177210903
HARTREE = 27.211386245988
WATER = np.array([[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]]) / BOHR


class Wire:
    """A connection to nearfar, whoever has opened it."""

    link: socket.socket

    def story(self) -> str:
        return ""

    def send(self, word: str, *payload: bytes) -> None:
        self.link.sendall(word.encode().ljust(12) + b"".join(payload))

    def bytes(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            more = self.link.recv(n - len(data))
            assert more, f"the socket was closed: {self.story()}"
            data += more
        return data

    def word(self) -> str:
        return self.bytes(12).decode().strip()

    def status(self) -> str:
        self.send("STATUS")
        return self.word()

    def forces(self) -> tuple[float, np.ndarray, np.ndarray, str]:
        assert self.word() == "FORCEREADY"
        energy, natoms = struct.unpack("<di", self.bytes(12))
        forces = np.frombuffer(self.bytes(24 * natoms)).reshape(natoms, 3)
        virial = np.frombuffer(self.bytes(72)).reshape(3, 3)
        return energy, forces, virial, self.bytes(struct.unpack("<i", self.bytes(4))[0]).decode()

    def step(self, positions: np.ndarray = WATER, cell: np.ndarray | None = None) -> float:
        """The energy, Hartree."""
        self.send("POSDATA", *posdata(positions, cell=cell), b"GETFORCE    ")
        return self.forces()[0]

    def closed(self) -> bool:
        """Does nearfar close the connection, without another word?"""
        try:
            return self.link.recv(1) == b""
        except ConnectionResetError:
            return True


class Client(Wire):
    """One that calls `nearfar listen`."""

    def __init__(self, path: object, text: bytes, seconds: float = 20) -> None:
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(seconds)
        self.link.connect(str(path))
        assert self.status() == "NEEDINIT"
        self.send("INIT", *init(text))

    def error(self) -> str:
        assert self.word() == "ERROR"
        return self.bytes(struct.unpack("<i", self.bytes(4))[0]).decode()


def posdata(positions: np.ndarray = WATER, natoms: int | None = None, cell: np.ndarray | None = None) -> tuple[bytes, ...]:
    h = np.eye(3) * 20 if cell is None else cell
    return (h.astype("<f8").tobytes(), np.zeros(9).tobytes(),
            struct.pack("<i", len(positions) if natoms is None else natoms), positions.astype("<f8").tobytes())


def init(text: bytes = b" ", bead: int = 0) -> tuple[bytes, ...]:
    return struct.pack("<ii", bead, len(text)), text
