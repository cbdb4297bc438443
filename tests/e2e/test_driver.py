# SPDX-License-Identifier: BSD-3-Clause
"""Drivers that misbehave, played by a bare socket: exit status and one clear sentence."""

from __future__ import annotations

import os
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess, run

import numpy as np
import pytest

from conftest import says
from programs import Program, free_port, nearfar_path
from wire import WATER, Wire, init, posdata

SECONDS = 10.0


class Driver(Wire):
    """The listening end, as i-PI would be."""

    def __init__(self, where: Path, models: list[Path], species: str | None = "O H H", tcp: bool = False,
                 options: Sequence[str] = ("--links", "1")) -> None:
        path = where / f"s{len(list(where.glob('s[0-9]*')))}"
        self.listener = socket.create_server(("127.0.0.1", 0)) if tcp else socket.socket(socket.AF_UNIX)
        if not tcp:
            self.listener.bind(str(path))
            self.listener.listen(1)
        self.listener.settimeout(SECONDS)
        address = f"tcp:127.0.0.1:{self.listener.getsockname()[1]}" if tcp else f"unix:{path}"
        named = () if species is None else ("--species", species)
        self.nearfar = Program("nearfar", [nearfar_path(), "run", *models, address, *named, *options], where)
        self.link = self.accept()

    def accept(self) -> socket.socket:
        link = self.listener.accept()[0]
        link.settimeout(SECONDS)
        return link

    def story(self) -> str:
        return self.nearfar.story()

    def close(self) -> None:
        self.link.close()
        self.listener.close()

    def ends(self, ok: bool, *words: str) -> None:
        """nearfar's status, and its last line if it is an error."""
        status = self.nearfar.wait(SECONDS)
        if ok:
            assert status == 0, self.nearfar.story()
        else:
            assert 0 < status < 100, self.nearfar.story()
            says(self.nearfar.text(), *words)


@pytest.fixture
def driver(potential: list[Path], tmp_path: Path) -> Iterator[Driver]:
    d = Driver(tmp_path, potential)
    with d.nearfar:
        yield d
        d.close()


def test_states(driver: Driver) -> None:
    """The classic conversation, word by word."""
    assert driver.status() == "NEEDINIT"
    assert driver.status() == "NEEDINIT"
    driver.send("INIT", *init())
    assert driver.status() == "READY"
    driver.send("POSDATA", *posdata())
    assert driver.status() == "HAVEDATA"
    assert driver.status() == "HAVEDATA"
    driver.send("GETFORCE")
    energy, forces, virial, extras = driver.forces()
    assert np.isfinite(energy) and extras.strip() == ""
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(virial, virial.T, atol=1e-14)
    assert driver.status() == "READY"
    driver.send("EXIT")
    driver.ends(True)


def test_one_byte_at_a_time(driver: Driver) -> None:
    driver.send("INIT", *init())
    for byte in b"POSDATA     " + b"".join(posdata()) + b"GETFORCE    ":
        driver.link.sendall(bytes([byte]))
    slow = driver.forces()
    driver.send("POSDATA", *posdata(), b"GETFORCE    ", b"STATUS      ")
    fused = driver.forces()
    assert driver.word() == "READY"
    assert slow[0] == fused[0]
    np.testing.assert_array_equal(slow[1], fused[1])


def test_init_unasked(driver: Driver) -> None:
    driver.send("INIT", *init(b"", bead=7))
    assert driver.status() == "READY"
    driver.send("INIT", *init(b"again"))
    assert driver.status() == "READY"


def test_positions_before_init(driver: Driver) -> None:
    driver.send("POSDATA", *posdata(), b"GETFORCE    ")
    assert np.isfinite(driver.forces()[0])


def test_far_away_atoms(driver: Driver) -> None:
    """i-PI sends unwrapped positions."""
    driver.send("POSDATA", *posdata(), b"GETFORCE    ")
    home = driver.forces()
    driver.send("POSDATA", *posdata(WATER + [[2e5, 0, 0], [0, -4e5, 0], [0, 0, 20]]), b"GETFORCE    ")
    assert driver.forces()[0] == pytest.approx(home[0], abs=1e-9)


def test_closed_between_steps(driver: Driver) -> None:
    """As ASE does it."""
    driver.send("POSDATA", *posdata(), b"GETFORCE    ")
    driver.forces()
    driver.close()
    driver.ends(True)


def test_exit_at_once(driver: Driver) -> None:
    driver.send("EXIT")
    driver.ends(True)


@pytest.mark.parametrize("count", [12 + 1, 12 + 72, 12 + 144 + 4, 12 + 144 + 4 + 30])
def test_truncated_positions(driver: Driver, count: int) -> None:
    driver.link.sendall((b"POSDATA     " + b"".join(posdata()))[:count])
    driver.close()
    driver.ends(False, "closed the connection in the middle of a step")


def test_closed_without_a_word(driver: Driver) -> None:
    driver.link.close()
    driver.ends(False, "before it said anything")


def test_every_status_is_answered(driver: Driver) -> None:
    """Two STATUS while it computes, two behind GETFORCE: as many answers, the latter behind the forces."""
    driver.send("STATUS")
    assert driver.word() == "NEEDINIT"
    driver.send("POSDATA", *posdata(), b"STATUS      " * 2, b"GETFORCE    ", b"STATUS      " * 2)
    assert driver.word() == driver.word() == "HAVEDATA"
    driver.forces()
    assert driver.word() == driver.word() == "READY"
    driver.send("EXIT")
    driver.ends(True)


