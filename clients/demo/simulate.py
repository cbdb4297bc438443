#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Quantum water: i-PI moves the beads, nearfar answers with the energies and forces of a committee.

Starts both programs as a user would in two terminals, shows the run as it goes and ends with a picture.
The potential: 8 neural networks for liquid water, Schran, Brezina, Marsalek, J. Chem. Phys. 153, 104105 (2020).
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import gofr
import picture
from outputs import Run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# With --committee: the energies of the members, by which gofr.py weighs the structures.
ENERGIES = "<trajectory filename='energies' stride='{}' flush='1' extra_type='committee_pot'> extras </trajectory>"


class Failure(Exception):
    """One sentence for the user."""


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description="i-PI path-integral dynamics of 64 water molecules with nearfar")
    p.add_argument("--steps", type=int, default=400)
    p.add_argument("--beads", type=int, default=8)
    p.add_argument("--temperature", type=float, default=300.0, help="kelvin")
    p.add_argument("--timestep", type=float, default=0.5, help="femtoseconds")
    p.add_argument("--seed", type=int, default=2020)
    p.add_argument("--model", type=Path, default=Path("/usr/share/cp2k/NNP/bulkH2O-jcp2020-cnnp"))
    p.add_argument("--structure", type=Path, default=HERE / "water-192.xyz")
    p.add_argument("--nearfar", type=Path, default=ROOT / "build/nearfar")
    p.add_argument("--out", type=Path, default=ROOT / "demo-run")
    p.add_argument("--committee", action="store_true",
                   help="also print the energies of the members, and draw g(r) with its uncertainty")
    return p.parse_args()


