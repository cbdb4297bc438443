# SPDX-License-Identifier: BSD-3-Clause
"""eval and inspect on good and on broken files: a status, one sentence, never a crash."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import resource
import runpy
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import ase.io
import numpy as np
import pytest

from conftest import refused
from programs import ROOT

Call = Callable[..., "CompletedProcess[str]"]

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
    refused(call("inspect", model))


def test_inspect(call: Call, committee: list[Path], water64: Path) -> None:
    assert "8" in call("inspect", *committee).stdout
    assert call("inspect", water64).returncode == 0
    refused(call("inspect", "/nowhere/at/all"))


def test_sha256(call: Call, committee: list[Path]) -> None:
    """What a user computes from the same files."""
    members = [m.parent for c in committee for m in sorted(c.rglob("input.nn"))]
    files = [f for m in members for f in [m / "input.nn", m / "scaling.data", *sorted(m.glob("weights.*.data"))]]
    want = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
    assert f"sha256 {want}" in call("inspect", *committee).stdout
    assert f'"sha256":"{want}"' in call("inspect", *committee, "--json").stdout


def test_files_are_read_once(call: Call, model: Path) -> None:
    """From pipes, which can be read once only: the hash is of what was understood, however a file changes."""
    want = call("inspect", model).stdout
    for file in [model / "input.nn", model / "scaling.data", *model.glob("weights.*.data")]:
        data = file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        threading.Thread(target=file.write_bytes, args=[data], daemon=True).start()
    assert call("inspect", model).stdout == want


def test_null_model(call: Call, water16: Path, tmp_path: Path) -> None:
    assert call("inspect", "null").returncode == 0
    assert " atoms " in call("bench", "null", water16).stdout
    done = call("eval", "null", water16, "-o", "out.xyz")
    assert done.returncode == 0, done.stderr
    atoms = ase.io.read(tmp_path / "out.xyz")
    assert atoms.get_potential_energy() == 0
    assert not atoms.get_forces().any()
    assert not atoms.get_stress().any()
    (tmp_path / "null").mkdir()
    assert call("inspect", "null").returncode == 0
    refused(call("inspect", "./null"), "./null")
    refused(call("inspect", "null", "null"), "committee")


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


# ---- descriptor values for numpy ----


@pytest.fixture
def frames(water16: Path) -> list[ase.Atoms]:
    """Water that sees its own images, molecules without a cell, hydrogen alone."""
    water, rng = ase.io.read(water16), np.random.default_rng(5)
    kinds = [water, water[:3], water[[1]], water[:6], water]
    for k in (1, 2, 3):
        kinds[k].set_pbc(False)
        kinds[k].set_cell(None)
    out = [kinds[k % 5].copy() for k in range(12)]
    for atoms in out:
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    return out


@pytest.fixture
def labelled(call: Call, potential: list[Path], frames: list[ase.Atoms], tmp_path: Path) -> Path:
    """The frames with the potential's own energies, forces and virials."""
    ase.io.write(tmp_path / "plain.xyz", frames, format="extxyz")
    done = call("eval", *potential, "plain.xyz", "-o", "labelled.xyz")
    assert done.returncode == 0, done.stderr
    return tmp_path / "labelled.xyz"


def arrays(call: Call, tmp_path: Path, *args: object, out: str = "data.npz") -> dict[str, np.ndarray]:
    done = call("eval", *args, "--features", out)
    assert done.returncode == 0, done.stderr
    return dict(np.load(tmp_path / out))


def test_features_of_frames(call: Call, potential: list[Path], frames: list[ase.Atoms], labelled: Path,
                            tmp_path: Path) -> None:
    d = arrays(call, tmp_path, *potential, labelled, "--feature-gradients")
    assert d["elements"].tolist() == ["H", "O"]
    np.testing.assert_array_equal(d["natoms"], [len(a) for a in frames])
    np.testing.assert_array_equal(d["numbers"], np.concatenate([a.numbers for a in frames]))
    np.testing.assert_allclose(d["positions"], np.concatenate([a.positions for a in frames]), atol=1e-8)
    np.testing.assert_array_equal(d["pbc"], [a.pbc for a in frames])
    np.testing.assert_allclose(d["cell"], [a.cell.array for a in frames], atol=1e-8)
    for key in ("energy", "forces", "virial"):
        assert np.isfinite(d[key]).all()
        np.testing.assert_array_equal(d[key], d[key + "_ref"])
    for X, z in {"H": 1, "O": 8}.items():
        where = [(k, i) for k, a in enumerate(frames) for i in range(len(a)) if a.numbers[i] == z]
        np.testing.assert_array_equal(np.c_[d[f"frame_{X}"], d[f"atom_{X}"]], where)
        n, f, p = len(where), len(d[f"names_{X}"]), len(d[f"gradient_{X}_atom"])
        shapes = {"features": (n, f), "range": (1, f, 2), "offset": (1,), "gradient": (p, f, 3)}
        assert {key: d[f"{key}_{X}"].shape for key in shapes} == shapes
        assert d[f"gradient_{X}_strain"].shape == (n, f, 3, 3)
        centre, atom = d[f"gradient_{X}_centre"], d[f"gradient_{X}_atom"]
        assert (np.diff(centre) >= 0).all() and set(centre) == set(range(n))
        assert (np.diff(atom)[np.diff(centre) == 0] > 0).all()
        assert (atom < d["natoms"][d[f"frame_{X}"][centre]]).all()


