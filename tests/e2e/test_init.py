# SPDX-License-Identifier: BSD-3-Clause
"""What the text of INIT asks for, structures that come twice, and how many links a driver gets."""

from __future__ import annotations

import json
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ipi import Simulation
from test_driver import Driver
from wire import BOHR, WATER, init, posdata

DIMER = np.concatenate([WATER, WATER[[0, 1, 2]] + [0, 0, 6.0]])
Forces = tuple[float, np.ndarray, np.ndarray, str]
Start = Callable[..., "Driver"]


@pytest.fixture
def start(potential: list[Path], tmp_path: Path) -> Iterator[Start]:
    """start(species=None, tcp=True, models=...): nearfar with its driver."""
    running: list[Driver] = []

    def start(models: list[Path] = potential, **how: object) -> Driver:
        running.append(Driver(tmp_path, models, **how))  # type: ignore[arg-type]
        return running[-1]

    yield start
    for driver in running:
        driver.close()
        driver.nearfar.__exit__()


def ask(driver: Driver, text: str, positions: np.ndarray = WATER) -> Forces:
    """INIT and one structure."""
    driver.send("INIT", *init(text.encode()))
    driver.send("POSDATA", *posdata(positions), b"GETFORCE    ")
    return driver.forces()


def refused(driver: Driver, text: str, *words: str) -> None:
    """INIT ends the link with a sentence."""
    driver.send("INIT", *init(text.encode()))
    driver.ends(False, *words)


# ---- elements ----

LISTS = [" species : O H H , ", " species : 'O H H' , ", ' "species" : "O H H" , ', " species:O H*2 , extras : none , ",
         ' {"species": "O H H"}', '{"species": ["O", "H", "H"], "extras": "none", "batch_size": 1}']


@pytest.mark.parametrize("text", LISTS)
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_species_of_init(start: Start, text: str, tcp: bool) -> None:
    """The same numbers as with --species, and INIT wins over it."""
    energy, forces, _, _ = ask(start(species=None, tcp=tcp), text)
    assert np.isfinite(energy) and np.abs(forces).max() > 0
    assert ask(start(species="H H O", tcp=tcp), text)[0] == energy


def test_species_of_init_is_for_its_link_and_its_time(start: Start) -> None:
    driver = start()
    plain = ask(driver, " ")
    dimer = ask(driver, " species : O H H * 2 , ", DIMER)
    assert dimer[1].shape == (6, 3) and dimer[0] != plain[0]
    assert ask(driver, " ")[0] == plain[0]


