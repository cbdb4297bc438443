# SPDX-License-Identifier: BSD-3-Clause
"""Several simulations in one process, drivers that come again, clients that call, runs that are stopped."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Callable

import numpy as np
import pytest

from conftest import refused
from programs import Program, nearfar_path
from test_driver import Driver
from wire import WATER, Client, Wire, init, posdata

SECONDS = 10.0
ORDER = [1, 0, 2]  # H O H
Call = Callable[..., "CompletedProcess[str]"]


class Accepted(Wire):
    def __init__(self, link: socket.socket) -> None:
        self.link = link
        link.settimeout(SECONDS)


def listener(path: Path) -> socket.socket:
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(path))
    s.listen(8)
    s.settimeout(SECONDS)
    return s


def nearfar(where: Path, *words: object) -> Program:
    return Program("nearfar", [nearfar_path(), *words], where)


def waited_for(condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


# ---- several simulations ----

@pytest.mark.parametrize("how", ["words", "file"])
def test_two_systems_in_one_process(potential: list[Path], committee: list[Path], tmp_path: Path, how: str) -> None:
    """Each address has its model, its species and its extras."""
    a, b = listener(tmp_path / "a"), listener(tmp_path / "b")
    words = [str(potential[0]), f"unix:{tmp_path}/a,species=O H H", str(committee[0]),
             f"unix:{tmp_path}/b,species=H O H,extras=committee"]
    if how == "file":
        quoted = " ".join(f"'{w}'" for w in words)
        (tmp_path / "words").write_text(f"# two systems\n{quoted}\n--threads 1 # is enough\n")
        words = ["--config", f"{tmp_path}/words"]
    with nearfar(tmp_path, "run", *words) as program:
        one, two = Accepted(a.accept()[0]), Accepted(b.accept()[0])
        energy = one.step()
        two.send("POSDATA", *posdata(WATER[ORDER]), b"GETFORCE    ")
        mean, _, _, extras = two.forces()
        assert "committee_force" in extras
        assert abs(mean - energy) < 0.1 and mean != energy
        one.send("EXIT")
        two.send("POSDATA", *posdata(WATER[ORDER]), b"GETFORCE    ")
        assert two.forces()[0] == mean
        two.send("EXIT")
        assert program.wait(SECONDS) == 0


def test_an_address_without_a_model_of_its_own(potential: list[Path], tmp_path: Path) -> None:
    """It is served by the models before it; the same model is loaded once."""
    a, b = listener(tmp_path / "a"), listener(tmp_path / "b")
    with nearfar(tmp_path, "run", potential[0], f"unix:{tmp_path}/a", f"unix:{tmp_path}/b", "--species", "O H H") as program:
        one, two = Accepted(a.accept()[0]), Accepted(b.accept()[0])
        assert one.step() == two.step()
        for end in (one, two):
            end.send("EXIT")
        assert program.wait(SECONDS) == 0


def test_one_failure_leaves_the_others_alone(potential: list[Path], tmp_path: Path) -> None:
    a, b = listener(tmp_path / "a"), listener(tmp_path / "b")
    with nearfar(tmp_path, "run", potential[0], f"unix:{tmp_path}/a", f"unix:{tmp_path}/b", "--species", "O H H") as program:
        one, two = Accepted(a.accept()[0]), Accepted(b.accept()[0])
        energy = two.step()
        one.send("POSDATA", *posdata(WATER * np.nan), b"GETFORCE    ")
        assert one.closed()
        assert waited_for(lambda: "not finite" in program.text()), "said at once"
        assert two.step() == energy
        two.send("EXIT")
        assert program.wait(SECONDS) == 1, "a failure is in the status"


@pytest.mark.parametrize(("words", "says"), [
    (["M", "unix:a,specis=O H H"], ["'specis' is no option of an address, did you mean 'species'?"]),
    (["M", "unix:a,species"], ["species needs a value"]),
    (["M", "unix:a,links=0"], ["--links"]),
    (["M", "unix:a,extras=all"], ["extras are none, summary or committee"]),
    (["M", "unix:a,driver-dir=/nowhere/at/all"], ["is no directory"]),
    (["M", "unix:a,species=O H Au"], ["Au"]),
    (["M", "unix:a", "M"], ["no address behind the model"]),
    (["x=M", "unix:a", "x=null", "unix:b"], ["two models are called 'x'"]),
    (["unix:a", "M", "unix:b", "null"], ["no address behind the model 'null'"]),
    (["unix:a"], ["no model"]),
])
def test_words_that_make_no_sense(call: Call, potential: list[Path], words: list[str], says: list[str]) -> None:
    model = str(potential[0])
    refused(call("run", *(w.replace("M", model) if "M" in w else w for w in words)), *says)


@pytest.mark.parametrize(("text", "says"), [
    ("null 'unix:a", ["words:1: a quote is not closed"]),
    ("null unix:a\n\n--config other", ["words:3", "another one"]),
    ("null\0unix:a", ["no list of words"]),
    (None, ["cannot open"]),
])
def test_files_of_words_that_make_no_sense(call: Call, tmp_path: Path, text: str | None, says: list[str]) -> None:
    if text is not None:
        (tmp_path / "words").write_text(text)
    refused(call("run", "--config", "words"), *says)


@pytest.mark.parametrize("seed", range(20))
def test_files_of_anything(call: Call, tmp_path: Path, seed: int) -> None:
    """Quotes, comments, keys and addresses in any order: a sentence, never more."""
    pieces = [b"null", b"unix:nobody", b"tcp:localhost:1", b",", b"species=", b"links=2", b"'", b'"', b"#", b"\n", b" ", b"x=",
              b"=", b"--", b"--links", b"\xff\x00", b"/", b"pbc=TFT"]
    random = np.random.default_rng(seed)
    (tmp_path / "words").write_bytes(b"".join(pieces[k] for k in random.integers(len(pieces), size=60)))
    for command in ("run", "listen"):
        done = call(command, "--config", "words", "--wait", "0") if command == "run" else call(command, "--config", "words")
        assert 0 < done.returncode < 100 and done.stderr.count("Sanitizer") == 0, done.stderr


# ---- drivers that come again ----

def test_reconnect(potential: list[Path], tmp_path: Path) -> None:
    """However a driver ends, the next one is served; one line says what is waited for."""
    path = tmp_path / "s"
    with nearfar(tmp_path, "run", potential[0], f"unix:{path}", "--species", "O H H", "--reconnect") as program:
        time.sleep(0.3)
        for how in ("EXIT", "between", "in a step", "nonsense"):
            here = listener(path)
            one = Accepted(here.accept()[0])
            one.step()
            if how == "in a step":
                one.send("POSDATA", posdata()[0])
            elif how != "between":
                one.send(how)
            one.link.close()
            here.close()
            path.unlink()
            time.sleep(0.5)
        text = program.text()
        assert text.count("is gone; waiting for it to come back") == 4, text
        assert text.count("waiting for a driver") == 1, text
        program.process.terminate()
        assert program.wait(5) == 0


def test_a_driver_that_drops_us_is_called_more_and_more_slowly(potential: list[Path], tmp_path: Path) -> None:
    here = listener(tmp_path / "s")
    with nearfar(tmp_path, "run", potential[0], f"unix:{tmp_path}/s", "--species", "O H H", "--reconnect") as program:
        times = []
        for _ in range(5):
            here.accept()[0].close()
            times.append(time.monotonic())
        waits = np.diff(times)
        assert waits[-1] > 4 * waits[0] and waits[-1] > 0.7, waits
        program.process.terminate()
        assert program.wait(5) == 0


def test_a_driver_that_comes_back_after_extra_links(potential: list[Path], tmp_path: Path) -> None:
    """An extra link that the driver never spoke on goes with the last one it used, and that is not the end."""
    here = listener(tmp_path / "s")
    with nearfar(tmp_path, "run", potential[0], f"unix:{tmp_path}/s", "--species", "O H H", "--reconnect") as program:
        one = Accepted(here.accept()[0])
        one.send("INIT", *init(b"a : b"))
        for k in range(9):  # three replicas in turn: worth a second link
            one.step(WATER + (k % 3) * 3.0 + 0.01 * k)
        extra = here.accept()[0]
        one.link.close()
        two = Accepted(here.accept()[0])
        two.step()
        extra.close()
        two.step()
        program.process.terminate()
        assert program.wait(5) == 0


def test_wait_again(potential: list[Path], tmp_path: Path) -> None:
    """With --wait a driver that does not come back is waited for so long, and that is a failure."""
    here = listener(tmp_path / "s")
    with nearfar(tmp_path, "run", potential[0], f"unix:{tmp_path}/s", "--species", "O H H", "--reconnect", "--wait",
                 "0.5") as program:
        one = Accepted(here.accept()[0])
        one.step()
        one.link.close()
        here.close()
        assert program.wait(5) == 1 and "within 0.5 s" in program.text()


# ---- leaving ----

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_answer_that_is_owed_is_given(potential: list[Path], tmp_path: Path, number: signal.Signals) -> None:
    """Asked to stop while it computes: it answers first."""
    n = 300
    many = np.concatenate([WATER + [40 * k, 0, 0] for k in range(n)])
    driver = Driver(tmp_path, potential, species=f"O H H * {n}", options=["--threads", "1"])
    with driver.nearfar as program:
        driver.send("POSDATA", *posdata(many, cell=np.eye(3) * 1e5), b"GETFORCE    ")
        time.sleep(0.01)
        program.process.send_signal(number)
        energy, forces, _, _ = driver.forces()
        assert np.isfinite(energy) and len(forces) == 3 * n
        assert driver.closed()
        driver.ends(True)


@pytest.mark.parametrize("before", ["computing", "have data"])
def test_a_driver_that_polls_is_answered_too(potential: list[Path], tmp_path: Path, before: str) -> None:
    """It asks by STATUS whether the forces are there, and for them by GETFORCE, when we are leaving already."""
    driver = Driver(tmp_path, potential)
    with driver.nearfar as program:
        driver.send("POSDATA", *posdata())
        if before == "have data":
            assert driver.status() == "HAVEDATA"
        program.process.terminate()
        assert waited_for(lambda: "leaving" in program.text())
        assert driver.status() == "HAVEDATA"
        driver.send("GETFORCE")
        assert np.isfinite(driver.forces()[0]) and driver.closed()
        driver.ends(True)


def test_both_are_asked_to_stop(potential: list[Path], tmp_path: Path) -> None:
    """As by Ctrl-C: that the driver is gone in the midst of a step is no failure then."""
    n = 300
    many = np.concatenate([WATER + [40 * k, 0, 0] for k in range(n)])
    driver = Driver(tmp_path, potential, species=f"O H H * {n}", options=["--threads", "1"])
    with driver.nearfar as program:
        driver.send("POSDATA", *posdata(many, cell=np.eye(3) * 1e5), b"GETFORCE    ")
        program.process.terminate()
        assert waited_for(lambda: "leaving" in program.text())
        driver.close()
        driver.ends(True)


def test_who_does_not_fetch_is_not_waited_for(potential: list[Path], tmp_path: Path) -> None:
    driver = Driver(tmp_path, potential)
    with driver.nearfar as program:
        driver.send("POSDATA", *posdata())
        assert driver.status() == "HAVEDATA"
        program.process.terminate()
        driver.ends(True)


# ---- clients that call ----

@contextmanager
def listening(where: Path, *words: object) -> Iterator[Program]:
    path = where / "l"
    with nearfar(where, "listen", f"unix:{path}", *words) as program:
        assert waited_for(path.exists), program.story()
        yield program


def test_clients_choose(potential: list[Path], committee: list[Path], tmp_path: Path) -> None:
    with listening(tmp_path, potential[0], f"all={committee[0]}", f"two={committee[0]}/nnp-1,{committee[0]}/nnp-2") as program:
        mode = (tmp_path / "l").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        one = Client(tmp_path / "l", b'{"species": "O H H"}')
        two = Client(tmp_path / "l", b'{"species": ["H", "O", "H"], "model": "all", "extras": "committee"}')
        three = Client(tmp_path / "l", b'{"species": "O H H", "model": "two"}')
        energy = one.step()
        two.send("POSDATA", *posdata(WATER[ORDER]), b"GETFORCE    ")
        mean, _, _, extras = two.forces()
        assert mean != energy and extras.count("],[") >= 7
        three.send("POSDATA", *posdata(), b"GETFORCE    ")
        assert "energy_std" in three.forces()[3]
        one.link.close()
        assert two.step(WATER[ORDER]) == mean
        assert Client(tmp_path / "l", b'{"species": "O H H", "model": "nnp-1"}').step() == energy
        program.process.terminate()
        assert program.wait(5) == 0
        assert not (tmp_path / "l").exists()


def test_clients_are_told_why(potential: list[Path], tmp_path: Path) -> None:
    with listening(tmp_path, potential[0]) as program:
        path = tmp_path / "l"
        assert "no model of that name" in Client(path, b'{"model": "x", "errors": true}').error()
        one = Client(path, b'{"species": "O H H", "errors": true}')
        one.step()
        one.send("POSDATA", *posdata(WATER + np.inf), b"GETFORCE    ")
        assert "not finite" in one.error() and one.closed()
        two = Client(path, b'{"species": "O H H", "errors": true}')
        two.send("NONSENSE")
        assert "NONSENSE" in two.error()
        three = Client(path, b'{"species": "O H H"}')
        three.send("POSDATA", *posdata(WATER + np.inf), b"GETFORCE    ")
        assert three.closed()
        program.process.terminate()
        assert program.wait(5) == 0, "clients' mistakes are not the server's"


def test_an_address_is_taken_once(call: Call, potential: list[Path], tmp_path: Path) -> None:
    """What a dead server left behind is in nobody's way; a live one is left alone."""
    path = tmp_path / "l"
    with listening(tmp_path, potential[0]) as program:
        refused(call("listen", f"unix:{path}", potential[0]), "listens at")
        Client(path, b'{"species": "O H H"}').step()
        program.process.kill()
        program.process.wait()
        assert path.exists()
    with nearfar(tmp_path, "listen", f"unix:{path}", potential[0]):
        assert waited_for(lambda: reachable(path))
        Client(path, b'{"species": "O H H"}').step()


