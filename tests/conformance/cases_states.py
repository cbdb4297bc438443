# SPDX-License-Identifier: BSD-3-Clause
"""Which answer belongs to which state, and INIT with any text at any time."""

from __future__ import annotations

from case import Test, awaits, case, closes, refused, same
from cases_framing import other
from driver import Closed, Failure, Link
from wire import GETFORCE, STATUS, Forces, init, int32, posdata, step, word

MANY = 200


@case("states")
def needinit_until_init(test: Test) -> None:
    """NEEDINIT as often as it is asked before INIT, READY after it."""
    link = test.asks_for_init()
    link.ask("NEEDINIT")
    link.send(init())
    link.ask("READY")
    link.ask("READY")


@case("states")
def states_of_a_step(test: Test) -> None:
    """READY, POSDATA, HAVEDATA twice, GETFORCE, READY."""
    link = test.with_data()
    link.ask("HAVEDATA")
    link.send(GETFORCE)
    link.forces(test.structure.natoms)
    if link.status() not in ("READY", "NEEDINIT"):
        raise Failure("is not READY after a step")


@case("states")
def many_status_when_new(test: Test) -> None:
    """200 STATUS in one send have 200 answers."""
    _many(test.connected(), "NEEDINIT", "READY")


@case("states")
def many_status_when_ready(test: Test) -> None:
    """200 STATUS in one send have 200 answers."""
    _many(test.ready(), "READY")


@case("states")
def many_status_with_data(test: Test) -> None:
    """200 STATUS in one send have 200 answers."""
    link = test.with_data()
    _many(link, "HAVEDATA")
    link.send(GETFORCE)
    link.forces(test.structure.natoms)


def _many(link: Link, *names: str) -> None:
    link.send(STATUS * MANY)
    for _ in range(MANY):
        link.expect(*names)


@case("states")
def status_behind_posdata(test: Test) -> None:
    """STATUS right behind POSDATA: HAVEDATA, when it has."""
    link = test.ready()
    link.send(posdata(test.structure), STATUS * 2)
    link.expect("HAVEDATA")
    link.expect("HAVEDATA")
    link.send(GETFORCE)
    link.forces(test.structure.natoms)


@case("states")
def status_behind_getforce(test: Test) -> None:
    """STATUS right behind GETFORCE: READY, behind the forces."""
    link = test.ready()
    link.send(step(test.structure), STATUS * 2)
    link.forces(test.structure.natoms)
    link.expect("READY", "NEEDINIT")
    link.expect("READY", "NEEDINIT")


@case("states")
def second_posdata_replaces(test: Test) -> None:
    """POSDATA twice, then GETFORCE: the forces are those of the second."""
    link = test.ready()
    first, second = test.structure, other(test.structure, 5)
    want = link.compute(second)
    link.send(posdata(first))
    link.ask("HAVEDATA")
    _replaced(test, link, posdata(second), want)


@case("states")
def second_posdata_replaces_unasked(test: Test) -> None:
    """POSDATA, POSDATA, GETFORCE in one send."""
    link = test.ready()
    first, second = test.structure, other(test.structure, 5)
    want = link.compute(second)
    _replaced(test, link, posdata(first) + posdata(second), want)


def _replaced(test: Test, link: Link, data: bytes, want: Forces) -> None:
    try:
        link.send(data, GETFORCE)
        same(test, link.forces(test.structure.natoms), want, "the second of two POSDATA")
    except Closed:
        closes(test, link, "a second POSDATA")
        test.warn("refuses a second POSDATA; servers that gave a step up send one")
        return
    if link.status() not in ("READY", "NEEDINIT"):
        raise Failure("has data after its forces were sent")


@case("states")
def positions_before_init(test: Test) -> None:
    """Some servers skip INIT, even where NEEDINIT was said."""
    link = test.asks_for_init()
    try:
        link.compute(test.structure)
    except Closed:
        test.warn("refuses positions before INIT; some servers skip it")


@case("states")
def getforce_when_new(test: Test) -> None:
    """GETFORCE as the first word: there are no forces, the link closes."""
    link = test.connected()
    link.send(GETFORCE)
    refused(test, link, "GETFORCE before any positions")


@case("states")
def getforce_when_ready(test: Test) -> None:
    """GETFORCE at READY, before any positions: the link closes."""
    link = test.ready()
    link.send(GETFORCE)
    refused(test, link, "GETFORCE before any positions")


@case("states")
def getforce_twice(test: Test) -> None:
    """A second GETFORCE has no new positions: the link closes rather than repeat old forces."""
    link = test.ready()
    link.compute(test.structure)
    link.send(GETFORCE)
    refused(test, link, "a second GETFORCE")


# ---- INIT ----

TEXTS = {
    "empty": b"",
    "one-nul": b"\0",
    "one-blank": b" ",
    "60-kB-of-parameters": b" , ".join(b"conformance%d : %d" % (k, k) for k in range(2500))[:60_000],
    "60-kB-in-one-word": b"x" * 60_000,
    "not-utf8": b"conformance : \xff\xfe \xc3( \x80",
    "control-characters": b"conformance : \x1b[2J\r\n\t\x07\x7f",
    "json": b'{"conformance": [1, "a"]}',
    "separators": b",,:,: , : :",
}


@case("init", over=TEXTS)
def text(test: Test, text: bytes) -> None:
    """INIT with this text leads to READY, and forces can be had."""
    link = test.asks_for_init()
    link.send(init(text))
    link.ask("READY")
    link.compute(test.structure)


@case("init")
def unasked(test: Test) -> None:
    """INIT as the first message, without a STATUS before."""
    test.asks_for_init()
    test.close()
    test.opened.clear()
    link = test.connected()
    link.send(init(b" ", 7))
    link.ask("READY")
    link.compute(test.structure)


@case("init")
def repeated(test: Test) -> None:
    """INIT twice, and again between steps: READY each time, and the same forces."""
    link = test.asks_for_init()
    link.send(init(), init(b" ", 1))
    link.ask("READY")
    before = link.compute(test.structure)
    link.send(init(b" ", 2))
    link.ask("READY")
    same(test, link.compute(test.structure), before, "before and after another INIT")


@case("init")
def with_data(test: Test) -> None:
    """INIT in the state HAVEDATA is taken; the result may be kept or dropped, but the link goes on."""
    link = test.asks_for_init()
    link.send(init())
    link.ask("READY")
    link.send(posdata(test.structure))
    link.ask("HAVEDATA")
    link.send(init(b" ", 1))
    state = link.status()
    if state == "HAVEDATA":
        link.send(GETFORCE)
        link.forces(test.structure.natoms)
    elif state != "READY":
        raise Failure(f"answered {state} after INIT")
    link.compute(test.structure)


@case("init")
def number_of_any_size(test: Test) -> None:
    """The number in INIT is a request's, not a bead's, and may be anything."""
    link = test.asks_for_init()
    link.send(init(b" ", -1), init(b" ", 2**31 - 1))
    link.ask("READY")
    link.compute(test.structure)


@case("init")
def negative_length(test: Test) -> None:
    """INIT that announces -1 bytes: the link closes."""
    link = test.asks_for_init()
    link.send(word("INIT"), int32(0, -1))
    closes(test, link, "INIT of -1 bytes")


@case("init")
def huge_length(test: Test) -> None:
    """INIT that announces 2147483647 bytes: the link closes before they are awaited."""
    link = test.asks_for_init()
    link.send(word("INIT"), int32(0, 2**31 - 1))
    awaits(test, link, "INIT of 2147483647 bytes")
