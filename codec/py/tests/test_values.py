"""What callers keep of a client, and what they have of the package itself."""

from __future__ import annotations

import pickle

import pytest

import tickwire
from tickwire import FIELDS, Quote, Update


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
