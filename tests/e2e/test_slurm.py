# SPDX-License-Identifier: BSD-3-Clause
"""The job script of clients/slurm with a stand-in for Slurm (tests/e2e/slurm): real i-PI, real nearfar, one node."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from ipi import Simulation
from programs import ROOT, Program, nearfar_path, unique_name

SCRIPT = ROOT / "clients/slurm/water.sh"
I_PI = Path(sys.executable).with_name("i-pi")
STAND_INS = Path(__file__).parent / "slurm"
SECONDS = 60.0
STOPPED = 75
ENDLESS = 100000


class Job:
    """The batch script on its node, as slurmstepd would start it."""

    def __init__(self, where: Path, model: Path, number: str, restarts: int = 0, **more: str) -> None:
        self.where, self.tasks, self.number = where, where / "tasks", number
        self.tasks.mkdir(exist_ok=True)
        for old in self.tasks.iterdir():
            old.unlink()
        here = {"PATH": f"{STAND_INS}:{os.environ['PATH']}", "STAND_IN_TASKS": str(self.tasks),
                "SLURM_JOB_ID": number, "SLURM_CPUS_PER_TASK": "2", "SLURM_RESTART_COUNT": str(restarts),
                "I_PI": str(I_PI), "NEARFAR": str(nearfar_path()), "MODEL": str(model), **more}
        words = [f"{key}={value}" for key, value in here.items()]
        self.script = Program(f"job-{restarts}", ["env", *words, "bash", SCRIPT], where)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *exc: object) -> None:
        for pid in (*self.pids("i-pi"), *self.pids("nearfar")):
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.script.__exit__(*exc)

    def pids(self, name: str) -> list[int]:
        """Of all tasks of that name so far; the last may still run."""
        program, file = str(I_PI if name == "i-pi" else nearfar_path()), self.tasks / "srun"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [int(pid) for pid, *words in lines if program in words]

    @property
    def sockets(self) -> Path:
        return Path(f"/tmp/nearfar-{os.getuid()}-{self.number}")

    def story(self) -> str:
        logs = [self.where / "i-pi.log", self.where / "nearfar.log"]
        return "\n".join([self.script.story(), *(f"{p.name}:\n{p.read_text()[-2000:]}" for p in logs if p.exists())])

    def until(self, what: Callable[[], bool]) -> None:
        """While the job runs."""
        deadline = time.monotonic() + SECONDS
        while not what():
            assert self.script.process.poll() is None, f"ended\n{self.story()}"
            assert time.monotonic() < deadline, f"in vain\n{self.story()}"
            time.sleep(0.05)

    def has_steps(self, n: int) -> bool:
        return len(steps(self.where)) >= n

    def ends(self, status: int, *words: str) -> None:
        """With nothing left behind: no task, no socket, no EXIT; and no word of the shell's own."""
        assert self.script.wait(SECONDS) == status, self.story()
        assert SCRIPT.name not in self.script.text(), self.story()
        for word in words:
            assert word in self.script.text(), self.story()
        assert not [p for name in ("i-pi", "nearfar") for p in self.pids(name) if Path(f"/proc/{p}").exists()]
        assert not self.sockets.exists()
        assert not (self.where / "EXIT").exists()


def steps(where: Path) -> list[int]:
    """What run.out has, in its order."""
    if not (where / "run.out").exists():
        return []
    lines = (where / "run.out").read_text().splitlines(keepends=True)
    return [int(float(line.split()[0])) for line in lines if line.endswith("\n") and not line.startswith("#")]


def prepare(where: Path, start: Path, total: int, name: str = "water") -> Path:
    """A directory as a user has it."""
    where.mkdir(parents=True, exist_ok=True)
    (where / "start.xyz").write_text(start.read_text())
    text = Simulation(start, steps=total, outputs="").input(name)
    text = text.replace("filename='out' stride='1'", "filename='out' stride='1' flush='1'")
    (where / "input.xml").write_text(text.replace(f"stride='{total}' overwrite", "stride='5' overwrite"))
    return where


def enough(where: Path, total: int) -> None:
    """A run that was cut into pieces must end after so many steps."""
    for name in ("RESTART", "run.checkpoint", "input.xml"):
        if (where / name).exists():
            text = (where / name).read_text().replace(f"{ENDLESS} </total_steps>", f"{total} </total_steps>")
            (where / name).write_text(text.replace(f">{ENDLESS}<", f">{total}<"))


@pytest.fixture
def run(water16: Path, tmp_path: Path) -> Callable[..., Path]:
    return lambda total=ENDLESS, name="run": prepare(tmp_path / name, water16, total)


@pytest.fixture
def submit(potential: list[Path]) -> Iterator[Callable[..., Job]]:
    """submit(directory, ...): a job that is cleared away whatever happens to it."""
    with ExitStack() as stack:
        yield lambda where, number=None, **more: stack.enter_context(
            Job(where, potential[0], number or unique_name(), **more))


def test_a_whole_run(run: Callable[..., Path], submit: Callable[..., Job]) -> None:
    where = run(20)
    submit(where).ends(0, "done: 20 steps")
    assert steps(where) == list(range(21))
    submit(where, restarts=1).ends(0, "nothing left to do")


