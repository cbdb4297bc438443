# SPDX-License-Identifier: BSD-3-Clause
"""Whenever a server goes, the driver goes too, within 5 s: with status 0 between steps, another one inside a step.
And servers that come late, or come again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from case import LEAVES, NotApplicable, Test, case, ends, same
from driver import Closed, Failure, Link, Process
from wire import EXIT, STATUS, Structure, init, pieces, posdata, step

WORDS = 10   # bytes of text in the INIT that is cut


def cut(s: Structure, field: str) -> bytes:
    """POSDATA up to the middle of a field."""
    data = b""
    for name, piece in pieces(s):
        if name == field:
            return data + piece[:len(piece) // 2]
        data += piece
    raise KeyError(field)


def after(s: Structure, field: str) -> bytes:
    data = b""
    for name, piece in pieces(s):
        data += piece
        if name == field:
            return data
    raise KeyError(field)


# ---- closes ----

FIELDS = ("header", "cell", "inverse", "natoms", "positions")


@case("endings", over=FIELDS)
def cut_inside(test: Test, field: str) -> None:
    """POSDATA ends in the middle of this field, and the link with it: status not 0."""
    link = test.ready()
    link.send(cut(test.structure, field))
    _close(test, link, False, f"a close inside POSDATA ({field})")


@case("endings", over=FIELDS[:-1])
def cut_after(test: Test, field: str) -> None:
    """POSDATA ends behind this field, and the link with it: status not 0."""
    link = test.ready()
    link.compute(test.structure)
    link.send(after(test.structure, field))
    _close(test, link, False, f"a close inside POSDATA (after {field})")


@case("endings", over={"header": 6, "after-header": 12, "number": 14, "length": 18, "text": 20 + WORDS // 2})
def init_cut_at(test: Test, count: int) -> None:
    """INIT ends there, and the link with it: status not 0."""
    link = test.asks_for_init()
    link.send(init(b"a : bcdefg")[:count])
    _close(test, link, False, "a close inside INIT")


@case("endings")
def closed_when_new(test: Test) -> None:
    """A server that closes without a word: the driver ends, whatever its status."""
    _close(test, test.connected(), None, "a close before any word")


@case("endings")
def closed_at_needinit(test: Test) -> None:
    """Closed after NEEDINIT was said."""
    _close(test, test.asks_for_init(), None, "a close before INIT")


@case("endings")
def closed_at_ready(test: Test) -> None:
    """Closed after READY, before any step: status 0."""
    _close(test, test.ready(), True, "a close at READY")


@case("endings")
def closed_between_steps(test: Test) -> None:
    """As ASE ends: status 0."""
    link = test.ready()
    link.compute(test.structure)
    _close(test, link, True, "a close between steps")


@case("endings")
def closed_with_data(test: Test) -> None:
    """Closed in the state HAVEDATA: the step was not finished, status not 0."""
    _close(test, test.with_data(), False, "a close at HAVEDATA")


@case("endings")
def closed_after_getforce(test: Test) -> None:
    """Closed before the forces are read: it may have written them, so any status will do."""
    link = test.ready()
    link.compute(test.structure)
    link.send(step(test.structure))
    _close(test, link, None, "a close before the forces were read")


@case("endings")
def closed_behind_status(test: Test) -> None:
    """STATUS, and a close before its answer is read: between steps, any status will do."""
    link = test.ready()
    link.send(STATUS)
    _close(test, link, None, "a close behind STATUS")


def _close(test: Test, link: Link, clean: bool | None, what: str) -> None:
    link.close()
    ends(test, clean, what)


# ---- EXIT ----

@case("endings")
def exit_when_new(test: Test) -> None:
    """EXIT as the first word: status 0."""
    _exit(test, test.connected())


@case("endings")
def exit_at_needinit(test: Test) -> None:
    """EXIT instead of INIT: status 0."""
    _exit(test, test.asks_for_init())


@case("endings")
def exit_at_ready(test: Test) -> None:
    """EXIT before any step: status 0."""
    _exit(test, test.ready())


@case("endings")
def exit_after_a_step(test: Test) -> None:
    """EXIT after a step, the link left open: status 0."""
    link = test.ready()
    link.compute(test.structure)
    _exit(test, link)


@case("endings")
def exit_with_data(test: Test) -> None:
    """EXIT in the state HAVEDATA: status 0."""
    _exit(test, test.with_data())


@case("endings")
def exit_behind_forces(test: Test) -> None:
    """A step and EXIT in one send: the forces come first, then the end, status 0. To drop them is a warning."""
    link = test.ready()
    link.send(step(test.structure), EXIT)
    try:
        link.forces(test.structure.natoms)
    except Closed:
        test.warn("drops the forces that were asked for before EXIT")
    ends(test, True, "EXIT behind a step")


def _exit(test: Test, link: Link) -> None:
    link.send(EXIT)
    ends(test, True, "EXIT")


# ---- signals ----

@case("endings")
def sigterm_when_idle(test: Test) -> None:
    """SIGTERM at READY: ends within 5 s."""
    test.ready()
    _asked_to_end(test)


@case("endings")
def sigterm_inside_a_message(test: Test) -> None:
    """SIGTERM while the rest of POSDATA does not come."""
    link = test.ready()
    link.send(cut(test.structure, "positions"))
    _asked_to_end(test)


@case("endings")
def sigterm_with_data(test: Test) -> None:
    """SIGTERM in the state HAVEDATA, when GETFORCE does not come."""
    test.with_data()
    _asked_to_end(test)


@case("endings")
def sigterm_behind_a_step(test: Test) -> None:
    """SIGTERM right behind POSDATA and GETFORCE: ends within 5 s, and a reply that was begun is whole."""
    link = test.ready()
    link.send(step(test.structure))
    _process(test).signal(signal.SIGTERM)
    try:
        link.forces(test.structure.natoms)
    except Closed as why:
        if "inside" in str(why):
            raise
    _asked_to_end(test)


@case("endings")
def sigint_when_idle(test: Test) -> None:
    """SIGINT (Ctrl-C) at READY."""
    test.ready()
    _asked_to_end(test, signal.SIGINT)


def _asked_to_end(test: Test, by: signal.Signals = signal.SIGTERM) -> None:
    process = _process(test)
    time.sleep(0.2)
    process.signal(by)
    if process.wait(LEAVES) is None:
        raise Failure(f"goes on for more than {LEAVES:g} s after {by.name}")
    if process.crashed() not in (None, by.name):
        raise Failure(f"ended by {process.crashed()} after {by.name}")


def _process(test: Test) -> Process:
    assert test.process is not None
    return test.process


# ---- start and restart ----

@case("restarts")
def listener_after_the_driver(test: Test) -> None:
    """The driver is started 3 s before its server: it waits. To end with a status that is not 0 is a warning."""
    process = test.launch(listening=False)
    status = _settled(process)
    if process.crashed() is not None:
        raise Failure(f"ended by {process.crashed()} when nobody listened")
    if status == 0:
        raise Failure("ended with status 0 when nobody listened")
    if status is not None:
        test.warn(f"does not wait for its server: ends with status {status}")
        return
    assert test.listener is not None
    test.listener.open()
    link = test.accept()
    link.handshake()
    link.compute(test.structure)


def _settled(process: Process) -> int | None:
    """Its status once it has started and waits, or has ended: 3 s, and as long as it is still at work."""
    status, before = process.wait(3.0), process.usage()
    until = time.monotonic() + 15.0
    while status is None and time.monotonic() < until:
        status, now = process.wait(0.5), process.usage()
        if before is None or now is None or now.seconds - before.seconds < 0.05:
            break
        before = now
    return status


@case("restarts")
def silent_at_first(test: Test) -> None:
    """A server that accepts, and says its first word 3 s later."""
    link = test.connected()
    time.sleep(3.0)
    link.handshake()
    link.compute(test.structure)


@case("restarts")
def listener_gone_link_alive(test: Test) -> None:
    """A server that listens no more, as ASE after the first driver, is served on."""
    link = test.ready()
    assert test.listener is not None
    test.listener.close()
    link.compute(test.structure)
    time.sleep(0.5)
    link.compute(test.structure)


def _reconnecting(test: Test) -> Link:
    if not test.options.reconnect:
        raise NotApplicable("no --reconnect-command")
    test.launch(test.options.reconnect)
    link = test.accept()
    link.handshake()
    return link


def _restarts(test: Test, link: Link, pause: float) -> Link:
    """The server goes and comes again: its next link."""
    assert test.listener is not None
    link.close()
    test.listener.close()
    time.sleep(pause)
    test.listener.open()
    again = test.accept()
    again.handshake()
    return again


@case("restarts", over={"at-once": 0.0, "1-s-later": 1.0, "3-s-later": 3.0})
def server_comes_again(test: Test, pause: float) -> None:
    """A server that closes between steps and listens again finds its driver again, with the same forces."""
    link = _reconnecting(test)
    want = link.compute(test.structure)
    same(test, _restarts(test, link, pause).compute(test.structure), want, "before and after the restart")


INSIDE: dict[str, Callable[[Structure], bytes]] = {
    "a-message": lambda s: cut(s, "positions"),
    "a-step": posdata,
    "the-forces": step,
}


@case("restarts", over=INSIDE)
def server_dies_inside(test: Test, data: Callable[[Structure], bytes]) -> None:
    """A server killed at this point of a step and started again finds its driver again."""
    link = _reconnecting(test)
    want = link.compute(test.structure)
    link.send(data(test.structure))
    same(test, _restarts(test, link, 0.5).compute(test.structure), want, "before and after the restart")


@case("restarts")
def five_restarts(test: Test) -> None:
    """Five restarts in a row, memory and open files flat."""
    link = _reconnecting(test)
    link = _restarts(test, link, 0.1)
    before = _process(test).usage()
    for _ in range(4):
        link.compute(test.structure)
        link = _restarts(test, link, 0.1)
    link.compute(test.structure)
    now = _process(test).usage()
    if before is not None and now is not None and now.files > before.files:
        raise Failure(f"open files grew from {before.files} to {now.files} over four restarts")


@case("restarts")
def sigterm_while_it_waits(test: Test) -> None:
    """SIGTERM while its server is away: a driver that reconnects ends within 5 s."""
    link = _reconnecting(test)
    link.compute(test.structure)
    assert test.listener is not None
    link.close()
    test.listener.close()
    time.sleep(1.0)
    if _process(test).status() is not None:
        raise Failure("does not wait for its server to come again")
    _asked_to_end(test)