def test_two_drivers_with_different_systems(start: Start, tmp_path: Path) -> None:
    """Number and order of atoms belong to the link."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "other"))
        other.listen(1)
        other.settimeout(10)
        driver = start(species=None, options=["--links", "1", f"unix:{tmp_path / 'other'}"])
        first, second = driver.link, other.accept()[0]
        for driver.link, text, positions in ((first, " species : O H H , ", WATER),
                                             (second, " species : O H H * 2 , ", DIMER),
                                             (first, " species : O H*2 , ", WATER)):
            assert ask(driver, text, positions)[1].shape == positions.shape
        second.close()


def test_init_while_it_computes(start: Start) -> None:
    """Elements and extras of a request are those of its POSDATA, whatever comes behind it."""
    driver = start()
    driver.send("POSDATA", *posdata(), b"INIT        ", *init(b" species : O H H * 2 , extras : summary , "),
                b"GETFORCE    ", b"POSDATA     ", *posdata(DIMER), b"GETFORCE    ")
    _, forces, _, extras = driver.forces()
    assert forces.shape == (3, 3) and extras.strip() == ""
    _, forces, _, extras = driver.forces()
    assert forces.shape == (6, 3) and "energy_std" in json.loads(extras)


def test_species_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "water.xyz").write_text("3\n\nO 0 0 0\nH 0 0 1\nH 0 1 0\n")
    assert np.isfinite(ask(start(species=None), " species : water.xyz , ")[0])


def test_species_file_over_tcp(start: Start, tmp_path: Path) -> None:
    """A driver elsewhere may not name files of this machine."""
    (tmp_path / "water.xyz").write_text("3\n\nO 0 0 0\nH 0 0 1\nH 0 1 0\n")
    refused(start(species=None, tcp=True), " species : water.xyz , ", "species : water.xyz", "no element")


@pytest.mark.parametrize("name", ["fifo", "/dev/zero", ".", "-"])
def test_species_file_that_is_none(start: Start, tmp_path: Path, name: str) -> None:
    """A pipe would block, a device never end."""
    import os
    os.mkfifo(tmp_path / "fifo")
    refused(start(species=None), f" species : {name} , ", f"species : {name}", "no element")


def test_no_species_anywhere(start: Start) -> None:
    refused(start(species=None), " ", "--species", "<parameters>", "species :")


def test_no_species_without_init(start: Start) -> None:
    driver = start(species=None)
    driver.send("POSDATA", *posdata())
    driver.ends(False, "--species", "<parameters>", "species :")


def test_wrong_number_of_atoms(start: Start) -> None:
    driver = start()
    driver.send("INIT", *init(b" species : O H H * 2 , "))
    driver.send("POSDATA", *posdata())
    driver.ends(False, "3 atoms", "INIT has 6")


ORDER = "are the species in this order?"


@pytest.mark.parametrize("order", ["H O H", "H H O"])
@pytest.mark.parametrize("by_driver", [False, True], ids=["command-line", "init"])
def test_species_in_another_order(start: Start, order: str, by_driver: bool) -> None:
    """The right elements in the wrong order are refused at the first structure, whoever names them."""
    driver = start(species=None if by_driver else order)
    driver.send("INIT", *init(f" species : {order} , ".encode() if by_driver else b" "))
    driver.send("POSDATA", *posdata(), b"GETFORCE    ")
    driver.ends(False, ORDER)


def test_two_atoms_of_a_box_exchanged(start: Start, water64: Path) -> None:
    """One O and one H of 192 atoms, molecules apart."""
    lines = water64.read_text().splitlines()[2:]
    symbols = [line.split()[0] for line in lines]
    positions = np.array([[float(x) for x in line.split()[1:4]] for line in lines]) / BOHR
    edge = float(water64.read_text().split('Lattice="')[1].split()[0]) / BOHR
    first, second = 30, 100
    assert symbols[first] != symbols[second]
    symbols[first], symbols[second] = symbols[second], symbols[first]
    driver = start(species=" ".join(symbols))
    driver.send("INIT", *init(b" "))
    driver.send("POSDATA", *posdata(positions, cell=np.eye(3) * edge), b"GETFORCE    ")
    driver.ends(False, ORDER, f"atom {first + 1}", f"atom {second + 1}")


def test_trusted_species(start: Start) -> None:
    """--trust-species: elements in an order that no water has are the user's affair, whoever names them."""
    driver = start(species="H O H", options=["--links", "1", "--trust-species"])
    assert ask(driver, " ")[0] != ask(driver, " species : O H H , ")[0]
    assert np.isfinite(ask(driver, " species : H H O , ")[0])


# ---- the other keys ----

