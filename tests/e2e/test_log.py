# SPDX-License-Identifier: BSD-3-Clause
"""The log as JSON lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from programs import unique_name


def lines(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(autouse=True)
def has_option(call) -> None:
    if "--log" not in call("run", "--help").stdout:
        pytest.skip("no --log here")


def test_every_line_is_json(call, potential: list[Path]) -> None:
    done = call("run", *potential, f"unix:{unique_name()}", "--wait", "0", "--log", "json")
    said = lines(done.stderr)
    assert done.returncode == 1 and len(said) >= 2
    assert all(set(line) == {"time", "level", "message"} for line in said)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in said)
    assert [line["level"] for line in said][-1] == "error" and said[0]["level"] == "info"
    assert "no driver listened at" in said[-1]["message"] and not said[-1]["message"].startswith("nearfar")


def test_names_that_are_no_text(call, tmp_path: Path) -> None:
    done = call("run", "--log", "json", tmp_path / "a\"b\\c\udcff\n", "unix:x")
    assert done.returncode == 1
    assert 'a"b\\c?\n' in lines(done.stderr)[-1]["message"]
