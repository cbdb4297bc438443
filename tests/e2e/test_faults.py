# SPDX-License-Identifier: BSD-3-Clause
"""What breaks in long runs: programs that are killed or stopped, drivers that come again, peers that dawdle, too few
files. Who is not concerned must not notice, and no number may differ."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from ipi import Simulation, printed, remove_socket
from programs import Program, nearfar_path, unique_name
from test_fairness import Listener, moved
from wire import posdata

SECONDS = 60.0
PATIENCE = 2  # <timeout> of i-PI, in seconds
STEPS = 200


class Stage:
    """Programs of one test, in a directory; all are gone when it ends."""

    def __init__(self, where: Path, stack: ExitStack) -> None:
        self.where, self.stack = where, stack
        self.programs: list[Program] = []

    def start(self, name: str, *command: object, where: Path | None = None) -> Program:
        self.programs.append(self.stack.enter_context(Program(name, command, where or self.where)))
        return self.programs[-1]

    def ipi(self, file: str, where: Path | None = None) -> Program:
        return self.start(f"i-pi-{len(self.programs)}", Path(sys.executable).with_name("i-pi"), file, where=where)

    def nearfar(self, *words: object) -> Program:
        self.stack.callback(remove_socket, words)
        return self.start(f"nearfar-{len(self.programs)}", nearfar_path(), "run", *words)

    def story(self) -> str:
        return "\n".join(p.story() for p in self.programs)

    def until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not what():
            assert time.monotonic() < deadline, self.story()
            time.sleep(0.02)

    def until_step(self, n: int, ipi: Program, where: Path | None = None) -> None:
        path = (where or self.where) / "run.out"
        self.until(lambda: ipi.process.poll() is not None or last_step(path) >= n)
        assert ipi.process.poll() is None, f"it was too quick, or failed: {self.story()}"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(tmp_path, stack)


def last_step(path: Path) -> int:
    lines = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith("#")] \
        if path.exists() else []
    return int(float(lines[-1].split()[0])) if lines and lines[-1].endswith("\n") else -1


def write_input(where: Path, simulation: Simulation, name: str) -> None:
    """With outputs that are there at once, a checkpoint every ten steps, and a driver that may be given up."""
    where.mkdir(exist_ok=True)
    text = simulation.input(name)
    for old, new in (("filename='out' stride='1'", "filename='out' stride='1' flush='1'"),
                     ("<latency>1e-4</latency>", f"<latency>1e-4</latency><timeout>{PATIENCE}</timeout>"),
                     (f"<checkpoint stride='{simulation.steps}'", "<checkpoint stride='10'")):
        assert old in text
        text = text.replace(old, new)
    (where / "input.xml").write_text(text)


def same(one: Path, other: Path) -> None:
    expected, found = printed(one), printed(other)
    assert expected.keys() == found.keys()
    for name in expected:
        assert found[name] == expected[name], f"{name} differs"


# ---- one of several nearfars ----

@pytest.fixture(scope="module")
def ring(potential: list[Path], water16: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Simulation, Path]:
    """Four beads, and how they move if nothing happens."""
    simulation = Simulation(water16, steps=STEPS // 2, beads=4, ensemble="nvt", models=potential)
    return simulation, simulation.run(tmp_path_factory.mktemp("ring")).where


def start_ring(stage: Stage, simulation: Simulation) -> tuple[Program, list[Program]]:
    name = unique_name()
    write_input(stage.where, simulation, name)
    ipi = stage.ipi("input.xml")
    return ipi, [stage.nearfar(*simulation.models, f"unix:{name}", "--species", simulation.start, "--links", "1")
                 for _ in range(3)]


def test_one_of_three_is_killed(stage: Stage, ring: tuple[Simulation, Path]) -> None:
    ipi, servers = start_ring(stage, ring[0])
    stage.until_step(10, ipi)
    os.kill(servers[1].process.pid, signal.SIGKILL)
    assert ipi.wait(SECONDS) == 0, stage.story()
    assert servers[0].wait(SECONDS) == servers[2].wait(SECONDS) == 0, stage.story()
    same(ring[1], stage.where)


def test_one_of_three_is_stopped(stage: Stage, ring: tuple[Simulation, Path]) -> None:
    """i-PI gives it up after <timeout>; woken up, it says so and ends."""
    ipi, servers = start_ring(stage, ring[0])
    stage.until_step(10, ipi)
    os.kill(servers[1].process.pid, signal.SIGSTOP)
    assert ipi.wait(SECONDS) == 0, stage.story()
    assert "got unresponsive" in ipi.text()
    same(ring[1], stage.where)
    os.kill(servers[1].process.pid, signal.SIGCONT)
    assert servers[1].wait(SECONDS) < 100, stage.story()
    assert servers[1].text().splitlines()[-1].startswith("nearfar: ")
    assert servers[0].wait(SECONDS) == servers[2].wait(SECONDS) == 0, stage.story()


def test_the_last_one_is_killed_and_another_comes(stage: Stage, ring: tuple[Simulation, Path]) -> None:
    """i-PI waits with the step that is under way."""
    ipi, servers = start_ring(stage, ring[0])
    stage.until_step(10, ipi)
    for server in servers:
        os.kill(server.process.pid, signal.SIGKILL)
    address = servers[0].process.args[-5]
    assert address.startswith("unix:")
    fresh = stage.nearfar(*ring[0].models, address, "--species", ring[0].start)
    assert ipi.wait(SECONDS) == 0 and fresh.wait(SECONDS) == 0, stage.story()
    same(ring[1], stage.where)


# ---- the driver comes again ----

def test_ipi_is_killed_and_goes_on(stage: Stage, potential: list[Path], water16: Path) -> None:
    """From its checkpoint, with the same nearfar; the steps behind the checkpoint come out as before."""
    name = unique_name()
    write_input(stage.where, Simulation(water16, steps=STEPS, outputs=""), name)
    server = stage.nearfar(*potential, f"unix:{name}", "--species", water16, "--reconnect")
    first = stage.ipi("input.xml")
    stage.until_step(25, first)
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    remove_socket([f"unix:{name}"])
    second = stage.ipi("run.checkpoint")
    assert second.wait(SECONDS) == 0, stage.story()
    out = np.loadtxt(stage.where / "run.out")
    assert sorted(set(out[:, 0])) == list(range(STEPS + 1))
    for step in range(STEPS + 1):
        twice = out[out[:, 0] == step]
        np.testing.assert_allclose(twice, twice[:1].repeat(len(twice), axis=0), rtol=1e-12)
    assert server.process.poll() is None, stage.story()
    server.process.terminate()
    assert server.wait(SECONDS) == 0, stage.story()


def test_ipi_ends_and_starts_anew(stage: Stage, potential: list[Path], water16: Path) -> None:
    """Three runs, each to its end, one nearfar."""
    name = unique_name()
    server = stage.nearfar(*potential, f"unix:{name}", "--species", water16, "--reconnect")
    for k in range(3):
        where = stage.where / str(k)
        write_input(where, Simulation(water16, steps=10), name)
        assert stage.ipi("input.xml", where).wait(SECONDS) == 0, stage.story()
    same(stage.where / "0", stage.where / "1")
    same(stage.where / "0", stage.where / "2")
    server.process.terminate()
    assert server.wait(SECONDS) == 0, stage.story()


def again(listener: Listener) -> None:
    """Listens at the same place after it was closed."""
    listener.path.unlink(missing_ok=True)
    listener.listener = socket.socket(socket.AF_UNIX)
    listener.listener.bind(str(listener.path))
    listener.listener.listen(4)
    listener.listener.settimeout(SECONDS)


@pytest.mark.parametrize("when", ["idle", "half a message", "computing", "at once"])
def test_the_listener_restarts(stage: Stage, potential: list[Path], water16: Path, when: str) -> None:
    """Wherever the connection is cut, the next one begins at NEEDINIT and has the same forces."""
    driver = Listener(stage.where / "s", water16)
    server = stage.nearfar(*potential, f"unix:{driver.path}", "--species", water16, "--links", "1", "--reconnect")
    driver.meet(server)
    driver.announce(1)
    forces = driver.step(driver.start)
    if when == "half a message":
        driver.send("POSDATA", *posdata(driver.start, cell=driver.cell)[:3], b"x" * 100)
    elif when == "computing":
        driver.send("POSDATA", *posdata(driver.start * 1.001, cell=driver.cell))
        driver.send("GETFORCE")
    for _ in range(3 if when == "at once" else 1):
        driver.close()
        again(driver)
        driver.meet(server)
    driver.announce(1)
    np.testing.assert_array_equal(driver.step(driver.start), forces)
    server.process.terminate()
    driver.ends(True)
    driver.close()


def test_a_listener_that_is_gone_for_a_while(stage: Stage, potential: list[Path], water16: Path) -> None:
    """nearfar sleeps meanwhile, says once that it waits, and is there soon after."""
    driver = Listener(stage.where / "s", water16)
    server = stage.nearfar(*potential, f"unix:{driver.path}", "--species", water16, "--links", "1", "--reconnect")
    driver.meet(server)
    driver.announce(1)
    driver.step(driver.start)
    driver.close()
    driver.path.unlink()
    time.sleep(0.5)
    busy, lines = processor_seconds(server), len(server.text().splitlines())
    time.sleep(3)
    assert processor_seconds(server) - busy < 0.3
    assert len(server.text().splitlines()) - lines <= 1, server.text()
    again(driver)
    begin = time.monotonic()
    driver.meet(server)
    assert time.monotonic() - begin < 10
    driver.announce(1)
    driver.step(driver.start)
    server.process.terminate()
    driver.ends(True)
    driver.close()


def processor_seconds(program: Program) -> float:
    fields = Path(f"/proc/{program.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- two simulations in one process ----

@pytest.fixture(scope="module")
def apart(committee: list[Path], water16: Path, water64: Path,
          tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Simulation, Path]]:
    """Two models, two boxes, each alone."""
    both = [Simulation(water16, steps=150, models=[committee[0] / "nnp-1"]),
            Simulation(water64, steps=20, beads=2, ensemble="nvt", models=[committee[0] / "nnp-2"])]
    return [(s, s.run(tmp_path_factory.mktemp("apart")).where) for s in both]


def start_both(stage: Stage, both: list[tuple[Simulation, Path]]) -> tuple[list[Program], Program]:
    drivers, words = [], []
    for k, (simulation, _) in enumerate(both):
        name, where = unique_name(), stage.where / str(k)
        stage.stack.callback(remove_socket, [f"unix:{name}"])
        write_input(where, simulation, name)
        drivers.append(stage.ipi("input.xml", where))
        words += [*simulation.models, f"unix:{name},species={simulation.start}"]
    return drivers, stage.nearfar(*words)


def test_two_simulations_in_one_process(stage: Stage, apart: list[tuple[Simulation, Path]]) -> None:
    drivers, server = start_both(stage, apart)
    assert [d.wait(SECONDS) for d in drivers] == [0, 0], stage.story()
    assert server.wait(SECONDS) == 0, stage.story()
    for k, (_, alone) in enumerate(apart):
        same(alone, stage.where / str(k))


def test_one_of_two_simulations_is_killed(stage: Stage, apart: list[tuple[Simulation, Path]]) -> None:
    """The other goes on; the status tells in the end that something was amiss."""
    drivers, server = start_both(stage, apart)
    stage.until_step(1, drivers[0], stage.where / "0")
    stage.until_step(1, drivers[1], stage.where / "1")
    os.kill(drivers[1].process.pid, signal.SIGKILL)
    assert drivers[0].wait(SECONDS) == 0, stage.story()
    same(apart[0][1], stage.where / "0")
    assert server.wait(SECONDS) < 100, stage.story()


# ---- too few files ----

def no_more_files(program: Program) -> tuple[int, int]:
    """It may open none any more; the limit from before."""
    used = {int(p.name) for p in Path(f"/proc/{program.process.pid}/fd").iterdir()}
    lowest = next(n for n in range(len(used) + 1) if n not in used)
    old = resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE)
    return resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (lowest, old[1]))


def test_no_file_for_a_second_address(stage: Stage, potential: list[Path], water16: Path) -> None:
    """The first goes on; as soon as there are files again, the second is served."""
    first, second = Listener(stage.where / "a", water16), Listener(stage.where / "b", water16)
    second.listener.close()
    second.path.unlink()
    server = stage.nearfar(*potential, f"unix:{first.path}", f"unix:{second.path}", "--species", water16, "--links", "1")
    first.meet(server)
    first.announce(1)
    forces = first.step(first.start)
    old = no_more_files(server)
    again(second)
    for _ in range(20):
        np.testing.assert_array_equal(first.step(first.start), forces)
        time.sleep(0.02)
    assert server.process.poll() is None, server.story()
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, old)
    second.meet(server)
    second.announce(1)
    np.testing.assert_array_equal(second.step(second.start), forces)
    for driver in (first, second):
        driver.send("EXIT")
        driver.close()
    first.ends(True)


def test_no_file_for_another_client(stage: Stage, potential: list[Path], water16: Path) -> None:
    """nearfar listens: who is there is served, who comes is not, or later; the processor is not kept busy by it."""
    place = stage.where / "forces"
    server = stage.start("nearfar", nearfar_path(), "listen", f"unix:{place}", *potential, "--species", water16)
    first = client(place, server, water16)
    forces = first.step(first.start)
    old = no_more_files(server)
    with socket.socket(socket.AF_UNIX) as unlucky:
        unlucky.connect(str(place))
        busy = processor_seconds(server)
        time.sleep(1)
        assert processor_seconds(server) - busy < 0.3
        for _ in range(20):
            np.testing.assert_array_equal(first.step(first.start), forces)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, old)
    third = client(place, server, water16)
    np.testing.assert_array_equal(third.step(third.start), forces)
    server.process.terminate()
    first.ends(True)


def client(place: Path, server: Program, box: Path) -> Listener:
    """Speaks the driver's side over a connection that it opened."""
    one = Listener(place.with_name(f"unused-{time.monotonic_ns()}"), box)
    one.nearfar, one.link = server, socket.socket(socket.AF_UNIX)
    one.link.settimeout(SECONDS)
    deadline = time.monotonic() + SECONDS
    while one.link.connect_ex(str(place)) != 0:  # the file is there a moment before it listens
        assert time.monotonic() < deadline and server.process.poll() is None, server.story()
        time.sleep(0.02)
    one.announce(1)
    return one


