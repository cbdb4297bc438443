# SPDX-License-Identifier: BSD-3-Clause
"""Two drivers at two addresses of one nearfar: who asks for little is not kept waiting by who asks for much."""

from __future__ import annotations

import json
import select
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from programs import Program, nearfar_path
from test_driver import SECONDS, Driver
from wire import BOHR, init, posdata

MANY = 200  # structures of a batch


class Listener(Driver):
    """One of several drivers that listen before nearfar is started."""

    def __init__(self, path: Path, box: Path) -> None:
        self.path = path
        lines = box.read_text().splitlines()
        edge = float(lines[1].split('"')[1].split()[0])
        self.cell = np.eye(3) * edge / BOHR
        self.start = np.loadtxt(lines[2:], usecols=(1, 2, 3)) / BOHR
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(SECONDS)

    def meet(self, nearfar: Program) -> None:
        self.nearfar = nearfar
        self.link = self.listener.accept()[0]
        self.link.settimeout(12 * SECONDS)

    def announce(self, batch: int, options: str = " ") -> None:
        assert self.status() == "NEEDINIT"
        self.send("INIT", *init(f"{options}, batch_size:{batch}".encode()))

    def send_batch(self, frames: np.ndarray) -> None:
        cell, inverse, natoms, _ = posdata(self.start, cell=self.cell)
        self.send("POSDATA", natoms, (cell + inverse) * len(frames), frames.astype("<f8").tobytes())
        self.send("GETFORCE")

    def extras(self) -> str:
        return self.bytes(struct.unpack("<i", self.bytes(4))[0]).decode()

    def batch_forces(self, n: int) -> np.ndarray:
        """All of a reply but its virials and extras."""
        assert self.word() == "FORCEREADY"
        self.bytes(8 * n)
        natoms, = struct.unpack("<i", self.bytes(4))
        return np.frombuffer(self.bytes(24 * n * natoms)).reshape(n, natoms, 3)

    def step(self, positions: np.ndarray) -> np.ndarray:
        self.send("POSDATA", *posdata(positions, cell=self.cell))
        self.send("GETFORCE")
        return self.forces()[1]

    def is_answered(self) -> bool:
        return bool(select.select([self.link], [], [], 0)[0])


@pytest.fixture(params=[1, 2])
def drivers(request: pytest.FixtureRequest, potential: list[Path], water16: Path,
            tmp_path: Path) -> Iterator[tuple[Listener, Listener]]:
    much, little = Listener(tmp_path / "much", water16), Listener(tmp_path / "little", water16)
    command = [nearfar_path(), "run", *potential, f"unix:{much.path}", f"unix:{little.path}", "--species", water16,
               "--links", "1", "--threads", request.param]
    with Program("nearfar", command, tmp_path) as nearfar:
        much.meet(nearfar)
        little.meet(nearfar)
        yield much, little
        much.close()
        little.close()


def moved(start: np.ndarray, n: int) -> np.ndarray:
    return start + np.random.default_rng(1).normal(0, 0.02, (n, *start.shape))


def test_a_large_batch_keeps_nobody_waiting(drivers: tuple[Listener, Listener]) -> None:
    much, little = drivers
    frames = moved(much.start, MANY)
    much.announce(MANY)
    little.announce(1)
    little.step(little.start)
    much.send_batch(frames)
    steps = [little.step(frame) for frame in frames[:5]]
    assert not much.is_answered(), "the batch was answered first"
    together = much.batch_forces(MANY)
    for alone, in_batch in zip(steps, together):
        np.testing.assert_array_equal(alone, in_batch)


def test_small_steps_without_end_do_not_hold_up_a_batch(drivers: tuple[Listener, Listener]) -> None:
    """The batch gets half of the work at least, and is done before the other driver has had a few times as much."""
    much, little = drivers
    much.announce(20)
    little.announce(1)
    much.send_batch(moved(much.start, 20))
    for _ in range(100):
        little.step(little.start)
        if much.is_answered():
            break
    else:
        raise AssertionError("the batch of 20 has not been answered after 100 other steps")
    assert len(much.batch_forces(20)) == 20


def test_long_extras_do_not_hold_up_the_other(drivers: tuple[Listener, Listener]) -> None:
    """They are written beside the evaluations, and come whole and in order."""
    much, little = drivers
    n = 80
    frames = moved(much.start, n)
    much.announce(n, "extras: committee")
    little.announce(1)
    for _ in range(2):
        much.send_batch(frames)
        alone = little.step(frames[-1])
        forces = much.batch_forces(n)
        np.testing.assert_array_equal(forces[-1], alone)
        much.bytes(72 * n)
        for of_frame in forces:
            member, = json.loads(much.extras())["committee_force"]
            np.testing.assert_allclose(np.reshape(member, of_frame.shape), of_frame, rtol=1e-12, atol=1e-14)


def test_leaves_at_once(drivers: tuple[Listener, Listener]) -> None:
    """Asked to stop in the middle of a batch, it does not evaluate the rest, if that takes more than some seconds."""
    much, little = drivers
    much.announce(20 * MANY)
    little.announce(1)
    much.send_batch(moved(much.start, 20 * MANY))
    little.step(little.start)
    much.nearfar.process.send_signal(signal.SIGTERM)
    much.ends(True)
    assert much.link.recv(1) == b"", "the batch was answered"
