# SPDX-License-Identifier: BSD-3-Clause
"""A running server seen from outside, and its model exchanged under the hands of its clients."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from conftest import refused
from ipi import Simulation
from programs import Program, nearfar_path
from test_serving import listening, waited_for
from wire import Client

Call = Callable[..., "CompletedProcess[str]"]
HELLO = b'{"species": "O H H"}'


class Stepping(threading.Thread):
    """A client that asks for the same structure again and again: the energies it was given, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.client = Client(path, HELLO)
        self.energies: list[float] = []
        self.failure: BaseException | None = None
        self.stop = False

    def run(self) -> None:
        try:
            while not self.stop:
                self.energies.append(self.client.step())
        except BaseException as e:  # noqa: BLE001
            self.failure = e

    def more(self, n: int = 20) -> bool:
        """n more answers."""
        goal = len(self.energies) + n
        return waited_for(lambda: len(self.energies) >= goal or self.failure is not None) and self.failure is None

    def end(self) -> None:
        self.stop = True
        self.join(20)
        assert self.failure is None, self.failure


@contextmanager
def served(where: Path, *words: object) -> Iterator[tuple[Program, str, Stepping]]:
    control = f"unix:{where}/control"
    with listening(where, *words, "--control", control) as program:
        stepping = Stepping(where / "l")
        stepping.start()
        assert stepping.more()
        yield program, control, stepping
        stepping.end()
        program.process.terminate()
        assert program.wait(10) == 0, program.story()