def test_two_structures_at_once(driver: Driver) -> None:
    """A second POSDATA before the first reply waits for it."""
    driver.send("POSDATA", *posdata(), b"GETFORCE    POSDATA     ", *posdata(WATER * 1.02), b"GETFORCE    ")
    first, second = driver.forces()[0], driver.forces()[0]
    assert first != second
    driver.send("EXIT")
    driver.ends(True)


def test_truncated_word(driver: Driver) -> None:
    driver.link.sendall(b"STAT")
    driver.close()
    driver.ends(False)


def test_wrong_word(driver: Driver) -> None:
    driver.send("HELLO")
    driver.ends(False, "HELLO")


def test_garbage(driver: Driver) -> None:
    driver.link.sendall(b"\x00\xff\x1b[2J\n\r\x80" * 100)
    driver.ends(False)
    assert "\x1b" not in driver.nearfar.text()


@pytest.mark.parametrize("natoms", [0, 2, 4, -1, 2**31 - 1])
def test_wrong_number_of_atoms(driver: Driver, natoms: int) -> None:
    driver.send("POSDATA", *posdata(natoms=natoms))
    driver.ends(False, "atoms", *([str(natoms), "3"] if natoms > 0 else []))


def test_forces_before_positions(driver: Driver) -> None:
    driver.send("GETFORCE")
    driver.ends(False, "GETFORCE")


@pytest.mark.parametrize("length", [-1, 2**31 - 1])
def test_init_length(driver: Driver, length: int) -> None:
    driver.send("INIT", struct.pack("<ii", 0, length))
    driver.ends(False, "INIT")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_positions_that_make_no_sense(driver: Driver, bad: float) -> None:
    positions = WATER.copy()
    positions[1, 2] = bad
    driver.send("POSDATA", *posdata(positions), b"GETFORCE    ")
    driver.ends(False)


def test_flat_cell(driver: Driver) -> None:
    driver.send("POSDATA", *posdata(cell=np.array([[20.0, 20, 0], [20, 20, 0], [0, 0, 20]])), b"GETFORCE    ")
    driver.ends(False, "cell")


def test_atoms_on_top_of_each_other(driver: Driver) -> None:
    driver.send("POSDATA", *posdata(np.zeros((3, 3))), b"GETFORCE    ")
    driver.ends(False)


# ---- nobody there ----

Call = Callable[..., "CompletedProcess[str]"]


def refused_run(done: CompletedProcess[str], *words: str) -> None:
    assert 0 < done.returncode < 100, f"status {done.returncode}: {done.stderr}"
    says(done.stderr, *words)


def test_nobody_comes(call: Call, potential: list[Path]) -> None:
    refused_run(call("run", *potential, "unix:nearfar-test-nobody", "--species", "O H H", "--wait", "0.5"),
                "unix:nearfar-test-nobody", "--wait")
    refused_run(call("run", *potential, f"tcp:127.0.0.1:{free_port()}", "--species", "O H H", "--wait", "0.5"),
                "127.0.0.1")


@pytest.mark.parametrize("files", [6, 7, 8])
def test_too_few_files(nearfar: Path, potential: list[Path], files: int) -> None:
    """As many open files as the process may have are not enough for the event loop: a sentence (libuv wants 6 for one).

    A sanitizer that looks for leaks would need some files of its own for that, at the end."""
    quiet = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    done = run([nearfar, "run", *potential, "unix:nearfar-test-nobody", "--species", "O H H"], text=True, env=quiet,
               capture_output=True, timeout=SECONDS,
               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    refused_run(done, "event loop", "too many open files")


def test_asked_to_stop_on_the_way_out(potential: list[Path], tmp_path: Path) -> None:
    """Whenever SIGTERM comes after the driver's EXIT, all is done."""
    for k in range(30):
        driver = Driver(tmp_path, potential)
        with driver.nearfar:
            assert driver.status() == "NEEDINIT"
            driver.send("EXIT")
            until = time.perf_counter() + 1e-4 * k
            while time.perf_counter() < until:
                pass
            driver.nearfar.process.terminate()
            driver.ends(True)
            driver.close()


def test_bad_command_lines(call: Call, potential: list[Path]) -> None:
    refused_run(call("run", *potential, "--species", "O H H"), "address")
    refused_run(call("run", *potential, "unix:x", "--species", "O H H * zwei"))
    refused_run(call("run", *potential, "unix:x", "--species", "O H H Au"), "Au")
    refused_run(call("run", *potential, "tcp:localhost", "--species", "O H H"), "tcp:HOST:PORT")
    refused_run(call("run", *potential, "tcp:localhost:99999", "--species", "O H H"), "65535")
    refused_run(call("run", "unix:x", "--species", "O H H"))


def test_print_ipi(call: Call, potential: list[Path]) -> None:
    done = call("run", *potential, "unix:water", "--print-ipi")
    assert done.returncode == 0 and "<address>water</address>" in done.stdout
    done = call("run", *potential, "tcp:localhost:31415", "--print-ipi")
    assert "<port>31415</port>" in done.stdout and "mode='inet'" in done.stdout
