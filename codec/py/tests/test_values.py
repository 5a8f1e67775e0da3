"""What callers keep of a client, and what they have of the package itself."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import tickwire
from tickwire import FIELDS, Quote, Update

ROOT = Path(__file__).parents[1]


def test_a_copy_is_equal() -> None:
    quote = Quote("sim:A", 1, 9, list(range(len(FIELDS))))
    u = Update(quote, 1, 3, 0, 10, 20)
    copy = pickle.loads(pickle.dumps(u))
    assert (copy, hash(copy), copy.quote) == (u, hash(u), quote)
    for other in (Update(quote, 1, 3, 1, 10, 20), Update(Quote("sim:A", 1, 8, quote.mantissas), 1, 3, 0, 10, 20), quote):
        assert u != other


def test_the_status_is_no_number() -> None:
    quote = Quote("sim:A", 1, 9, [0] * len(FIELDS))
    assert (quote.number("bid"), quote.text("status")) == (0.0, "live")
    for wrong in ("status", "price"):
        with pytest.raises(KeyError, match=wrong):
            quote.number(wrong)


def test_version() -> None:
    assert tickwire.__version__[:1].isdigit()


@pytest.mark.parametrize("n", ["0", "50001", "x"])
def test_benchmark_is_bounded(n: str) -> None:
    p = subprocess.run([sys.executable, str(ROOT / "bench/throughput.py"), "--updates", n], capture_output=True, text=True, timeout=60)
    assert p.returncode == 2
    assert "argument --updates" in p.stderr


def test_example_says_what_it_needs() -> None:
    text = f"import runpy, sys\nsys.modules['matplotlib'] = None\nrunpy.run_path({str(ROOT / 'examples/spread.py')!r})"
    p = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert (p.returncode, p.stderr) == (1, "matplotlib is not installed: pip install 'PATH/codec/py[plot]'\n")
