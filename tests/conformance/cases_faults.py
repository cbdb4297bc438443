# SPDX-License-Identifier: BSD-3-Clause
"""What must be refused: words that are none, numbers of atoms and numbers that make no sense. NaN is never answered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from case import NotApplicable, Test, awaits, case, closes, ends, refused
from driver import Closed, Link
from wire import GETFORCE, Structure, posdata, step, word

WORDS = {
    "unknown": word("HELLO"),
    "lower-case": b"status      ",
    "nul-padded": b"STATUS\0\0\0\0\0\0",
    "of-a-driver": word("HAVEDATA"),
    "of-bytes": b"\x00\xff\x1b[2J\n\r\x80\x90\xa0",
}


@case("faults", over=WORDS)
def header(test: Test, data: bytes) -> None:
    """No word of a server: the link closes."""
    link = test.ready()
    link.send(data)
    closes(test, link, f"the header {data!r}")


@case("faults", over=WORDS)
def header_after_steps(test: Test, data: bytes) -> None:
    """The same behind two steps."""
    link = test.ready()
    link.compute(test.structure)
    link.compute(test.structure)
    link.send(data)
    closes(test, link, f"the header {data!r}")


# ---- numbers of atoms ----

def _at(test: Test, when: str) -> Link:
    """A link at its first step, or behind three good ones."""
    link = test.ready()
    for _ in range(3 if when == "later" else 0):
        link.compute(test.structure)
    return link


@case("faults", over=["first", "later"])
def no_atoms(test: Test, when: str) -> None:
    """A step of 0 atoms is refused; to answer it with 0 forces is a warning."""
    link = _at(test, when)
    link.send(posdata(test.structure.with_positions(np.zeros((0, 3)))), GETFORCE)
    refused(test, link, "0 atoms", "warn", 0)


@case("faults", over=["first", "later"])
def negative_atoms(test: Test, when: str) -> None:
    """A step of -1 atoms is refused."""
    link = _at(test, when)
    link.send(posdata(test.structure.with_positions(np.zeros((0, 3))), natoms=-1))
    closes(test, link, "-1 atoms", ignored="fail")


@case("faults", over=["first", "later"])
def most_atoms(test: Test, when: str) -> None:
    """2147483647 atoms are refused before their 51 GB are awaited."""
    link = _at(test, when)
    link.send(posdata(test.structure.with_positions(np.zeros((0, 3))), natoms=2**31 - 1))
    awaits(test, link, "2147483647 atoms")


ONE = {f"{name}-{when}": (by, when) for name, by in (("less", -1), ("more", 1)) for when in ("first", "later")}


@case("faults", over=ONE)
def one_atom(test: Test, which: tuple[int, str]) -> None:
    """An atom more or less than the driver was set up for is refused; forces for as many as were sent are a warning."""
    by, when = which
    link, positions = _at(test, when), test.structure.positions
    changed = positions[:-1] if by < 0 else np.vstack([positions, positions[-1] + 3.0])
    link.try_send(step(test.structure.with_positions(changed)))
    refused(test, link, f"{len(changed)} atoms", "warn", len(changed))


# ---- numbers ----

def _coincident(s: Structure) -> Structure:
    return s.with_positions(np.repeat(s.positions[:1], s.natoms, axis=0))


def _cell_number(s: Structure, value: float) -> Structure:
    cell = s.cell.copy()
    cell[0, 0] = value
    return s.with_cell(cell)


BAD: dict[str, tuple[str, Callable[[Structure], Structure]]] = {
    "nan-positions": ("fail", lambda s: s.with_number((s.natoms - 1, 2), np.nan)),
    "inf-positions": ("fail", lambda s: s.with_number((0, 0), np.inf)),
    "1e300-positions": ("warn", lambda s: s.with_number((s.natoms // 2, 1), 1e300)),
    "nan-cell": ("fail", lambda s: _cell_number(s, np.nan)),
    "inf-cell": ("fail", lambda s: _cell_number(s, np.inf)),
    "tiny-cell": ("warn", lambda s: s.with_cell(np.eye(3) * 1e-6)),
    "flat-cell": ("warn", lambda s: s.with_cell(np.array([[20.0, 20, 0], [20, 20, 0], [0, 0, 20]]))),
    "coincident-atoms": ("warn", _coincident),
}
WHEN = {f"{name}-{when}": (name, when) for name in BAD for when in ("first", "later")}


@case("faults", over=WHEN)
def refuses(test: Test, which: tuple[str, str]) -> None:
    """The link closes, no forces come. Numbers for NaN and Inf, NaN for anything fail; numbers for the rest warn."""
    name, when = which
    if "cell" in name:
        test.needs_cell()
    if name == "coincident-atoms" and test.structure.natoms < 2:
        raise NotApplicable("one atom cannot coincide")
    link = _at(test, when)
    judged, make = BAD[name]
    link.try_send(step(make(test.structure)))
    refused(test, link, name.replace("-", " "), judged)


@case("faults", over=["nan-positions", "coincident-atoms"])
def refuses_classic(test: Test, name: str) -> None:
    """The same with STATUS before GETFORCE: the link closes at one of the two."""
    link = _at(test, "first")
    judged, make = BAD[name]
    link.send(posdata(make(test.structure)))
    link.try_send(word("STATUS"))
    try:
        link.expect("HAVEDATA")
    except Closed:
        ends(test, False, name.replace("-", " "))
        return
    link.try_send(GETFORCE)
    refused(test, link, name.replace("-", " "), judged)
