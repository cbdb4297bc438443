# SPDX-License-Identifier: BSD-3-Clause
"""i-PI's <ffcommittee> fed by one nearfar: the inputs of clients/committee, and what docs/committee.md says of them."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import ase.io
import numpy as np
import pytest

from ipi import InputFile, drive, printed, state
from programs import ROOT, Program

INPUTS = ROOT / "clients/committee"
BOHR, HARTREE = 0.529177210903, 27.211386245988  # CODATA 2018


def columns(where: Path, name: str) -> np.ndarray:
    """[steps][numbers] of run.NAME or, of the first bead, run.NAME_0."""
    path = where / f"run.{name}"
    return np.loadtxt(path if path.exists() else where / f"run.{name}_0", ndmin=2)


def serve(file: InputFile, where: Path, models: list[Path], species: Path, *options: str) -> Path:
    """Runs committee.xml or active.xml to its end. The directory."""
    file.write(where)
    address = f"unix:{file.addresses['committee']}"
    drive(where, "input.xml", [[*models, address, "--species", species, *options]])
    return where


def write_beads(checkpoint: Path, start: Path, to: Path) -> int:
    """The beads of an i-PI checkpoint as extended XYZ, to all digits. How many."""
    root = ElementTree.parse(checkpoint).getroot()
    q, cell = (np.array(re.findall(r"[-+.e\d]+", str(root.findtext(f".//{tag}"))), float) for tag in ("q", "cell"))
    symbols = ase.io.read(start).get_chemical_symbols()
    beads = q.reshape(-1, len(symbols), 3) * BOHR
    lattice = " ".join(map(repr, (cell.reshape(3, 3).T * BOHR).ravel().tolist()))
    with open(to, "w") as out:
        for bead in beads:
            out.write(f'{len(symbols)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"\n')
            out.writelines(f"{s} {x!r} {y!r} {z!r}\n" for s, (x, y, z) in zip(symbols, bead.tolist()))
    return len(beads)


@pytest.mark.parametrize("way", ({}, {"batch_size": "4"}, {"consolidate_messages": "False"}), ids=str)
def test_members_are_those_of_eval(call, committee: list[Path], water16: Path, tmp_path: Path, way: dict[str, str]) -> None:
    """Energies, forces, virials and spreads that i-PI prints after 5 steps of 4 beads are those of `nearfar eval`."""
    file = InputFile(INPUTS / "committee.xml", water16, steps=5, beads=4)
    for tag, text in way.items():
        file.add("ffcommittee/ffsocket", f"<{tag}>{text}</{tag}>")
    for key in ("committee_force", "committee_virial"):
        file.add("output", f"<trajectory filename='{key}' stride='5' extra_type='{key}'> extras </trajectory>")
    file.at("output/checkpoint").set("stride", "5")
    run = serve(file, tmp_path / "run", committee, water16)
    nbeads = write_beads(run / "run.checkpoint", water16, tmp_path / "beads.xyz")
    done = call("eval", *committee, "beads.xyz", "-o", "out.xyz")
    assert done.returncode == 0, done.stderr
    assert nbeads == 4
    potential = []
    for bead, atoms in enumerate(ase.io.iread(tmp_path / "out.xyz", index=":")):
        results, info = atoms.calc.results, atoms.info
        potential.append(results["energy"])
        members = np.array(info["committee_energies"])
        assert columns(run, f"energies_{bead}")[-1] * HARTREE == pytest.approx(members, abs=1e-8)
        assert columns(run, f"spread_{bead}")[-1] * HARTREE == pytest.approx(info["energy_std"], abs=1e-8)
        forces = columns(run, f"committee_force_{bead}")[-8:].reshape(8, -1, 3) * HARTREE / BOHR
        assert forces.mean(axis=0) == pytest.approx(results["forces"], abs=1e-8)
        assert forces.std(axis=0, ddof=1) == pytest.approx(atoms.arrays["forces_std"], abs=1e-8)
        virial = columns(run, f"committee_virial_{bead}")[-8:].reshape(8, 9).mean(axis=0) * HARTREE
        assert virial == pytest.approx(np.ravel(info["virial"]), abs=1e-8)
    assert columns(run, "out")[-1, 3] * HARTREE == pytest.approx(np.mean(potential), abs=1e-8)


@pytest.fixture(scope="module")
def beads4(committee: list[Path], water16: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 steps of committee.xml with 4 beads and a checkpoint in the middle."""
    file = InputFile(INPUTS / "committee.xml", water16, steps=20, beads=4)
    file.at("output/checkpoint").attrib.update(stride="10", overwrite="false")
    return serve(file, tmp_path_factory.mktemp("beads4"), committee, water16)


