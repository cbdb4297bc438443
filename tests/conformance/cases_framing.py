# SPDX-License-Identifier: BSD-3-Clause
"""A stream has no edges: messages come in any pieces, and several at once. And the dialects that servers speak."""

from __future__ import annotations

import time

from case import Test, case, same
from driver import Failure, Link
from wire import EXIT, GETFORCE, STATUS, Forces, Structure, batch, init, pieces, step

SPLITS = 400   # at most


def other(s: Structure, k: int = 1) -> Structure:
    """A structure near `s`: every k another one."""
    return s.with_number((0, 0), float(s.positions[0, 0]) + 0.02 * k)


def by_bytes(link: Link, data: bytes, pause: float = 0.0) -> None:
    for byte in data:
        link.send(bytes([byte]))
        time.sleep(pause)


@case("framing")
def one_byte_writes(test: Test) -> None:
    """A step of which every byte is sent by itself."""
    link = test.ready()
    whole = link.compute(test.structure)
    by_bytes(link, step(test.structure))
    same(test, link.forces(test.structure.natoms), whole, "a step byte by byte")
    by_bytes(link, STATUS)
    link.expect("READY")


@case("framing")
def one_byte_writes_from_the_start(test: Test) -> None:
    """STATUS, INIT and STATUS byte by byte on a new link."""
    link = test.connected()
    by_bytes(link, STATUS)
    first = link.word()
    if first == "NEEDINIT":
        by_bytes(link, init())
        by_bytes(link, STATUS)
        link.expect("READY")
    link.compute(test.structure)


@case("framing")
def slow_writer(test: Test) -> None:
    """A step of which a byte comes every 10 ms (the first 300 bytes of it)."""
    link = test.ready()
    whole = link.compute(test.structure)
    data = step(test.structure)
    by_bytes(link, data[:300], 0.01)
    link.send(data[300:])
    same(test, link.forces(test.structure.natoms), whole, "a step with pauses")


@case("framing")
def two_way_splits(test: Test) -> None:
    """A step in two pieces with a pause between them, split at every byte (of a long one, at 400)."""
    link = test.ready()
    whole = link.compute(test.structure)
    data = step(test.structure)
    stride = max(1, len(data) // SPLITS)
    for at in range(1, len(data), stride):
        try:
            link.send(data[:at])
            time.sleep(0.001)
            link.send(data[at:])
            same(test, link.forces(test.structure.natoms), whole, "a step in two pieces")
        except Failure as why:
            raise Failure(f"split at byte {at} of {len(data)}: {why}") from None


@case("framing")
def steps_in_one_send(test: Test) -> None:
    """Five steps in one piece: five replies in their order."""
    link = test.ready()
    structures = [other(test.structure, k) for k in range(5)]
    alone = [link.compute(s) for s in structures]
    link.send(*map(step, structures))
    for want in alone:
        same(test, link.forces(test.structure.natoms), want, "a step behind others")


@case("framing")
def conversation_in_one_send(test: Test) -> None:
    """INIT (if asked for), STATUS, a step, STATUS in one piece."""
    link = test.connected()
    opening = init() if link.status() == "NEEDINIT" else b""
    link.send(opening, STATUS, step(test.structure), STATUS)
    link.expect("READY")
    link.forces(test.structure.natoms)
    link.expect("READY", "NEEDINIT")


@case("dialects")
def consolidated(test: Test) -> None:
    """i-PI's default: POSDATA and GETFORCE in one send, STATUS behind the forces."""
    link = test.ready()
    for k in range(3):
        link.compute(other(test.structure, k))
        if link.status() == "NEEDINIT":
            link.send(init())
            link.ask("READY")


@case("dialects")
def classic(test: Test) -> None:
    """i-PI without consolidate_messages: STATUS before everything."""
    link = test.ready()
    for k in range(3):
        link.compute_classic(other(test.structure, k))


@case("dialects")
def ase(test: Test) -> None:
    """ASE: INIT of one NUL if asked for, POSDATA in five sends, STATUS, GETFORCE."""
    link = test.connected()
    link.handshake(b"\0")
    for k in range(3):
        link.ask("READY")
        for _, piece in pieces(other(test.structure, k)):
            link.send(piece)
        link.ask("HAVEDATA")
        link.send(GETFORCE)
        link.forces(test.structure.natoms)


@case("dialects")
def dialects_give_the_same(test: Test) -> None:
    """The same bits for a structure whichever way it is asked for."""
    link = test.ready()
    want = link.compute(test.structure)
    same(test, link.compute_classic(test.structure), want, "classic and consolidated")


# ---- batches ----

def batched(test: Test, size: int, parameters: str = " ") -> Link:
    """A link in the batched layout, announced as i-PI does."""
    test.needs("batch")
    link = test.asks_for_init()
    link.send(init(f"{parameters} batch_size:{size}".encode()))
    link.ask("READY")
    return link


def singles(test: Test, structures: list[Structure]) -> list[Forces]:
    """What the structures give one by one, on a driver of their own."""
    link = test.ready()
    found = [link.compute(s) for s in structures]
    link.send(EXIT)
    assert test.process is not None and test.listener is not None
    test.listener.close()
    test.process.close()
    return found


def batch_agrees(test: Test, structures: list[Structure], link: Link, want: list[Forces], steps: int = 2) -> None:
    for _ in range(steps):
        link.send(batch(structures))
        for got, alone in zip(link.results(test.structure.natoms, len(structures)), want):
            if not got.finite():
                raise Failure("answered NaN or Inf")
            same(test, got, alone, "in a batch and alone")
        link.ask("READY")


@case("dialects", over=[2, 8])
def batch_of(test: Test, size: int) -> None:
    """Different structures in one message, each with the result it has alone."""
    test.needs("batch")
    structures = [other(test.structure, k) for k in range(size)]
    want = singles(test, structures)
    batch_agrees(test, structures, batched(test, size), want)


@case("dialects")
def batch_of_8_padded(test: Test) -> None:
    """A short batch: i-PI repeats the last structure."""
    test.needs("batch")
    structures = [other(test.structure, min(k, 2)) for k in range(8)]
    want = singles(test, structures[:3])
    batch_agrees(test, structures, batched(test, 8), want + want[2:] * 5)


@case("dialects")
def batch_of_1(test: Test) -> None:
    """batch_size:1 is the layout without batches."""
    link = batched(test, 1)
    link.compute(test.structure)
    link.ask("READY")


@case("dialects")
def batch_behind_parameters(test: Test) -> None:
    """i-PI appends batch_size to the parameters of its input, which may be unknown ones."""
    structures = [test.structure, other(test.structure)]
    link = batched(test, 2, "conformance : 1 , ,")
    link.send(batch(structures))
    link.results(test.structure.natoms, 2)
    link.ask("READY")


@case("dialects")
def batch_byte_by_byte(test: Test) -> None:
    """A batch of two of which every byte is sent by itself."""
    structures = [test.structure, other(test.structure)]
    link = batched(test, 2)
    link.send(batch(structures))
    want = link.results(test.structure.natoms, 2)
    by_bytes(link, batch(structures))
    for got, whole in zip(link.results(test.structure.natoms, 2), want):
        same(test, got, whole, "a batch byte by byte")


@case("dialects")
def batch_classic(test: Test) -> None:
    """A batch with STATUS between POSDATA and GETFORCE."""
    structures = [test.structure, other(test.structure)]
    link = batched(test, 2)
    link.send(batch(structures).removesuffix(GETFORCE))
    link.ask("HAVEDATA")
    link.send(GETFORCE)
    link.results(test.structure.natoms, 2)