@pytest.mark.parametrize("text, words", [
    (" species : O H H * zwei , ", ("species : O H H * zwei",)),
    (" species : O H Au , ", ("species in the driver's INIT", "atom 3 is Au")),
    (" species : , ", ("species", "no atoms")),
    (" species : H * 10000001 , ", ("species : H * 10000001", "--species")),
    (" species : \x1b[2J\xff , ", ("species : ?[2J",)),
    (" extras : all , ", ("extras : all", "none, summary or committee")),
    (" extras , ", ("extras", "none, summary or committee")),
    (" charge : 1.0 , ", ("charge : 1.0", "no charges")),
    (" charge : plus , ", ("charge : plus", "not a number")),
    (" charge : nan , ", ("charge : nan", "not a number")),
    (" part : long-range , ", ("part : long-range", "no parts")),
    (" , batch_size:0", ("batch_size : 0", "1 to 65536")),
    (" , batch_size:65537", ("batch_size : 65537", "1 to 65536")),
    (" model : water , ", ("model : water", "no model of that name")),
    ('{"species": [8, 1, 1]}', ("species", "words")),
    ('{"extras": {"a": 1}}', ('extras : {"a":1}',)),
])
def test_bad_value(start: Start, text: str, words: tuple[str, ...]) -> None:
    driver = start()
    refused(driver, text, *words)
    assert "\x1b" not in driver.nearfar.text()


def test_extras_of_init(start: Start, committee: list[Path]) -> None:
    driver = start(committee)
    assert "energy_std" in json.loads(ask(driver, " ")[3])
    assert ask(driver, " extras : none , charge : 0.0 , ")[3].strip() == ""
    assert len(json.loads(ask(driver, " extras : committee , ")[3])["committee_pot"]) == 8


def test_unknown_keys_are_said_once(start: Start) -> None:
    driver = start()
    ask(driver, " specie : O H H , verbosity : 3 , flag , ")
    ask(driver, " specie : O H H , verbosity : 4 , ")
    text = driver.nearfar.text()
    assert text.count("'specie'") == 1 and "did you mean 'species'?" in text
    assert text.count("'verbosity'") == text.count("'flag'") == 1


def test_unknown_keys_of_several_links(start: Start) -> None:
    driver = start(options=["--links", "3"])
    links = [driver.link, driver.accept(), driver.accept()]
    for driver.link in links:
        ask(driver, " verbosity : 3 , ")
    assert driver.nearfar.text().count("'verbosity'") == 1
    for link in links:
        link.close()


# ---- structures that come twice ----

def batch(structures: list[np.ndarray]) -> tuple[bytes, ...]:
    cell = (np.eye(3) * 20).tobytes() + np.zeros(9).tobytes()
    return (struct.pack("<i", len(structures[0])), cell * len(structures), *(x.tobytes() for x in structures))


def replies(driver: Driver, n: int) -> list[tuple[bytes, ...]]:
    """Energy, forces, virial and extras of each, as bytes."""
    assert driver.word() == "FORCEREADY"
    energies = [driver.bytes(8) for _ in range(n)]
    natoms, = struct.unpack("<i", driver.bytes(4))
    forces = [driver.bytes(24 * natoms) for _ in range(n)]
    virials = [driver.bytes(72) for _ in range(n)]
    extras = [driver.bytes(struct.unpack("<i", driver.bytes(4))[0]) for _ in range(n)]
    return list(zip(energies, forces, virials, extras))


@pytest.mark.parametrize("kind", ["none", "summary", "committee"])
def test_padding_is_not_evaluated(start: Start, committee: list[Path], kind: str) -> None:
    """i-PI fills a batch up with its last structure: answered, but computed once."""
    a, b = WATER, WATER * 1.01
    driver = start(committee)
    driver.send("INIT", *init(f" extras : {kind} , , batch_size:6".encode()))
    driver.send("POSDATA", *batch([a, b, b, b, b, b]), b"GETFORCE    ")
    padded = replies(driver, 6)
    assert padded[0] != padded[1] and all(r == padded[1] for r in padded[2:])
    driver.send("POSDATA", *batch([b, a, b, a, a, b]), b"GETFORCE    ")
    mixed = replies(driver, 6)
    assert [padded.index(r) for r in mixed] == [1, 0, 1, 0, 0, 1]
    driver.send("EXIT")
    driver.ends(True)
    assert "7 structures evaluated" in driver.nearfar.text(), driver.nearfar.text()