# ---- a peer that dawdles ----

def test_a_byte_now_and_then(stage: Stage, potential: list[Path], water16: Path) -> None:
    """One driver needs seconds for a message; the other has its steps as quickly as alone, and both the right ones."""
    slow, fast = Listener(stage.where / "slow", water16), Listener(stage.where / "fast", water16)
    server = stage.nearfar(*potential, f"unix:{slow.path}", f"unix:{fast.path}", "--species", water16, "--links", "1")
    for driver in (slow, fast):
        driver.meet(server)
        driver.announce(1)
    forces = fast.step(fast.start)
    frames = moved(fast.start, 20)
    alone = seconds_of(fast, frames)
    message = b"POSDATA     " + b"".join(posdata(slow.start, cell=slow.cell)) + b"GETFORCE    "
    ended = threading.Event()
    sender = threading.Thread(target=trickle, args=(slow.link, message, ended))
    sender.start()
    try:
        beside = [seconds_of(fast, frames) for _ in range(3)]
    finally:
        ended.set()
        sender.join()
    assert min(beside) < 5 * alone + 0.1
    np.testing.assert_array_equal(slow.forces()[1], forces)
    for driver in (slow, fast):
        driver.send("EXIT")
        driver.close()
    fast.ends(True)


def trickle(link: socket.socket, message: bytes, ended: threading.Event) -> None:
    """Byte after byte, until nobody needs it any more; then the rest."""
    for k in range(len(message)):
        if ended.wait(0.05):
            link.sendall(message[k:])
            return
        link.sendall(message[k:k + 1])