def reachable(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


def test_a_file_is_not_taken_for_a_socket(call: Call, potential: list[Path], tmp_path: Path) -> None:
    (tmp_path / "l").write_text("dear to somebody")
    refused(call("listen", f"unix:{tmp_path}/l", potential[0]), "is no socket")
    assert (tmp_path / "l").read_text() == "dear to somebody"


def test_other_machines_only_when_allowed(call: Call, potential: list[Path]) -> None:
    refused(call("listen", "tcp:0.0.0.0:31999", potential[0]), "--allow-remote", "ssh -L")


@pytest.mark.parametrize("text", [b"", b"\0", b"x" * 60000, b"\xff\xfe" * 500, b"{not json", b'{"a": 1}', b"[1, 2]", b" k : v ,, ,"])
def test_any_init_will_do(potential: list[Path], tmp_path: Path, text: bytes) -> None:
    driver = Driver(tmp_path, potential)
    with driver.nearfar:
        driver.send("INIT", *init(text))  # unasked
        assert driver.status() == "READY"
        driver.step()
        driver.send("INIT", *init(text))
        assert driver.status() == "READY"
        driver.step()
        driver.send("EXIT")
        driver.ends(True)


def test_getforce_twice(potential: list[Path], tmp_path: Path) -> None:
    """Also behind the first one: its forces, and then the reason."""
    driver = Driver(tmp_path, potential)
    with driver.nearfar:
        driver.send("POSDATA", *posdata(), b"GETFORCE    ", b"GETFORCE    ")
        driver.forces()
        driver.ends(False, "GETFORCE before any positions")


def test_texts_without_end(potential: list[Path], tmp_path: Path) -> None:
    """A client that names millions of atoms again and again is shown the door, and the others go on."""
    with listening(tmp_path, potential[0]):
        one, two = (Client(tmp_path / "l", b'{"species": "O H H"}') for _ in range(2))
        energy = two.step()
        for _ in range(3):
            one.send("INIT", *init(b'{"species": "O * 9000000", "errors": true}'))
        assert "INIT texts name more than" in one.error()
        assert two.step() == energy


def test_those_who_left_cost_nothing(potential: list[Path], tmp_path: Path) -> None:
    """What nobody waits for any more is not computed."""
    n = 1500
    many = np.concatenate([WATER + [40 * k, 0, 0] for k in range(n)])
    text = f'{{"species": "O H H * {n}"}}'.encode()
    with listening(tmp_path, potential[0], "--threads", "1"):
        start = time.monotonic()
        Client(tmp_path / "l", text).step(many, np.eye(3) * 1e6)
        once = time.monotonic() - start
        gone = [Client(tmp_path / "l", text) for _ in range(30)]
        for one in gone:
            one.send("POSDATA", *posdata(many, cell=np.eye(3) * 1e6), b"GETFORCE    ")
        for one in gone:
            one.link.close()
        start = time.monotonic()
        Client(tmp_path / "l", text).step(many, np.eye(3) * 1e6)
        assert time.monotonic() - start < 10 * once


# ---- the null model ----

def test_null_model(tmp_path: Path) -> None:
    """No elements are needed; what makes no sense is refused all the same."""
    driver = Driver(tmp_path, [Path("null")], species=None)
    with driver.nearfar:
        driver.send("POSDATA", *posdata(), b"GETFORCE    ")
        energy, forces, virial, _ = driver.forces()
        assert energy == 0 and not forces.any() and not virial.any()
        driver.send("POSDATA", *posdata(WATER * np.nan), b"GETFORCE    ")
        driver.ends(False, "not finite")


def test_open_files_do_not_grow(potential: list[Path], tmp_path: Path) -> None:
    """A hundred clients come and go."""
    with listening(tmp_path, potential[0]) as program:
        counts = []
        for _ in range(100):
            one = Client(tmp_path / "l", b'{"species": "O H H"}')
            one.step()
            one.link.close()
            counts.append(len(os.listdir(f"/proc/{program.process.pid}/fd")))
        assert max(counts[50:]) <= max(counts[:50])