WAYS = {"batch-8": ({"batch_size": "8"}, []), "batch-3-links-2": ({"batch_size": "3"}, ["--links", "2"]),
        "links-1": ({}, ["--links", "1"]), "one-thread": ({}, ["--threads", "1"])}


@pytest.mark.parametrize("way", ("batch-8", "links-1", "batch-3-links-2"))
def test_same_text_every_way(beads4: Path, committee: list[Path], water16: Path, tmp_path: Path, way: str) -> None:
    tags, options = WAYS[way]
    file = InputFile(INPUTS / "committee.xml", water16, steps=20, beads=4)
    for tag, text in tags.items():
        file.add("ffcommittee/ffsocket", f"<{tag}>{text}</{tag}>")
    assert printed(serve(file, tmp_path, committee, water16, *options)) == printed(beads4)


def continued(checkpoint: Path, where: Path, models: list[Path], species: Path, *options: str) -> Path:
    """A new directory with the run that goes on from a checkpoint."""
    where.mkdir()
    shutil.copy(checkpoint, where / "start.chk")
    address = str(ElementTree.parse(checkpoint).getroot().findtext(".//address")).strip()
    drive(where, "start.chk", [[*models, f"unix:{address}", "--species", species, *options]])
    return where


def test_continuation_of_beads(beads4: Path, committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """From one checkpoint: the same text with other links and threads; the uninterrupted run to i-PI's own rounding."""
    runs = [continued(beads4 / "run.checkpoint_1", tmp_path / name, committee, water16, *WAYS[name][1])
            for name in ("links-1", "one-thread")]
    assert printed(runs[0]) == printed(runs[1])
    assert state(runs[0] / "RESTART") == state(runs[1] / "RESTART")
    for name in ("out", "energies_0", "energies_3"):
        again = columns(runs[0], name)
        assert len(again) == 10
        assert again == pytest.approx(columns(beads4, name)[-10:], rel=1e-11)


def exit_at(step: int, where: Path):
    """For drive(): asks i-PI to end once a step has been written."""
    def watch(ipi: Program, nearfars: list[Program]) -> None:
        out = where / "run.out"
        if out.exists() and sum(not line.startswith("#") for line in out.read_text().splitlines()) > step:
            (where / "EXIT").touch()
    return watch


@pytest.mark.parametrize("batch_size", ("1", "2"))
def test_restart_has_the_same_bits(committee: list[Path], water16: Path, tmp_path: Path, batch_size: str) -> None:
    """One bead, all digits printed, fixcom off: stopped by EXIT and continued from RESTART, or from a checkpoint, a run
    prints and stores what the uninterrupted one does."""
    def file() -> InputFile:
        f = InputFile(INPUTS / "committee.xml", water16, steps=60, beads=1)
        f.add("ffcommittee/ffsocket", f"<batch_size>{batch_size}</batch_size>")
        f.add("system/motion", "<fixcom>False</fixcom>")
        f.at("output/trajectory[@filename='pos']").set("stride", "1")
        f.at("output/checkpoint").attrib.update(stride="13", overwrite="false")
        return f
    whole = serve(file(), tmp_path / "whole", committee, water16)

    stopped, where = file(), tmp_path / "stopped"
    stopped.write(where)
    words = [*committee, f"unix:{stopped.addresses['committee']}", "--species", water16]
    drive(where, "input.xml", [words], watch=exit_at(5, where))
    assert len(columns(where, "out")) < 61, "it was not stopped"
    (where / "EXIT").unlink()
    drive(where, "RESTART", [words])
    assert printed(where) == printed(whole)
    assert state(where / "RESTART") == state(whole / "RESTART")

    again = continued(whole / "run.checkpoint_1", tmp_path / "again", committee, water16)
    assert len(columns(again, "out")) == 60 - 13
    for name, text in printed(again).items():
        assert printed(whole)[name].endswith(text), name
    assert state(again / "RESTART") == state(whole / "RESTART")


@pytest.fixture(scope="module")
def active(committee: list[Path], water16: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 steps of active.xml with every structure above the threshold of 1 meV for the box."""
    file = InputFile(INPUTS / "active.xml", water16, steps=20, beads=1)
    file.at("ffcommittee/active_thresh").text = "0.001"
    file.add("output", "<trajectory filename='own' stride='1' extra_type='committee_energy_std'> extras </trajectory>")
    return serve(file, tmp_path_factory.mktemp("active"), committee, water16)


def dumped(where: Path) -> list[dict]:
    """JSON objects without anything between them."""
    text, found, decoder, at = (where / "run.uncertain").read_text(), [], json.JSONDecoder(), 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def test_uncertain_structures_are_written(active: Path, committee: list[Path], water16: Path, tmp_path: Path) -> None:
    spread = columns(active, "spread")[:, 0]
    structures = dumped(active)
    assert [s["uncertainty"] for s in structures] == pytest.approx(spread, abs=0, rel=1e-15)
    assert np.reshape(structures[0]["position"], (-1, 3)) * BOHR == pytest.approx(ase.io.read(water16).positions, abs=1e-6)

    threshold = np.median(spread)
    file = InputFile(INPUTS / "active.xml", water16, steps=20, beads=1)
    file.at("ffcommittee/active_thresh").text = repr(float(threshold * HARTREE))
    few = serve(file, tmp_path, committee, water16)
    assert [s["uncertainty"] for s in dumped(few)] == pytest.approx(spread[spread > threshold], rel=1e-15)


def test_alpha_widens_the_committee_and_moves_nothing(active: Path, committee: list[Path], water16: Path,
                                                      tmp_path: Path) -> None:
    """active.xml has alpha = 2. energy_std is what nearfar says, without alpha."""
    file = InputFile(INPUTS / "active.xml", water16, steps=20, beads=1)
    file.remove("ffcommittee", "alpha")
    plain = serve(file, tmp_path, committee, water16)
    assert printed(plain)["run.out"] == printed(active)["run.out"]
    assert columns(active, "spread") == pytest.approx(2 * columns(plain, "spread"), rel=1e-9)
    assert columns(active, "own") == pytest.approx(columns(plain, "spread"), rel=1e-8)
    wide, narrow = (columns(w, "energies") - columns(w, "energies").mean(axis=1, keepdims=True) for w in (active, plain))
    assert wide == pytest.approx(2 * narrow, abs=1e-12)


def test_weights_and_offset(active: Path, committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """<weights> do nothing; <offset> is taken off the energy and not off the members."""
    file = InputFile(INPUTS / "active.xml", water16, steps=20, beads=1)
    file.add("ffcommittee", "<weights>[7.0]</weights>")
    file.add("ffcommittee", "<offset>-275.0</offset>")
    other = serve(file, tmp_path, committee, water16)
    assert columns(other, "out")[:, 3] == pytest.approx(columns(active, "out")[:, 3] + 275, rel=1e-12)
    for name in ("energies", "spread"):
        assert printed(other)[f"run.{name}_0"] == printed(active)[f"run.{name}_0"]


@pytest.mark.parametrize("trap", ("no parse_json", "summary extras"))
def test_a_committee_that_i_pi_does_not_see(committee: list[Path], water16: Path, tmp_path: Path, trap: str) -> None:
    """Right energies, and nan for the spread, from which nothing follows but a warning of numpy."""
    file = InputFile(INPUTS / "active.xml", water16, steps=3, beads=1)
    if trap == "no parse_json":
        file.at("ffcommittee/parse_json").text = "False"
    else:
        file.remove("ffcommittee/ffsocket", "parameters")
    serve(file, tmp_path, committee, water16)
    assert np.isnan(columns(tmp_path, "spread")).all()
    assert dumped(tmp_path) == []


def weighted(water16: Path, steps: int, uncertainty: float) -> InputFile:
    """baseline.xml at constant energy; in hartree."""
    file = InputFile(INPUTS / "baseline.xml", water16, steps=steps, beads=1)
    uncertain = file.at("ffcommittee/baseline_uncertainty")
    uncertain.text = repr(uncertainty)
    uncertain.set("units", "atomic_unit")
    file.add("system/motion", "<fixcom>False</fixcom>")
    file.at(".//dynamics").set("mode", "nve")
    file.remove(".//dynamics", "thermostat")
    file.at("output/checkpoint").set("stride", "10")
    return file


def serve_two(file: InputFile, where: Path, committee: list[Path], water16: Path) -> Path:
    """The committee as correction, one member as baseline."""
    file.write(where)
    drive(where, "input.xml", [
        [*committee, f"unix:{file.addresses['correction']}", "--species", water16],
        [committee[0] / "nnp-1", f"unix:{file.addresses['baseline']}", "--species", water16]])
    return where


def test_weighted_baseline(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """V = V_b + s_b^2 / (s_b^2 + s^2) V_c, and forces that are its gradient: energy is conserved although the weight
    moves."""
    uncertainty = 0.1
    run = serve_two(weighted(water16, 200, uncertainty), tmp_path, committee, water16)
    members, spread, baseline, weight = (columns(run, name) for name in ("energies", "spread", "baseline", "weight"))
    assert spread[:, 0] == pytest.approx(members.std(axis=1, ddof=1), rel=1e-8)
    assert weight == pytest.approx(uncertainty ** 2 / (uncertainty ** 2 + spread ** 2), rel=1e-12)
    out = columns(run, "out")
    assert out[:, 3] == pytest.approx((baseline + weight * members.mean(axis=1, keepdims=True))[:, 0], rel=1e-13)
    assert baseline[0, 0] == pytest.approx(members[0, 0], rel=1e-12), "the baseline is the first member here"
    by_weight = ((1 - weight) * members.mean(axis=1, keepdims=True))[:, 0]
    assert by_weight.std() > 0.005 * out[:, 3].std(), "the weight does not matter here: nothing is tested"
    assert out[:, 2].std() < 0.01 * out[:, 3].std()


def test_weighted_baseline_from_a_checkpoint(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    file = weighted(water16, 20, 0.1)
    file.at("output/checkpoint").set("overwrite", "false")
    whole = serve_two(file, tmp_path / "whole", committee, water16)
    where = tmp_path / "again"
    where.mkdir()
    shutil.copy(whole / "run.checkpoint_1", where / "start.chk")
    drive(where, "start.chk", [
        [*committee, f"unix:{file.addresses['correction']}", "--species", water16],
        [committee[0] / "nnp-1", f"unix:{file.addresses['baseline']}", "--species", water16]])
    assert len(columns(where, "out")) == 10
    for name, text in printed(where).items():
        assert printed(whole)[name].endswith(text), name


def test_reweighting_of_an_oscillator() -> None:
    """Sampled with the mean of three force constants: <x^2> of each member is 1 / beta k_i, to first order with CEA;
    what gofr.py computes without i-PI's script is what the script says."""
    sys.path.insert(0, str(ROOT / "clients/demo"))
    import gofr

    kt, constants = 0.5, np.array([0.95, 1.0, 1.05])
    x = np.random.default_rng(1).normal(scale=np.sqrt(kt / constants.mean()), size=40000)
    energies, observable = 0.5 * constants * x[:, None] ** 2, np.stack([x ** 2, x ** 4], axis=1)
    direct = gofr.i_pi_reweight(energies, observable, kt, "--direct")
    cea = gofr.i_pi_reweight(energies, observable, kt)
    assert direct[0] == pytest.approx(kt / constants, rel=0.02)
    assert cea[0] == pytest.approx(kt * (2 - constants), rel=0.02)
    assert cea == pytest.approx(gofr.cumulant(energies, observable, kt), rel=1e-7)
    assert gofr.spread(cea)[0] == pytest.approx(0.05 * kt, rel=0.05)
    assert gofr.chance(energies, observable, kt)[0] < 0.05 * gofr.spread(cea)[0]


def blocks(page: Path) -> list[str]:
    return re.findall(r"```xml\n(.*?)```", page.read_text(), re.DOTALL)


def test_snippets_of_the_page_are_in_the_inputs() -> None:
    """What docs/committee.md shows is what these tests run, but for blanks."""
    inputs = ["".join(p.read_text().split()) for p in sorted(INPUTS.glob("*.xml"))]
    found = blocks(ROOT / "docs/committee.md")
    assert len(found) >= 3
    for block in found:
        assert any("".join(block.split()) in text for text in inputs), block
