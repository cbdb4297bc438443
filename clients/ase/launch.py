# SPDX-License-Identifier: BSD-3-Clause
"""nearfar as an ASE calculator that starts and ends by itself."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.calculators.socketio import SocketIOCalculator


def built_or_installed() -> str:
    """The program of this source tree where there is one, otherwise that of PATH; NEARFAR names another."""
    built = Path(__file__).resolve().parents[2] / "build/nearfar"
    return os.environ.get("NEARFAR") or (str(built) if built.exists() else "nearfar")


def nearfar(atoms: Atoms, *models: str | Path, options: Sequence[str] = ()) -> SocketIOCalculator:
    """Use it in a with-block, for structures with the elements and the periodic directions of `atoms`.

    The program starts with the first energy that is asked for; if it ends early, ASE raises an OSError and
    nearfar has said why on the terminal.
    """
    periodic = "".join("T" if p else "F" for p in atoms.pbc)

    def launch(atoms: Atoms, properties: object, port: object, unixsocket: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([built_or_installed(), "run", *map(str, models), f"unix:{unixsocket}", "--species",
                                 " ".join(atoms.symbols), "--pbc", periodic, *options])

    return SocketIOCalculator(unixsocket=f"nearfar-{os.getpid()}-{uuid.uuid4().hex[:6]}", launch_client=launch)
