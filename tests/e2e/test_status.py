# SPDX-License-Identifier: BSD-3-Clause
"""nearfar status against a server that computes nothing, tests/pretend."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import refused
from programs import nearfar_path


class Pretence:
    """Ends with its standard input."""

    def __init__(self, control: str, *more: object, env: dict[str, str] | None = None) -> None:
        program = nearfar_path().parent / "tests/pretend_server"
        self.process = subprocess.Popen([program, control, "-", *map(str, more)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.path = Path(self.process.stdout.readline().split()[0])

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.stdin.close()
        return self.process.wait(20)


@pytest.fixture
def server(nearfar: Path, tmp_path: Path) -> Iterator[Pretence]:
    pretence = Pretence(str(tmp_path / "s"), 3)
    yield pretence
    assert pretence.end() == 0
    assert not pretence.path.exists()


def test_text(call, server: Pretence) -> None:
    done = call("status", f"unix:{server.path}")
    assert done.returncode == 0 and done.stderr == ""
    for words in ("nearfar 0.1.0, process ", "serving for", "steps/s", "unix:water", "tcp:localhost:31415", "median",
                  "meV/atom", "computing", "waiting for drivers", "model water, generation 1: 8 members, H O",
                  "/models/water/nnp-2", "the driver does not read what it asks for"):
        assert words in done.stdout, words
    assert all(len(line) <= 120 for line in done.stdout.splitlines())
    assert "nan" not in done.stdout and "null" not in done.stdout


def test_json(call, server: Pretence) -> None:
    done = call("status", server.path, "--json")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1
    snapshot = json.loads(done.stdout)
    assert snapshot["state"] == "serving" and len(snapshot["links"]) == 3
    assert snapshot["addresses"][1]["natoms"] is None


def test_reload(call, server: Pretence, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "bad").mkdir()
    done = call("status", server.path, "--reload", "new", "--model", "salt")
    assert done.returncode == 0 and done.stdout == f"salt: generation 2, from {tmp_path / 'new'}\n"
    done = call("status", server.path, "--reload", "bad")
    refused(done, "water: generation 2 stays", str(tmp_path / "bad"))
    done = call("status", server.path, "--reload", "-")
    assert done.returncode == 0 and "where it came from" in done.stdout
    refused(call("status", server.path, "--reload", "nowhere"), "there is no model at nowhere")
    assert json.loads(call("status", server.path, "--json").stdout)["models"][0]["generation"] == 3


def test_watch_ends_with_the_server(nearfar: Path, tmp_path: Path) -> None:
    server = Pretence(str(tmp_path / "s"))
    watch = subprocess.Popen([nearfar, "status", server.path, "--watch", "--json"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    snapshots = [json.loads(watch.stdout.readline()) for _ in range(3)]
    assert [b["uptime_s"] - a["uptime_s"] > 0.5 for a, b in zip(snapshots, snapshots[1:])] == [True, True]
    assert server.end() == 0
    assert watch.wait(10) == 0 and "the server has ended" in watch.stderr.read()


def test_watch_on_a_terminal(nearfar: Path, server: Pretence) -> None:
    ours, theirs = os.openpty()
    watch = subprocess.Popen([nearfar, "status", server.path, "-w"], stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while seen.count(b"serving for") < 2:
        seen += os.read(ours, 65536)
    watch.send_signal(signal.SIGINT)
    assert watch.wait(10) == -signal.SIGINT
    assert seen.count(b"\x1b[H\x1b[J") >= 2
    os.close(ours)


def test_finding(nearfar: Path, tmp_path: Path) -> None:
    """This user may have other servers; they are not looked at."""
    env = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}

    def status(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([nearfar, "status", *args], env=env, capture_output=True, text=True, timeout=30)

    before = status("--json")
    alone = "no server of this user is running" in before.stderr
    first = Pretence("", env=env)
    assert first.path == tmp_path / f"nearfar/{first.process.pid}.sock"
    assert stat.S_IMODE(first.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    assert not alone or json.loads(status("--json").stdout)["pid"] == first.process.pid
    second = Pretence("", env=env)
    listed = [line for line in status().stdout.splitlines() if str(tmp_path) in line]
    assert len(listed) == 2 and f"unix:{first.path}  serving for" in "\n".join(listed)
    refused(status("--json"), "servers of this user are running")
    second.process.kill()
    second.process.wait()
    assert second.path.exists()
    status()
    assert not second.path.exists()
    assert not alone or json.loads(status("--json").stdout)["pid"] == first.process.pid
    assert first.end() == 0
    if alone:
        refused(status(), "no server of this user is running")


def test_who_does_not_answer(call, tmp_path: Path) -> None:
    refused(call("status", tmp_path / "none"), "there is no such socket")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "s"))
        refused(call("status", tmp_path / "s"), "nobody listens there")
        s.listen()
        begun = time.monotonic()
        refused(call("status", tmp_path / "s", seconds=30), "no answer in time")
        assert time.monotonic() - begun < 15


def test_who_is_no_server(nearfar: Path, tmp_path: Path) -> None:
    for answer in (b"", b"hello\n", b"[1]\n", b'{"ok":tr'):
        path = tmp_path / f"s{len(answer)}"
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(path))
            s.listen()
            ask = subprocess.Popen([nearfar, "status", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            peer, _ = s.accept()
            assert peer.recv(1000) == b'{"command":"status"}\n'
            peer.sendall(answer)
            peer.close()
            _, said = ask.communicate(timeout=20)
            assert ask.returncode == 1 and "is no nearfar, or was about to end" in said


@pytest.mark.parametrize("words", [["a", "b"], ["--model", "x"], ["--watch=7", "--reload"]])
def test_command_lines_that_make_no_sense(call, words: list[str]) -> None:
    assert call("status", *words).returncode == 2
