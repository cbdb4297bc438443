# SPDX-License-Identifier: BSD-3-Clause
"""PLUMED's bias on nearfar's forces, with i-PI and with ASE: the examples of clients/plumed, short, recomputed with numpy.

PLUMED comes with the PyPI package hillclimber. Where it is missing these tests are skipped, with CI=true they fail.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

import ase.io
import numpy as np
import pytest
from ase import Atoms, units

from programs import ONE_THREAD, ROOT, Program, nearfar_path, unique_name
from test_ase import served

sys.path.insert(0, str(ROOT / "clients/plumed"))
from files import BOLTZMANN, columns, hills_bias, positions  # noqa: E402
from wham import probabilities  # noqa: E402

KJ_PER_MOL = 0.01036426965  # eV
DONOR, PROTON, ACCEPTOR = 18, 20, 45
HEIGHT, PACE, GAMMA, WALL = 1.0, 10, 10.0, 2000.0  # of clients/plumed/sharing/plumed.dat


@pytest.fixture(scope="module", autouse=True)
def plumed() -> None:
    try:
        import plumed  # noqa: F401
    except ImportError:
        sentence = "no Python module plumed: pip install --no-deps hillclimber"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)


def example(program: str, *args: object, where: Path) -> None:
    """One of clients/plumed, to its end."""
    env = {**os.environ, **ONE_THREAD, "NEARFAR": str(nearfar_path())}
    done = run([sys.executable, str(ROOT / "clients/plumed" / program), *map(str, args)], cwd=where, env=env,
               capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]


def distance(x: np.ndarray, i: int, j: int, length: float) -> np.ndarray:
    d = x[..., i, :] - x[..., j, :]
    return np.linalg.norm(d - length * np.round(d / length), axis=-1)


@dataclass
class Metadynamics:
    """What a run of the example `sharing` left; frame k is step k."""

    where: Path
    length: float

    def __post_init__(self) -> None:
        self.colvar, self.hills = columns(self.where / "COLVAR"), columns(self.where / "HILLS")
        self.out = np.loadtxt(self.where / "sharing.out")
        beads = [positions(p) for p in sorted(self.where.glob("sharing.pos_*"))]
        self.nbeads, self.centroids = len(beads), np.mean(beads, axis=0)

    def hills_before(self, step: float) -> dict[str, np.ndarray]:
        return {name: column[self.hills["time"] < step - 0.5] for name, column in self.hills.items()}


@pytest.fixture(scope="module", params=[1, 4], ids=["classical", "4-beads"])
def metadynamics(request: pytest.FixtureRequest, committee: list[Path], water16: Path,
                 tmp_path_factory: pytest.TempPathFactory) -> Metadynamics:
    out = sharing(tmp_path_factory, committee)
    return Metadynamics(out / {1: "classical", 4: "quantum"}[request.param], ase.io.read(water16).cell[0, 0])


_sharing: list[Path] = []


def sharing(factory: pytest.TempPathFactory, committee: list[Path]) -> Path:
    """The example, once for all tests: both runs and the picture."""
    if not _sharing:
        where = factory.mktemp("sharing")
        example("sharing/simulate.py", "--beads", 4, "--steps", 40, "--classical-steps", 40, "--timestep", 0.25,
                "--stride", 1, "--model", *committee, "--nearfar", nearfar_path(), "--out", where / "out", where=where)
        assert (where / "out/sharing.png").stat().st_size > 10000
        _sharing.append(where / "out")
    return _sharing[0]


def test_colvar_is_the_centroid(metadynamics: Metadynamics) -> None:
    """Two programs' units between the two columns: i-PI prints Angstrom, PLUMED gets Bohr and makes nanometres of them."""
    m, step = metadynamics, metadynamics.colvar["time"].round().astype(int)
    assert list(step) == list(range(1, 41))
    x = m.centroids[step]
    oxygens = distance(x, DONOR, ACCEPTOR, m.length)
    delta = distance(x, DONOR, PROTON, m.length) - distance(x, PROTON, ACCEPTOR, m.length)
    np.testing.assert_allclose(m.colvar["oxygens"], oxygens, rtol=0, atol=1e-7)
    np.testing.assert_allclose(m.colvar["delta"], delta, rtol=0, atol=1e-7)


