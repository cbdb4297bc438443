# SPDX-License-Identifier: BSD-3-Clause
"""The picture at the end of the demo: energies, temperature, spread of the committee, pair distributions."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from outputs import Run
from pairs import pair_distributions

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

BLUE, RED, GREY, GREEN = "#1f5fa8", "#c2402d", "#555555", "#2e8b57"


def draw_pairs(ax: plt.Axes, run: Run) -> None:
    edges = np.linspace(0.5, run.lengths.min() / 2, 101)
    r = (edges[1:] + edges[:-1]) / 2
    top = 3.6
    for (first, second), colour in zip((("O", "O"), ("O", "H"), ("H", "H")), (RED, BLUE, GREY)):
        g = pair_distributions(run, first, second, edges).mean(axis=0)
        ax.plot(r, g, color=colour, lw=1.8, label=f"{first}–{second}")
        if g.max() > top:
            ax.annotate(f"bond, up to {g.max():.0f}", (r[g.argmax()], top), (10, -10), textcoords="offset points",
                        fontsize=8, color=colour)
    ax.axhline(1, color="0.8", lw=0.8, zorder=0)
    ax.set(xlim=(0.5, edges[-1]), ylim=(0, top), xlabel="r / Å", ylabel="g(r)")
    ax.legend(frameon=False, loc="upper right")
    ax.set_title("Pair distributions over all beads", loc="left", fontsize=10)


def draw(run: Run, path: Path) -> Path:
    """Writes the PNG."""
    rows = run.rows()
    t = np.array([r.time for r in rows])
    per_molecule = 1000 / run.nmolecules
    column = {k: np.array([getattr(r, k) for r in rows]) for k in ("conserved", "potential", "temperature", "spread")}

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(10.5, 5.4), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(1.5, 1, 1), width_ratios=(1, 1.15))
    energy = figure.add_subplot(grid[0, 0])
    temperature, spread = figure.add_subplot(grid[1, 0], sharex=energy), figure.add_subplot(grid[2, 0], sharex=energy)

    for key, colour, label in (("potential", BLUE, "potential"), ("conserved", RED, "conserved quantity")):
        energy.plot(t, (column[key] - column[key][0]) * per_molecule, color=colour, lw=1.4, label=label)
    energy.set_ylabel("energy − start\nmeV per molecule")
    energy.legend(frameon=False, loc="best")
    energy.set_title(f"{run.nmolecules} H₂O, {run.beads} beads, i-PI with nearfar", loc="left", fontsize=10)
    temperature.plot(t, column["temperature"], color=GREEN, lw=1.4)
    temperature.set_ylabel("T / K")
    spread.plot(t, column["spread"] * per_molecule, color=GREY, lw=1.4)
    spread.set(ylabel="committee spread\nmeV per molecule", xlabel="time / fs", xlim=(t[0], t[-1]))
    spread.set_ylim(bottom=0)
    for ax in (energy, temperature):
        ax.tick_params(labelbottom=False)
    draw_pairs(figure.add_subplot(grid[:, 1]), run)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path
