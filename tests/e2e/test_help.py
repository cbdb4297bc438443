# SPDX-License-Identifier: BSD-3-Clause
"""Help with examples for every command, and words for those who mistype."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Call = Callable[..., "CompletedProcess[str]"]


def commands(call: Call) -> list[str]:
    """All that the program names."""
    return re.findall(r"^  nearfar (\w+) +\w", call("--help").stdout.split("EXAMPLES")[0], re.M)


def examples(text: str) -> list[str]:
    return re.findall(r"^  (nearfar .*)$", text.split("EXAMPLES")[1], re.M)


def test_top_level(call: Call) -> None:
    done = call("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert {"run", "eval", "status", "inspect", "bench"} <= set(commands(call))
    assert examples(done.stdout)
    assert call("help").stdout == call("-h").stdout == done.stdout


def test_every_command(call: Call) -> None:
    for command in commands(call):
        done = call(command, "--help")
        assert done.returncode == 0 and done.stderr == "", command
        assert done.stdout.startswith(f"usage: nearfar {command} ")
        assert all(line.startswith(f"nearfar {command} ") for line in examples(done.stdout))
        assert len(examples(done.stdout)) >= 2, command
        assert call("help", command).stdout == done.stdout
        assert all(len(line) <= 120 for line in done.stdout.splitlines())


def test_examples_use_options_that_exist(call: Call) -> None:
    for command in commands(call):
        text = call(command, "--help").stdout
        known = set(re.findall(r"--?[\w-]+", text.split("EXAMPLES")[0]))
        for line in examples(text):
            for word in shlex.split(line):
                assert not word.startswith("-") or word in known, line


def test_run_lists_parameters(call: Call) -> None:
    text = call("run", "--help").stdout
    for key in ("species", "extras", "charge", "part", "batch_size"):
        assert re.search(rf"^  {key} +\w", text.split("PARAMETERS")[1], re.M), key


@pytest.mark.parametrize("words, meant", [
    (["run", "--specie", "x"], "--species"),
    (["run", "--specie=x"], "--species"),
    (["run", "--thraeds", "2"], "--threads"),
    (["run", "--print_ipi"], "--print-ipi"),
    (["eval", "--otput", "x"], "--output"),
    (["inspect", "--jsno"], "--json"),
    (["bench", "--hepl"], "--help"),
    (["evla", "x"], "'eval'"),
    (["benc"], "'bench'"),
    (["help", "rnu"], "'run'"),
])
def test_mistyped(call: Call, words: list[str], meant: str) -> None:
    done = call(*words)
    assert done.returncode == 2 and f"did you mean {meant}?" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nothing_like_it(call: Call) -> None:
    done = call("run", "--frobnicate")
    assert done.returncode == 2 and "--frobnicate" in done.stderr and "did you mean" not in done.stderr
    done = call("frobnicate")
    assert done.returncode == 2 and "frobnicate" in done.stderr and "nearfar run" in done.stderr
