# SPDX-License-Identifier: BSD-3-Clause
"""The driver under test as a process, and the connections to it as a server holds them.

Everything waits with a limit, and whatever goes wrong on the driver's side is a Failure with a reason.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wire import GETFORCE, HEADER, STATUS, Forces, Structure, init, posdata, step

PAUSE = 2.0          # seconds within a reply after which i-PI drops a driver
PREFIX = "/tmp/ipi_"


class Failure(Exception):
    """The driver did what it must not do, or not what it must."""


class Closed(Failure):
    """The driver closed the link where an answer was due."""


class Listener:
    """An address that drivers connect to; it can be closed and opened again."""

    def __init__(self, tcp: bool) -> None:
        self.tcp, self.port = tcp, 0
        self.name = f"conformance-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.path = PREFIX + self.name
        self.socket: socket.socket | None = None
        if tcp:
            self.open()

    def open(self) -> None:
        self.close()
        if self.tcp:
            self.socket = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self.port = self.socket.getsockname()[1]
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(self.path)
            self.socket.listen(128)

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None
            if not self.tcp:
                os.unlink(self.path)

    def accept(self, seconds: float) -> socket.socket | None:
        assert self.socket is not None
        self.socket.settimeout(seconds)
        try:
            return self.socket.accept()[0]
        except TimeoutError:
            return None

    def places(self) -> dict[str, str]:
        """What the command's placeholders stand for."""
        return {"unix": self.name, "unix_path": self.path, "host": "127.0.0.1", "port": str(self.port)}


def filled(command: Sequence[str], places: Mapping[str, str]) -> list[str]:
    """Only the known names: other braces are the command's own."""
    words = list(command)
    for name, value in places.items():
        words = [w.replace("{" + name + "}", value) for w in words]
    return words


@dataclass(frozen=True)
class Usage:
    memory: int      # kB resident
    files: int       # open descriptors
    seconds: float   # of processor time so far