def test_hills_are_well_tempered(metadynamics: Metadynamics) -> None:
    """One every PACE steps where the system is, lower by exp(-V/(gamma-1)kT), written for the free energy."""
    m = metadynamics
    steps = m.hills["time"].round().astype(int)
    assert list(steps) == list(range(PACE, 41, PACE))
    np.testing.assert_allclose(m.hills["delta"], m.colvar["delta"][steps - 1], rtol=0, atol=1e-9)
    v = np.array([hills_bias(m.hills_before(t), "delta", np.array([s]))[0]
                  for t, s in zip(m.hills["time"], m.hills["delta"])])
    heights = HEIGHT * np.exp(-v / (BOLTZMANN * 300 * (GAMMA - 1))) * GAMMA / (GAMMA - 1)
    np.testing.assert_allclose(m.hills["height"], heights, rtol=1e-6)
    assert np.all(m.hills["height"][1:] < m.hills["height"][0])


def test_bias_is_that_of_the_hills(metadynamics: Metadynamics) -> None:
    m = metadynamics
    expected = [hills_bias(m.hills_before(t), "delta", np.array([s]))[0]
                for t, s in zip(m.colvar["time"], m.colvar["delta"])]
    np.testing.assert_allclose(m.colvar["hills.bias"], expected, rtol=0, atol=1e-6)
    assert m.colvar["hills.bias"].max() > 1


def test_ipi_takes_the_bias(metadynamics: Metadynamics) -> None:
    """i-PI's own figure, eV: hills, those of this step too, and walls."""
    m = metadynamics
    expected = [hills_bias(m.hills_before(t + 1), "delta", np.array([s]))[0] + upper + lower for t, s, upper, lower in zip(
        m.colvar["time"], m.colvar["delta"], m.colvar["upper.bias"], m.colvar["lower.bias"])]
    np.testing.assert_allclose(m.out[1:, 5], np.array(expected) * KJ_PER_MOL, rtol=1e-6, atol=1e-8)


def test_walls_are_parabolas(metadynamics: Metadynamics) -> None:
    c = metadynamics.colvar
    upper = WALL * (np.clip(c["oxygens"] - 2.9, 0, None) ** 2 + np.clip(c["delta"] + 0.1, 0, None) ** 2)
    np.testing.assert_allclose(c["upper.bias"], upper, rtol=0, atol=1e-6)


def test_energy_is_conserved_while_hills_grow(metadynamics: Metadynamics) -> None:
    """i-PI takes the work of the hills out of its conserved quantity; bias forces that were not its slope would show."""
    conserved, potential = metadynamics.out[10:, [2, 4]].T
    assert conserved.std() < 0.05 * potential.std()


def test_same_after_a_restart(committee: list[Path], water16: Path, tmp_path: Path,
                              tmp_path_factory: pytest.TempPathFactory) -> None:
    """20 steps, the checkpoint, 20 more: HILLS and COLVAR go on as if nothing had been."""
    whole = Metadynamics(sharing(tmp_path_factory, committee) / "quantum", 1.0)
    (tmp_path / "start.xyz").write_bytes((whole.where / "start.xyz").read_bytes())
    (tmp_path / "plumed.dat").write_bytes((whole.where / "plumed.dat").read_bytes())
    socket = unique_name()
    text = re.sub("<address>.*</address>", f"<address>{socket}</address>", (whole.where / "input.xml").read_text())
    (tmp_path / "input.xml").write_text(text.replace("<total_steps>40", "<total_steps>20"))
    ipi_and_nearfar("input.xml", socket, committee, tmp_path)
    text = (tmp_path / "RESTART").read_text()
    assert "<plumed_step>20</plumed_step>" in text
    (tmp_path / "again.xml").write_text(text.replace("<total_steps>20", "<total_steps>40"))
    ipi_and_nearfar("again.xml", socket, committee, tmp_path)
    for name in ("COLVAR", "HILLS"):
        expected, found = columns(whole.where / name), columns(tmp_path / name)
        for column in expected:
            np.testing.assert_allclose(found[column], expected[column], rtol=1e-5, atol=1e-6, err_msg=f"{name} {column}")


