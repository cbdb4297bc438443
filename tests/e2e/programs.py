# SPDX-License-Identifier: BSD-3-Clause
"""Programs that are started for a test: never outlive it, never hang it, and show their words when it fails."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMITTEE = Path("/usr/share/cp2k/NNP/bulkH2O-jcp2020-cnnp")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def nearfar_path() -> Path:
    return Path(os.environ.get("NEARFAR", ROOT / "build/nearfar")).resolve()


def unique_name() -> str:
    """Of a unix socket in /tmp/ipi_*."""
    return f"nearfar-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Program:
    """A program with its output in a file."""

    def __init__(self, name: str, command: Sequence[object], where: Path) -> None:
        self.name, self.log = name, where / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(c) for c in command], cwd=where, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env={**os.environ, **ONE_THREAD}, start_new_session=True)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def story(self) -> str:
        """For the message of a failed assertion."""
        return f"{self.name} (status {self.process.poll()}):\n{self.text()[-3000:]}"

    def wait(self, seconds: float) -> int:
        """Its exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s: {self.story()}") from None
