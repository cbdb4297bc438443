# SPDX-License-Identifier: BSD-3-Clause
"""The clients in C and Python against `nearfar listen`, and against listeners that do not behave."""

from __future__ import annotations

import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import PropertyNotImplementedError
from ase.md.verlet import VelocityVerlet
from ase.stress import voigt_6_to_full_3x3_stress

from programs import ROOT, Program, free_port, nearfar_path, unique_name
from test_ase import Call, slab, triclinic, write_frame

sys.path.insert(0, str(ROOT / "clients/python"))

import nearfar  # noqa: E402
from nearfar.ase import NearfarCalculator  # noqa: E402
from nearfar.species import as_text  # noqa: E402

WATER = np.array([[0, 0, 0], [0.77, 0.58, 0], [-0.75, 0.6, 0.02]])  # Angstrom
SECONDS = 20.0


def molecule(order: str = "OHH") -> Atoms:
    return Atoms("OHH", positions=WATER)[["OHH".index(s) if s == "O" else order[:k].count("H") + 1
                                          for k, s in enumerate(order)]]


@pytest.fixture(scope="module")
def server(committee: list[Path]) -> Iterator[nearfar.Server]:
    """The models one and all."""
    models = {"one": committee[0] / "nnp-1", "all": committee[0]}
    with nearfar.serve(models, program=nearfar_path()) as running:
        yield running


def evaluated(call: Call, model: Path, frames: list[Atoms], where: Path) -> list[Atoms]:
    """What `nearfar eval` says."""
    with open(where / "in.xyz", "w") as f:
        for atoms in frames:
            write_frame(f, atoms, 1.0)
    done = call("eval", model, "in.xyz", "-o", "out.xyz")
    assert done.returncode == 0, done.stderr
    return list(ase.io.read(where / "out.xyz", index=":"))


