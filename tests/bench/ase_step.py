#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ase_step.py [MODEL] - milliseconds of a step of ASE's SocketIOCalculator over unix and TCP sockets.

A step moves the atoms by a hundredth of an Angstrom and asks for the forces (ASE fetches energy and stress with them).
Beside it what the evaluation alone costs: `nearfar bench` on the same structure, one thread. Medians.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.socketio import SocketIOCalculator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from programs import COMMITTEE, Program, free_port, nearfar_path, unique_name  # noqa: E402

WATER = Atoms("OHH", positions=[[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])


def steps(atoms: Atoms, model: Path, mode: str, n: int) -> np.ndarray:
    """Seconds of n steps after ten of warming up."""
    place = {"unixsocket": unique_name()} if mode == "unix" else {"port": free_port()}
    address = f"unix:{place['unixsocket']}" if mode == "unix" else f"tcp:127.0.0.1:{place['port']}"
    moves = np.random.default_rng(1).normal(scale=0.01, size=(n + 10, len(atoms), 3))
    atoms = atoms.copy()
    start, seconds = atoms.positions.copy(), []
    with TemporaryDirectory() as where, SocketIOCalculator(timeout=60, **place) as calc:
        command = [nearfar_path(), "run", model, address, "--species", " ".join(atoms.symbols), "--threads", "1"]
        with Program("nearfar", command, Path(where)) as nearfar:
            atoms.calc = calc
            for move in moves:
                atoms.positions = start + move
                begin = time.perf_counter()
                atoms.get_forces()
                seconds.append(time.perf_counter() - begin)
            calc.close()
            nearfar.wait(20)
    return np.array(seconds[10:])


def evaluation(atoms: Atoms, model: Path) -> float:
    """Seconds of one evaluation with one thread."""
    with TemporaryDirectory() as where:
        ase.io.write(Path(where) / "s.xyz", atoms, format="extxyz")
        done = run([nearfar_path(), "bench", str(model), "s.xyz", "--threads", "1", "--repeats", "21"], cwd=where,
                   capture_output=True, text=True, check=True)
    words = done.stdout.split()
    return float(words[words.index("us/atom") - 1]) * 1e-6 * len(atoms)


def main() -> None:
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else COMMITTEE
    print("atoms   evaluation   unix step  tcp step / ms (1 thread)")
    for atoms in (WATER.copy(), ase.io.read(ROOT / "tests/e2e/water-48.xyz"),
                  ase.io.read(ROOT / "clients/demo/water-192.xyz")):
        alone = evaluation(atoms, model)
        unix, tcp = (np.median(steps(atoms, model, mode, 300)) for mode in ("unix", "tcp"))
        print(f"{len(atoms):5d} {alone * 1e3:12.2f} {unix * 1e3:11.2f} {tcp * 1e3:9.2f}", flush=True)


if __name__ == "__main__":
    main()
