# SPDX-License-Identifier: BSD-3-Clause
"""Ensembles of i-PI, and runs long enough to see a leak. tests/bench/soak has the longer ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import ase.io
import numpy as np
import pytest

from ipi import Footprint, Simulation, drive, printed
from programs import unique_name

ENSEMBLES = """<simulation verbosity='low' floatformat='%25.17e' threading='{threading}'>
  <output prefix='run'>
    <properties filename='out' stride='1'>
      [ step, conserved, potential, temperature, volume, pressure_md{{megapascal}} ]
    </properties>
    <trajectory filename='pos' stride='10' format='xyz'> positions </trajectory>
  </output>
  <total_steps>{steps}</total_steps>
  <prng><seed>31415</seed></prng>
  <ffsocket name='nearfar' mode='unix' pbc='false'>
    <address>{address}</address> <latency>1e-4</latency> <batch_size>{batch_size}</batch_size>
  </ffsocket>
  {systems}
  {smotion}
</simulation>
"""
SYSTEM = """<system prefix='{name}'>
    <initialize nbeads='{beads}'>
      <file mode='ase'>{start}</file>
      <velocities mode='thermal' units='kelvin'>{temperature}</velocities>
    </initialize>
    <forces><force forcefield='nearfar'/></forces>
    <motion mode='dynamics'>
      <fixcom>True</fixcom>
      <dynamics mode='{mode}'> <timestep units='femtosecond'>0.5</timestep> {baths} </dynamics>
    </motion>
    <ensemble>
      <temperature units='kelvin'>{temperature}</temperature> <pressure units='megapascal'>{pressure}</pressure>
    </ensemble>
  </system>
"""
THERMOSTAT = "<thermostat mode='{mode}'><tau units='femtosecond'>50</tau></thermostat>"
BAROSTAT = ("<barostat mode='{mode}'><tau units='femtosecond'>100</tau>" + THERMOSTAT.format(mode="langevin")
            + "</barostat>")
EXCHANGE = "<smotion mode='remd'><remd><stride>2</stride></remd></smotion>"


def system(name: str, start: Path, beads: int, mode: str = "nvt", temperature: float = 300, pressure: float = 0,
           barostat: str = "") -> str:
    baths = "" if mode == "nve" else THERMOSTAT.format(mode="pile_l")
    baths += BAROSTAT.format(mode=barostat) if barostat else ""
    return SYSTEM.format(name=name, start=start, beads=beads, mode=mode, temperature=temperature, pressure=pressure,
                         baths=baths)


@dataclass
class Ensembles:
    """Several <system>s on one <ffsocket>, answered by one nearfar."""

    models: list[Path]
    species: Path
    systems: list[str]
    steps: int
    smotion: str = ""
    threading: bool = False
    batch_size: int = 1
    options: list[str] = field(default_factory=list)

    def run(self, where: Path, seconds: float = 300) -> dict[str, str]:
        """What i-PI printed: NAME_run.out and so on."""
        where.mkdir(parents=True, exist_ok=True)
        address = unique_name()
        (where / "input.xml").write_text(ENSEMBLES.format(
            address=address, systems="".join(self.systems), smotion=self.smotion, steps=self.steps,
            threading=self.threading, batch_size=self.batch_size))
        drive(where, "input.xml", [[*self.models, f"unix:{address}", "--species", self.species, *self.options]], seconds)
        return printed(where)


def properties(where: Path, name: str) -> np.ndarray:
    """step, conserved, potential, temperature, volume, pressure"""
    return np.loadtxt(where / f"{name}_run.out", ndmin=2)


def stretched(path: Path, factor: float, to: Path) -> Path:
    """The same molecules in a cell with longer a."""
    atoms = ase.io.read(path)
    cell = atoms.cell.array.copy()
    cell[0] *= factor
    atoms.set_cell(cell)
    atoms.write(to, format="extxyz")
    return to


WAYS = {"links-1": {"options": ["--links", "1"]}, "links-2": {"options": ["--links", "2"]},
        "batch-8": {"batch_size": 8}, "one-thread": {"options": ["--threads", "1"]}}


def same_every_way(reference: Ensembles, where: Path, ways: dict[str, dict]) -> dict[str, str]:
    """The text of the reference, after that of every way was found equal."""
    expected = reference.run(where / "reference")
    for name, way in ways.items():
        text = replace(reference, **way).run(where / name)
        for file in expected:
            assert text[file] == expected[file], f"{name}: {file} differs"
    return expected


def test_replica_exchange(potential: list[Path], water16: Path, tmp_path: Path) -> None:
    """Three temperatures of 4 beads on one <ffsocket>: exchanges happen, and the same ones every way."""
    systems = [system(f"T{t}", water16, 4, temperature=t) for t in (300, 310, 320)]
    text = same_every_way(Ensembles(potential, water16, systems, steps=20, smotion=EXCHANGE), tmp_path,
                          {k: WAYS[k] for k in ("links-1", "batch-8")})
    exchanges = [line.split()[1:] for line in text["run.remd_idx"].splitlines()]
    assert exchanges and all(sorted(e) == ["0", "1", "2"] for e in exchanges)


def test_two_cells_and_pressures(potential: list[Path], water16: Path, tmp_path: Path) -> None:
    """Two boxes of different shape at different pressures, isotropic and fully flexible, 2 beads each: the same text
    every way, cells that move, and a quantity that is conserved only if the virial belongs to the energy."""
    longer = stretched(water16, 1.03, tmp_path / "longer.xyz")
    systems = [system("cube", water16, 2, mode="npt", barostat="isotropic", pressure=100),
               system("box", longer, 2, mode="npt", barostat="flexible", pressure=-50)]
    same_every_way(Ensembles(potential, water16, systems, steps=60), tmp_path,
                   {k: WAYS[k] for k in ("links-1", "batch-8")})
    for name in ("cube", "box"):
        _, conserved, energy, _, volume, _ = properties(tmp_path / "reference", name).T
        assert np.ptp(volume) > 1e-4 * volume[0]
        assert conserved.std() < 0.05 * energy.std()


def test_two_systems_at_once(potential: list[Path], water16: Path, tmp_path: Path) -> None:
    """i-PI moves its systems from concurrent threads, so structures of two cells meet in one batch."""
    longer = stretched(water16, 1.03, tmp_path / "longer.xyz")
    systems = [system("cube", water16, 4, mode="nve"), system("box", longer, 4, mode="nve")]
    same_every_way(Ensembles(potential, water16, systems, steps=20), tmp_path,
                   {"at-once": {"threading": True}, "at-once-batch-8": {"threading": True, "batch_size": 8}})


def test_32_beads(potential: list[Path], water16: Path, tmp_path: Path) -> None:
    """One link, and eight that carry batches of eight."""
    whole = Ensembles(potential, water16, [system("ring", water16, 32)], steps=10, options=["--links", "1"])
    same_every_way(whole, tmp_path, {"eight": {"batch_size": 8, "options": ["--links", "8"]}})


@pytest.mark.parametrize("batch_size", (1, 2))
def test_memory_is_flat(potential: list[Path], water16: Path, tmp_path: Path, batch_size: int) -> None:
    """Memory and open files of nearfar do not grow in the second half. A thin skin makes a list for almost every
    step, so that any number of them that are kept is there soon."""
    footprint = Footprint()
    Simulation(water16, steps=800, beads=2, ensemble="nvt", models=potential, stride=100, batch_size=batch_size,
               outputs="", options=["--skin", "0.05"]).run(tmp_path, watch=footprint.watch)
    footprint.assert_flat()