def same(r: nearfar.Result, expected: Atoms) -> None:
    assert r.energy == pytest.approx(expected.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(r.forces, expected.get_forces(), rtol=0, atol=1e-8)
    np.testing.assert_allclose(r.virial, expected.info["virial"], rtol=0, atol=1e-8)


# ---- C ----

@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled as a user would."""
    program = tmp_path_factory.mktemp("c") / "example"
    sources = [ROOT / "clients/c/example.c", ROOT / "clients/c/nearfar_client.c"]
    subprocess.run([os.environ.get("CC", "cc"), "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", *sources, "-lm",
                    "-o", program], check=True)
    return program


def run_example(example: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([example, *map(str, words)], capture_output=True, text=True, timeout=SECONDS)


def energy_of(done: subprocess.CompletedProcess[str]) -> float:
    assert done.returncode == 0, done.stdout + done.stderr
    return float(done.stdout.split()[1])


def test_c_example(example: Path, server: nearfar.Server, call: Call, committee: list[Path], tmp_path: Path) -> None:
    expected, = evaluated(call, committee[0], [molecule()], tmp_path)
    done = run_example(example, server.address, "all")
    assert energy_of(done) == pytest.approx(expected.get_potential_energy(), abs=1e-6)
    assert "energy_std" in done.stdout
    assert energy_of(run_example(example, server.address)) != energy_of(done), "the first model is another one"


def test_c_example_over_tcp(example: Path, potential: list[Path], tmp_path: Path) -> None:
    address = f"tcp:127.0.0.1:{free_port()}"
    with Program("nearfar", [nearfar_path(), "listen", address, *potential], tmp_path):
        energy_of(run_example(example, address))


def test_c_example_is_told_why(example: Path, server: nearfar.Server, tmp_path: Path) -> None:
    refused = run_example(example, server.address, "two")
    assert refused.returncode == 1 and "no model of that name" in refused.stderr
    nowhere = run_example(example, f"unix:{'x' * 200}")
    assert nowhere.returncode == 1 and "too long" in nowhere.stderr


# ---- Python ----

def test_as_eval(server: nearfar.Server, call: Call, committee: list[Path], water64: Path, tmp_path: Path) -> None:
    """Molecule, box, triclinic cell and slab, one after the other on one connection."""
    box = ase.io.read(water64)
    frames = [molecule(), box, triclinic(box), slab(box)]
    with server.client("O H H", model="all") as client:
        for atoms, expected in zip(frames, evaluated(call, committee[0], frames, tmp_path)):
            client.set_species(atoms.symbols)
            cell = np.where(atoms.pbc[:, None], atoms.cell.array, 0)
            r = client.evaluate(atoms.positions, cell if len(atoms) > 3 else None)
            same(r, expected)
            assert r.energy_std == pytest.approx(expected.info["energy_std"], abs=1e-9)


def test_batch_has_the_bits_of_single_structures(server: nearfar.Server, water16: Path) -> None:
    atoms = ase.io.read(water16)
    rng = np.random.default_rng(1)
    x = atoms.positions + rng.normal(0, 0.02, (6, *atoms.positions.shape))
    cells = [atoms.cell.array * (1 + 0.01 * k) for k in range(6)]
    with server.client(atoms.numbers, model="all") as client:
        for results in (client.evaluate_batch(x, cells), client.evaluate_batch(x[:2], cells[:2])):
            for r, p, h in zip(results, x, cells):
                alone = client.evaluate(p, h)
                assert alone.energy == r.energy and alone.extras == r.extras
                np.testing.assert_array_equal(alone.forces, r.forces)
                np.testing.assert_array_equal(alone.virial, r.virial)
        assert client.evaluate_batch([]) == []
    assert len({r.energy for r in results}) == 2


def test_members_of_a_committee(server: nearfar.Server) -> None:
    with server.client("O H H", model="all", extras="committee") as client:
        r = client.evaluate(WATER)
    assert r.extras["committee_pot"].shape == (8,)
    assert r.extras["committee_pot"].mean() == pytest.approx(r.energy, abs=1e-9)
    assert r.extras["committee_pot"].std(ddof=1) == pytest.approx(r.energy_std, abs=1e-9)
    np.testing.assert_allclose(r.extras["committee_force"].mean(axis=0), r.forces, rtol=0, atol=1e-9)
    np.testing.assert_allclose(r.extras["committee_virial"].mean(axis=0), r.virial, rtol=0, atol=1e-9)


def test_without_extras(server: nearfar.Server) -> None:
    with server.client("O H H", extras="none") as client:
        r = client.evaluate(WATER)
    assert r.extras == {} and r.energy_std is None


@pytest.mark.parametrize("numbers", [[8, 1, 1], [1], [8, 1, 1] * 500 + [11, 17] + [1, 8, 1] * 3 + [1] * 9,
                                     [3] * 40 + [4] * 2, list(range(1, 119)), ([6, 6, 1] * 2 + [1]) * 11,
                                     np.random.default_rng(2).integers(1, 3, 200)])
def test_lists_of_elements(numbers: list[int]) -> None:
    """Read as core/io/species.h says."""
    text, natoms = as_text(numbers)
    found: list[str] = []
    for group in filter(str.strip, text.split(";")):
        words, _, times = group.partition(" * ")
        found += words.split() * int(times or 1)
    assert found == [str(s) for s in Atoms(numbers=numbers).symbols] and natoms == len(numbers)


def test_a_million_atoms_have_room_in_an_init(server: nearfar.Server) -> None:
    numbers = np.tile([8, 1, 1], 300_000)
    text, _ = as_text(numbers)
    assert len(text) < 100
    with server.client(numbers) as client:
        client.connect()


@pytest.mark.parametrize("what", [
    lambda: nearfar.Client("water"), lambda: nearfar.Client("tcp:localhost"), lambda: nearfar.Client("tcp:h:0"),
    lambda: nearfar.Client("unix:x", timeout=0), lambda: nearfar.Client("unix:x", extras="all"),
    lambda: nearfar.Client("unix:x", species=["Xx"]), lambda: nearfar.Client("unix:x", species=[0]),
    lambda: nearfar.Client("unix:x", species=[8, 1]).evaluate(WATER), lambda: nearfar.Client("unix:x").evaluate([1, 2, 3]),
    lambda: nearfar.Client("unix:x").evaluate(WATER, [[1, 2], [3, 4]]),
    lambda: nearfar.Client("unix:x").evaluate_batch([WATER, WATER[:2]]),
    lambda: nearfar.Client("unix:x").evaluate_batch([WATER], [None, None])])
def test_what_makes_no_sense_is_not_sent(what: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        what()


def test_the_servers_sentence_arrives(server: nearfar.Server) -> None:
    client = server.client("O H H")
    energy = client.evaluate(WATER).energy
    with pytest.raises(nearfar.Refused, match="not finite"):
        client.evaluate(WATER + np.nan)
    assert client.evaluate(WATER).energy == energy, "the next call connects anew"
    with pytest.raises(nearfar.Refused, match="4 atoms"):
        client.evaluate(np.vstack((WATER, [[5, 5, 5]])))
    with pytest.raises(nearfar.Refused, match="no model of that name"):
        server.client("O H H", model="two").connect()
    with pytest.raises(nearfar.Refused, match="Xe"):
        server.client("Xe").connect()
    with pytest.raises(nearfar.Refused, match="coincide|same place|closer|near"):
        client.evaluate(WATER[[0, 1, 1]])
    client.close()
    client.close()


def test_large_messages_that_are_refused(server: nearfar.Server) -> None:
    """The server closes while the client is still sending."""
    with server.client("O H H") as client, pytest.raises(nearfar.Refused, match="atoms"):
        client.evaluate(np.random.default_rng(3).normal(0, 100, (200_000, 3)))


def test_restart_between_two_calls(potential: list[Path], tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    client, energies = nearfar.Client(address, species="O H H", wait=SECONDS), []
    for end in ("terminate", "kill", "terminate"):
        with Program("nearfar", [nearfar_path(), "listen", address, *potential], tmp_path) as program:
            energies += [client.evaluate(WATER).energy, client.evaluate(WATER).energy]
            getattr(program.process, end)()
            program.wait(SECONDS)
    assert len(set(energies)) == 1
    client.wait = 0
    with pytest.raises(nearfar.ConnectionLost, match="cannot reach"):
        client.evaluate(WATER)


def test_server_dies_in_the_middle(committee: list[Path], water64: Path, tmp_path: Path) -> None:
    atoms = ase.io.read(water64).repeat((4, 4, 3))
    with nearfar.serve(committee[0], options=["--threads", "1"], program=nearfar_path()) as server:
        client = server.client(atoms.numbers, timeout=60)
        client.connect()
        threading.Timer(0.3, server.process.kill).start()
        begin = time.monotonic()
        with pytest.raises(nearfar.ConnectionLost, match="closed the connection"):
            client.evaluate(atoms.positions, atoms.cell)
        assert time.monotonic() - begin < 10


def test_timeout_then_another_call(server: nearfar.Server, water64: Path) -> None:
    """A late answer is never taken for that of the next question."""
    atoms = ase.io.read(water64).repeat((3, 3, 2))
    client = server.client(atoms.numbers, model="all", timeout=0.1)
    with pytest.raises(nearfar.TimedOut, match="within 0.1 s"):
        client.evaluate(atoms.positions, atoms.cell)
    client.timeout = 60
    client.set_species("O H H")
    assert client.evaluate(WATER).energy == server.client("O H H", model="all").evaluate(WATER).energy


# ---- many at once ----

def test_clients_side_by_side(server: nearfar.Server, water16: Path) -> None:
    """Different models, elements and structures; every answer is as if alone."""
    box = ase.io.read(water16)
    work = [(m, a) for m in ("one", "all") for a in (molecule(), molecule("HOH"), molecule("HHO"), box)]

    def energies(model: str, atoms: Atoms, n: int) -> set[float]:
        with server.client(atoms.symbols, model=model, timeout=60) as client:
            return {client.evaluate(atoms.positions, atoms.cell.array).energy for _ in range(n)}

    alone = [energies(*w, 1) for w in work]
    with ThreadPoolExecutor(len(work)) as pool:
        together = list(pool.map(lambda w: energies(*w, 20), work))
    assert together == alone
    assert len(set.union(*alone)) >= 4


def test_threads_share_a_client(server: nearfar.Server) -> None:
    factors = np.linspace(0.98, 1.02, 40)
    with server.client("O H H") as client:
        alone = [client.evaluate(WATER * f).energy for f in factors]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda f: client.evaluate(WATER * f).energy, factors)) == alone


PROCESS = """
import sys, nearfar
with nearfar.Client(sys.argv[1], model=sys.argv[2], species=[8, 1, 1]) as client:
    x = [[0, 0, 0], [0.77, 0.58, 0], [-0.75, 0.6, 0.02]]
    print(*{client.evaluate(x).energy.hex() for _ in range(200)})
"""


def test_two_processes(server: nearfar.Server) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients/python")}
    both = [subprocess.Popen([sys.executable, "-c", PROCESS, server.address, model], stdout=subprocess.PIPE, text=True,
                             env=environment) for model in ("one", "all")]
    for process, model in zip(both, ("one", "all")):
        said, _ = process.communicate(timeout=60)
        assert said.split() == [server.client("O H H", model=model).evaluate(WATER).energy.hex()]


def test_a_forked_child_has_its_own_connection(server: nearfar.Server) -> None:
    with server.client("O H H") as client:
        energy = client.evaluate(WATER).energy
        child = os.fork()
        if child == 0:
            try:
                good = all(client.evaluate(WATER).energy == energy for _ in range(50))
            finally:
                os._exit(0 if good else 1)
        assert all(client.evaluate(WATER).energy == energy for _ in range(50))
        assert os.waitpid(child, 0)[1] == 0
        copy = pickle.loads(pickle.dumps(client))
        assert copy.evaluate(WATER).energy == energy
        copy.close()


# ---- listeners that are none ----

NEEDINIT, READY = b"NEEDINIT    ", b"READY       "
FORCES = b"FORCEREADY  " + struct.pack("=di", -17.0, 3) + bytes(72) + bytes(72) + struct.pack("=i", 1) + b" "


@contextmanager
def pretender(where: Path, answers: bytes, pause: float = 0.0, hold: bool = False) -> Iterator[str]:
    """Says `answers`, a byte at a time where there is a pause, whatever it is asked; then closes, or holds the line."""
    path, over = where / unique_name(), threading.Event()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(4)

    def serve() -> None:
        with listener.accept()[0] as link:
            try:
                for k in range(len(answers) if pause else 1):
                    link.sendall(answers[k:k + 1] if pause else answers)
                    time.sleep(pause)
                    if over.is_set():
                        break
                if not hold:
                    link.shutdown(socket.SHUT_WR)
                over.wait(SECONDS)
            except OSError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"unix:{path}"
    finally:
        over.set()
        thread.join()
        listener.close()


def test_a_byte_at_a_time(tmp_path: Path) -> None:
    with pretender(tmp_path, NEEDINIT + READY + FORCES, pause=0.001) as address:
        assert nearfar.Client(address, species="O H H").evaluate(WATER).energy == pytest.approx(-17 * 27.211386245988)


@pytest.mark.parametrize("length", range(0, len(NEEDINIT + READY + FORCES), 3))
def test_an_end_at_every_place(tmp_path: Path, length: int) -> None:
    with pretender(tmp_path, (NEEDINIT + READY + FORCES)[:length]) as address:
        with pytest.raises(nearfar.ConnectionLost, match="closed the connection"):
            nearfar.Client(address, species="O H H").evaluate(WATER)


@pytest.mark.parametrize("length", [0, 5, 12, 24, 30, 40, 60, len(NEEDINIT + READY + FORCES) - 1])
def test_silence_at_every_place(tmp_path: Path, length: int) -> None:
    with pretender(tmp_path, (NEEDINIT + READY + FORCES)[:length], hold=True) as address:
        begin = time.monotonic()
        with pytest.raises(nearfar.TimedOut):
            nearfar.Client(address, species="O H H", timeout=0.3).evaluate(WATER)
        assert 0.2 < time.monotonic() - begin < 2


def test_slow_bytes_are_no_way_round_the_timeout(tmp_path: Path) -> None:
    with pretender(tmp_path, NEEDINIT + READY + FORCES, pause=0.05) as address:
        begin = time.monotonic()
        with pytest.raises(nearfar.TimedOut):
            nearfar.Client(address, species="O H H", timeout=0.5).evaluate(WATER)
        assert time.monotonic() - begin < 2


@pytest.mark.parametrize("answers, sentence", [
    (b"STATUS      ", "as i-PI does"), (b"HTTP/1.1 400 Bad Request", "begins with 'HTTP/1.1 400"), (bytes(100), "no nearfar listen"),
    (b"\xff" * 100, "no nearfar listen"), (NEEDINIT + READY + READY, "begins with 'READY'"),
    (NEEDINIT + READY + FORCES.replace(struct.pack("=i", 3), struct.pack("=i", 4)), "answers for 4 atoms, 3 were sent"),
    (NEEDINIT + READY + FORCES[:-5] + struct.pack("=i", -1), "-1 bytes"),
    (b"ERROR       " + struct.pack("=i", -5), "-5 bytes")])
def test_who_is_no_nearfar(tmp_path: Path, answers: bytes, sentence: str) -> None:
    with pretender(tmp_path, answers) as address:
        with pytest.raises(nearfar.NearfarError, match=sentence):
            nearfar.Client(address, species="O H H").evaluate(WATER)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(nearfar.ConnectionLost, match="cannot reach a nearfar listen at unix:"):
        nearfar.Client(f"unix:{tmp_path}/none").connect()
    with pytest.raises(nearfar.ConnectionLost, match="cannot reach"):
        nearfar.Client(f"tcp:127.0.0.1:{free_port()}").connect()
    begin = time.monotonic()
    with pytest.raises(nearfar.ConnectionLost):
        nearfar.Client(f"unix:{tmp_path}/none", wait=0.4).connect()
    assert 0.3 < time.monotonic() - begin < 3


# ---- ASE ----

def deviation(atoms: Atoms, timestep: float, steps: int) -> float:
    """The largest of the total energy from the first, eV."""
    md = VelocityVerlet(atoms, timestep * units.fs)
    first = atoms.get_total_energy()
    return max(abs(atoms.get_total_energy() - first) for _ in md.irun(steps))


def test_ase_constant_energy(server: nearfar.Server) -> None:
    """Of a bond that was stretched by 5 %: the deviation is that of the time step, its square."""
    deviations = []
    with NearfarCalculator(server.address, model="all") as calc:
        for timestep, steps in ((0.25, 50), (0.125, 100)):
            atoms = molecule()
            atoms.positions[1] *= 1.05
            atoms.calc = calc
            deviations.append(deviation(atoms, timestep, steps))
        assert deviations[0] < 2e-3 and deviations[0] / deviations[1] == pytest.approx(4, rel=0.1)
        assert atoms.get_kinetic_energy() > 1e-2
        assert calc.results["energy_std"] > 0
        assert calc.results["free_energy"] == atoms.get_potential_energy(force_consistent=True)
        with pytest.raises(PropertyNotImplementedError):
            atoms.get_stress()


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False)])
def test_ase_stress(server: nearfar.Server, water16: Path, pbc: tuple[bool, bool, bool]) -> None:
    """By differences of energies of strained cells."""
    atoms = triclinic(ase.io.read(water16))
    atoms.pbc = pbc
    atoms.calc = server.calculator(model="one")
    stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
    cell, step = atoms.cell.array.copy(), 1e-5
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(cell @ strain, scale_atoms=True)
            strained.calc = atoms.calc
            energies.append(strained.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * step)
        assert slope / atoms.get_volume() == pytest.approx(stress[i, j], abs=2e-7)


def test_ase_as_eval(server: nearfar.Server, call: Call, committee: list[Path], water64: Path, tmp_path: Path) -> None:
    box = ase.io.read(water64)
    frames = [molecule(), slab(box), box]
    with server.calculator(model="all", extras="committee") as calc:
        for atoms, expected in zip(frames, evaluated(call, committee[0], frames, tmp_path)):
            atoms.calc = calc
            assert atoms.get_potential_energy() == pytest.approx(expected.get_potential_energy(), abs=1e-9)
            np.testing.assert_allclose(atoms.get_forces(), expected.get_forces(), rtol=0, atol=1e-8)
            if atoms.pbc.all():
                np.testing.assert_allclose(atoms.get_stress(), expected.get_stress(), rtol=0, atol=1e-9)
            assert calc.results["energy_std"] == pytest.approx(expected.info["energy_std"], abs=1e-9)
            np.testing.assert_allclose(calc.results["committee_energies"], expected.info["committee_energies"], atol=1e-9)
            spread = np.asarray(calc.results["committee_forces"]).std(axis=0, ddof=1)
            assert spread.shape == atoms.positions.shape


def test_ase_parameters(server: nearfar.Server) -> None:
    atoms = molecule()
    atoms.calc = server.calculator()
    first = atoms.get_potential_energy()
    atoms.calc.set(model="all")
    assert atoms.get_potential_energy() != first
    atoms.calc.set(model="one")
    assert atoms.get_potential_energy() == first
    atoms.calc.set(model="two")
    with pytest.raises(nearfar.Refused, match="no model of that name"):
        atoms.get_potential_energy()
    with pytest.raises(TypeError, match="species"):
        server.calculator(species="O H H")


def test_ase_after_an_error(server: nearfar.Server) -> None:
    atoms = molecule()
    atoms.calc = server.calculator()
    first = atoms.get_potential_energy()
    atoms.positions[2] = np.nan
    with pytest.raises(nearfar.Refused):
        atoms.get_potential_energy()
    atoms.positions = WATER
    assert atoms.get_potential_energy() == first


def test_ase_many_structures(server: nearfar.Server) -> None:
    images = [molecule() for _ in range(5)]
    for k, atoms in enumerate(images):
        atoms.positions *= 1 + 0.01 * k
    calc = server.calculator(model="all")
    results = calc.calculate_many(images)
    for atoms, r in zip(images, results):
        atoms.calc = calc
        assert r["energy"] == atoms.get_potential_energy()
        np.testing.assert_array_equal(r["forces"], atoms.get_forces())
    with pytest.raises(ValueError, match="same elements"):
        calc.calculate_many([molecule(), molecule("HOH")])


# ---- a server of one's own ----

def test_serve(potential: list[Path]) -> None:
    with nearfar.serve(potential[0], program=nearfar_path()) as server:
        place = Path(server.address.removeprefix("unix:")).parent
        assert place.stat().st_mode & 0o777 == 0o700
        assert "listening at" in server.log()
        assert np.isfinite(server.client("O H H").evaluate(WATER).energy)
    assert server.process.returncode == 0
    assert not place.exists()


def test_serve_a_list_is_a_committee(committee: list[Path]) -> None:
    with nearfar.serve([committee[0] / f"nnp-{k}" for k in (1, 2, 3)], program=nearfar_path()) as server:
        with server.client("O H H", extras="committee") as client:
            assert len(client.evaluate(WATER).extras["committee_pot"]) == 3


def test_serve_says_why_not(tmp_path: Path) -> None:
    with pytest.raises(nearfar.NearfarError, match="nothing-here"):
        nearfar.serve(tmp_path / "nothing-here", program=nearfar_path())
    with pytest.raises(nearfar.NearfarError, match="no program"):
        nearfar.serve(tmp_path, program=tmp_path / "no-nearfar")
    with pytest.raises(ValueError):
        nearfar.serve([], program=nearfar_path())


ENDS = """
import sys, nearfar
server = nearfar.serve(sys.argv[1], program=sys.argv[2])
print(server.process.pid, server.address[5:], flush=True)
if sys.argv[3] == "exception":
    raise SystemExit(3)
"""


@pytest.mark.parametrize("how", ["exception", "end"])
def test_serve_ends_with_its_process(potential: list[Path], how: str) -> None:
    """Also where there is no with-block."""
    done = subprocess.run([sys.executable, "-c", ENDS, potential[0], nearfar_path(), how], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "clients/python")}, timeout=SECONDS)
    pid, path = done.stdout.split()
    assert not Path(f"/proc/{pid}").exists() and not Path(path).parent.exists(), done.stderr


def test_serve_with_a_long_temporary_directory(potential: list[Path], tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / ("x" * 100)
    where.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(where))
    with nearfar.serve(potential[0], program=nearfar_path()) as server:
        server.client("O H H").connect()
    assert list(where.iterdir()) == []
    shutil.rmtree(where)
