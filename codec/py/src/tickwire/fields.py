"""The fields of a quote, in the order of the wire."""

from __future__ import annotations

from collections.abc import Iterable

FIELDS = (
    "bid", "bid_size", "ask", "ask_size", "last", "last_size", "volume", "turnover",
    "open", "high", "low", "vwap", "trades", "status", "event_time", "recv_time",
    "price_scale", "size_scale", "volume_scale",
)  # fmt: skip
"""Names by bit of a mask; new ones are added at the end."""

STATUSES = ("live", "stale", "down", "halted", "closed")
"""Names of the status by number: msgpack has the numbers, JSON the names."""

ABSENT = -(2**63)
"""Stands for a field that is not known, where only integers can."""

MAX_INT = 2**53 - 1
MAX_SCALE = 15

INDEX = {name: f for f, name in enumerate(FIELDS)}
STATUS = INDEX["status"]
NUM_FIELDS = len(FIELDS)
ALL_FIELDS = (1 << NUM_FIELDS) - 1

_GROUPS = {
    "price_scale": ("bid", "ask", "last", "open", "high", "low", "vwap"),
    "size_scale": ("bid_size", "ask_size", "last_size"),
    "volume_scale": ("volume", "turnover"),
}
_SCALE_OF = {name: INDEX[scale] for scale, names in _GROUPS.items() for name in names}

SCALE_OF = tuple(_SCALE_OF.get(name, -1) for name in FIELDS)
"""By field the one that holds its decimals; -1 of what is no decimal."""

DECIMALS = tuple(name for name in FIELDS if name in _SCALE_OF)
SCALE_NAMES = tuple(_GROUPS)
SCALES = sum(1 << INDEX[scale] for scale in SCALE_NAMES)

_KEPT = 4096  # masks in use are few; a hostile node gets no memory
_indexes: dict[int, tuple[int, ...]] = {}


def indexes(mask: int) -> tuple[int, ...]:
    """The numbers of a mask's fields, lowest first."""
    known = _indexes.get(mask)
    if known is None:
        known = tuple(f for f in range(mask.bit_length()) if mask >> f & 1)
        if len(_indexes) < _KEPT:
            _indexes[mask] = known
    return known


def names_of(mask: int) -> tuple[str, ...]:
    """The names of a mask's fields, those that are not known here left out."""
    return tuple(FIELDS[f] for f in indexes(mask & ALL_FIELDS))


def view_of(names: Iterable[str]) -> int:
    """The mask that a node sends for these fields: with the scales that they need; none means all."""
    view = 0
    for name in names:
        f = INDEX.get(name)
        if f is not None:
            view |= 1 << f | (1 << SCALE_OF[f] if SCALE_OF[f] >= 0 else 0)
    return view or ALL_FIELDS
