# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a shared proton: free energies, and how far the committee agrees."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

import free_energy as fe

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

BLUE, RED, GREY = "#1f5fa8", "#c2402d", "#555555"


def draw_free_energies(ax: plt.Axes, classical: fe.Run, quantum: fe.Run) -> None:
    nbeads = quantum.positions.shape[1]
    for run, colour, label in ((classical, RED, "classical"), (quantum, BLUE, f"quantum, {nbeads} beads")):
        pieces = fe.windows(run)
        free, error = fe.from_metadynamics(run, pieces), 2 * fe.error_of_metadynamics(run, pieces)
        ax.fill_between(fe.MIDDLES, free - error, free + error, color=colour, alpha=0.2, lw=0)
        ax.plot(fe.MIDDLES, free, color=colour, lw=1.8, label=label)
        ax.plot(fe.MIDDLES, fe.from_the_others(run), "o", color=colour, ms=4, mfc="white", mew=1.1)
    ax.plot([], [], color=GREY, lw=6, alpha=0.25, label="± 2 standard errors")
    ax.plot([], [], "o", color=GREY, ms=4, mfc="white", mew=1.1, label="the other bonds of the box, counted")
    ax.axvline(0, color="0.8", lw=0.8, zorder=0)
    ax.set(ylabel="free energy / kJ mol$^{-1}$", ylim=(-1, 52))
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.02, 0.99))
    ax.set_title("A proton between two molecules of liquid water, 300 K", loc="left", fontsize=10)


def draw_spread(ax: plt.Axes, classical: fe.Run, quantum: fe.Run) -> None:
    for run, colour in ((classical, RED), (quantum, BLUE)):
        mean, error = fe.spread(run)
        ax.fill_between(fe.MIDDLES, mean - 2 * error, mean + 2 * error, color=colour, alpha=0.25, lw=0)
        ax.plot(fe.MIDDLES, mean, color=colour, lw=1.4)
    ax.axvline(0, color="0.8", lw=0.8, zorder=0)
    ax.set(ylabel="committee spread\nmeV, whole box", xlabel="δ = d(O–H) − d(H···O) / Å", ylim=(0, None),
           xlim=(fe.EDGES[0], 0.2))


def draw(classical: fe.Run, quantum: fe.Run, path: Path) -> Path:
    """Writes the PNG."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (free, spread) = plt.subplots(2, 1, figsize=(6, 6), sharex=True, height_ratios=(2.2, 1),
                                          layout="constrained")
    draw_free_energies(free, classical, quantum)
    draw_spread(spread, classical, quantum)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