def ipi_and_nearfar(input_file: str, socket: str, models: list[Path], where: Path) -> None:
    command = [nearfar_path(), "run", *models, f"unix:{socket}", "--species", "start.xyz"]
    try:
        with Program("i-pi", [Path(sys.executable).with_name("i-pi"), input_file], where) as ipi, \
                Program("nearfar", command, where) as nearfar:
            assert ipi.wait(100) == 0, ipi.story() + nearfar.story()
            assert nearfar.wait(20) == 0, nearfar.story()
    finally:
        Path(f"/tmp/ipi_{socket}").unlink(missing_ok=True)


def test_windows_of_ase(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """The spring of the example `pair` moves as told and holds the distance that is in the frames."""
    example("pair/umbrella.py", "--steps", 60, "--lead", 40, "--stride", 1, "--centres", 2.6, 2.75, "--model", *committee,
            "--out", tmp_path / "out", where=tmp_path)
    atoms = ase.io.read(water16)
    start = atoms.get_distance(DONOR, ACCEPTOR, mic=True)
    for centre in (2.6, 2.75):
        colvar = columns(tmp_path / f"out/COLVAR-{centre:.2f}")
        x = np.load(tmp_path / f"out/positions-{centre:.2f}.npy")
        np.testing.assert_allclose(colvar["time"], np.arange(61) * 0.5e-3, rtol=0, atol=1e-9)
        np.testing.assert_allclose(colvar["d"], distance(x, DONOR, ACCEPTOR, atoms.cell[0, 0]), rtol=0, atol=1e-7)
        at = start + (centre - start) * np.clip(np.arange(61) / 20, 0, 1)
        np.testing.assert_allclose(colvar["spring.d_cntr"], at, rtol=0, atol=1e-7)
        np.testing.assert_allclose(colvar["spring.bias"], 100 * (colvar["d"] - at) ** 2, rtol=1e-6, atol=1e-6)
    assert (tmp_path / "out/pair.png").stat().st_size > 10000


def test_ase_forces_and_stress_with_bias(committee: list[Path], water16: Path, tmp_path: Path) -> None:
    """Differences of nearfar's energy and PLUMED's bias together."""
    from ase.calculators.plumed import Plumed

    atoms: Atoms = ase.io.read(water16)
    lines = ["UNITS LENGTH=A", f"d: DISTANCE ATOMS={DONOR + 1},{ACCEPTOR + 1}", "RESTRAINT ARG=d AT=2.2 KAPPA=500"]
    with served(atoms, committee, tmp_path, "unix"):
        plain, unbiased = atoms.get_potential_energy(), atoms.calc
        with Plumed(unbiased, lines, 0.5 * units.fs, atoms=atoms, kT=300 * units.kB) as atoms.calc:
            bias = 250 * (atoms.get_distance(DONOR, ACCEPTOR, mic=True) - 2.2) ** 2 * KJ_PER_MOL
            assert atoms.get_potential_energy() - plain == pytest.approx(bias, rel=1e-6)
            forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
            step, x, cell = 1e-3, atoms.positions.copy(), atoms.cell.array.copy()
            for axis in range(3):
                energies = []
                for sign in (1, -1):
                    atoms.positions[ACCEPTOR, axis] = x[ACCEPTOR, axis] + sign * step
                    energies.append(atoms.get_potential_energy())
                atoms.positions = x
                assert forces[ACCEPTOR, axis] == pytest.approx((energies[1] - energies[0]) / (2 * step), abs=2e-4)
            for i, j in ((0, 0), (1, 2)):
                energies = []
                for sign in (1, -1):
                    strain = np.eye(3)
                    strain[i, j] += sign * step / 2
                    strain[j, i] += sign * step / 2
                    atoms.set_cell(cell @ strain, scale_atoms=True)
                    energies.append(atoms.get_potential_energy())
                atoms.set_cell(cell)
                atoms.positions = x
                slope = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume()
                assert stress[i, j] == pytest.approx(slope, abs=1e-5)


def test_wham_finds_what_was_put_in() -> None:
    """Windows drawn from a known potential."""
    r = np.linspace(2, 4, 81)
    potential, centres = 3 * np.cos(4 * r), np.linspace(2.1, 3.9, 10)
    bias = 20 * (r - centres[:, None]) ** 2
    exact = np.exp(-potential - bias)
    counts = np.array([np.random.default_rng(k).multinomial(200000, p / p.sum()) for k, p in enumerate(exact)])
    found = -np.log(probabilities(counts, bias))
    np.testing.assert_allclose(found - found.mean(), potential - potential.mean(), rtol=0, atol=0.05)
