# SPDX-License-Identifier: BSD-3-Clause
"""Long runs, slow servers, many links, and silence: nothing grows, nothing is lost, nobody spins."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import numpy as np

from case import NotApplicable, Test, case, same
from cases_endings import cut
from cases_framing import other
from driver import Closed, Failure, Link, Usage
from wire import GETFORCE, Forces, Structure, pieces, step

WARM = 0.2       # of the steps, before memory is looked at
GROWS = 1024     # kB that memory may grow by from there, and a hundredth
IDLE = 2.0       # seconds of silence
BACKLOG = 3000   # steps sent ahead of a server that does not read
LINKS = 64


def usage(test: Test) -> Usage:
    assert test.process is not None
    found = test.process.usage()
    if found is None:
        raise NotApplicable("no /proc to read memory and open files from")
    return found


@case("load")
def many_steps(test: Test) -> None:
    """11 000 steps (--steps), memory and open files flat, and the first forces again at the end."""
    link = test.ready()
    structures = [other(test.structure, k) for k in range(10)]
    first = link.compute(structures[0])
    warm = max(1, int(WARM * test.options.steps))
    _run(link, structures, warm)
    before = usage(test)
    _run(link, structures, test.options.steps - warm)
    flat(before, usage(test), test.options.steps - warm)
    same(test, link.compute(structures[0]), first, "at the start and at the end")


def _run(link: Link, structures: list[Structure], steps: int) -> None:
    for k in range(steps):
        link.compute(structures[k % len(structures)])


def flat(before: Usage, now: Usage, steps: int) -> None:
    if now.files > before.files:
        raise Failure(f"open files grew from {before.files} to {now.files} over {steps} steps")
    if now.memory > before.memory * 1.01 + GROWS:
        raise Failure(f"memory grew from {before.memory} to {now.memory} kB over {steps} steps")


@case("load")
def cell_changes(test: Test) -> None:
    """200 steps with a cell of their own each: the first forces again at the end, memory flat."""
    test.needs_cell()
    link, s = test.ready(), test.structure
    first = link.compute(s)
    scales = 1 + 0.02 * np.sin(np.arange(200))
    found = [link.compute(s.strained(scale * np.eye(3))) for scale in scales]
    before = usage(test)
    for scale, want in zip(scales, found):
        same(test, link.compute(s.strained(scale * np.eye(3))), want, "a cell that came before")
    flat(before, usage(test), 200)
    same(test, link.compute(s), first, "the first cell again")


@case("load")
def slow_reader(test: Test) -> None:
    """A reply that is read one byte per millisecond (its first kilobyte)."""
    link = test.ready()
    want = link.compute(test.structure)
    link.send(step(test.structure))
    data = b""
    size = 12 + 12 + 24 * test.structure.natoms + 72
    while len(data) < min(size, 1000):
        time.sleep(0.001)
        data += link.take(1)
    data += link.take(size - len(data), True)
    link.extras()
    if data[12:20] != np.float64(want.energy).tobytes():
        raise Failure("another energy than before")


@case("load")
def reader_that_sleeps(test: Test) -> None:
    """Steps are sent, up to 3000 and 10 s of work, but nothing is read for 3 s; then all replies are there."""
    link = test.ready()
    want = link.compute(test.structure)
    each = _seconds(link, lambda: link.compute(test.structure))
    count = min(BACKLOG, test.options.steps, max(20, int(10.0 / each)))
    sender = threading.Thread(target=_send_all, args=(link.socket, step(test.structure) * count), daemon=True)
    sender.start()
    time.sleep(3.0)
    for k in range(count):
        got = link.forces(test.structure.natoms)
        if got.bits() != want.bits():
            same(test, got, want, f"reply {k + 1} of {count}")
    sender.join(test.options.timeout)
    link.ask("READY")


def _send_all(to: socket.socket, data: bytes) -> None:
    with to.dup() as own:
        own.settimeout(600)
        try:
            own.sendall(data)
        except OSError:
            pass   # the reader says what is missing


# ---- many links ----

def _many_links(test: Test) -> list[Link]:
    if not test.options.links:
        raise NotApplicable("no --links-command")
    test.launch(test.options.links, links=str(LINKS))
    links = [test.accept() for _ in range(LINKS)]
    for link in links:
        link.handshake()
    return links


@case("load")
def links_64(test: Test) -> None:
    """64 links, a step on all at once, ten times: everybody has his own forces; then memory and files are flat."""
    links = _many_links(test)
    structures = [other(test.structure, k) for k in range(LINKS)]
    want = [links[0].compute(s) for s in structures]
    _round(test, links, structures, want)
    before = usage(test)
    for _ in range(10):
        _round(test, links, structures, want)
    flat(before, usage(test), 10 * LINKS)


def _round(test: Test, links: list[Link], structures: list[Structure], want: list[Forces]) -> None:
    for link, s in zip(links, structures):
        link.send(step(s))
    for link, expected in zip(links, want):
        same(test, link.forces(test.structure.natoms), expected, "on a link of many")


@case("load")
def links_64_one_stuck(test: Test) -> None:
    """One of 64 links stops inside a message, one does not read: the others go on."""
    links = _many_links(test)
    links[0].send(cut(test.structure, "positions"))
    links[1].send(step(test.structure))
    for _ in range(5):
        for link in links[2:]:
            link.compute(test.structure)


@case("load")
def links_64_one_bad(test: Test) -> None:
    """One of 64 links sends NaN: it is refused, the others go on."""
    links = _many_links(test)
    links[5].try_send(step(test.structure.with_number((0, 0), np.nan)))
    for link in links[:5] + links[6:]:
        link.compute(test.structure)
    try:
        raise Failure(f"answered {links[5].word()} to NaN")
    except Closed:
        pass


# ---- silence ----

def _silent(test: Test) -> None:
    """Less than 1 % of a core, give or take a clock tick."""
    time.sleep(0.3)
    before = usage(test)
    time.sleep(IDLE)
    used = usage(test).seconds - before.seconds
    if used > 0.01 * IDLE + 0.011:
        raise Failure(f"uses {100 * used / IDLE:.0f} % of a core while nothing is asked")


@case("load")
def idle_at_ready(test: Test) -> None:
    """2 s of silence between steps cost less than 1 % of a core."""
    link = test.ready()
    link.compute(test.structure)
    _silent(test)


@case("load")
def idle_with_data(test: Test) -> None:
    """2 s of silence in the state HAVEDATA."""
    link = test.with_data()
    _silent(test)
    link.send(GETFORCE)
    link.forces(test.structure.natoms)


@case("load")
def idle_inside_a_message(test: Test) -> None:
    """2 s of silence in the middle of POSDATA."""
    link = test.ready()
    link.send(cut(test.structure, "positions"))
    _silent(test)


@case("load")
def tcp_in_five_sends(test: Test) -> None:
    """ASE's POSDATA in five sends without TCP_NODELAY: a driver that acknowledges late makes each step wait 40 ms."""
    link = test.ready()
    if link.socket.family != socket.AF_INET:
        raise NotApplicable("not over TCP")
    link.compute(test.structure)
    fused = _seconds(link, lambda: link.compute(test.structure))
    link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    ase = _seconds(link, lambda: _five_sends(link, test))
    if ase > fused + 0.02:
        test.warn(f"a step in ASE's five sends takes {1000 * ase:.0f} ms, in one {1000 * fused:.1f} ms")


def _five_sends(link: Link, test: Test) -> None:
    for _, piece in pieces(test.structure):
        link.send(piece)
    link.ask("HAVEDATA")
    link.send(GETFORCE)
    link.forces(test.structure.natoms)


def _seconds(link: Link, work: Callable[[], object], times: int = 10) -> float:
    began = time.monotonic()
    for _ in range(times):
        work()
    return (time.monotonic() - began) / times