def test_wall_time_and_on(run: Callable[..., Path], submit: Callable[..., Job]) -> None:
    """Stopped before the end, then submitted again: every step once, and the same ones as in one go."""
    where = run()
    job = submit(where)
    job.until(lambda: job.has_steps(10))
    job.script.process.send_signal(signal.SIGUSR1)
    job.ends(STOPPED, "stopped after", "(status of i-PI 0, of nearfar 0)")
    so_far = len(steps(where))
    assert so_far > 10
    enough(where, so_far + 20)
    submit(where, restarts=1).ends(0, f"done: {so_far + 20} steps", f"step {so_far - 1}")
    assert steps(where) == list(range(so_far + 21))

    whole = run(so_far + 20, "whole")
    submit(whole).ends(0)
    pieces, one = (np.loadtxt(w / "run.out") for w in (where, whole))
    np.testing.assert_allclose(pieces[:, 2], one[:, 2], rtol=1e-9)


def test_requeued(run: Callable[..., Path], submit: Callable[..., Job]) -> None:
    where = run()
    job = submit(where, REQUEUE="yes")
    job.until(lambda: job.has_steps(3))
    job.script.process.send_signal(signal.SIGTERM)
    job.ends(STOPPED)
    assert (job.tasks / "scontrol").read_text().split() == ["requeue", job.number]


def test_everything_is_told_to_end(run: Callable[..., Path], submit: Callable[..., Job]) -> None:
    """As scancel does it: SIGTERM to the steps, and to the script."""
    where = run()
    job = submit(where)
    job.until(lambda: job.has_steps(3))
    for pid in (*job.pids("nearfar"), *job.pids("i-pi"), job.script.process.pid):
        os.kill(pid, signal.SIGTERM)
    job.ends(STOPPED)
    assert (where / "RESTART").exists()


def test_equal_names_on_one_node(run: Callable[..., Path], submit: Callable[..., Job]) -> None:
    """Two jobs with the same <address> do not meet."""
    first, second = submit(run(30, "a")), submit(run(40, "b"))
    first.ends(0, "done: 30 steps")
    second.ends(0, "done: 40 steps")


def stopped_with_a_whole_state(job: Job, where: Path) -> bool:
    """i-PI writes its checkpoint over the one before: killed in the midst of that, it has none. It stays stopped if not."""
    checkpoint = where / "run.checkpoint"
    pids = job.pids("i-pi")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    if checkpoint.exists() and checkpoint.read_text().rstrip().endswith("</simulation>"):
        return True
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    return False


def test_after_a_kill(run: Callable[..., Path], submit: Callable[..., Job]) -> None:
    """The node went down: sockets, EXIT and half a state are left; the requeued job goes on from the last whole one."""
    where = run()
    job = submit(where)
    job.until(lambda: job.has_steps(12) and stopped_with_a_whole_state(job, where))
    for pid in (job.script.process.pid, *job.pids("i-pi"), *job.pids("nearfar")):
        os.kill(pid, signal.SIGKILL)
    job.script.process.wait()
    assert list(job.sockets.iterdir())
    (where / "EXIT").touch()
    (where / "RESTART").write_text("<simulation>\n  <step> 99 </step>\n")
    done = steps(where)[-1]
    enough(where, done + 10)
    submit(where, job.number, restarts=1).ends(0, f"done: {done + 10} steps", "from run.checkpoint")
    assert sorted(set(steps(where))) == list(range(done + 11))


def test_nearfar_killed(run: Callable[..., Path], submit: Callable[..., Job]) -> None:
    """As by the kernel when memory is short: a new one is started, and no step is lost."""
    where = run(150)
    job = submit(where)
    job.until(lambda: job.has_steps(5))
    os.kill(job.pids("nearfar")[-1], signal.SIGKILL)
    job.ends(0, "nearfar was killed (status 137): started again", "done: 150 steps")
    assert len(job.pids("nearfar")) == 2
    assert steps(where) == list(range(151))


def test_nearfar_fails(run: Callable[..., Path], submit: Callable[..., Job]) -> None:
    """It ends with an error: i-PI, which would wait for ever, is ended, and the job has failed. No second try."""
    where = run()
    (where / "start.xyz").write_text("3\n\n" + "\n".join(f"{e} 0 0 {k}" for k, e in enumerate("OHH")))
    job = submit(where, REQUEUE="yes")
    job.ends(1, "nearfar failed (status 1)")
    assert len(job.pids("nearfar")) == 1 and not (job.tasks / "scontrol").exists()


@pytest.mark.parametrize("how", ["input", "program"])
def test_ipi_fails_at_start(run: Callable[..., Path], submit: Callable[..., Job], how: str) -> None:
    """nearfar does not wait for it."""
    where, begin = run(), time.monotonic()
    if how == "input":
        (where / "input.xml").write_text("<simulation> <nonsense/> </simulation>")
    job = submit(where, **({"I_PI": "/no/such/i-pi"} if how == "program" else {}))
    job.ends(1, "i-PI failed")
    assert time.monotonic() - begin < 20


def test_processors_are_split(run: Callable[..., Path], submit: Callable[..., Job]) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("one processor")
    where = run()
    job = submit(where, IPI_CPUS="1")
    job.until(lambda: job.has_steps(1))
    assert os.sched_getaffinity(job.pids("i-pi")[-1]) == {allowed[0]}
    assert os.sched_getaffinity(job.pids("nearfar")[-1]) == {allowed[1]}
    job.script.process.send_signal(signal.SIGUSR1)
    job.ends(STOPPED)