def test_references_that_are_missing(call: Call, potential: list[Path], frames: list[ase.Atoms], labelled: Path,
                                     tmp_path: Path) -> None:
    with open(tmp_path / "mixed.xyz", "w") as out:
        out.write(labelled.read_text() + (tmp_path / "plain.xyz").read_text())
    d, n, atoms = arrays(call, tmp_path, *potential, "mixed.xyz"), len(frames), sum(map(len, frames))
    for key, rows in {"energy": n, "virial": n, "forces": atoms}.items():
        np.testing.assert_array_equal(d[key][:rows], d[key + "_ref"][:rows])
        assert np.isnan(d[key + "_ref"][rows:]).all()
    assert not any(key.startswith("gradient") for key in d)


def g2_by_hand(d: dict[str, np.ndarray], atoms: ase.Atoms, X: str) -> np.ndarray:
    """Values of type 2 with the cutoff function tanh(1 - r/rc)^3 for each atom X of a molecule, in the order of names."""
    out = []
    for i in np.flatnonzero(np.array(atoms.get_chemical_symbols()) == X):
        for name in d[f"names_{X}"]:
            kind, neighbour, *words = name.split()
            if kind == "G2":
                p = dict(w.split("=") for w in words)
                assert p["cutoff"] == "tanhu"
                r = np.array([atoms.get_distance(i, j) for j in range(len(atoms))
                              if j != i and atoms.get_chemical_symbols()[j] == neighbour])
                r = r[r < float(p["rc"])]
                out.append(np.sum(np.exp(-float(p["eta"]) * (r - float(p["rs"])) ** 2)
                                  * np.tanh(1 - r / float(p["rc"])) ** 3))
    return np.array(out)


def test_radial_values_by_hand(call: Call, potential: list[Path], frames: list[ase.Atoms], tmp_path: Path) -> None:
    ase.io.write(tmp_path / "two.xyz", frames[3], format="extxyz")
    d = arrays(call, tmp_path, *potential, "two.xyz")
    for X in d["elements"]:
        radial = [name.startswith("G2 ") for name in d[f"names_{X}"]]
        assert sum(radial) > 10
        want = g2_by_hand(d, frames[3], X)
        np.testing.assert_allclose(d[f"features_{X}"][:, radial].ravel(), want, rtol=2e-5, atol=1e-7)  # rounded names


def test_same_bytes_with_any_number_of_threads(call: Call, potential: list[Path], labelled: Path,
                                               tmp_path: Path) -> None:
    for threads in (1, 2, 3):
        arrays(call, tmp_path, *potential, labelled, "--feature-gradients", "-t", threads, out=f"{threads}.npz")
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes() == (tmp_path / "3.npz").read_bytes()


def test_deflated_or_not(call: Call, potential: list[Path], labelled: Path, tmp_path: Path) -> None:
    small = arrays(call, tmp_path, *potential, labelled, "--feature-gradients", out="small.npz")
    large = arrays(call, tmp_path, *potential, labelled, "--feature-gradients", "--uncompressed", out="large.npz")
    assert small.keys() == large.keys()
    for key in small:
        np.testing.assert_array_equal(small[key], large[key])
    assert (tmp_path / "small.npz").stat().st_size < 0.7 * (tmp_path / "large.npz").stat().st_size


def test_features_of_a_committee(call: Call, committee: list[Path], labelled: Path, tmp_path: Path) -> None:
    d = arrays(call, tmp_path, *committee, labelled, "-o", "out.xyz")
    assert d["range_O"].shape == (8, d["features_O"].shape[1], 2)
    assert (d["range_O"][..., 0] < d["range_O"][..., 1]).all()
    np.testing.assert_array_equal(d["energy"], [a.get_potential_energy() for a in ase.io.read(tmp_path / "out.xyz", ":")])


