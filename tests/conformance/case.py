# SPDX-License-Identifier: BSD-3-Clause
"""What a case is, what it may use, and what it is judged by.

    @case("states")
    def status_many_times(test: Test) -> None:
        '''Every STATUS has its answer.'''
        link = test.ready()
        ...

A case passes if it returns. It fails by Failure, warns by `test.warn` (and goes on), does not apply by NotApplicable.
Names are group/function-name; a case with `over` is one case for each of these values.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

import numpy as np

from driver import Closed, Failure, Link, Listener, Process, filled
from wire import STATUS, Forces, Structure, posdata

LEAVES = 5.0   # seconds a driver has to close a link it refuses, and to end when it has no link any more


class NotApplicable(Exception):
    """The driver cannot be expected to do this; the reason says why."""


class Verdict(Enum):
    PASS = "pass"
    WARN = "warn"
    FAIL = "FAIL"
    NOT = "n/a"


@dataclass(frozen=True)
class Case:
    group: str
    name: str
    run: Callable[[Test], None]
    about: str

    @property
    def title(self) -> str:
        return f"{self.group}/{self.name}"


@dataclass(frozen=True)
class Result:
    case: Case
    verdict: Verdict
    reason: str
    seconds: float
    output: str   # the end of what the driver printed; of failures only


@dataclass(frozen=True)
class Options:
    command: Sequence[str]
    structure: Structure
    timeout: float = 10.0       # seconds for an answer
    start: float = 30.0         # seconds until a driver that was started connects
    steps: int = 11_000
    tolerance: float = 1e-9     # relative, of the same number computed twice
    reconnect: Sequence[str] = ()
    links: Sequence[str] = ()
    shm: Sequence[str] = ()
    without: frozenset[str] = frozenset()


CASES: list[Case] = []
CaseFunction = Callable[..., None]


def case(group: str, over: Sequence[Any] | dict[str, Any] | None = None) -> Callable[[CaseFunction], CaseFunction]:
    """Registers a case, or one a value of `over` (by name, if it is a dictionary)."""
    def register(function: CaseFunction) -> CaseFunction:
        name = function.__name__.replace("_", "-")
        about = (function.__doc__ or "").strip()
        if over is None:
            CASES.append(Case(group, name, function, about))
            return function
        for label, value in (over if isinstance(over, dict) else {str(v): v for v in over}).items():
            CASES.append(Case(group, f"{name}-{label}", partial(_with_value, function, value), about))
        return function
    return register


def _with_value(function: CaseFunction, value: Any, test: Test) -> None:
    function(test, value)


@dataclass
class Test:
    """The world of one case: its driver, its address, its links. All of it ends with `close`."""
    options: Options
    warnings: list[str] = field(default_factory=list)
    process: Process | None = None
    listener: Listener | None = None
    opened: list[Link] = field(default_factory=list)

    @property
    def structure(self) -> Structure:
        return self.options.structure

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def close(self) -> None:
        for link in self.opened:
            link.close()
        if self.process is not None:
            self.process.close()
        if self.listener is not None:
            self.listener.close()

    # ---- starting ----

    def launch(self, command: Sequence[str] = (), listening: bool = True, **places: str) -> Process:
        """Starts the command (the one under test unless another is given)."""
        words = command or self.options.command
        self.listener = Listener(tcp=any("{port}" in w for w in words))
        species = " ".join(self.structure.species)
        places = {**self.listener.places(), "natoms": str(self.structure.natoms), "species": species, **places}
        if listening and self.listener.socket is None:
            self.listener.open()
        if not listening:
            self.listener.close()
        self.process = Process(filled(words, places))
        return self.process

    def accept(self, seconds: float | None = None) -> Link:
        """The next connection; fails early if the driver ends instead."""
        assert self.process is not None and self.listener is not None
        until = time.monotonic() + (self.options.start if seconds is None else seconds)
        while time.monotonic() < until:
            connection = self.listener.accept(0.1)
            if connection is not None:
                self.opened.append(Link(connection, self.options.timeout))
                return self.opened[-1]
            if self.process.status() is not None:
                raise Failure(f"ended with {said(self.process)} instead of connecting")
        raise Failure("did not connect")

    def connected(self) -> Link:
        """A new connection that nothing was said on."""
        self.launch()
        return self.accept()

    def ready(self) -> Link:
        link = self.connected()
        link.handshake()
        return link

    def asks_for_init(self) -> Link:
        """A connection of a driver that says NEEDINIT."""
        link = self.connected()
        if link.status() != "NEEDINIT":
            raise NotApplicable("the driver does not ask for INIT")
        return link

    def with_data(self) -> Link:
        """A connection in the state HAVEDATA."""
        link = self.ready()
        link.send(posdata(self.structure))
        link.ask("HAVEDATA")
        return link

    # ---- what cannot be expected ----

    def needs(self, *features: str) -> None:
        """Features that may be switched off with --no-FEATURE."""
        for feature in features:
            if feature in self.options.without:
                raise NotApplicable(f"--no-{feature}")

    def needs_cell(self) -> None:
        self.needs("cell")
        if not self.structure.periodic:
            raise NotApplicable("the structure has no cell")


# ---- judging ----

def said(process: Process) -> str:
    crash = process.crashed()
    return crash if crash is not None else f"status {process.status()}"


def ends(test: Test, clean: bool | None, after: str) -> None:
    """The driver has no link any more: it must end soon, by no signal; status 0 if `clean`, not 0 if not, None: any."""
    assert test.process is not None and test.listener is not None
    test.listener.close()
    if "ending" in test.options.without:
        return
    before, began = test.process.usage(), time.monotonic()
    status = test.process.wait(LEAVES)
    if status is None:
        raise Failure(f"goes on for more than {LEAVES:g} s after {after}{_busy(test.process, before, began)}")
    crash = test.process.crashed()
    if crash == "SIGPIPE":
        test.warn(f"ended by SIGPIPE after {after}, without a word to its user")
        return
    if crash is not None:
        raise Failure(f"ended by {crash} after {after}")
    if clean is True and status != 0:
        test.warn(f"status {status} after {after}")
    if clean is False and status == 0:
        test.warn(f"status 0 after {after}")


def _busy(process: Process, before: Any, began: float) -> str:
    after = process.usage()
    if before is None or after is None:
        return ""
    share = (after.seconds - before.seconds) / (time.monotonic() - began)
    return f", at {100 * share:.0f} % of a core" if share > 0.2 else ""


def refused(test: Test, link: Link, what: str, answered: str = "fail", natoms: int | None = None) -> None:
    """`what` was sent, and GETFORCE behind it: the link must close, the driver end with a status that is not 0.

    `answered`: how finite numbers are judged, "fail" or "warn"; NaN or Inf always fail.
    """
    try:
        found = link.results(test.structure.natoms if natoms is None else natoms)[0]
    except Closed:
        ends(test, False, what)
        return
    if not found.finite():
        raise Failure(f"answered NaN or Inf to {what}")
    if answered == "fail":
        raise Failure(f"answered numbers to {what}")
    test.warn(f"answered numbers to {what}")


def closes(test: Test, link: Link, what: str, ignored: str = "warn") -> None:
    """`what` is no message: the link must close. One that ignores it and goes on answering is judged by `ignored`."""
    try:
        if not link.readable(1.0):
            link.try_send(STATUS)
        if not link.readable(LEAVES):
            raise Failure(f"neither closes the link nor answers after {what}")
        answer = link.word()
    except Closed:
        ends(test, False, what)
        return
    if ignored == "fail" or answer not in ("READY", "NEEDINIT"):
        raise Failure(f"answered {answer} after {what}")
    test.warn(f"ignores {what}")


def awaits(test: Test, link: Link, what: str) -> None:
    """`what` announces more than can come: the link should close at once. To wait for it is a warning."""
    if link.readable(LEAVES):
        try:
            raise Failure(f"answered {link.word()} to {what}")
        except Closed:
            ends(test, False, what)
            return
    test.warn(f"waits for {what}")
    link.close()
    ends(test, None, f"a close inside {what}")


def same(test: Test, got: Forces, want: Forces, what: str) -> None:
    """The same bits are expected; a difference within --tolerance is a warning, and none if that was given."""
    if got.bits() == want.bits():
        return
    near(got, want, what, test.options.tolerance)
    if test.options.tolerance <= Options.tolerance:
        test.warn(f"{what}: not the same bits")


def near(got: Forces, want: Forces, what: str, tolerance: float) -> None:
    for name, a, b in (("energy", np.array(got.energy), np.array(want.energy)), ("forces", got.forces, want.forces),
                       ("virial", got.virial, want.virial)):
        difference = float(np.max(np.abs(a - b)))
        if not difference <= tolerance * (1 + float(np.max(np.abs(b)))):
            raise Failure(f"{what}: {name} differ by {difference:.2g}")


# ---- running one ----

def run_case(one: Case, options: Options) -> Result:
    test, began = Test(options), time.monotonic()
    verdict, reason, output = Verdict.PASS, "", ""
    try:
        one.run(test)
    except NotApplicable as why:
        verdict, reason = Verdict.NOT, str(why)
    except Failure as why:
        verdict, reason = Verdict.FAIL, _with_crash(test, str(why))
    else:
        if test.warnings:
            verdict, reason = Verdict.WARN, "; ".join(test.warnings)
    finally:
        if verdict is Verdict.FAIL and test.process is not None:
            output = test.process.text()[-2000:]
        test.close()
    return Result(one, verdict, reason, time.monotonic() - began, output)


def _with_crash(test: Test, reason: str) -> str:
    """A link that closed because the driver died says so."""
    if test.process is None:
        return reason
    test.process.wait(0.2)
    crash = test.process.crashed()
    if crash is None or crash in reason or crash == signal.Signals.SIGTERM.name:
        return reason
    return f"{reason} ({crash})"
