# SPDX-License-Identifier: BSD-3-Clause
"""nearfar passes every case of tests/conformance, and the cases find what they are there for."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from programs import ROOT

HERE = ROOT / "tests/conformance"
MODEL = [sys.executable, str(HERE / "model_driver.py")]

# A fault of the model driver, the case that must fail of it, and a word of the reason.
FAULTS = {
    "answers-nan": ("faults/refuses-nan-positions-later", "NaN"),
    "asymmetric-virial": ("structures/virial-is-symmetric", "transpose"),
    "busy-wait": ("load/idle-at-ready", "% of a core"),
    "crashes-at-end": ("endings/closed-between-steps", "SIGSEGV"),
    "ignores-sigterm": ("endings/sigterm-when-idle", "SIGTERM"),
    "keeps-first": ("states/second-posdata-replaces", "differ"),
    "leaks-files": ("load/many-steps", "open files grew"),
    "leaks-memory": ("load/many-steps", "memory grew"),
    "list-as-extras": ("structures/extras", "not an object"),
    "loses-status": ("states/many-status-with-data", "no answer"),
    "other-atoms": ("structures/reply", "4 atoms"),
    "pauses": ("structures/reply", "paused"),
    "short-reads": ("framing/two-way-splits", "split at byte"),
    "spins-at-end": ("endings/closed-between-steps", "goes on"),
    "stale-forces": ("states/getforce-twice", "second GETFORCE"),
    "uses-inverse": ("structures/inverse-of-garbage", ""),
    "wrong-forces": ("structures/forces-are-the-gradient", "difference says"),
}


def conformance(command: Sequence[object], *options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, HERE / "run", "--quick", *map(str, options), "--", *map(str, command)],
                          cwd=ROOT, capture_output=True, text=True, timeout=300)


def passes(done: subprocess.CompletedProcess[str]) -> None:
    bad = [line for line in done.stdout.splitlines() if "  FAIL  " in line or "  warn  " in line]
    assert done.returncode == 0 and not bad, "\n".join([*bad, done.stderr])


def served(nearfar: Path, potential: list[Path], address: str) -> list[object]:
    return [nearfar, "run", *potential, address, "--species", "O H H"]


def test_nearfar(nearfar: Path, potential: list[Path]) -> None:
    command = served(nearfar, potential, "unix:{unix}")
    other = {"--links-command": [*command, "--links", "{links}"], "--reconnect-command": [*command, "--reconnect"],
             "--shm-command": served(nearfar, potential, "shm:{unix}")}
    options = [word for option, words in other.items() for word in (option, shlex.join(map(str, words)))]
    passes(conformance(command, "--strict", *options))


def test_nearfar_over_tcp(nearfar: Path, potential: list[Path]) -> None:
    only = [word for glob in ("framing/*", "dialects/*", "load/tcp-in-five-sends") for word in ("--filter", glob)]
    passes(conformance(served(nearfar, potential, "tcp:{host}:{port}"), "--strict", *only))


def test_model_driver() -> None:
    """What nearfar has no command for is tried on the model driver, which also shows that a case can be passed."""
    command = [*MODEL, "--unix", "{unix}"]
    only = [word for glob in ("restarts/*-it-waits", "restarts/server-dies-*", "shm/*") for word in ("--filter", glob)]
    others = [word for name in ("reconnect", "shm")
              for word in (f"--{name}-command", f"{shlex.join(command)} --{name}")]
    passes(conformance(command, "--strict", *only, *others))


@pytest.fixture(scope="module")
def faulty() -> dict[str, subprocess.CompletedProcess[str]]:
    """What is said of each fault; several at a time, as most of them are waiting."""
    def judged(fault: str) -> subprocess.CompletedProcess[str]:
        command = [*MODEL, "--unix", "{unix}", "--fault", fault]
        return conformance(command, "--filter", FAULTS[fault][0], "--timeout", 5)
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(FAULTS, pool.map(judged, FAULTS)))


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found(faulty: dict[str, subprocess.CompletedProcess[str]], fault: str) -> None:
    (name, reason), done = FAULTS[fault], faulty[fault]
    line = done.stdout.splitlines()[0]
    assert done.returncode == 1 and line.startswith(name) and "  FAIL  " in line and reason in line, done.stdout


def test_every_fault_is_tried() -> None:
    done = subprocess.run([*MODEL, "--fault", "?"], capture_output=True, text=True)
    choices = done.stderr.rpartition("choose from")[2]
    assert {word.strip(" '\n)") for word in choices.split(",")} == set(FAULTS)


def test_wrong_command_lines() -> None:
    assert "{unix}" in conformance(["true"]).stderr
    assert "--list" in conformance(["true", "{unix}"], "--filter", "nothing").stderr
    assert "no-such-driver" in conformance(["no-such-driver", "{unix}"]).stderr