@pytest.mark.parametrize("how", ["gzip", "pipe"])
def test_features_of_a_stream(call: Call, nearfar: Path, potential: list[Path], labelled: Path, tmp_path: Path,
                              how: str) -> None:
    d = arrays(call, tmp_path, *potential, labelled)
    if how == "gzip":
        (tmp_path / "in.xyz.gz").write_bytes(gzip.compress(labelled.read_bytes()))
        arrays(call, tmp_path, *potential, "in.xyz.gz", out="again.npz")
    else:
        command = [nearfar, "eval", *potential, "-", "--features", "again.npz"]
        subprocess.run(command, cwd=tmp_path, input=labelled.read_bytes(), check=True, timeout=60, capture_output=True)
    assert d["energy"].size == 12
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "data.npz").read_bytes()


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs/eval.md").read_text(), re.DOTALL)


def test_examples_of_the_documentation(call: Call, potential: list[Path], water16: Path, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    water, rng = ase.io.read(water16), np.random.default_rng(7)
    shaken = [water.copy() for _ in range(20)]
    for atoms in shaken:
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    ase.io.write(tmp_path / "in.xyz", shaken, format="extxyz")
    assert call("eval", *potential, "in.xyz", "-o", "labelled.xyz").returncode == 0
    arrays(call, tmp_path, *potential, "labelled.xyz", "--feature-gradients")
    (tmp_path / "MODEL").symlink_to(potential[0])
    monkeypatch.chdir(tmp_path)
    names: list[dict[str, object]] = []
    for k, text in enumerate(examples()):
        (tmp_path / f"example{k}.py").write_text(text)
        names.append(runpy.run_path(f"example{k}.py"))
    assert len(names) == 3
    fit, network = names[1], names[2]
    assert fit["energy_error"] < 0.01
    assert fit["force_error"] < 0.3 * np.std(fit["d"]["forces_ref"])
    np.testing.assert_allclose(network["energy"], network["d"]["energy"], rtol=1e-13)


# ---- and what goes wrong with them ----


def test_features_in_impossible_places(call: Call, potential: list[Path], water16: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for place, words in {"no/such/place.npz": "No such file", "folder": "ordinary file", "-": "ordinary file",
                         "/dev/null": "ordinary file"}.items():
        refused(call("eval", *potential, water16, "--features", place), place, words)
    for option in ("--feature-gradients", "--uncompressed"):
        refused(call("eval", *potential, water16, option), option, "--features")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_features_before_an_error_are_kept(call: Call, potential: list[Path], labelled: Path, tmp_path: Path) -> None:
    whole = arrays(call, tmp_path, *potential, labelled)
    (tmp_path / "bad.xyz").write_text(labelled.read_text() + "2\n\nO 0 0 0\nO 0 0 0\n")
    done = call("eval", *potential, "bad.xyz", "--features", "bad.npz", "-o", "bad-out.xyz")
    refused(done, "frame 13", "same place")
    assert "bad.npz has the 12 frames" in done.stderr and "bad-out.xyz has the 12 frames" in done.stderr
    kept = dict(np.load(tmp_path / "bad.npz"))
    for key in whole:
        np.testing.assert_array_equal(kept[key], whole[key])


def test_no_features_no_file(call: Call, potential: list[Path], tmp_path: Path) -> None:
    (tmp_path / "gold.xyz").write_text("1\n\nAu 0 0 0\n")
    (tmp_path / "data.npz").write_text("before")
    refused(call("eval", *potential, "gold.xyz", "--features", "data.npz"), "frame 1", "Au")
    assert (tmp_path / "data.npz").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.npz", "gold.xyz"]


@pytest.mark.parametrize("room", [300_000, 3_000_000], ids=["while-computing", "at-the-end"])
def test_features_on_a_full_disk(nearfar: Path, potential: list[Path], labelled: Path, tmp_path: Path,
                                 room: int) -> None:
    """As far as a limit of the size of a file is one; each array's file is smaller than the archive."""
    (tmp_path / "data.npz").write_text("before")
    before = sorted(tmp_path.iterdir())

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = subprocess.run([nearfar, "eval", *potential, labelled, "--features", "data.npz", "--feature-gradients",
                           "--uncompressed"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                          preexec_fn=limit, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    refused(done, "data.npz", "File too large")
    assert (tmp_path / "data.npz").read_text() == "before"
    assert sorted(tmp_path.iterdir()) == before
