# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess, run

import pytest

from programs import COMMITTEE, ROOT, nearfar_path


@pytest.fixture(scope="session")
def nearfar() -> Path:
    path = nearfar_path()
    assert path.exists(), f"no program at {path}: build it or set NEARFAR"
    return path


@pytest.fixture(scope="session")
def committee() -> list[Path]:
    """Eight members, Debian's package cp2k-data."""
    if not COMMITTEE.exists():
        pytest.skip("Debian's package cp2k-data is not installed")
    return [COMMITTEE]


@pytest.fixture(scope="session")
def potential(committee: list[Path]) -> list[Path]:
    """One member: eight times fewer networks."""
    return [committee[0] / "nnp-1"]


@pytest.fixture(scope="session")
def water64() -> Path:
    return ROOT / "clients/demo/water-192.xyz"


@pytest.fixture(scope="session")
def water16() -> Path:
    """A cell smaller than twice the cutoff: atoms see their own images."""
    return Path(__file__).parent / "water-48.xyz"


@pytest.fixture
def call(nearfar: Path, tmp_path: Path):
    """call("eval", ...): runs nearfar to its end."""
    def call(*args: object, seconds: float = 60) -> CompletedProcess[str]:
        return run([str(nearfar), *map(str, args)], cwd=tmp_path, capture_output=True, text=True, timeout=seconds)
    return call


def says(stderr: str, *words: str) -> None:
    """The error is one sentence, the last line, and has these words in it."""
    lines = stderr.strip().splitlines()
    assert lines and lines[-1].startswith("nearfar: "), stderr
    for word in words:
        assert word in lines[-1], f"'{word}' is not in: {lines[-1]}"


def refused(done: CompletedProcess[str], *words: str) -> None:
    """An ordinary failure: a small exit status, no signal, one sentence."""
    assert 0 < done.returncode < 100, f"status {done.returncode}: {done.stderr}"
    says(done.stderr, *words)


__all__: Sequence[str] = ("refused", "says")
