#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A small driver that passes every case: an example of what is asked for, and, with --fault, a test of the cases.

The potential is a sum of exp(-r^2) over pairs and their images; r in Bohr, energy in Hartree.
"""

from __future__ import annotations

import argparse
import mmap
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

CUTOFF, NEAREST, MOST_TEXT = 6.0, 0.01, 1 << 20
IMAGES = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)], float)
FAULTS = ("answers-nan", "asymmetric-virial", "busy-wait", "crashes-at-end", "ignores-sigterm", "keeps-first",
          "leaks-files", "leaks-memory", "list-as-extras", "loses-status", "other-atoms", "pauses", "short-reads",
          "spins-at-end", "stale-forces", "uses-inverse", "wrong-forces")


class Refused(Exception):
    """What was sent makes no sense."""


class Gone(Exception):
    """The server closed the link."""


def lattice(h: np.ndarray) -> np.ndarray | None:
    """The inverse of h, or None without a cell."""
    if not np.isfinite(h).all():
        raise Refused("the cell is not finite")
    if not h.any():
        return None
    if abs(np.linalg.det(h)) < 1e-6 or (1 / np.linalg.norm(np.linalg.inv(h), axis=1)).min() < CUTOFF:
        raise Refused("the cell is flat or too small")
    return np.linalg.inv(h)


def compute(h: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    inverse = lattice(h)
    if not (np.isfinite(x).all() and np.abs(x).max(initial=0) < 1e8):
        raise Refused("positions are not finite, or far away")
    energy, forces, virial = 0.0, np.zeros_like(x), np.zeros((3, 3))
    for i in range(len(x)):
        for j in range(i):
            d = x[i] - x[j]
            vectors = d[None] if inverse is None else d - h @ np.round(inverse @ d) + IMAGES @ h.T
            r2 = np.sum(vectors**2, axis=1)
            if r2.min() < NEAREST**2:
                raise Refused(f"atoms {j + 1} and {i + 1} coincide")
            e = np.exp(-r2)
            f = 2 * e[:, None] * vectors
            energy += e.sum()
            forces[i] += f.sum(axis=0)
            forces[j] -= f.sum(axis=0)
            virial += vectors.T @ f
    return energy, forces, (virial + virial.T) / 2


class Segments:
    """i-PI's six, mapped by their names."""

    def __init__(self, names: list[str], natoms: int, size: int) -> None:
        shapes = [(size, natoms, 3), (size, 3, 3), (size, 3, 3), (size,), (size, natoms, 3), (size, 3, 3)]
        self.pos, self.h, _, self.pot, self.force, self.vir = map(self._map, names, shapes)

    @staticmethod
    def _map(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", name):
            raise Refused(f"{name[:40]!r} is no name of a segment")
        try:
            fd = os.open(f"/dev/shm/{name}", os.O_RDWR)
        except OSError as why:
            raise Refused(f"segment {name}: {why.strerror}") from None
        try:
            size = os.fstat(fd).st_size
            if size < 8 * np.prod(shape, dtype=object):
                raise Refused(f"segment {name} has {size} bytes, too few")
            return np.frombuffer(mmap.mmap(fd, size), np.float64, int(np.prod(shape))).reshape(shape)
        finally:
            os.close(fd)


class Conversation:
    """One link until its end."""

    def __init__(self, link: socket.socket, natoms: int, shm: bool, fault: str) -> None:
        self.link, self.natoms, self.shm, self.fault = link, natoms, shm, fault
        self.state, self.size, self.inside = "NEEDINIT", 1, False
        self.found: list[tuple[float, np.ndarray, np.ndarray]] = []
        self.segments: Segments | None = None
        self.leak: list[object] = []

    def take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.link.recv(count - len(data))
            if not part:
                raise Gone("closed the link")
            data, self.inside = data + part, True
            self.acknowledge()
            if self.fault == "short-reads":
                break
        return data

    def acknowledge(self) -> None:
        """At once: a server that sends POSDATA in pieces waits for it, 40 ms a step."""
        if self.link.family == socket.AF_INET:
            self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def numbers(self, *shape: int) -> np.ndarray:
        return np.frombuffer(self.take(8 * int(np.prod(shape)))).reshape(shape)

    def int32(self) -> int:
        return int(struct.unpack("=i", self.take(4))[0])

    def say(self, name: str) -> None:
        self.link.sendall(name.encode().ljust(12))

    def serve(self) -> None:
        """Returns at EXIT, and when the server closes between steps."""
        while True:
            self.inside = self.state == "HAVEDATA"
            try:
                header = self.take(12)
            except Gone:
                if self.inside:
                    raise
                return
            if header == b"EXIT".ljust(12):
                return
            self.answer(header)

    def answer(self, header: bytes) -> None:
        words: dict[bytes, Callable[[], None]] = {
            b"STATUS      ": lambda: self.say(self.state), b"INIT        ": self.init,
            b"POSDATA     ": self.posdata, b"GETFORCE    ": self.getforce}
        if header not in words:
            raise Refused(f"{header!r} is no word of the protocol")
        if self.fault == "loses-status" and self.state == "HAVEDATA" and header == b"STATUS      ":
            return
        words[header]()

    def init(self) -> None:
        self.int32()
        length = self.int32()
        if not 0 <= length <= MOST_TEXT:
            raise Refused(f"{length} bytes of INIT")
        items = self.take(length).split(b",")
        sizes = [item.split(b":")[1] for item in items if item.split(b":")[0].strip() == b"batch_size"]
        self.size = int(sizes[-1]) if sizes else 1
        self.state = "READY" if self.state == "NEEDINIT" else self.state

    def atoms(self) -> int:
        natoms = self.int32()
        if natoms != self.natoms:
            raise Refused(f"{natoms} atoms, not {self.natoms}")
        return natoms

    def posdata(self) -> None:
        keep = self.fault == "keeps-first" and self.state == "HAVEDATA"
        cells, positions = self.structures()
        evaluate = self.anything if self.fault == "answers-nan" else compute
        found = [evaluate(h, x) for h, x in zip(cells, positions)]
        self.found = self.found if keep else found
        self.state = "HAVEDATA"

    @staticmethod
    def anything(h: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return float(x.sum()), x * 0.0, np.zeros((3, 3))

    def structures(self) -> tuple[np.ndarray, np.ndarray]:
        if self.shm:
            self.attach(self.atoms())
            assert self.segments is not None
            return self.segments.h, self.segments.pos
        if self.size == 1:
            cells, inverse = self.numbers(1, 3, 3), self.numbers(3, 3)
            if self.fault == "uses-inverse":
                cells = np.linalg.inv(inverse)[None]
            return cells, self.numbers(1, self.atoms(), 3)
        natoms = self.atoms()
        return self.numbers(self.size, 2, 3, 3)[:, 0], self.numbers(self.size, natoms, 3)

    def attach(self, natoms: int) -> None:
        if self.segments is None:
            names = [self.take(self.length()).decode("utf-8", "replace") for _ in range(6)]
            self.segments = Segments(names, natoms, self.size)

    def length(self) -> int:
        length = self.int32()
        if not 0 <= length <= 255:
            raise Refused(f"a name of {length} bytes")
        return length

    def getforce(self) -> None:
        if self.state != "HAVEDATA" and not (self.fault == "stale-forces" and self.found):
            raise Refused("GETFORCE without positions")
        if self.fault == "leaks-memory":
            self.leak.append(bytearray(8000))
        if self.fault == "leaks-files":
            self.leak.append(open("/dev/null") if len(self.leak) < 500 else None)
        reply = self.reply()
        if self.fault == "pauses":
            self.link.sendall(reply[:30])
            time.sleep(2.5)
            reply = reply[30:]
        self.link.sendall(reply)
        self.state = "READY"

    def reply(self) -> bytes:
        energies, forces, virials = (np.array(part) for part in zip(*self.found))
        if self.fault == "wrong-forces":
            forces = forces * 1.01
        if self.fault == "asymmetric-virial":
            virials = virials + [[0, 0.1, 0], [0, 0, 0], [0, 0, 0]]
        text = b"[1]" if self.fault == "list-as-extras" else b" "
        extras = (struct.pack("=i", len(text)) + text) * self.size
        if self.segments is not None:
            self.segments.pot[:], self.segments.force[:], self.segments.vir[:] = energies, forces, virials
            return b"FORCEREADY  " + extras
        natoms = struct.pack("=i", self.natoms + (self.fault == "other-atoms"))
        return b"FORCEREADY  " + energies.tobytes() + natoms + forces.tobytes() + virials.tobytes() + extras


def connect(args: argparse.Namespace, seconds: float) -> socket.socket:
    until = time.monotonic() + seconds
    while True:
        link = socket.socket(socket.AF_UNIX if args.unix else socket.AF_INET)
        try:
            link.connect(f"/tmp/ipi_{args.unix}" if args.unix else ("127.0.0.1", args.port))
            return link
        except OSError:
            link.close()
            if time.monotonic() > until:
                raise
        time.sleep(0.05)


def talk(args: argparse.Namespace, link: socket.socket) -> int:
    if not args.unix:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with link:
            Conversation(link, args.natoms, args.shm, args.fault).serve()
    except (Refused, Gone, OSError) as why:
        print(f"model_driver: {why}", file=sys.stderr)
        return 1
    return 0


def at_the_end(fault: str) -> None:
    while fault == "spins-at-end":
        pass
    if fault == "crashes-at-end":
        os.kill(os.getpid(), signal.SIGSEGV)


def serve(args: argparse.Namespace) -> int:
    links = [connect(args, 20.0) for _ in range(args.links)]
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda link=link: statuses.append(talk(args, link))) for link in links]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    at_the_end(args.fault)
    return max(statuses)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unix", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--natoms", type=int, default=3)
    parser.add_argument("--links", type=int, default=1)
    parser.add_argument("--shm", action="store_true")
    parser.add_argument("--reconnect", action="store_true")
    parser.add_argument("--fault", default="", choices=FAULTS)
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if args.fault == "ignores-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if args.fault == "busy-wait":
        threading.Thread(target=lambda: at_the_end("spins-at-end"), daemon=True).start()
    while args.reconnect:
        serve(args)
    return serve(args)


if __name__ == "__main__":
    sys.exit(main())
