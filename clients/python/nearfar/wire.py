# SPDX-License-Identifier: BSD-3-Clause
"""Messages of the i-PI protocol over a socket of ours: bytes in time, or an exception."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from typing import Any, NoReturn

import numpy as np

from .errors import ConnectionLost, NearfarError, Refused, TimedOut

LONGEST_TEXT = 1 << 30
AT_ONCE = 1 << 14  # bytes
NOBODY_YET = (FileNotFoundError, ConnectionRefusedError)


class Deadline:
    """The end of a call."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.end = seconds, time.monotonic() + seconds

    def left(self) -> float:
        return self.end - time.monotonic()

    def __str__(self) -> str:
        return f"{self.seconds:g} s"


def parse_address(address: str) -> tuple[str, Any]:
    """("unix", path) or ("tcp", (host, port)) of unix:NAME, unix:/path or tcp:HOST:PORT."""
    kind, _, rest = address.partition(":")
    if kind == "unix" and rest:
        return kind, rest if rest.startswith("/") else f"/tmp/ipi_{rest}"
    host, _, port = rest.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if kind == "tcp" and host and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535:
        return kind, (host, int(port))
    raise ValueError(f"{address!r} is no address: unix:NAME, unix:/path or tcp:HOST:PORT")


class Wire:
    """One connection. After an exception nobody knows at which byte it stands: close it."""

    def __init__(self, address: str, deadline: Deadline, wait: float = 0.0) -> None:
        self.address, self.deadline, self.owner = address, deadline, os.getpid()
        self._in = memoryview(bytearray(AT_ONCE))
        self._first = self._end = 0  # what of it has arrived and is not taken yet
        self.socket = self._connect(wait)

    # ---- connecting ----

    def _connect_once(self) -> socket.socket:
        kind, place = parse_address(self.address)
        left = max(self.deadline.left(), 1e-3)
        if kind == "tcp":
            s = socket.create_connection(place, timeout=left)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return s
        s = socket.socket(socket.AF_UNIX)
        try:
            s.settimeout(left)
            s.connect(place)
        except BaseException:
            s.close()
            raise
        return s

    def _connect(self, wait: float) -> socket.socket:
        """A server that is just starting needs a moment, a crowd before its door another."""
        until = time.monotonic() + min(wait, self.deadline.left())
        while True:
            try:
                return self._connect_once()
            except OSError as e:
                busy = e.errno == errno.EAGAIN and self.deadline.left() > 0
                if not busy and (not isinstance(e, NOBODY_YET) or time.monotonic() >= until):
                    if isinstance(e, socket.timeout):
                        raise self._late() from None
                    raise ConnectionLost(f"cannot reach a nearfar listen at {self.address}: {e.strerror or e}") from e
            time.sleep(0.01)

    def close(self) -> None:
        self.socket.close()

    def goodbye(self) -> None:
        """Tells the server, if that is possible without waiting, and closes."""
        try:
            if self.usable():
                self.socket.setblocking(False)
                self.socket.send(b"EXIT        ")
        except OSError:
            pass
        self.close()

    def usable(self) -> bool:
        """Between two calls there is nothing to read, unless the server has left; and a child of ours must not write in
        between."""
        if self.owner != os.getpid() or self._first != self._end:
            return False
        try:
            self.socket.setblocking(False)
            self.socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return False

    # ---- bytes ----

    def _late(self) -> TimedOut:
        return TimedOut(f"no answer from {self.address} within {self.deadline}")

    def _arm(self) -> None:
        left = self.deadline.left()
        if left <= 0:
            raise self._late()
        self.socket.settimeout(left)

    def send(self, *parts: bytes) -> None:
        self._arm()
        try:
            self.socket.sendall(b"".join(parts))
        except socket.timeout:
            raise self._late() from None
        except OSError as e:
            self._sent_in_vain(e)

    def _sent_in_vain(self, why: OSError) -> NoReturn:
        """A server that closes in the middle of what we send has said why before."""
        try:
            self.expect("")
        except Refused:
            raise
        except NearfarError:
            pass
        raise ConnectionLost(f"cannot send to {self.address}: {why.strerror or why}") from why

    def _receive_into(self, view: memoryview) -> int:
        self._arm()
        try:
            n = self.socket.recv_into(view)
        except socket.timeout:
            raise self._late() from None
        except ConnectionResetError:
            n = 0
        except OSError as e:
            raise ConnectionLost(f"cannot read from {self.address}: {e.strerror or e}") from e
        if n == 0:
            raise ConnectionLost(f"the server at {self.address} has closed the connection; it knows why")
        return n

    def take(self, n: int) -> bytearray:
        """Exactly n bytes. What comes with the last of them is kept: most answers are one piece."""
        data = bytearray(n)
        view, have = memoryview(data), 0
        while have < n:
            if self._first == self._end and n - have >= len(self._in):
                have += self._receive_into(view[have:])
                continue
            if self._first == self._end:
                self._first, self._end = 0, self._receive_into(self._in)
            part = min(n - have, self._end - self._first)
            view[have:have + part] = self._in[self._first:self._first + part]
            self._first, have = self._first + part, have + part
        return data

    def integer(self) -> int:
        return int(struct.unpack("=i", self.take(4))[0])

    def text(self) -> str:
        n = self.integer()
        if not 0 <= n <= LONGEST_TEXT:
            raise NearfarError(f"{self.address} announces a text of {n} bytes")
        return self.take(n).decode(errors="replace")

    def numbers(self, *shape: int) -> np.ndarray:
        return np.frombuffer(self.take(8 * int(np.prod(shape, dtype=np.int64)))).reshape(shape)

    def expect(self, word: str) -> None:
        """The next header, or the reason why it is another one."""
        said = bytes(self.take(12)).decode("ascii", errors="replace").rstrip()
        if said == word:
            return
        if said == "ERROR":
            raise Refused(self.text())
        if said == "STATUS":
            raise NearfarError(f"who listens at {self.address} asks for answers, as i-PI does: that is no nearfar listen")
        raise NearfarError(f"the answer of {self.address} begins with {said!r}: that is no nearfar listen")


def header(word: str) -> bytes:
    return word.ljust(12).encode("ascii")
