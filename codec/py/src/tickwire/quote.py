"""A symbol's merged quote."""

from __future__ import annotations

from decimal import Decimal

from .fields import ABSENT, FIELDS, INDEX, NUM_FIELDS, SCALE_OF, STATUSES


class _Field:
    """What a quote shows as an attribute; the owner sets its number."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.f = INDEX[name]
        self.scale = SCALE_OF[self.f]


class _Decimal(_Field):
    def __get__(self, quote: Quote, owner: type) -> Decimal | None:
        mantissa, scale = quote.mantissas[self.f], quote.mantissas[self.scale]
        # From text it is exact whatever the caller's decimal context, and half as dear as from a tuple.
        return None if mantissa == ABSENT or scale == ABSENT else Decimal(f"{mantissa}E-{scale}")


class _Integer(_Field):
    def __get__(self, quote: Quote, owner: type) -> int | None:
        v = quote.mantissas[self.f]
        return None if v == ABSENT else v


class _Status(_Field):
    def __get__(self, quote: Quote, owner: type) -> str | None:
        return quote.text("status")


class Quote:
    """All fields of one symbol as of one seq. It never changes: the next update makes another.

    Prices, sizes and volumes are Decimals, exact, with all decimals of their scale; trades, scales and times (us since
    the Unix epoch) are integers; None is not known.
    """

    __slots__ = ("history", "mantissas", "seq", "symbol")

    def __init__(self, symbol: str, history: int, seq: int, mantissas: list[int]) -> None:
        self.symbol = symbol
        self.history = history  # Unix ms of the birth of the history that seq belongs to
        self.seq = seq
        self.mantissas = mantissas  # by field number, the integers of the wire; ABSENT is not known. Never written to

    bid, bid_size, ask, ask_size = _Decimal(), _Decimal(), _Decimal(), _Decimal()
    last, last_size, volume, turnover = _Decimal(), _Decimal(), _Decimal(), _Decimal()
    open, high, low, vwap = _Decimal(), _Decimal(), _Decimal(), _Decimal()
    trades = _Integer()
    status = _Status()  # "live", "stale", "down", "halted", "closed"; of a newer node also a number
    event_time, recv_time = _Integer(), _Integer()
    price_scale, size_scale, volume_scale = _Integer(), _Integer(), _Integer()

    def mantissa(self, field: str) -> int | None:
        """The integer on the wire, of which scale(field) digits are decimals."""
        v = self.mantissas[_index(field)]
        return None if v == ABSENT else v

    def scale(self, field: str) -> int | None:
        """How many decimals a field has: 0 of counts, times and the status."""
        scale = SCALE_OF[_index(field)]
        if scale < 0:
            return 0
        return None if self.mantissas[scale] == ABSENT else self.mantissas[scale]

    def text(self, field: str) -> str | None:
        """Exact: a decimal with all its decimals, an integer, or the status by name."""
        v, scale = self.mantissa(field), self.scale(field)
        if v is None or scale is None:
            return None
        if field == "status":
            return STATUSES[v] if v < len(STATUSES) else str(v)
        if scale == 0:
            return str(v)
        digits = str(abs(v)).rjust(scale + 1, "0")
        return f"{'-' if v < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"

    def number(self, field: str) -> float | None:
        """The nearest float, for statistics and charts; the status has none, and is a KeyError."""
        if field == "status":
            raise KeyError("'status' is no number: text(field) has its name")
        v, scale = self.mantissa(field), self.scale(field)
        return None if v is None or scale is None else v / 10**scale

    def as_dict(self) -> dict[str, Decimal | int | str]:
        """The fields that are known, by name."""
        return {name: v for name in FIELDS if (v := getattr(self, name)) is not None}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quote):
            return NotImplemented
        return (self.symbol, self.history, self.seq, self.mantissas) == (other.symbol, other.history, other.seq, other.mantissas)

    def __hash__(self) -> int:
        return hash((self.symbol, self.history, self.seq))

    def __repr__(self) -> str:
        known = [f"{name}={text}" for name in FIELDS if (text := self.text(name)) is not None]
        return f"Quote({', '.join([self.symbol, f'seq={self.seq}', *known])})"


def _index(field: str) -> int:
    f = INDEX.get(field)
    if f is None:
        raise KeyError(f"{field!r} is no field: {', '.join(FIELDS)}")
    return f


def empty(symbol: str) -> Quote:
    """The quote of which nothing is known: its seq is 0."""
    return Quote(symbol, 0, 0, [ABSENT] * NUM_FIELDS)
