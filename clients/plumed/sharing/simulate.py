#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A proton is pushed from one water molecule of the liquid to the next, with classical and with quantum nuclei.

i-PI moves 16 molecules, nearfar answers with a committee of 8 neural networks (Schran, Brezina, Marsalek, J. Chem. Phys.
153, 104105 (2020)), PLUMED pushes the centroid of the proton by well-tempered metadynamics. Ends with a picture: the free
energy of the proton's place, and the committee's spread there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--beads", type=int, default=8)
    p.add_argument("--steps", type=int, default=6000, help="of the quantum run")
    p.add_argument("--classical-steps", type=int, default=20000)
    p.add_argument("--timestep", type=float, default=0.5, help="fs")
    p.add_argument("--stride", type=int, default=4, help="steps between frames")
    p.add_argument("--seed", type=int, default=2020)
    p.add_argument("--model", type=Path, default=Path("/usr/share/cp2k/NNP/bulkH2O-jcp2020-cnnp"))
    p.add_argument("--structure", type=Path, default=ROOT / "tests/e2e/water-48.xyz")
    p.add_argument("--nearfar", type=Path, default=ROOT / "build/nearfar")
    p.add_argument("--out", type=Path, default=ROOT / "plumed-run/sharing")
    p.add_argument("--again", action="store_true", help="only the picture, of the finished runs in --out")
    return p.parse_args()


def prepare(where: Path, beads: int, steps: int, a: argparse.Namespace) -> str:
    """All that i-PI and PLUMED read, in a fresh directory; the name of the socket."""
    if where.exists() and not (where / "input.xml").exists():
        raise SystemExit(f"{where} holds something else than an earlier run: choose another --out")
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    shutil.copy(a.structure, where / "start.xyz")
    shutil.copy(HERE / "plumed.dat", where)
    socket = f"nearfar-plumed-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    (where / "input.xml").write_text((HERE / "input.xml").read_text().format(
        beads=beads, steps=steps, timestep=a.timestep, stride=a.stride, seed=a.seed, socket=socket,
        checkpoint=max(1, steps // 2)))
    return socket


def start(name: str, command: list[object], where: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # the processors are for nearfar
    with open(where / f"{name}.log", "wb") as log:
        return subprocess.Popen([str(c) for c in command], cwd=where, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                env=env, start_new_session=True)


def stop(p: subprocess.Popen[bytes]) -> None:
    for sig, patience in ((signal.SIGINT, 10), (signal.SIGKILL, 3)):
        if p.poll() is None:
            os.killpg(p.pid, sig)
            try:
                p.wait(patience)
            except subprocess.TimeoutExpired:
                pass


def progress(where: Path) -> int:
    """The last step in COLVAR."""
    try:
        with open(where / "COLVAR", "rb") as f:
            f.seek(0, 2)
            f.seek(-min(f.tell(), 400), 2)
            lines = f.read().decode().splitlines()
        return int(float(lines[-2].split()[0]))
    except (OSError, IndexError, ValueError):
        return 0


def simulate(where: Path, socket: str, steps: int, a: argparse.Namespace) -> None:
    """i-PI with input.xml in `where`, and nearfar, to the end."""
    ipi = start("i-pi", [Path(sys.executable).with_name("i-pi"), "input.xml"], where)
    nearfar = start("nearfar", [a.nearfar, "run", a.model, f"unix:{socket}", "--species", "start.xyz"], where)
    try:
        while ipi.poll() is None:
            time.sleep(0.2)
            if nearfar.poll() not in (None, 0):
                raise SystemExit(f"nearfar stopped with status {nearfar.returncode}: see {where}/nearfar.log")
            if sys.stdout.isatty():
                print(f"\r  {where.name}: {progress(where)}/{steps} steps", end="", flush=True)
        print(f"\r  {where.name}: {steps} steps ")
        if ipi.returncode != 0:
            raise SystemExit(f"i-PI stopped with status {ipi.returncode}: see {where}/i-pi.log")
        nearfar.wait(10)
    finally:
        stop(ipi)
        stop(nearfar)
        Path(f"/tmp/ipi_{socket}").unlink(missing_ok=True)


def main() -> None:
    a = arguments()
    a.out, a.nearfar = a.out.resolve(), a.nearfar.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not a.again:
        for name, beads, steps in (("classical", 1, a.classical_steps), ("quantum", a.beads, a.steps)):
            simulate(a.out / name, prepare(a.out / name, beads, steps, a), steps, a)
    import free_energy
    import picture
    path = picture.draw(*(free_energy.Run.read(a.out / name) for name in ("classical", "quantum")),
                        a.out / "sharing.png")
    print(f"Picture: {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
