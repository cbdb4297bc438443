# SPDX-License-Identifier: BSD-3-Clause
"""The picture of the umbrella windows."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

import umbrella as u

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

BLUE, GREY = "#1f5fa8", "#555555"


def finite(w: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(w), w, np.nan)


def draw_potential(ax: plt.Axes, s: u.Settings, centres: list[float], edges: np.ndarray) -> None:
    middles = (edges[1:] + edges[:-1]) / 2
    w, others = finite(u.mean_force_potential(s, centres, edges)), finite(u.from_the_others(s, centres, edges))
    rng = np.random.default_rng(1)
    drawn = np.array([finite(u.mean_force_potential(s, centres, edges, rng)) for _ in range(40)])
    drawn -= np.nanmean(drawn - w, axis=1, keepdims=True)  # a potential has no zero: compare shapes
    often = np.isfinite(drawn).sum(axis=0) > 20
    error = np.full(len(w), np.nan)
    error[often] = np.nanstd(drawn[:, often], axis=0)
    w -= np.nanmin(w)
    seen = np.isfinite(others + w + error)
    others -= np.average((others - w)[seen], weights=1 / (0.1 + error[seen]) ** 2)
    ax.fill_between(middles, w - 2 * error, w + 2 * error, color=BLUE, alpha=0.25, lw=0)
    ax.plot(middles, w, color=BLUE, lw=1.8, label=f"{len(centres)} windows of one pair, ± 2 standard errors")
    ax.plot(middles, others, "o", color=GREY, ms=4, mfc="white", mew=1.1, label="−kT ln g(r) of the pairs nothing holds")
    ax.set(ylabel="potential of mean force / kJ mol$^{-1}$", ylim=(-2, 18))
    ax.legend(frameon=False, loc="upper right")
    ax.set_title("Two molecules of liquid water, 300 K", loc="left", fontsize=10)


def draw_windows(ax: plt.Axes, s: u.Settings, centres: list[float]) -> None:
    fine = np.linspace(2.1, 3.9, 61)
    for centre in centres:
        ax.fill_between((fine[1:] + fine[:-1]) / 2, np.histogram(u.samples(s, centre), fine, density=True)[0], lw=0,
                        color=BLUE, alpha=0.3)
    ax.set(xlabel="d(O–O) / Å", ylabel="windows", yticks=[], xlim=(2.2, 3.8))


def draw(s: u.Settings, centres: list[float], path: Path) -> Path:
    """Writes the PNG."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (potential, windows) = plt.subplots(2, 1, figsize=(6, 5), sharex=True, height_ratios=(3, 1),
                                                layout="constrained")
    draw_potential(potential, s, centres, np.arange(2.25, 3.8, 0.05))
    draw_windows(windows, s, centres)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
