#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""g(r) of water with the uncertainty that the committee gives it.

The run moved with the mean of the members. i-PI's i-pi-committee-reweight weighs its structures as each member would:
with exp(-beta (V_i - V)), or with the first term of its cumulant expansion (CEA), which has far less noise. What the
members then disagree about is the error of g(r) that comes from the potential. Imbalzano et al., J. Chem. Phys. 154,
074102 (2021).

    gofr.py [DIRECTORY]      of a finished  clients/demo/run --committee
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

from outputs import Run
from pairs import pair_distributions

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BOLTZMANN = 8.617333262e-5  # eV/K
BLUE, RED, GREY = "#1f5fa8", "#c2402d", "#555555"
PAIRS = (("O", "O", 2.2, 3.6), ("O", "H", 1.3, 2.0))  # from r, g(r) up to


@dataclass(frozen=True)
class Reweighted:
    """g(r) [bins] of the run, what the members make of it [bins][members], and how much of that is chance [bins]."""

    r: np.ndarray
    mean: np.ndarray
    cumulant: np.ndarray
    direct: np.ndarray
    chance: np.ndarray


def i_pi_reweight(energies: np.ndarray, observable: np.ndarray, kt: float, *options: str) -> np.ndarray:
    """[observables][members] as i-PI's script has them; energies [frames][members] and kt in one unit."""
    program = Path(sys.executable).with_name("i-pi-committee-reweight")
    with tempfile.TemporaryDirectory() as where:
        np.savetxt(Path(where) / "energies", energies - energies.mean(), fmt="%.17g")
        np.savetxt(Path(where) / "observable", observable, fmt="%.17g")
        done = subprocess.run([program, "energies", "observable", "--kt", repr(kt), *options], cwd=where, check=True,
                              capture_output=True, text=True)
    return np.loadtxt(done.stdout.splitlines(), ndmin=2)[:, 2:]


def cumulant(energies: np.ndarray, observable: np.ndarray, kt: float) -> np.ndarray:
    """The same without a file: <o> - beta cov(o, V_i - V), eq. 22 of the paper."""
    h = (energies - energies.mean(axis=1, keepdims=True)) / kt
    mean = observable.mean(axis=0)
    return mean[:, None] - (observable - mean).T @ (h - h.mean(axis=0)) / len(h)


def spread(of_members: np.ndarray) -> np.ndarray:
    return of_members.std(axis=1, ddof=1)


def chance(energies: np.ndarray, observable: np.ndarray, kt: float, ntries: int = 20) -> np.ndarray:
    """The spread that would come out if energies and observable had nothing to do with each other: root mean square
    over runs whose energies are shifted in time against the observable."""
    n = len(energies)
    shifts = np.linspace(n // 4, 3 * n // 4, ntries).astype(int)
    return np.sqrt(np.mean([spread(cumulant(np.roll(energies, s, axis=0), observable, kt)) ** 2 for s in shifts], axis=0))


def reweight(run: Run, first: str, second: str, begin: float, kt: float, nbins: int) -> Reweighted:
    edges = np.linspace(begin, run.lengths.min() / 2, nbins + 1)
    g = pair_distributions(run, first, second, edges)
    energies = run.member_energies().mean(axis=1)  # a ring polymer weighs by the mean over its beads
    return Reweighted((edges[1:] + edges[:-1]) / 2, g.mean(axis=0), i_pi_reweight(energies, g, kt),
                      i_pi_reweight(energies, g, kt, "--direct"), chance(energies, g, kt))


def draw_pair(top: plt.Axes, bottom: plt.Axes, name: str, colour: str, g: Reweighted) -> None:
    sigma = spread(g.cumulant)
    top.plot(g.r, g.mean, color=colour, lw=1.2, label=name)
    top.fill_between(g.r, g.mean - 2 * sigma, g.mean + 2 * sigma, color=colour, alpha=0.3, lw=0, label="± 2σ")
    top.axhline(1, color="0.85", lw=0.8, zorder=0)
    bottom.plot(g.r, sigma, color=colour, lw=1.3, label="CEA")
    bottom.plot(g.r, spread(g.direct), color=GREY, lw=0.9, ls=(0, (3, 2)), label="direct")
    bottom.fill_between(g.r, 0, g.chance, color="0.87", lw=0, label="chance")
    bottom.set(xlim=(g.r[0], g.r[-1]), xlabel="r / Å", ylim=(0, 1.35 * max(sigma.max(), g.chance.max())))
    bottom.locator_params(axis="y", nbins=4)
    bottom.legend(frameon=False, loc="upper right", ncols=3, columnspacing=1.2, handlelength=1.5, fontsize=8)


def draw(pairs: dict[str, Reweighted], path: Path) -> Path:
    """Writes the PNG: g(r) with its band above, the width of the band and what is chance in it below."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(2, 2, figsize=(7.0, 4.4), layout="constrained", sharex="col", height_ratios=(2, 1))
    for column, ((name, g), colour, (*_, highest)) in enumerate(zip(pairs.items(), (RED, BLUE), PAIRS)):
        top, bottom = axes[:, column]
        draw_pair(top, bottom, name, colour, g)
        top.set_ylim(0, highest)
        top.locator_params(axis="y", nbins=5)
        top.legend(frameon=False, loc="upper right", handlelength=1.5)
    axes[0, 0].set_ylabel("g(r)")
    axes[1, 0].set_ylabel("σ of g(r)")
    figure.align_ylabels(axes[:, 0])
    figure.savefig(path, dpi=200)
    plt.close(figure)
    return path


def stands_out(g: Reweighted) -> bool:
    """The band, all in all, is clearly wider than chance makes it."""
    return bool((spread(g.cumulant) ** 2).sum() > 2 * (g.chance ** 2).sum())


def report(run: Run, temperature: float, path: Path, nbins: int = 60) -> None:
    kt = BOLTZMANN * temperature
    pairs = {f"{a}–{b}": reweight(run, a, b, begin, kt, nbins) for a, b, begin, _ in PAIRS}
    energies = run.member_energies().mean(axis=1)
    fluctuation = (energies - energies.mean(axis=1, keepdims=True)).std(axis=0, ddof=1)
    print(f"V_i - V of a member fluctuates by {np.sqrt((fluctuation ** 2).mean()) * 1000:.1f} meV"
          f" (kT is {kt * 1000:.1f} meV) over {len(energies)} structures")
    for name, g in pairs.items():
        sigma, k = spread(g.cumulant), int(np.argmax(g.mean))
        print(f"{name}: highest g(r) {g.mean[k]:.3f} ± {sigma[k]:.3f} (chance: {g.chance[k]:.3f}) at {g.r[k]:.2f} Å")
    if not all(stands_out(g) for g in pairs.values()):
        print("These are hardly more than chance gives: the members may agree better. A longer run narrows the band")
    print(f"Picture: {os.path.relpath(draw(pairs, path))}")


def main() -> int:
    p = argparse.ArgumentParser(description="g(r) of a finished clients/demo/run --committee, with error band")
    p.add_argument("directory", type=Path, nargs="?", default=ROOT / "demo-run")
    p.add_argument("--temperature", type=float, default=300.0, help="kelvin, of the run")
    p.add_argument("--bins", type=int, default=60)
    a = p.parse_args()
    beads = len(list(a.directory.glob("water.energies_*")))
    if beads == 0:
        print(f"{a.directory} has no energies of members: it needs a run with --committee", file=sys.stderr)
        return 1
    report(Run(a.directory, beads), a.temperature, a.directory / "gofr.png", a.bins)
    return 0


if __name__ == "__main__":
    sys.exit(main())
