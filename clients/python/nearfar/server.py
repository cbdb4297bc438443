# SPDX-License-Identifier: BSD-3-Clause
"""A `nearfar listen` of one's own, that starts and ends with a with-block."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union

from .client import Client
from .errors import NearfarError
from .species import Species

if TYPE_CHECKING:
    from .ase import NearfarCalculator

PathLike = Union[str, "os.PathLike[str]"]
Model = Union[PathLike, Sequence[PathLike], Mapping[str, Union[PathLike, Sequence[PathLike]]]]

LONGEST_SOCKET = 100  # of some 107 bytes that a path may have


def _program(program: Optional[PathLike]) -> str:
    name = os.fspath(program) if program is not None else os.environ.get("NEARFAR", "nearfar")
    path = shutil.which(name)
    if path is None:
        raise NearfarError(f"there is no program {name!r}: install nearfar, or let NEARFAR be its path")
    return path


def _word(name: str, paths: Union[PathLike, Sequence[PathLike]]) -> str:
    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not several or any("," in os.fspath(p) for p in several):
        raise ValueError(f"the paths of a model are one at least, without commas: {several}")
    return f"{name}=" + ",".join(os.path.abspath(os.fspath(p)) for p in several)


def _words(model: Model) -> list[str]:
    if isinstance(model, Mapping):
        return [_word(name, paths) for name, paths in model.items()]
    if isinstance(model, (str, os.PathLike)) and os.fspath(model) == "null":
        return ["null"]
    first = model if isinstance(model, (str, os.PathLike)) else next(iter(model), "")
    name = os.path.basename(os.path.abspath(os.fspath(first))).replace("=", "-").replace("/", "-")
    return [_word(name or "model", model)]


def _private_place() -> str:
    """A directory for us alone, near enough to the root that the path of a socket fits."""
    place = tempfile.mkdtemp(prefix="nearfar-")
    if len(os.fsencode(place)) + len("/socket") > LONGEST_SOCKET:
        os.rmdir(place)
        place = tempfile.mkdtemp(prefix="nearfar-", dir="/tmp")
    return place


def _end(process: subprocess.Popen[bytes], place: str, owner: int, seconds: float = 10.0) -> None:
    if owner != os.getpid():  # a child that was forked
        return
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    shutil.rmtree(place, ignore_errors=True)


class Server:
    """A running `nearfar listen`. Use `serve`."""

    def __init__(self, model: Model, options: Sequence[str] = (), program: Optional[PathLike] = None,
                 timeout: float = 60.0) -> None:
        command, words = _program(program), _words(model)
        place = _private_place()
        self._socket, self._log = os.path.join(place, "socket"), os.path.join(place, "log")
        self.address = f"unix:{self._socket}"
        try:
            with open(self._log, "wb") as log:
                self.process = subprocess.Popen([command, "listen", self.address, *words, *map(str, options)],
                                                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self.stop = weakref.finalize(self, _end, self.process, place, os.getpid())
        try:
            self._await(time.monotonic() + timeout, timeout)
        except BaseException:
            self.stop()
            raise

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(1.0)
            try:
                s.connect(self._socket)
            except OSError:
                return False
            return True

    def _await(self, until: float, timeout: float) -> None:
        while not self._accepts():
            if self.process.poll() is not None:
                raise NearfarError(self.last_words() or f"nearfar ended with status {self.process.returncode}")
            if time.monotonic() > until:
                raise NearfarError(f"nearfar does not listen after {timeout:g} s: {self.last_words()}")
            time.sleep(0.01)

    def log(self) -> str:
        """What the server has said so far; "" after its end."""
        try:
            return Path(self._log).read_text(errors="replace")
        except OSError:
            return ""

    def last_words(self) -> str:
        lines = self.log().strip().splitlines()
        return lines[-1].removeprefix("nearfar: ") if lines else ""

    def client(self, species: Optional[Species] = None, **options: Any) -> Client:
        """A client; options are those of `Client`."""
        return Client(self.address, species=species, **options)

    def calculator(self, **options: Any) -> NearfarCalculator:
        """A calculator for ASE; options are those of `nearfar.ase.NearfarCalculator`."""
        from .ase import NearfarCalculator
        return NearfarCalculator(self.address, **options)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.stop()


def serve(model: Model, options: Sequence[str] = (), program: Optional[PathLike] = None, timeout: float = 60.0) -> Server:
    """Starts `nearfar listen` at a socket that only this user can open, and waits until it accepts; a context manager.

    model: the path of a model; a list of paths, which are one committee; or {name: path or list of paths}.
    options: words of its command line, as ["--threads", "2"].
    program: nearfar; by default the environment variable NEARFAR, then PATH.
    timeout: seconds in which it must have loaded its models.

    It ends with the with-block, by SIGTERM, or with this process; `stop()` ends it earlier. NearfarError has its last words
    if it does not start.
    """
    return Server(model, options, program, timeout)
