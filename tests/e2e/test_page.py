# SPDX-License-Identifier: BSD-3-Clause
"""The live page in headless Chromium, the metrics under promtool; behind them a server that computes nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from programs import nearfar_path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")


@pytest.fixture
def url(nearfar: Path) -> Iterator[str]:
    program = nearfar_path().parent / "tests/pretend_server"
    server = subprocess.Popen([program, "-", "127.0.0.1:0", "4", "20"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    yield server.stdout.readline().split()[1]
    server.stdin.close()
    assert server.wait(20) == 0


def browse(url: str, where: Path, seconds: float) -> tuple[str, str]:
    """The document after so many seconds of its own clock, and what the browser complained of."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    done = subprocess.run([CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                           "--disable-dev-shm-usage", f"--user-data-dir={where}", "--window-size=1280,1100",
                           f"--virtual-time-budget={1000 * seconds:.0f}", "--dump-dom", url],
                          capture_output=True, text=True, timeout=120)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def words(document: str) -> str:
    """What can be read."""
    body = re.sub(r"<script.*?</script>|<style.*?</style>", "", document, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def test_page(url: str, tmp_path: Path) -> None:
    document, complaints = browse(url, tmp_path, 8)
    text = words(document)
    assert complaints == ""
    for expected in (r"nearfar serving for \d+", r"version 0\.1\.0 · process \d+ · 2 threads on cores 0-1 · avx2",
                     r"[\d.]+ steps/s [\d,]+ steps, [\d,]+ structures, 1 failure", r"[\d.]+ ms median [\d.]+ ms, 99 of 100",
                     r"\d+ % computing \d+ % waiting", r"0\.\d+ meV/atom", r"closed: the driver does not read",
                     r"tcp:localhost:31415 water waiting", r"water 1 8 H O 6\.35 /models/water/nnp-1, /models/water/nnp-2"):
        assert re.search(expected, text), f"{expected} in {text}"
    assert "NaN" not in text and "undefined" not in text and "null" not in text
    lines = re.findall(r'class="line" d="([^"]+)"', document)
    assert len(lines) == 5 and all(line.count("L") >= 2 and "NaN" not in line for line in lines)
    assert re.search(r"<title>nearfar: [\d.]+ steps/s</title>", document)
    assert len(re.findall(r"<tr>", document.split('id="links"')[1].split("</table>")[0])) == 5


def test_page_without_a_server(url: str, tmp_path: Path) -> None:
    """A copy of the page with nothing behind it says so."""
    with urllib.request.urlopen(url) as reply:
        (tmp_path / "page.html").write_bytes(reply.read())
    document, _ = browse((tmp_path / "page.html").as_uri(), tmp_path / "profile", 3)
    assert 'class="gone"' in document and "no answer" in words(document)


def test_promtool(url: str) -> None:
    if PROMTOOL is None:
        pytest.skip("no promtool is installed (Debian's package prometheus)")
    with urllib.request.urlopen(url + "metrics") as reply:
        metrics = reply.read()
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=metrics, capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stderr == b"", done.stderr.decode()


def test_every_metric_is_in_the_manual(url: str) -> None:
    with urllib.request.urlopen(url + "metrics") as reply:
        names = re.findall(r"^# TYPE (\w+)", reply.read().decode(), re.M)
    listed = re.findall(r"`(nearfar_\w+)", (Path(__file__).resolve().parents[2] / "docs/monitoring.md").read_text())
    assert len(names) > 20 and sorted(names) == sorted(set(listed))
