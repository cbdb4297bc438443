# SPDX-License-Identifier: BSD-3-Clause
"""i-PI's shared memory (mode='shm'): words and extras over the socket, numbers in six segments that the server owns.

POSDATA | int32 natoms, and at the first step of a link six times (int32 n, n bytes of name), in the order of KINDS.
The reply is FORCEREADY and the extras; energies, forces and virials are in the segments before it comes.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import shared_memory

import numpy as np

from case import NotApplicable, Test, case, ends, same
from cases_framing import other, singles
from driver import Closed, Failure, Link
from wire import GETFORCE, POSDATA, Forces, Structure, int32

KINDS = ("pos", "h", "ih", "pot", "force", "vir")


class Segments:
    """The server's six, for batches of `size` structures."""

    def __init__(self, natoms: int, size: int) -> None:
        self.natoms, self.prefix = natoms, f"conformance_{os.getpid()}_{uuid.uuid4().hex[:8]}_"
        shapes = {"pos": (size, natoms, 3), "h": (size, 3, 3), "ih": (size, 3, 3), "pot": (size,),
                  "force": (size, natoms, 3), "vir": (size, 3, 3)}
        self.memory = {k: shared_memory.SharedMemory(self.prefix + k, True, 8 * int(np.prod(shapes[k]))) for k in KINDS}
        self.view = {k: np.ndarray(shapes[k], np.float64, self.memory[k].buf) for k in KINDS}
        self.told = False

    def close(self) -> None:
        self.view.clear()
        for memory in self.memory.values():
            memory.close()
            memory.unlink()

    def posdata(self, structures: Sequence[Structure]) -> bytes:
        """Puts the structures there; results of earlier steps are made NaN."""
        for k, s in enumerate(structures):
            self.view["pos"][k], self.view["h"][k], self.view["ih"][k] = s.positions, s.cell, s.inverse()
        for kind in ("pot", "force", "vir"):
            self.view[kind][...] = np.nan
        names = b"".join(int32(len(m.name)) + m.name.encode() for m in self.memory.values())
        data = POSDATA + int32(self.natoms) + (b"" if self.told else names)
        self.told = True
        return data

    def results(self, link: Link) -> list[Forces]:
        link.expect("FORCEREADY")
        return [Forces(float(energy), force.copy(), virial.copy(), link.extras()) for energy, force, virial
                in zip(self.view["pot"], self.view["force"], self.view["vir"])]

    def compute(self, link: Link, structures: Sequence[Structure]) -> list[Forces]:
        link.send(self.posdata(structures), GETFORCE)
        found = self.results(link)
        if not all(f.finite() for f in found):
            raise Failure("left NaN or Inf in the segments")
        return found


@contextmanager
def segments(test: Test, size: int = 1) -> Iterator[Segments]:
    found = Segments(test.structure.natoms, size)
    try:
        yield found
    finally:
        found.close()


def linked(test: Test, text: bytes = b" ") -> Link:
    if not test.options.shm:
        raise NotApplicable("no --shm-command")
    test.launch(test.options.shm)
    link = test.accept()
    link.handshake(text)
    return link


def over_socket(test: Test, structures: list[Structure]) -> list[Forces]:
    if not test.options.shm:
        raise NotApplicable("no --shm-command")
    return singles(test, structures)


@case("shm")
def steps(test: Test) -> None:
    """The same forces as over the socket, step after step."""
    structures = [other(test.structure, k) for k in range(3)]
    want = over_socket(test, structures)
    link = linked(test)
    with segments(test) as shared:
        for s, expected in zip(structures, want):
            same(test, shared.compute(link, [s])[0], expected, "by shared memory and by socket")
            link.ask("READY")


@case("shm")
def classic(test: Test) -> None:
    """STATUS between POSDATA and GETFORCE."""
    link = linked(test)
    with segments(test) as shared:
        for _ in range(2):
            link.send(shared.posdata([test.structure]))
            link.ask("HAVEDATA")
            link.send(GETFORCE)
            if not shared.results(link)[0].finite():
                raise Failure("left NaN or Inf in the segments")


@case("shm", over=[2, 8])
def batch_of(test: Test, size: int) -> None:
    """A batch, the last structures padded."""
    structures = [other(test.structure, min(k, size - 2)) for k in range(size)]
    want = over_socket(test, structures)
    link = linked(test, f" batch_size:{size}".encode())
    with segments(test, size) as shared:
        for _ in range(2):
            for got, expected in zip(shared.compute(link, structures), want):
                same(test, got, expected, "by shared memory and by socket")


@case("shm")
def one_byte_writes(test: Test) -> None:
    """Names and numbers byte by byte."""
    link = linked(test)
    with segments(test) as shared:
        for byte in shared.posdata([test.structure]) + GETFORCE:
            link.send(bytes([byte]))
        if not shared.results(link)[0].finite():
            raise Failure("left NaN or Inf in the segments")


@case("shm")
def many_steps(test: Test) -> None:
    """A thousand steps, the last as the first."""
    link = linked(test)
    with segments(test) as shared:
        first = shared.compute(link, [test.structure])[0]
        for k in range(min(1000, test.options.steps)):
            shared.compute(link, [other(test.structure, k % 10)])
        same(test, shared.compute(link, [test.structure])[0], first, "at the start and at the end")


@case("shm", over=["first", "later"])
def nan_positions(test: Test, when: str) -> None:
    """NaN in the segment is refused as on the socket."""
    link = linked(test)
    with segments(test) as shared:
        if when == "later":
            shared.compute(link, [test.structure])
        link.send(shared.posdata([test.structure.with_number((0, 0), np.nan)]), GETFORCE)
        _refused(test, link, "NaN positions")


@case("shm")
def other_number_of_atoms(test: Test) -> None:
    """Segments are sized once: another number of atoms is refused, not read beyond their end."""
    link = linked(test)
    with segments(test) as shared:
        shared.compute(link, [test.structure])
        link.send(POSDATA, int32(10_000_000), GETFORCE)
        _refused(test, link, "10000000 atoms")


NAMES: dict[str, Callable[[str], bytes]] = {
    "missing": lambda kind: f"conformance_no_such_{kind}".encode(),
    "empty": lambda kind: b"",
    "with-a-path": lambda kind: b"../../etc/passwd",
    "long": lambda kind: b"x" * 5000,
}


@case("shm", over=NAMES)
def names(test: Test, name: Callable[[str], bytes]) -> None:
    """A segment that is not there is refused: the link closes."""
    link = linked(test)
    link.try_send(POSDATA, int32(test.structure.natoms), *(int32(len(name(k))) + name(k) for k in KINDS), GETFORCE)
    _refused(test, link, "a segment that does not exist")


@case("shm")
def small_segments(test: Test) -> None:
    """Segments too small for the number of atoms are refused, and do not end in SIGBUS."""
    link = linked(test)
    with segments(test) as shared:
        names = shared.posdata([test.structure])[len(POSDATA) + 4:]
        link.try_send(POSDATA, int32(10_000_000), names, GETFORCE)
        _refused(test, link, "segments too small")


@case("shm")
def closed_inside_the_names(test: Test) -> None:
    """A close in the middle of the names ends the driver."""
    link = linked(test)
    with segments(test) as shared:
        link.send(shared.posdata([test.structure])[:50])
        link.close()
        ends(test, False, "a close inside the names")


def _refused(test: Test, link: Link, what: str) -> None:
    try:
        answer = link.word()
    except Closed:
        ends(test, False, what)
        return
    raise Failure(f"answered {answer} to {what}")
