#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Long constant-energy runs with i-PI: how far does the conserved quantity walk?

    nve_drift.py 64          64 H2O, 1 bead, 0.25 fs, 10 ps
    nve_drift.py 16          16 H2O (images of an atom inside its cutoff), 8 beads, 0.25 fs, 2 ps

A constant-temperature run comes first, so that it starts as a liquid of this potential. The drift is the slope of a
straight line through the conserved quantity; the plot is written beside the run. --again reads a finished run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ipi import Result, Simulation
from programs import COMMITTEE, ROOT

RUNS = {64: (ROOT / "clients/demo/water-192.xyz", 1, 10.0), 16: (Path(__file__).parent / "water-48.xyz", 8, 2.0)}


def drift(result: Result, natoms: int, nblocks: int = 20) -> tuple[float, float]:
    """Slope and its standard error from the scatter of block means, microelectronvolt per atom and picosecond."""
    t, energy = (np.array([b.mean() for b in np.array_split(x, nblocks)])
                 for x in (result.time, result.conserved / natoms * 1e6))
    line = np.polyfit(t, energy, 1)
    scatter = (energy - np.polyval(line, t)).std(ddof=2)
    return float(line[0]), float(scatter / np.sqrt(((t - t.mean()) ** 2).sum()))


def draw(result: Result, natoms: int, title: str, path: Path) -> None:
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    energy = (result.conserved - result.conserved.mean()) / natoms * 1e6
    line = np.polyval(np.polyfit(result.time, energy, 1), result.time)
    figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    ax.plot(result.time, energy, color="#1f5fa8", lw=0.4)
    ax.plot(result.time, line, color="#c2402d", lw=1.5, label="slope {:+.2f} ± {:.2f} µeV/atom/ps".format(*drift(result, natoms)))
    ax.set(xlabel="time / ps", ylabel="conserved quantity − mean\nµeV per atom", xlim=(0, result.time[-1]))
    ax.set_title(title, loc="left", fontsize=10)
    ax.legend(frameon=False, loc="upper right")
    figure.savefig(path, dpi=150)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("molecules", type=int, choices=sorted(RUNS))
    p.add_argument("--picoseconds", type=float)
    p.add_argument("--equilibrate", type=float, default=1.0, help="picoseconds at constant temperature before")
    p.add_argument("--timestep", type=float, default=0.25, help="femtoseconds")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--model", type=Path, default=COMMITTEE)
    p.add_argument("--out", type=Path)
    p.add_argument("--again", action="store_true", help="only the numbers and the plot of the run in --out")
    a = p.parse_args()
    start, beads, picoseconds = RUNS[a.molecules]
    picoseconds = a.picoseconds or picoseconds
    out = (a.out or ROOT / f"build/nve-{a.molecules}").resolve()
    common = {"beads": beads, "models": [a.model], "options": ["--threads", str(a.threads)], "outputs": ""}

    steps = round(picoseconds * 1000 / a.timestep)
    if not a.again:
        before = Simulation(start, steps=round(a.equilibrate * 1000 / 0.5), ensemble="nvt", timestep=0.5, stride=10,
                            **common).run(out / "equilibrate", seconds=1e6)
        checkpoint = out / "start.chk"
        checkpoint.write_bytes(before.checkpoint.read_bytes())
        Simulation(checkpoint, steps=steps, timestep=a.timestep, stride=4, **common).run(out / "nve", seconds=1e6,
                                                                                          species=start)
    result = Result(out / "nve", steps)

    natoms = 3 * a.molecules
    title = f"{a.molecules} H₂O, {beads} bead{'s' if beads > 1 else ''}, {a.timestep} fs, {picoseconds:g} ps, NVE"
    draw(result, natoms, title, out / "drift.png")
    spread = result.conserved.std() / natoms * 1e6
    slope, error = drift(result, natoms)
    print(f"{title}: drift {slope:+.2f} ± {error:.2f} µeV/atom/ps, fluctuation {spread:.2f} µeV/atom, "
          f"mean temperature {result.out[:, 3].mean():.1f} K; {out / 'drift.png'}")


if __name__ == "__main__":
    main()
