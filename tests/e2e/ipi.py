# SPDX-License-Identifier: BSD-3-Clause
"""A run of i-PI 3.3.1 with nearfar as its only driver."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from programs import Program, free_port, nearfar_path, unique_name

Watch = Callable[[Program, list[Program]], None]

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

    def run(self, where: Path, seconds: float = 120, species: str | Path | bool | None = None,
            watch: Watch = lambda ipi, nearfars: None) -> Result:
        """To the end, or AssertionError with both logs. `species`: by default `start`; False: not on the command line."""
        where.mkdir(parents=True, exist_ok=True)
        address = f"127.0.0.1:{free_port()}" if self.mode == "inet" else unique_name()
        (where / "input.xml").write_text(self.input(address))
        word = "tcp" if self.mode == "inet" else self.mode
        named = [] if species is False else ["--species", species or self.start]
        drive(where, "input.xml", [[*self.models, f"{word}:{address}", *named, *self.options]], seconds, watch)
        return Result(where, self.steps)


def drive(where: Path, input_file: str, servers: Sequence[Sequence[object]], seconds: float = 120,
          watch: Watch = lambda ipi, nearfars: None) -> None:
    """i-PI and one `nearfar run` for each list of arguments, until all have ended well, or AssertionError with all logs.
    watch(i-PI, nearfars) is called while they run."""
    i_pi = Path(sys.executable).with_name("i-pi")
    with ExitStack() as stack:
        for words in servers:
            stack.callback(remove_socket, words)
        ipi = stack.enter_context(Program("i-pi", [i_pi, input_file], where))
        nearfars = [stack.enter_context(Program(f"nearfar{k}" if k else "nearfar", [nearfar_path(), "run", *words], where))
                    for k, words in enumerate(servers)]
        deadline = time.monotonic() + seconds
        story = lambda: "\n".join(p.story() for p in (ipi, *nearfars))  # noqa: E731
        while ipi.process.poll() is None:
            assert time.monotonic() < deadline, f"timeout\n{story()}"
            assert all(n.process.poll() in (None, 0) for n in nearfars), story()
            watch(ipi, nearfars)
            time.sleep(0.05)
        assert ipi.process.returncode == 0, story()
        assert not any([n.wait(20) for n in nearfars]), story()


def remove_socket(words: Sequence[object]) -> None:
    """The file of unix:NAME or shm:NAME, if a killed i-PI has left it behind."""
    for word in map(str, words):
        if word.startswith(("unix:", "shm:")) and "/" not in word:
            Path(f"/tmp/ipi_{word.split(':')[1]}").unlink(missing_ok=True)


class Footprint:
    """Resident memory (kB) and open files of the first nearfar while it runs: `watch` is for drive()."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, int]] = []

    def watch(self, ipi: Program, nearfars: list[Program]) -> None:
        proc = Path(f"/proc/{nearfars[0].process.pid}")
        try:
            status, files = (proc / "status").read_text(), len(list((proc / "fd").iterdir()))
        except OSError:  # it has just ended
            return
        if "VmRSS" in status:
            self.samples.append((int(status.split("VmRSS:")[1].split()[0]), files))

    def peaks(self, nparts: int = 10) -> np.ndarray:
        """[nparts][2]: the largest of each part of the run."""
        return np.array([part.max(axis=0) for part in np.array_split(np.array(self.samples), nparts)])

    def assert_flat(self) -> None:
        """Neither grows in the second half of the run."""
        peaks = self.peaks(12)
        assert (peaks[6:] <= peaks[:6].max(axis=0)).all(), peaks


class InputFile:
    """An i-PI input of the repository, to be changed for a test: other structure, fewer steps, sockets of its own."""

    def __init__(self, path: Path, start: Path, steps: int, beads: int) -> None:
        self.tree = ElementTree.parse(path)
        self.root = self.tree.getroot()
        self.addresses: dict[str, str] = {}
        for address in self.root.iter("address"):
            name = str(address.text).strip()
            address.text = self.addresses.setdefault(name, unique_name())
        for initialize in self.root.iter("initialize"):
            initialize.set("nbeads", str(beads))
            self.inside(initialize, "file").text = str(start)
        self.at("total_steps").text = str(steps)

    @staticmethod
    def inside(element: Element, path: str) -> Element:
        found = element.find(path)
        assert found is not None, f"no {path} in <{element.tag}>"
        return found

    def at(self, path: str) -> Element:
        return self.inside(self.root, path)

    def add(self, path: str, text: str) -> None:
        """The XML of one more element inside `path`."""
        self.at(path).append(ElementTree.fromstring(text))

    def remove(self, path: str, tag: str) -> None:
        parent = self.at(path)
        for child in parent.findall(tag):
            parent.remove(child)

    def write(self, where: Path) -> None:
        where.mkdir(parents=True, exist_ok=True)
        self.tree.write(where / "input.xml")


def printed(where: Path) -> dict[str, str]:
    """Every output file of i-PI with prefix run, word for word; no checkpoints, whose first lines hold the date."""
    return {p.name: p.read_text() for p in sorted(where.glob("*run.*")) if "#" not in p.name and "checkpoint" not in p.name}


def state(checkpoint: Path) -> dict[str, str]:
    """What moves, word for word: positions, momenta, cells, thermostats, random numbers."""
    root = ElementTree.parse(checkpoint).getroot()
    return {f"{e.tag}-{k}": str(e.text) for tag in ("q", "p", "cell", "eens", "ethermo", "state", "step")
            for k, e in enumerate(root.iter(tag))}


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