def status(call: Call, control: str) -> dict:
    done = call("status", control, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_another_model_between_two_steps(call: Call, committee: list[Path], tmp_path: Path) -> None:
    """None is lost, none is mixed."""
    one, two = committee[0] / "nnp-1", committee[0] / "nnp-2"
    with served(tmp_path, f"water={one}") as (_, control, stepping):
        first = stepping.energies[0]
        for k, model in enumerate([two, one, two, committee[0], one]):
            done = call("status", control, "--reload", model, "--model", "water")
            assert done.returncode == 0 and f"generation {k + 2}" in done.stdout, done.stdout + done.stderr
            assert stepping.more()
        assert status(call, control)["models"][0]["generation"] == 6
        assert stepping.energies[-1] == first
    changes = 1 + sum(a != b for a, b in zip(stepping.energies, stepping.energies[1:]))
    assert changes == 6 and len(set(stepping.energies)) == 4 - 1


def test_a_bad_model_leaves_the_old_one(call: Call, potential: list[Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(potential[0], cut)
    weights = sorted(cut.glob("weights*"))[0]
    weights.write_text(weights.read_text()[:1000])
    other = tmp_path / "other"
    shutil.copytree(potential[0], other)
    (other / "input.nn").write_text((potential[0] / "input.nn").read_text().replace("O", "S"))
    with served(tmp_path, potential[0]) as (_, control, stepping):
        for model, *words in ((cut, "weights"), (tmp_path, "no model"), (other,)):
            done = call("status", control, "--reload", model)
            assert done.returncode == 1, done.stdout
            for word in words:
                assert word in done.stderr, done.stderr
        assert stepping.more()
        snapshot = status(call, control)
        assert snapshot["models"][0]["generation"] == 1 and snapshot["totals"]["failures"] == 0
    assert len(set(stepping.energies)) == 1


def test_the_same_files_again(call: Call, committee: list[Path], tmp_path: Path) -> None:
    """Edited in place, as a training writes them."""
    model = tmp_path / "model"
    shutil.copytree(committee[0] / "nnp-1", model)
    with served(tmp_path, model) as (_, control, stepping):
        before = status(call, control)["models"][0]["sha256"]
        shutil.rmtree(model)
        shutil.copytree(committee[0] / "nnp-2", model)
        assert call("status", control, "--reload", "-").returncode == 0
        assert stepping.more()
        assert status(call, control)["models"][0]["sha256"] != before
    assert len(set(stepping.energies)) == 2


def test_a_load_that_never_ends(call: Call, potential: list[Path], tmp_path: Path) -> None:
    """A file on a dead disk, here a pipe that nobody writes to: the server goes on, and can leave."""
    dead = tmp_path / "dead"
    shutil.copytree(potential[0], dead)
    (dead / "input.nn").unlink()
    os.mkfifo(dead / "input.nn")
    with served(tmp_path, potential[0]) as (_, control, stepping):
        with subprocess.Popen([nearfar_path(), "status", control, "--reload", dead]) as asking:
            assert stepping.more(200)
            asking.kill()


def test_the_null_model_stays(call: Call, potential: list[Path], tmp_path: Path) -> None:
    with listening(tmp_path, "null", "--control", f"unix:{tmp_path}/control") as program:
        refused(call("status", f"unix:{tmp_path}/control", "--reload", potential[0]), "null model")
        program.process.terminate()
        assert program.wait(10) == 0


def test_snapshot(call: Call, committee: list[Path], tmp_path: Path) -> None:
    with served(tmp_path, committee[0]) as (program, control, stepping):
        snapshot = status(call, control)
        link = snapshot["links"][0]
        assert snapshot["command"] == "listen" and snapshot["state"] == "serving" and snapshot["pid"] == program.process.pid
        assert link["natoms"] == 3 and link["steps"] >= 20 and link["energy_std"] > 0
        assert 0 < link["latency_ms"]["p50"] <= link["latency_ms"]["p99"] <= link["latency_ms"]["max"]
        assert snapshot["totals"]["steps"] >= link["steps"] and snapshot["totals"]["neighbour_lists"] >= 1
        assert abs(link["energy"] / 27.211386245988 - stepping.energies[-1]) < 1e-7  # six decimals of eV
        assert snapshot["addresses"][0]["state"] == "listening"
        assert len(snapshot["models"][0]["sha256"]) == 64


def test_first_lines(potential: list[Path], tmp_path: Path) -> None:
    """What somebody needs to know later: version, model and its hash, threads, processors, kernels."""
    with listening(tmp_path, potential[0]) as program:
        text = program.text()
        assert re.search(r"^nearfar \d+\.\d+\.\d+: .*SHA-256 [0-9a-f]{64}", text), text
        assert re.search(r"\d threads?, processors [\d,-]+, kernels \w+", text), text
        assert re.search(r"nearfar status unix:/\S+", text), text


def test_log_of_json_lines(call: Call, potential: list[Path], tmp_path: Path) -> None:
    done = call("run", *potential, "unix:nobody-at-all", "--species", "O H H", "--wait", "0.2", "--log", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1 and all(set(line) == {"time", "level", "message"} for line in lines)
    assert lines[-1]["level"] == "error" and "--wait" in lines[-1]["message"]


def test_metrics_of_a_run(potential: list[Path], water16: Path, tmp_path: Path) -> None:
    """Real i-PI, four beads: the page's numbers are those of the run."""
    seen: list[str] = []

    def look(_: Program, programs: list[Program]) -> None:
        found = re.search(r"page and metrics at (http://\S+)", programs[0].text())
        if found:
            try:
                seen.append(urllib.request.urlopen(found.group(1) + "metrics", timeout=5).read().decode())
            except OSError:
                pass

    run = Simulation(water16, steps=60, beads=4, ensemble="nvt", models=potential, outputs="",
                     options=["--http", "127.0.0.1:0"])
    run.run(tmp_path / "run", watch=look)
    totals = [float(m.group(1)) for text in seen for m in [re.search(r"^nearfar_steps_total\S* (\S+)$", text, re.M)] if m]
    assert totals and totals == sorted(totals) and 0 < totals[-1] <= 4 * 61, (totals, seen[-1] if seen else "")


@pytest.mark.parametrize("place", ["unix:relative", "tcp:localhost:1", ""])
def test_control_elsewhere(call: Call, potential: list[Path], place: str) -> None:
    refused(call("run", *potential, "unix:x", "--species", "O H H", "--control", place), "--control")


def test_a_control_place_that_cannot_be_used(call: Call, potential: list[Path], tmp_path: Path) -> None:
    refused(call("run", *potential, "unix:x", "--species", "O H H", "--control", f"unix:{tmp_path}/no/such/place"), "no/such")
