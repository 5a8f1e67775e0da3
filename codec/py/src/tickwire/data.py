"""The updates of a data message, in either encoding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .bounds import field, integer, valid_symbol
from .errors import ProtocolError
from .fields import ABSENT, ALL_FIELDS, FIELDS, INDEX, MAX_INT, MAX_SCALE, NUM_FIELDS, SCALE_OF, SCALES, STATUS, STATUSES, indexes
from .update import CONFLATED, GAP, IMAGE, REASONS


@dataclass(slots=True)  # frozen would cost 0.2 us a message
class Data:
    """Updates as [key, seq, flags, mask, history if an image, value...]: key is the node's number for the symbol, or in
    JSON the symbol itself, and ABSENT what is not known."""

    sent_at: int  # us since the Unix epoch
    updates: list[list[Any]]
    implied: Sequence[int] = ()  # JSON: of each update, the mask of scales that it did not name, but printed decimals in

    def parts(self, n: int) -> Iterator[Data]:
        """As messages of so many updates at the most."""
        for i in range(0, len(self.updates), n):
            yield Data(self.sent_at, self.updates[i : i + n], self.implied[i : i + n])


_ONLY_INTS = {int}
_PLAIN = ALL_FIELDS & ~SCALES  # fields whose values have no bounds but those of all


def data(m: list[Any]) -> Data:
    """A binary message [0, sent_at, update...]. Most updates are all integers from 0, which is seen at once."""
    sent_at = _integer(m[1], "sent_at", 0, MAX_INT)
    updates = m[2:]
    for i, u in enumerate(updates):
        if type(u) is list and len(u) > 3 and {*map(type, u)} == _ONLY_INTS and min(u) >= 0 and max(u) <= MAX_INT:
            flags, mask = u[2], u[3]
            if u[0] < 2**32 and flags < 256 and not mask & ~_PLAIN and len(u) == 4 + (flags & IMAGE) + mask.bit_count():
                continue
        updates[i] = update(u)
    return Data(sent_at, updates)


def update(u: Any) -> list[Any]:
    """An update of which anything may be wrong."""
    if not isinstance(u, list):
        raise ProtocolError("type", "an update is no array")
    if not u:
        raise ProtocolError("count", "an update has four elements at least")
    return [_integer(u[0], "id", 0, 2**32 - 1), *update_tail(u[1:])]


def update_tail(u: list[Any]) -> list[int]:
    """An update after its key; it comes without fields that are not known here."""
    if len(u) < 3:
        raise ProtocolError("count", "an update has four elements at least")
    seq, flags, mask = _integer(u[0], "seq", 0, MAX_INT), _integer(u[1], "flags", 0, 255), _integer(u[2], "mask", 0, 2**32 - 1)
    image = flags & IMAGE
    if len(u) != 3 + image + mask.bit_count():
        raise ProtocolError("count", "not the values that the mask says")
    tail = [seq, flags, mask & ALL_FIELDS]
    if image:
        tail.append(_integer(u[3], "history", 0, MAX_INT))
    for f, v in zip(indexes(mask), u[3 + image :], strict=True):
        v = ABSENT if v is None else _integer(v, f"field {f}", -MAX_INT, MAX_INT)
        if f < NUM_FIELDS:
            tail.append(field(f, v))
    return tail


def _integer(x: Any, what: str, least: int, most: int) -> int:
    """As integer, where msgpack has no numbers but integers."""
    if isinstance(x, float):
        raise ProtocolError("type", f"{what} is no integer")
    return integer(x, what, least, most)


def data_json(o: dict[str, Any]) -> Data:
    """A message in JSON."""
    sent_at = integer(o.get("sent_at"), "sent_at")
    updates = o.get("updates")
    if not isinstance(updates, list):
        raise ProtocolError("type", "updates is no array")
    pairs = [_update_json(u) for u in updates]
    return Data(sent_at, [u for u, _ in pairs], [implied for _, implied in pairs])


def _update_json(o: Any) -> tuple[list[Any], int]:
    """An update in JSON, and the scales that it implies: they are in its mask, too."""
    if not isinstance(o, dict):
        raise ProtocolError("type", "an update is an object")
    symbol = o.get("symbol")
    if not isinstance(symbol, str):
        raise ProtocolError("type", "an update has a symbol")
    if not valid_symbol(symbol):
        raise ProtocolError("range", "a symbol is venue:NAME")
    seq, history = integer(o.get("seq"), "seq"), integer(o.get("history", 0), "history")
    flags = _flag(o, "image", IMAGE) | _flag(o, "gap", GAP) | _conflated(o)
    values: dict[int, int] = {}
    named = 0
    for name, v in o.items():
        f = INDEX.get(name)
        if f is not None:
            named |= 1 << f
            _take(values, f, v)
    implied = sum(1 << f for f in values if not named >> f & 1)
    mask = named | implied
    head = [symbol, seq, flags, mask, history] if flags & IMAGE else [symbol, seq, flags, mask]
    return head + [values[f] for f in indexes(mask)], implied


_DECIMAL = re.compile(r"-?[0-9]+(?:\.([0-9]+))?")


def _take(values: dict[int, int], f: int, v: Any) -> None:
    """Puts a field's value as JSON has it; a decimal brings its scale along."""
    if v is None:
        _put(values, f, ABSENT)
    elif f == STATUS:
        if not isinstance(v, str) or v not in STATUSES:
            raise ProtocolError("type", "status is none")
        values[f] = STATUSES.index(v)
    elif SCALE_OF[f] < 0:
        _put(values, f, field(f, integer(v, FIELDS[f], -MAX_INT, MAX_INT)))
    else:
        if not isinstance(v, str):
            raise ProtocolError("type", f"{FIELDS[f]} is no text")
        m = _DECIMAL.fullmatch(v)
        if m is None:
            raise ProtocolError("syntax", f"no decimal: {v[:40]!r}")
        scale = len(m[1] or "")
        mantissa = int(v.replace(".", "")) if len(v) < 64 else MAX_INT + 1
        if abs(mantissa) > MAX_INT or scale > MAX_SCALE:
            raise ProtocolError("range", f"beyond 53 bits: {v[:40]}")
        values[f] = mantissa
        _put(values, SCALE_OF[f], scale)


def _put(values: dict[int, int], f: int, v: int) -> None:
    """Decimals of one group, and their scale where it is named, agree: the quote has one scale for all."""
    if values.setdefault(f, v) != v:
        raise ProtocolError("syntax", f"{FIELDS[f]} is {values[f]} and {v}")


def _flag(o: dict[str, Any], name: str, bit: int) -> int:
    on = o.get(name, False)
    if not isinstance(on, bool):
        raise ProtocolError("type", f"{name} is true or false")
    return bit if on else 0


def _conflated(o: dict[str, Any]) -> int:
    if "conflated" not in o:
        return 0
    reason = o["conflated"]
    if reason not in REASONS:
        raise ProtocolError("type", "conflated is rate, slow or catch-up")
    return CONFLATED | REASONS.index(reason) + 1 << 2