def write_input(a: argparse.Namespace, socket: str) -> None:
    """A fresh directory a.out with all that i-PI reads."""
    if a.out.exists():
        if any(a.out.iterdir()) and not (a.out / "input.xml").exists():
            raise Failure(f"{a.out} holds something else than an earlier run: choose another --out")
        shutil.rmtree(a.out)
    a.out.mkdir(parents=True)
    shutil.copy(a.structure, a.out / "start.xyz")
    stride = max(1, min(5, a.steps // 20))
    text = (HERE / "input.xml").read_text().format(
        steps=a.steps, beads=a.beads, temperature=a.temperature, timestep=a.timestep, seed=a.seed, socket=socket,
        structure="start.xyz", position_stride=stride, energies=ENERGIES.format(stride) if a.committee else "")
    (a.out / "input.xml").write_text(text)


def start(name: str, command: list[str], a: argparse.Namespace) -> subprocess.Popen[bytes]:
    """Its own session: Ctrl-C comes to this program alone, which then stops both in order."""
    print(f"  $ {shlex.join(command)}   # {name}.log")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # the processors are for nearfar
    with open(a.out / f"{name}.log", "wb") as log:
        return subprocess.Popen(command, cwd=a.out, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                start_new_session=True)


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """i-PI closes its files and says EXIT at SIGINT; whoever does not go is ended."""
    for sig, patience in ((signal.SIGINT, 10), (signal.SIGTERM, 3), (signal.SIGKILL, 3)):
        for p in processes:
            if p.poll() is None:
                os.killpg(p.pid, sig)
                try:
                    p.wait(patience)
                except subprocess.TimeoutExpired:
                    pass


def log_end(path: Path, nlines: int = 8) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()[-nlines:]
    return "\n".join("    " + line for line in lines) or "    (it said nothing)"


def failure_of(ipi: subprocess.Popen[bytes], nearfar: subprocess.Popen[bytes], a: argparse.Namespace) -> Failure | None:
    """Who died too early, if anybody. The one that is left gets a moment to say why."""
    for name, p, other in (("nearfar", nearfar, ipi), ("i-pi", ipi, nearfar)):
        if p.poll() not in (None, 0):
            return Failure(f"{name} stopped with status {p.returncode}; {name}.log ends with\n"
                           + log_end(a.out / f"{name}.log"))
    if nearfar.poll() == 0 and ipi.poll() is None:
        try:
            ipi.wait(10)
        except subprocess.TimeoutExpired:
            return Failure("nearfar went away while i-PI was running; nearfar.log ends with\n"
                           + log_end(a.out / "nearfar.log"))
    return None


class Display:
    """One line that is rewritten on a terminal; elsewhere a line for every tenth of the run."""

    def __init__(self, steps: int, run: Run) -> None:
        self.steps, self.run = steps, run
        self.live = sys.stdout.isatty()
        self.shown, self.first, self.rate = -1, 0, 0.0
        self.begin = time.monotonic()
        print(f"\n  {'step':>9} {'fs':>7} {'T / K':>7} {'potential':>10} {'spread':>7}"
              f"  meV per molecule; {run.beads} beads x {run.natoms} atoms")

    def update(self, last: bool = False) -> None:
        row = self.run.last_row()
        if row is None or row.step == self.shown:
            return
        if not last and not self.live and self.shown >= 0 and row.step < self.shown + max(1, self.steps // 10):
            return
        if self.shown < 0:
            self.begin, self.first = time.monotonic(), row.step
        self.shown = row.step
        per_molecule = 1000 / self.run.nmolecules
        speed = ""
        if row.step > self.first:
            self.rate = (row.step - self.first) / (time.monotonic() - self.begin)
            speed = f"{self.rate:5.2f} steps/s, {(self.steps - row.step) / self.rate:3.0f} s left"
        text = (f"  {row.step:5d}/{self.steps} {row.time:7.1f} {row.temperature:7.1f}"
                f" {(row.potential - self.run.first_potential()) * per_molecule:+10.2f}"
                f" {row.spread * per_molecule:7.3f}  {speed}")
        print(f"\r{text:<78}" if self.live else text, end="" if self.live else "\n", flush=True)

    def close(self) -> float:
        """Steps per second."""
        self.update(last=True)
        if self.live and self.shown >= 0:
            print()
        return self.rate


def simulate(a: argparse.Namespace) -> Run:
    socket = f"nearfar-demo-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    write_input(a, socket)
    print(f"In {os.path.relpath(a.out)}:")
    processes: list[subprocess.Popen[bytes]] = []
    try:
        i_pi = Path(sys.executable).with_name("i-pi")
        processes.append(start("i-pi", [os.path.relpath(i_pi, a.out), "input.xml"], a))
        extras = ["--extras", "committee"] if a.committee else []
        processes.append(start("nearfar", [os.path.relpath(a.nearfar, a.out), "run", str(a.model), f"unix:{socket}",
                                           "--species", "start.xyz", *extras], a))
        ipi, nearfar = processes
        run = Run(a.out, a.beads)
        display = Display(a.steps, run)
        while ipi.poll() is None:
            if (failure := failure_of(ipi, nearfar, a)) is not None:
                print()
                raise failure
            display.update()
            time.sleep(0.1)
        rate = display.close()
        try:
            nearfar.wait(10)
        except subprocess.TimeoutExpired:
            pass
        if (failure := failure_of(ipi, nearfar, a)) is not None:
            raise failure
        if (row := run.last_row()) is None or row.step < a.steps:
            raise Failure("i-PI ended before the last step; i-pi.log ends with\n" + log_end(a.out / "i-pi.log"))
        print(f"\n{rate:.2f} steps/s, {rate * a.beads:.1f} evaluations/s of {run.natoms} atoms")
        return run
    finally:
        stop(processes)
        Path(f"/tmp/ipi_{socket}").unlink(missing_ok=True)


def report(run: Run, a: argparse.Namespace) -> None:
    rows = run.rows()
    later = rows[len(rows) // 3:]
    nhydrogen = run.symbols.count("H")
    kinetic = sum(r.kinetic_h for r in later) / len(later) / nhydrogen * 1000
    classical = 1.5 * 8.617333262e-5 * a.temperature * 1000
    drift = (rows[-1].conserved - rows[0].conserved) / run.natoms * 1000
    print(f"Kinetic energy of a hydrogen nucleus: {kinetic:.0f} meV; a classical one has {classical:.1f} meV")
    print(f"Conserved quantity: {drift:+.3f} meV per atom over {rows[-1].time - rows[0].time:.0f} fs")
    path = picture.draw(run, a.out / "water.png")
    print(f"Picture: {os.path.relpath(path)}")
    if a.committee:
        gofr.report(run, a.temperature, a.out / "gofr.png")


def main() -> int:
    a = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for path, origin in ((a.model, "Debian's package cp2k-data has it"), (a.nearfar, "clients/demo/run builds it")):
        if not path.exists():
            print(f"there is no {path}; {origin}", file=sys.stderr)
            return 1
    try:
        report(simulate(a), a)
    except Failure as e:
        print(e, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nStopped; what was done is in {os.path.relpath(a.out)}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
