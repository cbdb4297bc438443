# SPDX-License-Identifier: BSD-3-Clause
"""Through shared memory i-PI gets the numbers of the socket, to the last digit."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ipi import InputFile, Simulation, drive, printed, remove_socket
from programs import ROOT, Program, nearfar_path, unique_name

WAYS = {
    "plain": {},
    "classic": {"consolidate": False},
    "no-skin": {"options": ["--skin", "0"]},
    "links-1": {"options": ["--links", "1"]},
    "links-4": {"options": ["--links", "4"]},
    "batch-8": {"batch_size": 8},
    "batch-8-links-1": {"batch_size": 8, "options": ["--links", "1"]},
    "batch-3-links-1": {"batch_size": 3, "options": ["--links", "1"]},  # the third is filled up with copies
    "batch-3-links-2": {"batch_size": 3, "options": ["--links", "2"]},
}


@pytest.fixture(scope="module")
def socket(potential: list[Path], water16: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, str]]:
    """What a socket gives, by number of beads."""
    return {beads: Simulation(water16, steps=40, models=potential, beads=beads, ensemble="nvt" if beads > 1 else "nve")
            .run(tmp_path_factory.mktemp("socket")).printed() for beads in (1, 8)}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("beads", (1, 8))
def test_same_trajectory(beads: int, way: dict[str, object], socket: dict[int, dict[str, str]], potential: list[Path],
                         water16: Path, tmp_path: Path) -> None:
    simulation = Simulation(water16, steps=40, models=potential, beads=beads, ensemble="nvt" if beads > 1 else "nve",
                            mode="shm")
    printed = replace(simulation, **way).run(tmp_path).printed()
    assert len(printed) >= 3
    for name, text in socket[beads].items():
        assert printed[name] == text, f"{name} differs"


@pytest.mark.parametrize("tags", ({}, {"batch_size": "3"}), ids=("single", "batch-3"))
def test_same_committee(committee: list[Path], water16: Path, tmp_path: Path, tags: dict[str, str]) -> None:
    """All members' forces in the extras, which stay on the socket: 4 beads, so that the second batch has two copies."""
    texts = []
    for mode in ("unix", "shm"):
        file = InputFile(ROOT / "clients/committee/committee.xml", water16, steps=5, beads=4)
        file.at("ffcommittee/ffsocket").set("mode", mode)
        for tag, text in tags.items():
            file.add("ffcommittee/ffsocket", f"<{tag}>{text}</{tag}>")
        file.write(tmp_path / mode)
        drive(tmp_path / mode, "input.xml", [[*committee, f"{mode}:{file.addresses['committee']}", "--species", water16]])
        texts.append(printed(tmp_path / mode))
    assert len(texts[0]) > 4 and texts[0] == texts[1]


# ---- when something is wrong ----


@contextmanager
def i_pi(simulation: Simulation, where: Path) -> Iterator[tuple[str, Program]]:
    """i-PI alone, with the name of its socket; ends by itself if it still runs, so that its segments go with it."""
    where.mkdir()
    name = unique_name()
    (where / "input.xml").write_text(simulation.input(name))
    with Program("i-pi", [Path(sys.executable).with_name("i-pi"), "input.xml"], where) as program:
        yield name, program
        if program.process.poll() is None:
            (where / "EXIT").touch()
            program.process.terminate()
            program.wait(20)
    remove_socket([f"shm:{name}"])


def files(nearfar: Program) -> tuple[int, int]:
    """Open ones, and those of them that are segments."""
    names = []
    for link in Path(f"/proc/{nearfar.process.pid}/fd").iterdir():
        try:
            names.append(str(link.readlink()))
        except OSError:  # just closed
            continue
    return len(names), sum(name.startswith("/dev/shm/") for name in names)


def wait_for(what: Callable[[], bool], nearfar: Program, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, nearfar.story()
        time.sleep(0.02)


def test_a_killed_driver_leaves_no_descriptor(potential: list[Path], water16: Path, tmp_path: Path) -> None:
    """Beside one that goes on."""
    simulation = Simulation(water16, steps=10**6, models=potential, mode="shm")
    with i_pi(simulation, tmp_path / "one") as (one, _), i_pi(simulation, tmp_path / "other") as (other, victim):
        command = [nearfar_path(), "run", *potential, f"shm:{one}", f"shm:{other}", "--species", water16, "--links", "1"]
        with Program("nearfar", command, tmp_path) as nearfar:
            wait_for(lambda: files(nearfar)[1] == 10, nearfar)
            both = files(nearfar)[0]
            victim.process.kill()
            wait_for(lambda: files(nearfar)[1] == 5, nearfar)
            assert files(nearfar)[0] <= both - 5
            time.sleep(0.3)
            assert nearfar.process.poll() is None and files(nearfar)[1] == 5


@pytest.mark.parametrize("batch_size", (1, 4))
@pytest.mark.parametrize(("mode", "word", "sentence"), (("unix", "shm", "announced"), ("shm", "unix", "shm:NAME")))
def test_modes_that_do_not_fit(potential: list[Path], water16: Path, tmp_path: Path, mode: str, word: str, sentence: str,
                               batch_size: int) -> None:
    """Both would wait for ever."""
    simulation = Simulation(water16, steps=10, beads=batch_size, models=potential, mode=mode, batch_size=batch_size)
    with i_pi(simulation, tmp_path / "i-pi") as (name, _):
        with Program("nearfar", [nearfar_path(), "run", *potential, f"{word}:{name}", "--species", water16], tmp_path) as nearfar:
            assert nearfar.wait(20) == 1
            assert sentence in nearfar.text().splitlines()[-1], nearfar.text()


def test_print_ipi(call: Callable[..., CompletedProcess[str]], potential: list[Path]) -> None:
    done = call("run", *potential, "shm:water", "--print-ipi")
    assert done.returncode == 0 and "mode='shm'" in done.stdout and "<address>water</address>" in done.stdout