class Process:
    """The command, in a session of its own: what it starts is found and ended with it."""

    def __init__(self, command: Sequence[str]) -> None:
        self.log = tempfile.TemporaryFile()
        try:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                          start_new_session=True)
        except OSError as error:
            raise SystemExit(f"conformance: {command[0]}: {error.strerror}") from None

    def text(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def status(self) -> int | None:
        return self.child.poll()

    def wait(self, seconds: float) -> int | None:
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def signal(self, number: int) -> None:
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        self.signal(signal.SIGKILL)
        self.child.wait()

    def usage(self) -> Usage | None:
        """Of the child and all in its session. None where there is no /proc, or no process any more."""
        found = [u for u in map(_usage_of, _session(self.child.pid)) if u is not None]
        if not found:
            return None
        return Usage(sum(u.memory for u in found), sum(u.files for u in found), sum(u.seconds for u in found))

    def crashed(self) -> str | None:
        """The signal that ended it, if one did; shells and launchers pass it on as 128 + number."""
        status = self.status()
        number = None if status is None else -status if status < 0 else status - 128
        if number is None or number not in signal.valid_signals():
            return None
        return signal.Signals(number).name


def _session(leader: int) -> list[int]:
    pids = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(entry)
        if len(fields) > 3 and fields[3] == str(leader):
            pids.append(int(entry.parent.name))
    return pids


def _stat(path: Path) -> list[str]:
    """Fields behind the command's name, which may hold blanks: state, parent, group, session, ..."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _usage_of(pid: int) -> Usage | None:
    here = Path(f"/proc/{pid}")
    fields = _stat(here / "stat")
    try:
        pages = int((here / "statm").read_text().split()[1])
        files = len(os.listdir(here / "fd"))
    except (OSError, IndexError):
        return None
    return Usage(pages * os.sysconf("SC_PAGE_SIZE") // 1024, files,
                 (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))


class Link:
    """One connection to the driver."""

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        self.socket, self.timeout = connection, timeout
        self.longest_pause = 0.0
        connection.settimeout(timeout)
        if connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self.socket.close()

    # ---- to the driver ----

    def send(self, *data: bytes) -> None:
        try:
            self.socket.sendall(b"".join(data))
        except TimeoutError:
            raise Failure(f"does not read what is sent: still blocked after {self.timeout:g} s") from None
        except OSError:
            raise Closed("closed the link while it was being sent to") from None

    def try_send(self, *data: bytes) -> None:
        """To a driver that may have hung up, with good reason."""
        try:
            self.send(*data)
        except Closed:
            pass

    # ---- from the driver ----

    def readable(self, seconds: float) -> bool:
        return bool(select.select([self.socket], [], [], seconds)[0])

    def take(self, count: int, begun: bool = False) -> bytes:
        """Exactly `count` bytes. `begun`: they belong to a reply that has begun, which must not pause."""
        parts: list[bytes] = []
        missing = count
        while missing:
            part = self._part(missing, begun or bool(parts))
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _part(self, most: int, begun: bool) -> bytes:
        before = time.monotonic()
        try:
            part = self.socket.recv(most)
        except TimeoutError:
            raise Failure("a reply that does not end" if begun else f"no answer within {self.timeout:g} s") from None
        except OSError:
            part = b""
        if not part:
            raise Closed("closed the link" + (" inside a reply" if begun else ""))
        if begun:
            self.longest_pause = max(self.longest_pause, time.monotonic() - before)
            if self.longest_pause > PAUSE:
                raise Failure(f"paused for {self.longest_pause:.1f} s inside a reply: i-PI gives up after {PAUSE:g} s")
        return part

    def word(self) -> str:
        data = self.take(HEADER)
        name = data.decode("ascii", "replace").rstrip()
        if data != name.upper().encode("ascii", "replace").ljust(HEADER):
            raise Failure(f"answered {data!r}, which is no header of 12 bytes")
        return name

    def expect(self, *names: str) -> None:
        got = self.word()
        if got not in names:
            raise Failure(f"answered {got}, expected {' or '.join(names)}")

    def status(self) -> str:
        self.send(STATUS)
        return self.word()

    def ask(self, name: str) -> None:
        """STATUS, and its answer is `name`."""
        self.send(STATUS)
        self.expect(name)

    def results(self, natoms: int, size: int = 1) -> list[Forces]:
        """A whole reply for `size` structures; numbers may be anything."""
        self.expect("FORCEREADY")
        energies = np.frombuffer(self.take(8 * size, True))
        count = int(np.frombuffer(self.take(4, True), np.int32)[0])
        if count != natoms:
            raise Failure(f"answered for {count} atoms, {natoms} were sent")
        forces = np.frombuffer(self.take(24 * natoms * size, True)).reshape(size, natoms, 3)
        virials = np.frombuffer(self.take(72 * size, True)).reshape(size, 3, 3)
        return [Forces(float(energies[k]), forces[k], virials[k], self.extras()) for k in range(size)]

    def extras(self) -> bytes:
        length = int(np.frombuffer(self.take(4, True), np.int32)[0])
        if length < 0:
            raise Failure(f"announced {length} bytes of extras")
        return self.take(length, True)

    def forces(self, natoms: int) -> Forces:
        """A reply that must hold numbers."""
        found = self.results(natoms)[0]
        if not found.finite():
            raise Failure("answered NaN or Inf")
        return found

    # ---- conversations ----

    def handshake(self, text: bytes = b" ") -> bool:
        """As i-PI and ASE do it: INIT only to a driver that says NEEDINIT. Whether it did."""
        first = self.status()
        if first == "NEEDINIT":
            self.send(init(text))
            self.ask("READY")
        elif first != "READY":
            raise Failure(f"answered {first} to the first STATUS")
        return first == "NEEDINIT"

    def compute(self, s: Structure) -> Forces:
        """A step as i-PI makes it by default."""
        self.send(step(s))
        return self.forces(s.natoms)

    def compute_classic(self, s: Structure) -> Forces:
        """A step as ASE makes it, and i-PI without consolidate_messages."""
        self.ask("READY")
        self.send(posdata(s))
        self.ask("HAVEDATA")
        self.send(GETFORCE)
        return self.forces(s.natoms)
