# SPDX-License-Identifier: BSD-3-Clause
"""What went over the sockets, kept in a file and answered again: all bits agree, or the first that does not is named."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess, run

import numpy as np
import pytest

from conftest import refused
from ipi import Simulation
from test_driver import Driver
from wire import WATER, init, posdata

LINK, RECEIVED, SENT, CLOSED, END = range(1, 6)
Call = Callable[..., CompletedProcess[str]]


class Recording:
    """The file as docs/record.md describes it."""

    def __init__(self, path: Path) -> None:
        data = zlib.decompressobj(31).decompress(path.read_bytes())  # a file that is cut off will do
        magic, version, n = struct.unpack_from("<8sII", data)
        assert (magic, version) == (b"NFRECORD", 1)
        assert struct.unpack_from("<I", data, 16 + n)[0] == zlib.crc32(data[:16 + n])
        self.header = json.loads(data[16:16 + n])
        self.records = list(self.read(data, 20 + n))

    @staticmethod
    def read(data: bytes, at: int) -> Iterator[tuple[int, int, int, bytes]]:
        while at + 20 <= len(data):
            n, kind, link, when = struct.unpack_from("<IIIQ", data, at)
            if at + n + 24 > len(data):
                return
            assert struct.unpack_from("<I", data, at + 20 + n)[0] == zlib.crc32(data[at:at + 20 + n])
            yield kind, link, when, data[at + 20:at + 20 + n]
            at += n + 24

    def stream(self, kind: int, link: int) -> bytes:
        return b"".join(payload for k, number, _, payload in self.records if (k, number) == (kind, link))

    def links(self) -> set[int]:
        return {link for kind, link, _, _ in self.records if kind == LINK}


def agrees(done: CompletedProcess[str], replies: int | None = None) -> None:
    assert done.returncode == 0, done.stderr
    said = re.search(r"replayed \d+ links?, (\d+) repl", done.stderr)
    assert said and "all bits agree" in done.stderr, done.stderr
    assert replies is None or int(said.group(1)) == replies, done.stderr


WAYS = {
    "one": {},
    "classic": {"consolidate": False},
    "tcp": {"mode": "inet"},
    "beads": {"beads": 8, "ensemble": "nvt"},
    "batches": {"beads": 8, "ensemble": "nvt", "batch_size": 4},
    "links": {"beads": 8, "ensemble": "nvt", "options": ["--links", "4"]},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_real_i_pi(potential: list[Path], water16: Path, tmp_path: Path, call: Call, way: dict[str, object]) -> None:
    file = tmp_path / "f.gz"
    options = {**way, "options": [*way.get("options", []), "--record", file]}
    Simulation(water16, steps=20, models=potential, **options).run(tmp_path / "run")
    kept = Recording(file)
    assert kept.header["addresses"][0]["extras"] == "none" and kept.records[-1][0] == END
    assert all(kept.stream(RECEIVED, k).count(b"GETFORCE") == kept.stream(SENT, k).count(b"FORCEREADY")
               for k in kept.links())
    assert [when for _, _, when, _ in kept.records] == sorted(when for _, _, when, _ in kept.records)
    replies = sum(kept.stream(SENT, k).count(b"FORCEREADY") for k in kept.links())
    agrees(call("run", *potential, "--replay", file), replies)
    agrees(call("run", *potential, "--replay", file, "--threads", "1", "--skin", "0"), replies)


def test_committee_extras(committee: list[Path], water16: Path, tmp_path: Path, call: Call) -> None:
    file = tmp_path / "f.gz"
    Simulation(water16, steps=4, beads=2, models=committee, committee=True,
               options=["--extras", "committee", "--record", str(file)]).run(tmp_path / "run")
    agrees(call("run", *committee, "--replay", file), 10)


def test_another_model(committee: list[Path], water16: Path, tmp_path: Path, call: Call) -> None:
    """Named: which reply, what of it, both numbers."""
    file = tmp_path / "f.gz"
    Simulation(water16, steps=3, models=[committee[0] / "nnp-1"], options=["--record", str(file)]).run(tmp_path / "run")
    done = call("run", committee[0] / "nnp-2", "--replay", file)
    refused(done, "1 link differs")
    assert re.search(r"reply 1 of link 1 \(byte \d+\): the energy is (-\d+\.\d{10,}) recorded, now (-\d+\.\d{10,}) "
                     r"\([-+.e0-9]+ Hartree apart\)", done.stderr), done.stderr


def change(path: Path, place: Callable[[bytearray], int]) -> None:
    """One bit of what is inside, with checksums that fit."""
    data = bytearray(zlib.decompressobj(31).decompress(path.read_bytes()))
    data[place(data)] ^= 1
    at = 20 + struct.unpack_from("<I", data, 12)[0]
    while at + 20 <= len(data):
        n = struct.unpack_from("<I", data, at)[0]
        struct.pack_into("<I", data, at + 20 + n, zlib.crc32(data[at:at + 20 + n]))
        at += n + 24
    path.write_bytes(gzip.compress(bytes(data)))


@pytest.fixture
def recorded(potential: list[Path], tmp_path: Path) -> Callable[..., Path]:
    """A conversation of a bare socket with nearfar --record: `talk` has it, the file is returned."""
    def record(talk: Callable[[Driver], None], *options: str) -> Path:
        file = tmp_path / "f.gz"
        d = Driver(tmp_path, potential, options=("--links", "1", "--record", str(file), *options))
        with d.nearfar:
            talk(d)
            d.close()
            d.nearfar.wait(20)
        return file
    return record


def three_steps(d: Driver) -> None:
    for k in range(3):
        d.status()
        d.send("POSDATA", *posdata(WATER + 0.01 * k * np.arange(9).reshape(3, 3)))
        d.status()
        d.send("GETFORCE")
        d.forces()
    d.send("EXIT")


def test_one_bit(recorded: Callable[..., Path], potential: list[Path], call: Call) -> None:
    file = recorded(three_steps)
    change(file, lambda data: data.rindex(b"FORCEREADY") + 12 + 8 + 4 + 8 * 4)
    done = call("run", *potential, "--replay", file)
    refused(done, "1 link differs")
    assert "reply 3 of link 1" in done.stderr and "force y of atom 2 is" in done.stderr, done.stderr


def test_what_a_driver_did_wrong(recorded: Callable[..., Path], potential: list[Path], call: Call) -> None:
    def talk(d: Driver) -> None:
        d.send("POSDATA", *posdata(), b"GETFORCE    ")
        d.forces()
        d.send("POSDATA", *posdata(WATER * np.nan))
        assert d.link.recv(1) == b""
    file = recorded(talk)
    agrees(call("run", *potential, "--replay", file), 1)
    assert b"not finite" in Recording(file).stream(CLOSED, 1)


def test_a_driver_that_vanished(recorded: Callable[..., Path], potential: list[Path], call: Call) -> None:
    def talk(d: Driver) -> None:
        d.send("POSDATA", *posdata(), b"GETFORCE    ")
        d.forces()
        d.send("POSDATA", posdata()[0])
        time.sleep(0.2)
    agrees(call("run", *potential, "--replay", recorded(talk)), 1)


def test_a_server_that_was_killed(recorded: Callable[..., Path], potential: list[Path], call: Call) -> None:
    """SIGKILL: the file has all but the last moment."""
    def talk(d: Driver) -> None:
        for _ in range(20):
            d.send("POSDATA", *posdata(), b"GETFORCE    ")
            d.forces()
            time.sleep(0.05)
        os.killpg(d.nearfar.process.pid, signal.SIGKILL)
    file = recorded(talk)
    done = call("run", *potential, "--replay", file)
    agrees(done)
    assert "was cut off" in done.stderr
    assert Recording(file).stream(SENT, 1).count(b"FORCEREADY") >= 12


def test_asked_to_stop(recorded: Callable[..., Path], potential: list[Path], call: Call) -> None:
    def talk(d: Driver) -> None:
        d.send("POSDATA", *posdata(), b"GETFORCE    ")
        d.forces()
        d.nearfar.process.send_signal(signal.SIGTERM)
        d.ends(True)
    agrees(call("run", *potential, "--replay", recorded(talk)), 1)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_cut_off_anywhere(recorded: Callable[..., Path], potential: list[Path], call: Call, part: float) -> None:
    def talk(d: Driver) -> None:
        for k in range(40):
            d.send("POSDATA", *posdata(WATER + 0.01 * k), b"GETFORCE    ")
            d.forces()
        d.send("EXIT")
    file = recorded(talk)
    data = file.read_bytes()
    file.write_bytes(data[:int(part * len(data))])
    done = call("run", *potential, "--replay", file)
    agrees(done)
    assert "was cut off" in done.stderr


def test_a_full_disk(potential: list[Path], tmp_path: Path, nearfar: Path) -> None:
    """The recording ends, the steps go on."""
    import resource

    file = tmp_path / "f.gz"
    d = Driver(tmp_path, potential, options=("--links", "1", "--record", str(file)))
    with d.nearfar:
        resource.prlimit(d.nearfar.process.pid, resource.RLIMIT_FSIZE, (20000, 20000))
        for k in range(600):
            d.send("POSDATA", *posdata(WATER + 1e-3 * np.random.default_rng(k).normal(size=(3, 3))), b"GETFORCE    ")
            d.forces()
            time.sleep(0.001)
        d.send("EXIT")
        d.ends(True)
    assert d.nearfar.text().count("the recording ends, the server goes on") == 1, d.nearfar.text()
    assert "File too large" in d.nearfar.text()
    done = run([nearfar, "run", *potential, "--replay", file], capture_output=True, text=True, timeout=60)
    agrees(done)


def test_files_that_are_none(call: Call, potential: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no recording\n" * 10)
    (tmp_path / "empty").write_bytes(b"")
    refused(call("run", *potential, "--replay", "text"), "text: this is no recording of nearfar")
    refused(call("run", *potential, "--replay", "empty"), "empty: this is no recording of nearfar")
    refused(call("run", *potential, "--replay", "none"), "none: cannot open")
    refused(call("run", *potential, "unix:x", "--record", "text"), "never written over another")
    refused(call("run", *potential, "unix:x", "--record", "/dev/full"), "/dev/full: cannot write: No space left")
    refused(call("run", *potential, "unix:x", "--record", "no/such/place"), "cannot create")


def test_a_damaged_file(recorded: Callable[..., Path], potential: list[Path], call: Call) -> None:
    file = recorded(three_steps)
    data = bytearray(file.read_bytes())
    data[-200] ^= 0x10
    file.write_bytes(data)
    refused(call("run", *potential, "--replay", file), "damaged")