def test_the_first_bad_structure_is_named(potential: list[Path], tmp_path: Path) -> None:
    """Of several in a batch, whatever thread finds its own first."""
    molecules = np.array([[i // 16, i // 4 % 4, i % 4] for i in range(64)]) * 5.0
    good = (molecules[:, None] + WATER).reshape(-1, 3)
    close, nowhere = good.copy(), good.copy()
    close[-1], nowhere[0, 0] = close[-2], np.nan
    driver = Driver(tmp_path, potential, "O H H * 64", options=("--links", "1", "--threads", "2"))
    with driver.nearfar:
        driver.send("INIT", *init(b" , batch_size:3"))
        driver.send("POSDATA", *batch([good, close, nowhere]), b"GETFORCE    ")
        driver.ends(False, "atoms 191 and 192")
        driver.close()


def test_other_cell_is_another_structure(start: Start) -> None:
    driver = start()
    driver.send("INIT", *init(b"  batch_size:2"))
    n, cells, *positions = batch([WATER, WATER])
    small = cells[:144] + (np.eye(3) * 8).tobytes() + cells[:72]
    driver.send("POSDATA", n, small, *positions, b"GETFORCE    ")
    first, second = replies(driver, 2)
    assert first != second
    driver.send("EXIT")
    driver.ends(True)
    assert "2 structures evaluated" in driver.nearfar.text()


# ---- links ----

class Water:
    """A trajectory of free water: smooth, as dynamics is."""

    def __init__(self, seed: int, step: float = 1e-3) -> None:
        rng = np.random.default_rng(seed)
        self.start = WATER + rng.normal(scale=0.02, size=WATER.shape)
        self.amplitude, self.phase = rng.normal(scale=0.05, size=(2, *WATER.shape))
        self.omega = rng.uniform(0.05, 0.3, size=WATER.shape)
        self.step = step

    def at(self, n: int) -> np.ndarray:
        return self.start + self.amplitude * np.sin(self.omega * n + 40 * self.phase)


def knocks(driver: Driver, seconds: float = 0.0) -> bool:
    """Does nearfar want another link?"""
    return bool(select.select([driver.listener], [], [], seconds)[0])


def classic_step(driver: Driver, positions: np.ndarray, text: bytes) -> None:
    """One step as ASE does it, and i-PI with consolidate_messages False."""
    if (word := driver.status()) == "NEEDINIT":
        driver.send("INIT", *init(text))
        word = driver.status()
    assert word == "READY"
    for piece in (b"POSDATA     ", *posdata(positions)):
        driver.link.sendall(piece)
    assert driver.status() == "HAVEDATA"
    driver.send("GETFORCE")
    driver.forces()


@pytest.mark.parametrize("text", [b"\0", b" ", b" extras : none , ", b'{"extras": "none"}'],
                         ids=["ase", "ipi", "ipi-parameters", "json"])
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_one_replica_one_link(start: Start, text: bytes, tcp: bool) -> None:
    """A driver with one replica is not asked for a second link."""
    driver = start(options=[], tcp=tcp)
    water = Water(1)
    for step in range(60):
        classic_step(driver, water.at(step), text)
        assert not knocks(driver), f"a second connection at step {step}"
    for _ in range(10):
        classic_step(driver, water.at(60), text)
    assert not knocks(driver, 0.2)


def test_ase_with_several_replicas_has_one_link(start: Start) -> None:
    """ASE accepts once: a second connection would wait for ever."""
    driver = start(options=[])
    beads = [Water(k) for k in range(4)]
    for step in range(10):
        for water in beads:
            classic_step(driver, water.at(step), b"\0")
    assert not knocks(driver, 0.2)


class Server(Driver):
    """i-PI with several beads: consolidated messages, a bead goes to the link that had it last."""

    def __init__(self, where: Path, models: list[Path], beads: int, tcp: bool = False) -> None:
        super().__init__(where, models, tcp=tcp, options=[])
        self.beads = [Water(k) for k in range(beads)]
        self.links = [self.link]
        self.last: dict[socket.socket, int | None] = {}
        self.handshake(self.link)

    def handshake(self, link: socket.socket) -> None:
        self.link = link
        assert self.status() == "NEEDINIT"
        self.send("INIT", *init())
        assert self.status() == "READY"
        self.last[link] = None

    def choose(self, link: socket.socket, queue: list[int]) -> int:
        taken = {b for l, b in self.last.items() if l is not link}
        for pool in ([b for b in queue if b == self.last[link]], [b for b in queue if b not in taken], queue):
            if pool:
                return pool[0]
        raise AssertionError

    def step(self, n: int) -> None:
        queue, busy = list(range(len(self.beads))), []
        while queue or busy:
            while knocks(self):
                self.links.append(self.accept())
                self.handshake(self.links[-1])
            for self.link in [l for l in self.links if l not in busy]:
                if queue:
                    self.last[self.link] = self.choose(self.link, queue)
                    queue.remove(self.last[self.link])
                    self.send("POSDATA", *posdata(self.beads[self.last[self.link]].at(n)), b"GETFORCE    ")
                    busy.append(self.link)
            for self.link in select.select(busy, [], [], 10)[0]:
                self.forces()
                assert self.status() == "READY"
                busy.remove(self.link)

    def close(self) -> None:
        for link in self.links:
            link.close()
        super().close()


@contextmanager
def server(*args: object, **how: object) -> Iterator[Server]:
    s = Server(*args, **how)  # type: ignore[arg-type]
    with s.nearfar:
        yield s
        s.close()


@pytest.mark.parametrize("beads", [2, 3, 8])
def test_no_more_links_than_replicas(potential: list[Path], tmp_path: Path, beads: int) -> None:
    """As many links as i-PI has beads, within some steps, and never one more."""
    with server(tmp_path, potential, beads) as s:
        for n in range(100):
            s.step(n)
            assert len(s.links) <= beads, f"{len(s.links)} links at step {n}"
        assert len(s.links) > 1


# ---- i-PI itself ----

def test_ipi_names_the_elements(potential: list[Path], water16: Path, tmp_path: Path) -> None:
    """<parameters> of i-PI instead of --species: the same trajectory."""
    simulation = Simulation(water16, steps=10, models=potential)
    plain = simulation.run(tmp_path / "plain").printed()
    simulation.parameters = "{ species : O H H * 16 , extras : none, note: 'what is this'}"
    asked = simulation.run(tmp_path / "asked", species=False)
    assert asked.printed() == plain
    assert "'note'" in (tmp_path / "asked/nearfar.log").read_text()


def test_ipi_names_a_file_and_batches(potential: list[Path], water16: Path, tmp_path: Path) -> None:
    """A file relative to nearfar's directory; batches of 3 for 8 beads: what fills them up is not computed."""
    simulation = Simulation(water16, steps=10, models=potential, beads=8, ensemble="nvt")
    plain = simulation.run(tmp_path / "plain").printed()
    (tmp_path / "asked").mkdir()
    (tmp_path / "asked/order.xyz").write_text(water16.read_text())
    simulation.parameters, simulation.batch_size = "{ species : order.xyz }", 3
    assert simulation.run(tmp_path / "asked", species=False).printed() == plain
    text = (tmp_path / "asked/nearfar.log").read_text()
    evaluated = int(text.split(" structures evaluated")[0].split()[-1])
    assert evaluated <= 11 * 8, text


@pytest.mark.parametrize("beads", [1, 4])
def test_links_of_ipi(potential: list[Path], water16: Path, tmp_path: Path, beads: int) -> None:
    Simulation(water16, steps=30, models=potential, beads=beads, ensemble="nvt").run(tmp_path)
    text = (tmp_path / "nearfar.log").read_text()
    links = int(text.split(" structures evaluated over ")[1].split()[0])
    assert links == 1 if beads == 1 else 1 < links <= beads, text
