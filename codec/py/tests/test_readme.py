"""What the README shows works: against the node that TICKWIRE_URL names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

URL = os.environ.get("TICKWIRE_URL", "")
ROOT = Path(__file__).parents[1]
node = pytest.mark.skipif(not URL, reason="TICKWIRE_URL names no node")
ENV = os.environ | {"PYTHONPATH": str(ROOT / "src")}


def run(*args: str, seconds: float, **env: str) -> str:
    """What a program prints; one that does not end by itself has so long."""
    p = subprocess.Popen([sys.executable, "-u", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENV | env)
    try:
        out, _ = p.communicate(timeout=seconds)
        assert p.returncode == 0, out
    except subprocess.TimeoutExpired:
        p.kill()
        out, _ = p.communicate()
        assert "Traceback" not in out, out
    return out


@node
def test_snippets() -> None:
    pytest.importorskip("pandas")
    forever, tables, _, names = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    quote = r"(?m)^sim:ACORN-USD \d+\.\d+ \d+\.\d+ \d+$"
    assert re.search(quote, run("-c", forever.replace("ws://localhost:8080/v1/stream", URL), seconds=4))
    out = run("-c", tables.replace("ws://localhost:8080/v1/stream", URL), seconds=30)
    assert re.search(r"(?m)^\d+ +sim:ACORN-USD +\d+\.\d+ +\d+\.\d+ +\d+$", out), out
    assert re.search(r"(?m)^sim:ACORN-USD +\d+\.\d+$", out), out
    out = run("-c", names.replace("ws://localhost:8080/v1/stream", URL), seconds=30)
    assert re.search(r"(?m)^sim:ACORN-USD: subscribed\nsim:NOPE-USD: unknown_symbol", out), out
    assert re.search(r"(?m)^\d+ (\d+\.\d+) \1 \d+\.\d+ live \d+$", out), out


@node
def test_example(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "spread.png"
    out = run(str(ROOT / "examples/spread.py"), seconds=60, SPREAD_SECONDS="2", SPREAD_PLOT=str(plot), SPREAD_SYMBOLS="sim:*")
    assert re.search(r"(?m)^sim:ACORN-USD +\d+ +\d\.\d\d +\d\.\d\d +\d\.\d\d +\d+\.\d+$", out), out
    assert plot.read_bytes()[:4] == b"\x89PNG"
