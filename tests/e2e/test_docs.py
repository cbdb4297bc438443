# SPDX-License-Identifier: BSD-3-Clause
"""The manual keeps up with the program: every message is in the catalogue, every option in the man page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from programs import ROOT

SOURCES = [p for d in ("core", "protocol", "server", "cli") for p in sorted((ROOT / d).rglob("*.c"))]
CALL = re.compile(r"\b(?:nf_fail|nf_log_write|nf_server_log|nf_link_fail|end|wrong|broken)\s*\(")
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
DIRECTIVE = re.compile(r"%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|j|z|t|L)?[diouxXeEfgGaAcspn]")


def arguments(text: str, start: int) -> str:
    """What stands between the parenthesis before `start` and its partner."""
    depth, i = 1, start
    while depth > 0:
        if text[i] == '"':
            i = LITERAL.match(text, i).end()
            continue
        depth += (text[i] == "(") - (text[i] == ")")
        i += 1
    return text[start:i - 1]


def pattern(literal: str) -> str:
    """A format as the catalogue prints it: … for what differs from case to case."""
    return DIRECTIVE.sub("…", literal).replace("%%", "%").replace('\\"', '"').replace("…:…: ", "").strip()


def messages(path: Path) -> list[str]:
    """The sentences that a source file can say."""
    text, found = path.read_text(), []
    for call in CALL.finditer(text):
        inside = re.sub(r'"\s*\n\s*"', "", arguments(text, call.end()))
        inside = re.sub(r'"\s*"', "", inside)
        found += [pattern(m.group(1)) for m in LITERAL.finditer(inside)]
    return [m for m in found if len(re.sub(r"[…\W]", "", m)) > 12]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_message_is_in_the_catalogue(path: Path) -> None:
    catalogue = (ROOT / "docs/errors.md").read_text()
    missing = [m for m in messages(path) if m not in catalogue]
    assert not missing, missing


@pytest.mark.parametrize("command", ["run", "listen", "eval", "status", "inspect", "bench"])
def test_every_option_is_in_the_man_page(nearfar: Path, command: str) -> None:
    text = subprocess.run([nearfar, command, "--help"], capture_output=True, text=True, check=True).stdout
    manual = (ROOT / "docs/nearfar.1").read_text().replace("\\-", "-")
    section = re.search(rf"^\.SH {command.upper()}$(.*?)(?=^\.SH|\Z)", manual, re.S | re.M)
    assert section, f"no section {command}"
    missing = [o for o in re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", text, re.M)
               if o != "--help" and o not in section.group(1)]
    assert not missing, missing


def test_the_catalogue_has_only_what_can_be_said() -> None:
    known = {m for path in SOURCES for m in messages(path)}
    listed = re.findall(r"^\| `(.*?)` \|", (ROOT / "docs/errors.md").read_text(), re.M)
    assert [m for m in listed if m not in known and not m.startswith("NF_")] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_can_be_found(nearfar: Path) -> None:
    """From the README or from a page that it leads to, and from the man page."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    linked = {Path(link).name for page in pages for link in re.findall(r"\]\(([^)#:]+)", page.read_text())}
    manual = (ROOT / "docs/nearfar.1").read_text()
    assert [p.name for p in pages[1:] if p.name not in linked or p.name not in manual] == []
