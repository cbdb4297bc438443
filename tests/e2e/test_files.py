# SPDX-License-Identifier: BSD-3-Clause
"""eval and inspect on good and on broken files: a status, one sentence, never a crash."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import ase.io
import numpy as np
import pytest

from conftest import refused

Call = Callable[..., "CompletedProcess[str]"]



def cannot_run(done: CompletedProcess[str]) -> None:
    """inspect's answer about a model is a line of its output."""
    assert done.returncode == 1, f"status {done.returncode}: {done.stderr}"
    assert len(done.stdout.splitlines()) == 1 and "nearfar cannot run it: " in done.stdout, done.stdout


STRUCTURES = {
    "empty": "",
    "no-count": "water\n\nO 0 0 0\n",
    "too-few-atoms": "3\n\nO 0 0 0\nH 1 0 0\n",
    "negative-count": "-3\n\nO 0 0 0\n",
    "huge-count": "999999999999999999999\n\nO 0 0 0\n",
    "no-number": "1\n\nO 0 zero 0\n",
    "missing-column": '1\nProperties=species:S:1:pos:R:3\nO 0 0\n',
    "unknown-element": "1\n\nXx 0 0 0\n",
    "element-not-in-model": "1\n\nAu 0 0 0\n",
    "nan": "1\n\nO nan 0 0\n",
    "flat-cell": '1\nLattice="1 0 0 2 0 0 0 0 1" pbc="T T T"\nO 0 0 0\n',
    "short-lattice": '1\nLattice="1 0 0 0 1 0 0 0" pbc="T T T"\nO 0 0 0\n',
    "open-quote": '1\nLattice="1 0 0 0 1 0 0 0 1\nO 0 0 0\n',
    "bad-properties": '1\nProperties=species:S:1:pos:R:9999999999\nO 0 0 0\n',
    "bytes": "\x01\x02\udcff\x00\n\x03\n",
}


@pytest.fixture
def model(potential: list[Path], tmp_path: Path) -> Path:
    """A copy to be spoiled."""
    return Path(shutil.copytree(potential[0], tmp_path / "model"))


@pytest.mark.parametrize("text", STRUCTURES.values(), ids=STRUCTURES.keys())
def test_eval_broken_structure(call: Call, potential: list[Path], tmp_path: Path, text: str) -> None:
    (tmp_path / "in.xyz").write_bytes(text.encode(errors="surrogateescape"))
    refused(call("eval", *potential, "in.xyz", "-o", "out.xyz"))


def test_eval_missing_files(call: Call, potential: list[Path], water16: Path) -> None:
    refused(call("eval", *potential, "nowhere.xyz", "-o", "out.xyz"), "nowhere.xyz")
    refused(call("eval", "nomodel", water16, "-o", "out.xyz"), "nomodel")
    refused(call("eval", *potential, water16, "-o", "no/such/place.xyz"), "no/such/place.xyz")


@pytest.mark.parametrize("name", ["input.nn", "scaling.data", "weights.001.data", "weights.008.data"])
@pytest.mark.parametrize("how", ["absent", "empty", "half", "bytes", "directory"])
def test_broken_model(call: Call, model: Path, water16: Path, name: str, how: str) -> None:
    file = model / name
    data = file.read_bytes()
    file.unlink()
    if how == "directory":
        file.mkdir()
    elif how != "absent":
        file.write_bytes({"empty": b"", "half": data[:len(data) // 2], "bytes": bytes(range(256)) * 20}[how])
    refused(call("eval", model, water16, "-o", "out.xyz"))
    cannot_run(call("inspect", model))


def test_inspect(call: Call, committee: list[Path], water64: Path) -> None:
    assert "8" in call("inspect", *committee).stdout
    assert call("inspect", water64).returncode == 0
    cannot_run(call("inspect", "/nowhere/at/all"))


def test_eval_writes_what_ase_reads(call: Call, committee: list[Path], water16: Path, tmp_path: Path) -> None:
    done = call("eval", *committee, water16, "-o", "out.xyz")
    assert done.returncode == 0, done.stderr
    atoms = ase.io.read(tmp_path / "out.xyz")
    assert np.isfinite(atoms.get_potential_energy())
    np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0, atol=1e-6)
    assert atoms.get_stress().shape == (6,)


def test_order_of_frames(call: Call, potential: list[Path], water16: Path, tmp_path: Path) -> None:
    """Many frames of different sizes come back in their order, with the numbers that each has alone."""
    water = ase.io.read(water16)
    frames = [water if k % 3 else water[:3 * (1 + k % 5)] for k in range(40)]
    ase.io.write(tmp_path / "in.xyz", frames, format="extxyz")
    assert call("eval", *potential, "in.xyz", "-o", "out.xyz").returncode == 0
    out = ase.io.read(tmp_path / "out.xyz", ":")
    assert [len(a) for a in out] == [len(a) for a in frames]
    assert len({a.get_potential_energy() for a in out if len(a) == len(water)}) == 1
