"""Updates as tables: one row an update, its quote as it stood."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, overload

from .errors import ConfigError
from .fields import ABSENT, DECIMALS, FIELDS, NUM_FIELDS, SCALE_NAMES, SCALE_OF, STATUSES
from .update import GAP, IMAGE, Update

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl

_HEAD = ("symbol", "seq", "image", "gap", "conflated", "sent_at", "received_at")
_TIMES = ("sent_at", "received_at", "event_time", "recv_time")
_FRAME = [name for name in _HEAD + FIELDS if name not in SCALE_NAMES]  # a frame's columns: its decimals say their scale, or need none


class Batch(Sequence[Update]):
    """Updates in the order that they came, of one symbol or many; also of a list of them, `Batch(updates)`."""

    def __init__(self, updates: Sequence[Update]) -> None:
        self.updates = updates

    def __len__(self) -> int:
        return len(self.updates)

    @overload
    def __getitem__(self, i: int) -> Update: ...
    @overload
    def __getitem__(self, i: slice) -> Batch: ...
    def __getitem__(self, i: int | slice) -> Update | Batch:
        return Batch(self.updates[i]) if isinstance(i, slice) else self.updates[i]

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} updates>"

    def to_numpy(self, floats: bool = False) -> np.ndarray[Any, np.dtype[np.void]]:
        """A structured array: symbol, seq, image, gap, conflated (a count), sent_at, received_at (us), and every field as an int64,
        of which a decimal has as many decimals as its scale column says; what is not known is ABSENT. It is exact.

        With floats decimals are float64, with NaN for what is not known, and there are no scales."""
        numpy = _library("numpy")
        updates = self.updates
        values = numpy.array([u.quote.mantissas for u in updates], numpy.int64).reshape(-1, NUM_FIELDS)
        columns: dict[str, Any] = {
            "symbol": numpy.array([u.quote.symbol for u in updates], "U64"),
            "seq": numpy.array([u.quote.seq for u in updates], numpy.int64),
            "image": numpy.array([u.flags & IMAGE for u in updates], numpy.bool_),
            "gap": numpy.array([u.flags & GAP for u in updates], numpy.bool_),
            "conflated": numpy.array([u.conflated for u in updates], numpy.int64),
            "sent_at": numpy.array([u.sent_at for u in updates], numpy.int64),
            "received_at": numpy.array([u.received_at for u in updates], numpy.int64),
        }
        for f, name in enumerate(FIELDS):
            if not floats or name not in SCALE_NAMES:
                columns[name] = _floats(numpy, values, f) if floats and SCALE_OF[f] >= 0 else values[:, f]
        table: np.ndarray[Any, np.dtype[np.void]] = numpy.empty(len(updates), [(name, column.dtype) for name, column in columns.items()])
        for name, column in columns.items():
            table[name] = column
        return table

    def to_pandas(self, floats: bool = False) -> pd.DataFrame:
        """A DataFrame: decimals as exact Decimals, with None for what is not known, or with floats as float64 with NaN; symbol and
        status as categories, trades as Int64, times as datetime64[us, UTC]."""
        pandas, table = _library("pandas"), self.to_numpy(floats=True)
        columns: dict[str, Any] = {name: table[name] for name in _FRAME}
        if not floats:
            columns |= {name: pandas.Series(self._decimals(name), dtype="object") for name in DECIMALS}
        for name in _TIMES:
            columns[name] = pandas.Series(table[name].astype("datetime64[us]")).dt.tz_localize("UTC")  # which has ABSENT for NaT
        columns["symbol"] = pandas.Categorical([u.symbol for u in self.updates])
        columns["status"] = pandas.Categorical([u.quote.status for u in self.updates], categories=STATUSES)
        columns["trades"] = pandas.arrays.IntegerArray(table["trades"].copy(), table["trades"] == ABSENT)
        frame: pd.DataFrame = pandas.DataFrame(columns)
        return frame

    def to_polars(self, floats: bool = False) -> pl.DataFrame:
        """As to_pandas, but decimals are Decimal(38, 15), which holds every one exactly; what is not known is null."""
        polars, table = _library("polars"), self.to_numpy(floats=True)
        columns: dict[str, Any] = {name: polars.Series(table[name].copy(), nan_to_null=True) for name in _FRAME if name not in ("symbol", "status")}
        if not floats:
            columns |= {name: polars.Series(self._decimals(name), dtype=polars.Decimal(38, 15)) for name in DECIMALS}
        for name in _TIMES:
            columns[name] = polars.Series(table[name].astype("datetime64[us]")).dt.replace_time_zone("UTC")
        columns["symbol"] = polars.Series([u.symbol for u in self.updates], dtype=polars.Categorical)
        names = [status if (status := u.quote.status) in STATUSES else None for u in self.updates]
        columns["status"] = polars.Series(names, dtype=polars.Enum(STATUSES))
        columns["trades"] = polars.Series([u.quote.trades for u in self.updates], dtype=polars.Int64)
        frame: pl.DataFrame = polars.DataFrame({name: columns[name] for name in _FRAME})
        return frame

    def _decimals(self, name: str) -> list[Decimal | None]:
        return [getattr(u.quote, name) for u in self.updates]


def _floats(numpy: Any, values: Any, f: int) -> Any:
    """A field's decimals as floats, each the nearest one: mantissas and powers of ten are exact, and one division rounds once."""
    mantissas, scales = values[:, f], values[:, SCALE_OF[f]]
    known = (mantissas != ABSENT) & (scales != ABSENT)
    powers = numpy.power(10.0, numpy.where(known, scales, 0))
    return numpy.where(known, mantissas / powers, numpy.nan)


def _library(name: str) -> Any:
    """One that only those need who ask for its tables."""
    try:
        return __import__(name)
    except ImportError as e:
        raise ConfigError(f"{name} is not installed: pip install 'PATH/codec/py[{name}]'") from e
