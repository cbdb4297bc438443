# SPDX-License-Identifier: BSD-3-Clause
"""A run of i-PI 3.3.1 with nearfar as its only driver."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from programs import Program, free_port, nearfar_path, unique_name

INPUT = """<simulation verbosity='low' floatformat='%25.17e'>
  <output prefix='run'>
    <properties filename='out' stride='{stride}'>
      [ step, time{{picosecond}}, conserved{{electronvolt}}, temperature{{kelvin}}, potential{{electronvolt}},
        pressure_md{{megapascal}} ]
    </properties>
    {outputs}
    <checkpoint stride='{checkpoint}' overwrite='true' filename='checkpoint'/>
  </output>
  <total_steps>{steps}</total_steps>
  <prng><seed>31415</seed></prng>
  {forcefield}
  <system>
    <initialize nbeads='{beads}'>
      {initialize}
    </initialize>
    <forces><force forcefield='nearfar'/></forces>
    <motion mode='dynamics'>
      <fixcom>True</fixcom>
      <dynamics mode='{ensemble}'>
        <timestep units='femtosecond'>{timestep}</timestep>
        {thermostat}
      </dynamics>
    </motion>
    <ensemble><temperature units='kelvin'>{temperature}</temperature></ensemble>
  </system>
</simulation>
"""


@dataclass
class Simulation:
    """What to simulate and how to talk about it. `start`: extended XYZ, or an i-PI checkpoint (.chk)."""

    start: Path
    steps: int = 100
    beads: int = 1
    ensemble: str = "nve"
    timestep: float = 0.25
    temperature: float = 300.0
    stride: int = 1
    mode: str = "unix"
    consolidate: bool = True
    batch_size: int = 1
    outputs: str = ("<trajectory filename='pos' format='xyz' stride='10'> positions </trajectory>"
                    "<trajectory filename='for' format='xyz' stride='10'> forces </trajectory>")
    committee: bool = False
    parameters: str = ""  # of <ffsocket>, "{ key : value, ... }"
    models: list[Path] = field(default_factory=list)
    options: list[str] = field(default_factory=list)

    def forcefield(self, address: str) -> str:
        name = "socket" if self.committee else "nearfar"
        place = f"<address>{address}</address>"
        if self.mode == "inet":
            host, port = address.split(":")
            place = f"<address>{host}</address><port>{port}</port>"
        block = (f"<ffsocket name='{name}' mode='{self.mode}' pbc='false'>{place}<latency>1e-4</latency>"
                 f"<consolidate_messages>{self.consolidate}</consolidate_messages>"
                 f"<batch_size>{self.batch_size}</batch_size>"
                 f"{f'<parameters>{self.parameters}</parameters>' if self.parameters else ''}</ffsocket>")
        if self.committee:
            return f"<ffcommittee name='nearfar'><parse_json>True</parse_json>{block}</ffcommittee>"
        return block

    def input(self, address: str) -> str:
        if self.start.suffix == ".chk":
            initialize = f"<file mode='chk'>{self.start}</file>"
        else:
            initialize = (f"<file mode='ase'>{self.start}</file>"
                          f"<velocities mode='thermal' units='kelvin'>{self.temperature}</velocities>")
        thermostat = "" if self.ensemble == "nve" else ("<thermostat mode='pile_l'><tau units='femtosecond'>50</tau>"
                                                        "</thermostat>")
        return INPUT.format(stride=self.stride, outputs=self.outputs, checkpoint=max(self.steps, 1), steps=self.steps,
                            forcefield=self.forcefield(address), beads=self.beads, initialize=initialize,
                            ensemble=self.ensemble, timestep=self.timestep, thermostat=thermostat,
                            temperature=self.temperature)

    def run(self, where: Path, seconds: float = 120, species: str | Path | bool | None = None) -> Result:
        """To the end, or AssertionError with both logs. `species`: by default `start`; False: not on the command line."""
        where.mkdir(parents=True, exist_ok=True)
        address = unique_name() if self.mode == "unix" else f"127.0.0.1:{free_port()}"
        (where / "input.xml").write_text(self.input(address))
        word = "unix" if self.mode == "unix" else "tcp"
        named = [] if species is False else ["--species", species or self.start]
        i_pi = Path(sys.executable).with_name("i-pi")
        try:
            with Program("i-pi", [i_pi, "input.xml"], where) as ipi, \
                    Program("nearfar", [nearfar_path(), "run", *self.models, f"{word}:{address}", *named,
                                        *self.options], where) as nearfar:
                deadline = time.monotonic() + seconds
                while ipi.process.poll() is None:
                    assert time.monotonic() < deadline, f"timeout\n{ipi.story()}\n{nearfar.story()}"
                    if nearfar.process.poll() not in (None, 0):
                        raise AssertionError(nearfar.story())
                    time.sleep(0.05)
                status = nearfar.wait(20)
                assert ipi.process.returncode == 0 and status == 0, f"{ipi.story()}\n{nearfar.story()}"
        finally:
            if self.mode == "unix":
                Path(f"/tmp/ipi_{address}").unlink(missing_ok=True)
        return Result(where, self.steps)


class Result:
    """The files of a finished run."""

    def __init__(self, where: Path, steps: int) -> None:
        self.where = where
        self.checkpoint = where / "run.checkpoint"
        self.out = np.loadtxt(where / "run.out", ndmin=2)
        assert self.out[-1, 0] == steps, f"{where}: ended at step {self.out[-1, 0]:.0f} of {steps}"

    @property
    def time(self) -> np.ndarray:
        return self.out[:, 1]

    @property
    def conserved(self) -> np.ndarray:
        return self.out[:, 2]

    def printed(self) -> dict[str, str]:
        """Every output file, word for word."""
        return {p.name: p.read_text() for p in sorted(self.where.glob("run.*"))
                if p.name.startswith(("run.out", "run.pos", "run.for", "run.extras"))}
