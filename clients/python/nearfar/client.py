# SPDX-License-Identifier: BSD-3-Clause
"""A client of `nearfar listen`: the side of i-PI, over a connection that it opens itself."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Optional, TypeVar, Union

import numpy as np

from .errors import NearfarError
from .result import Result
from .species import Species, as_text
from .units import BOHR, HARTREE
from .wire import Deadline, Wire, header, parse_address

T = TypeVar("T")
Array = Union[np.ndarray, Sequence[Any]]


def _positions(values: Array) -> np.ndarray:
    x = np.asarray(values, dtype=float)
    if x.ndim != 2 or x.shape[1] != 3 or len(x) == 0:
        raise ValueError(f"positions have the shape [N][3], not {list(x.shape)}")
    return x


def _cell(values: Optional[Array]) -> np.ndarray:
    """[3][3]: None is no cell, three numbers are the edges of a box."""
    if values is None:
        return np.zeros((3, 3))
    h = np.asarray(values, dtype=float)
    h = np.diag(h) if h.shape == (3,) else h
    if h.shape != (3, 3):
        raise ValueError(f"a cell is three vectors, [3][3], or the edges of a box, [3], not {list(h.shape)}")
    return h


class Client:
    """Evaluates structures of one list of elements on a server.

    address: unix:NAME (the socket /tmp/ipi_NAME), unix:/path or tcp:HOST:PORT.
    model: the name of one of the models that are served; None: the first.
    species: symbols or atomic numbers in the order of the positions, or a list as "O H H * 64"; None: as the server was
        told by --species.
    extras: "none", "summary" (spread of a committee, extrapolated values) or "committee" (all members' results).
    timeout: seconds for one call, all of it but the resolution of a host's name.
    wait: seconds to wait, when connecting, for a server that is not there yet.
    trust_species: the first structure is not judged: do the elements look to be in the order of the positions?

    The first call connects, or `with` does. After an exception, after a restart of the server and in a forked child the
    next call connects anew. Several threads may share a client: one call follows the other.
    """

    def __init__(self, address: str, model: Optional[str] = None, species: Optional[Species] = None,
                 extras: str = "summary", timeout: float = 60.0, wait: float = 0.0,
                 trust_species: bool = False) -> None:
        parse_address(address)
        if not timeout > 0:
            raise ValueError(f"the timeout is {timeout} s: it must be above 0")
        if extras not in ("none", "summary", "committee"):
            raise ValueError(f"extras are none, summary or committee, not {extras!r}")
        self.address, self.model, self.extras = address, model, extras
        self.timeout, self.wait, self.trust_species = timeout, wait, trust_species
        self._species, self._natoms = as_text(species)
        self._wire: Optional[Wire] = None
        self._batch = 0  # structures in a message, by the INIT that the server has; 0: it has none that holds
        self._lock = threading.RLock()

    def __enter__(self) -> Client:
        self.connect()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies, here or in another process, have connections of their own."""
        return type(self), (self.address, self.model, self._species, self.extras, self.timeout, self.wait,
                            self.trust_species)

    def set_species(self, species: Optional[Species]) -> None:
        """Other elements, for the calls that follow."""
        text, natoms = as_text(species)
        with self._lock:
            if (text, natoms) != (self._species, self._natoms):
                self._species, self._natoms, self._batch = text, natoms, 0

    def connect(self) -> None:
        """So that what is wrong is known before the first structure. Does nothing on a connection that lives."""
        with self._lock:
            self._talk(self._batch or 1, lambda wire: None)

    def close(self) -> None:
        """Says goodbye. A later call connects anew."""
        with self._lock:
            if self._wire is not None:
                self._wire.goodbye()
            self._wire, self._batch = None, 0

    def evaluate(self, positions: Array, cell: Optional[Array] = None) -> Result:
        """Energy, forces and virial of one structure.

        positions: [N][3], Angstrom.
        cell: [3][3], Angstrom, lattice vectors are rows; a vector of zeros, or None for all: not periodic there.
        """
        return self.evaluate_batch([positions], [cell])[0]

    def evaluate_batch(self, positions: Sequence[Array] | np.ndarray,
                       cells: Optional[Sequence[Optional[Array]] | np.ndarray] = None) -> list[Result]:
        """The same for several structures of the same atoms, [B][N][3]; the server computes them side by side.

        cells: one for each, or None: no cells. One bad structure fails all.
        """
        x = [_positions(p) for p in positions]
        h = [_cell(None)] * len(x) if cells is None else [_cell(c) for c in cells]
        if not x:
            return []
        self._check(x, h)
        with self._lock:
            return self._talk(len(x), lambda wire: self._ask(wire, np.stack(x), np.stack(h)))

    def _check(self, x: list[np.ndarray], h: list[np.ndarray]) -> None:
        if len(h) != len(x):
            raise ValueError(f"{len(x)} structures have {len(h)} cells")
        if len({len(p) for p in x}) > 1:
            raise ValueError("the structures of a batch have the same number of atoms")
        if self._natoms not in (None, len(x[0])):
            raise ValueError(f"elements are given for {self._natoms} atoms, positions for {len(x[0])}")

    # ---- the conversation ----

    def _talk(self, batch: int, what: Callable[[Wire], T]) -> T:
        """what(wire) on a connection whose messages are of `batch` structures; whatever fails closes it."""
        deadline = Deadline(self.timeout)
        try:
            wire = self._ready(batch, deadline)
            return what(wire)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire, self._batch = None, 0

    def _ready(self, batch: int, deadline: Deadline) -> Wire:
        if self._wire is None or not self._wire.usable():
            self._drop()
            self._wire = Wire(self.address, deadline, self.wait)
            self._wire.send(header("STATUS"))
            self._wire.expect("NEEDINIT")
        self._wire.deadline = deadline
        if self._batch != batch:
            self._say_init(self._wire, batch)
        return self._wire

    def _say_init(self, wire: Wire, batch: int) -> None:
        init = {"errors": True, "batch_size": batch, "model": self.model, "species": self._species, "extras": self.extras,
                "trust_species": self.trust_species}
        text = json.dumps({key: value for key, value in init.items() if value is not None}).encode()
        wire.send(header("INIT"), struct.pack("=ii", 0, len(text)), text, header("STATUS"))
        wire.expect("READY")
        self._batch = batch

    def _ask(self, wire: Wire, x: np.ndarray, h: np.ndarray) -> list[Result]:
        """The inverse cells are left at zero, nearfar makes its own."""
        pairs = np.zeros((len(x), 2, 3, 3))
        pairs[:, 0] = h.transpose(0, 2, 1) / BOHR
        natoms, cells = struct.pack("=i", x.shape[1]), pairs.tobytes()
        wire.send(header("POSDATA"), *((natoms, cells) if len(x) > 1 else (cells, natoms)), (x / BOHR).tobytes(),
                  header("GETFORCE"))
        wire.expect("FORCEREADY")
        return self._answer(wire, *x.shape[:2])

    @staticmethod
    def _answer(wire: Wire, n: int, natoms: int) -> list[Result]:
        energies = wire.numbers(n) * HARTREE
        announced = wire.integer()
        if announced != natoms:
            raise NearfarError(f"{wire.address} answers for {announced} atoms, {natoms} were sent")
        forces = wire.numbers(n, natoms, 3) * (HARTREE / BOHR)
        virials = wire.numbers(n, 3, 3) * HARTREE
        texts = [wire.text() for _ in range(n)]
        return [Result(float(e), f, v, t) for e, f, v, t in zip(energies, forces, virials, texts)]