def seconds_of(driver: Listener, frames: np.ndarray) -> float:
    begin = time.monotonic()
    for frame in frames:
        driver.step(frame)
    return time.monotonic() - begin


def test_a_peer_that_does_not_read(stage: Stage, potential: list[Path], water64: Path) -> None:
    """It asks and never takes the replies: they wait for it, and for nobody else."""
    deaf, fast = Listener(stage.where / "deaf", water64), Listener(stage.where / "fast", water64)
    server = stage.nearfar(*potential, f"unix:{deaf.path}", f"unix:{fast.path}", "--species", water64, "--links", "1")
    for driver in (deaf, fast):
        driver.meet(server)
        driver.announce(1)
    forces = fast.step(fast.start)
    deaf.link.setblocking(False)
    step = b"POSDATA     " + b"".join(posdata(deaf.start, cell=deaf.cell)) + b"GETFORCE    "
    sent, deadline = 0, time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            sent += deaf.link.send(step[sent % len(step):])
        except BlockingIOError:
            np.testing.assert_array_equal(fast.step(fast.start), forces)
    deaf.link.settimeout(SECONDS)
    rest = threading.Thread(target=deaf.link.sendall, args=(step[sent % len(step):] if sent % len(step) else b"",))
    rest.start()
    for _ in range(-(-sent // len(step))):
        np.testing.assert_array_equal(deaf.forces()[1], forces)
    rest.join()
    for driver in (deaf, fast):
        driver.send("EXIT")
        driver.close()
    fast.ends(True)
