#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The potential of mean force between two molecules of liquid water, by umbrella windows.

ASE moves 16 molecules, PLUMED holds the distance of two oxygens, nearfar answers both with energies and forces. Ends with
a picture: the mean force of the windows put together, and -kT ln g(r) counted over the pairs that nothing holds.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.calculators.plumed import Plumed
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT / "clients/ase"), str(HERE.parent)]
from files import BOLTZMANN, columns  # noqa: E402
from launch import nearfar  # noqa: E402
from wham import probabilities  # noqa: E402

PAIR = (18, 45)
CENTRES = np.arange(2.40, 3.61, 0.15)


@dataclass
class Settings:
    """Length of a window in steps, the first `lead` of which move the pair to its place and settle it."""

    steps: int
    lead: int
    timestep: float  # fs
    temperature: float
    kappa: float  # kJ/mol/A^2
    stride: int
    model: Path
    structure: Path
    out: Path


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--steps", type=int, default=4800, help="of a window")
    p.add_argument("--lead", type=int, default=800, help="of them, to lead the pair to the window; they are not counted")
    p.add_argument("--timestep", type=float, default=0.5, help="fs")
    p.add_argument("--temperature", type=float, default=300.0, help="K")
    p.add_argument("--kappa", type=float, default=200.0, help="kJ/mol/A^2")
    p.add_argument("--stride", type=int, default=20, help="steps between frames")
    p.add_argument("--centres", type=float, nargs="+", default=list(CENTRES), help="A")
    p.add_argument("--model", type=Path, default=Path("/usr/share/cp2k/NNP/bulkH2O-jcp2020-cnnp"))
    p.add_argument("--structure", type=Path, default=ROOT / "tests/e2e/water-48.xyz")
    p.add_argument("--out", type=Path, default=ROOT / "plumed-run/pair")
    p.add_argument("--again", action="store_true", help="only the picture, of the finished windows in --out")
    return p.parse_args()


def colvar(s: Settings, centre: float) -> Path:
    return s.out / f"COLVAR-{centre:.2f}"


def plumed_lines(s: Settings, atoms: Atoms, centre: float) -> list[str]:
    text = (HERE / "plumed.dat").read_text().format(
        start=atoms.get_distance(*PAIR, mic=True), kappa=s.kappa, lead=s.lead // 2, centre=centre, colvar=colvar(s, centre))
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def window(s: Settings, centre: float) -> None:
    """Writes the window's COLVAR and the positions of the oxygens."""
    log = s.out / f"plumed-{centre:.2f}.log"
    for path in (log, colvar(s, centre)):
        path.unlink(missing_ok=True)  # PLUMED would keep copies
    atoms = ase.io.read(s.structure)
    rng = np.random.default_rng(round(100 * centre))
    thermalize_momenta(atoms, temperature_K=s.temperature, rng=rng)
    dt, kT = s.timestep * units.fs, s.temperature * units.kB
    with nearfar(atoms, s.model, options=["--threads", "1"]) as calc:
        with Plumed(calc, plumed_lines(s, atoms, centre), dt, atoms=atoms, kT=kT, log=str(log)) as plumed:
            atoms.calc = plumed
            md = Langevin(atoms, dt, temperature_K=s.temperature, friction=0.01 / units.fs, rng=rng,
                          fixcm=False)
            frames = [atoms.positions.copy() for _ in md.irun(s.steps) if md.nsteps % s.stride == 0]
    np.save(s.out / f"positions-{centre:.2f}.npy", np.array(frames))


def simulate(s: Settings, centres: list[float]) -> None:
    """A window on each processor."""
    s.out.mkdir(parents=True, exist_ok=True)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for centre, _ in zip(centres, pool.map(window, [s] * len(centres), centres)):
            print(f"  window {centre:.2f} A", flush=True)


def samples(s: Settings, centre: float) -> np.ndarray:
    return columns(colvar(s, centre))["d"][s.lead:]


def mean_force_potential(s: Settings, centres: list[float], edges: np.ndarray,
                         pick: np.random.Generator | None = None, nblocks: int = 10) -> np.ndarray:
    """-kT ln of the probability per volume of a shell. With `pick`: of blocks drawn at random from each window."""
    kT = BOLTZMANN * s.temperature
    middles = (edges[1:] + edges[:-1]) / 2
    counts = []
    for centre in centres:
        blocks = np.array_split(samples(s, centre), nblocks)
        chosen = range(nblocks) if pick is None else pick.integers(nblocks, size=nblocks)
        counts.append(np.histogram(np.concatenate([blocks[i] for i in chosen]), edges)[0])
    bias = 0.5 * s.kappa * (middles - np.array(centres)[:, None]) ** 2 / kT
    p = probabilities(np.array(counts), bias)
    with np.errstate(divide="ignore"):
        return -kT * np.log(p / middles ** 2)


def from_the_others(s: Settings, centres: list[float], edges: np.ndarray) -> np.ndarray:
    """The same of all pairs without a held oxygen, by counting."""
    atoms = ase.io.read(s.structure)
    length, free = atoms.cell.lengths()[0], [i for i in range(0, len(atoms), 3) if i not in PAIR]
    counts = np.zeros(len(edges) - 1)
    for centre in centres:
        x = np.load(s.out / f"positions-{centre:.2f}.npy")[s.lead // s.stride:, free]
        d = x[:, :, None] - x[:, None]
        d -= length * np.round(d / length)
        r = np.sqrt((d ** 2).sum(-1))[:, *np.triu_indices(len(free), 1)]
        counts += np.histogram(r, edges)[0]
    middles = (edges[1:] + edges[:-1]) / 2
    with np.errstate(divide="ignore"):
        return -BOLTZMANN * s.temperature * np.log(counts / middles ** 2)


def main() -> None:
    a = vars(arguments())
    again, centres = a.pop("again"), a.pop("centres")
    a["out"] = a["out"].resolve()
    s = Settings(**a)
    if not again:
        simulate(s, centres)
    import picture
    print(f"Picture: {os.path.relpath(picture.draw(s, centres, s.out / 'pair.png'))}")


if __name__ == "__main__":
    main()
