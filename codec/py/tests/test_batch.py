from __future__ import annotations

import math
import sys
from datetime import datetime, timezone
from decimal import Decimal

import pytest

from tickwire import ABSENT, FIELDS, Batch, ConfigError, Quote, Update

np = pytest.importorskip("numpy")

US = 1723161254087891
FULL = [6183763, 378826, 6183764, 154698, 6183760, 5, 9007199254740991, 1, 2, 3, 4, 9007199254740991, 7, 0, US, US + 1, 2, 5, 15]
NONE = [ABSENT] * len(FIELDS)
SMALL = [-5, ABSENT, ABSENT, ABSENT, 1, *[ABSENT] * 8, 1, ABSENT, US + 2, 15, ABSENT, ABSENT]


def batch() -> Batch:
    quotes = [Quote("sim:A", 1, 2**53 - 1, FULL), Quote("sim:LONGER", 1, 2, NONE), Quote("sim:A", 1, 4, SMALL)]
    flags, conflated = (1, 16, 14), (0, 0, 1)
    return Batch([Update(q, f, 0, n, US + 10, US + 20) for q, f, n in zip(quotes, flags, conflated, strict=True)])


def test_batch() -> None:
    b = batch()
    assert (len(b), b[0].symbol, b[-1].seq, len(b[1:]), repr(b[:2])) == (3, "sim:A", 4, 2, "<Batch of 2 updates>")
    assert [u.symbol for u in b] == ["sim:A", "sim:LONGER", "sim:A"]


def test_numpy() -> None:
    t = batch().to_numpy()
    assert t.dtype.names == ("symbol", "seq", "image", "gap", "conflated", "sent_at", "received_at", *FIELDS)
    assert t["symbol"].tolist() == ["sim:A", "sim:LONGER", "sim:A"]
    assert t["seq"].tolist() == [2**53 - 1, 2, 4]
    assert [t[name].tolist() for name in ("image", "gap", "conflated")] == [[True, False, False], [False, True, False], [0, 0, 1]]
    for row, values in zip(t, (FULL, NONE, SMALL), strict=True):
        assert [row[name] for name in FIELDS] == values
    empty = Batch([]).to_numpy()
    assert (len(empty), empty.dtype) == (0, t.dtype)


def test_numpy_floats() -> None:
    b = batch()
    t = b.to_numpy(floats=True)
    assert "price_scale" not in (t.dtype.names or ())
    for i, u in enumerate(b):
        for name in ("bid", "ask", "bid_size", "turnover", "vwap"):
            want = u.quote.number(name)
            assert t[name][i] == want if want is not None else math.isnan(t[name][i])
    assert t["trades"].tolist() == [7, ABSENT, ABSENT]
    assert Batch([]).to_numpy(floats=True).dtype == t.dtype


def test_floats_are_the_nearest() -> None:
    """Also where a mantissa of 53 bits meets 15 decimals."""
    quotes = [Quote("a:b", 1, i, [9007199254740991 - i, *[ABSENT] * 15, i % 16, ABSENT, ABSENT]) for i in range(1000)]
    t = Batch([Update(q, 0, 0, 0, 0, 0) for q in quotes]).to_numpy(floats=True)
    assert t["bid"].tolist() == [q.number("bid") for q in quotes]


def test_pandas() -> None:
    pd = pytest.importorskip("pandas")
    f = batch().to_pandas()
    assert list(f.columns[:8]) == ["symbol", "seq", "image", "gap", "conflated", "sent_at", "received_at", "bid"]
    assert not {"price_scale", "size_scale", "volume_scale"} & {*f.columns}
    assert [str(f[name].dtype) for name in ("symbol", "seq", "gap", "bid", "trades", "status", "sent_at", "event_time")] == [
        "category", "int64", "bool", "object", "Int64", "category", "datetime64[us, UTC]", "datetime64[us, UTC]",
    ]  # fmt: skip
    assert f["bid"].tolist() == [Decimal("61837.63"), None, Decimal("-5e-15")]
    assert str(f["turnover"][0]) == "1E-15"
    assert f["status"].tolist()[0::2] == ["live", "stale"]
    assert f["recv_time"][0] == pd.Timestamp("2024-08-08T23:54:14.087892Z")
    assert f[["status", "recv_time", "trades", "bid"]].iloc[1].isna().all()
    assert f.groupby("symbol", observed=True)["seq"].count().to_dict() == {"sim:A": 2, "sim:LONGER": 1}
    floats = batch().to_pandas(floats=True)
    assert floats["bid"].dtype == "float64"
    assert floats["bid"].tolist()[0] == 61837.63
    assert math.isnan(floats["bid"][1])
    nothing = Batch([]).to_pandas()
    assert (len(nothing), [*nothing.columns], nothing.dtypes["bid"], nothing.dtypes["sent_at"]) == (0, [*f.columns], "object", f.dtypes["sent_at"])


def test_polars() -> None:
    pl = pytest.importorskip("polars")
    f = batch().to_polars()
    assert (f.schema["bid"], f.schema["symbol"], f.schema["sent_at"]) == (pl.Decimal(38, 15), pl.Categorical(), pl.Datetime("us", "UTC"))
    assert f["bid"].to_list() == [Decimal("61837.63"), None, Decimal("-0.000000000000005")]
    assert f["turnover"].to_list()[0] == Decimal("1E-15")
    assert f["volume"].to_list()[0] == Decimal("9.007199254740991")
    assert f["status"].to_list() == ["live", None, "stale"]
    assert f["event_time"].to_list() == [datetime(2024, 8, 8, 23, 54, 14, 87891, timezone.utc), None, None]
    whole = [9007199254740991, *[ABSENT] * 15, 0, ABSENT, ABSENT]
    assert Batch([Update(Quote("a:b", 1, 1, whole), 0, 0, 0, 0, 0)]).to_polars()["bid"].to_list() == [Decimal(9007199254740991)]
    floats = batch().to_polars(floats=True)
    assert (floats.schema["bid"], floats["bid"].to_list()[:2]) == (pl.Float64, [61837.63, None])
    assert pl.concat([Batch([]).to_polars(), f]).height == 3


def test_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ConfigError, match=r"pip install 'PATH/codec/py\[polars\]'"):
        batch().to_polars()
