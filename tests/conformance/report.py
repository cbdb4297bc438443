# SPDX-License-Identifier: BSD-3-Clause
"""The table on the terminal, and the same as JSON."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from case import CASES, Options, Result, Verdict

COLOURS = {Verdict.PASS: "32", Verdict.WARN: "33", Verdict.FAIL: "31;1", Verdict.NOT: "2"}


def width() -> int:
    return max(len(one.title) for one in CASES)


def line(result: Result) -> str:
    word = f"{result.verdict.value:4}"
    if sys.stdout.isatty():
        word = f"\033[{COLOURS[result.verdict]}m{word}\033[0m"
    return f"{result.case.title:{width()}}  {word}  {result.reason}".rstrip()


def counts(results: Sequence[Result]) -> dict[str, int]:
    counter = Counter(result.verdict for result in results)
    return {verdict.value.lower(): counter[verdict] for verdict in Verdict}


def summary(results: Sequence[Result]) -> str:
    found = counts(results)
    seconds = sum(result.seconds for result in results)
    return (f"{len(results)} cases: {found['pass']} pass, {found['warn']} warn, {found['fail']} fail, "
            f"{found['n/a']} not applicable; {seconds:.0f} s")


def by_group(results: Sequence[Result]) -> str:
    """pass / warn / fail / not applicable of each group, for a table of several drivers."""
    groups = dict.fromkeys(result.case.group for result in results)
    rows = {g: counts([r for r in results if r.case.group == g]) for g in groups}
    return "\n".join(f"{group:12}" + " / ".join(str(n) for n in found.values()) for group, found in rows.items())


def write_json(path: Path, options: Options, results: Sequence[Result]) -> None:
    cases = [{"name": r.case.title, "verdict": r.verdict.value.lower(), "reason": r.reason, "output": r.output,
              "seconds": round(r.seconds, 3), "about": r.case.about} for r in results]
    path.write_text(json.dumps({"command": shlex.join(options.command), "atoms": options.structure.natoms,
                                "counts": counts(results), "cases": cases}, indent=1) + "\n")
