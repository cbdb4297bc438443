# SPDX-License-Identifier: BSD-3-Clause
"""A run that has blown up ends: i-PI would wait for a driver until its wall time."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from ipi import Simulation
from programs import Program, nearfar_path, unique_name

EXITS = "<exit_on_disconnect>True</exit_on_disconnect>"


@pytest.mark.parametrize("how", ["file", "links", "file-8", "links-8"])
def test_ipi_ends(potential: list[Path], water16: Path, tmp_path: Path, how: str) -> None:
    """By a file EXIT where it runs, or because it asked to end with its driver: within ten seconds, with a checkpoint."""
    beads = 8 if how.endswith("8") else 1
    wild = Simulation(water16, steps=100000, timestep=40.0 if beads == 1 else 4000.0, models=potential, outputs="", beads=beads)
    name = unique_name()
    text = wild.input(name)
    if how.startswith("links"):
        text = text.replace("</ffsocket>", f"{EXITS}</ffsocket>")
    (tmp_path / "input.xml").write_text(text)
    options = ["--driver-dir", tmp_path] if how.startswith("file") else []
    i_pi = Path(__import__("sys").executable).with_name("i-pi")
    with Program("i-pi", [i_pi, "input.xml"], tmp_path) as ipi, \
         Program("nearfar", [nearfar_path(), "run", *potential, f"unix:{name}", "--species", water16, *options],
                 tmp_path) as nearfar:
        status = nearfar.wait(60)
        gone = time.monotonic()
        assert status == 1 and any(w in nearfar.text() for w in ("unphysical", "same place", "neighbours", "too far")), nearfar.story()
        ipi.wait(12)
        took = time.monotonic() - gone
        assert took < 10, f"{took:.1f} s: {ipi.story()}"
        assert (tmp_path / "RESTART").exists() or (tmp_path / "run.checkpoint").exists(), ipi.story()
    Path(f"/tmp/ipi_{name}").unlink(missing_ok=True)
