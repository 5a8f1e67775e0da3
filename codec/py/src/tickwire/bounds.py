"""What a value of the protocol may be."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from .errors import ProtocolError
from .fields import ABSENT, MAX_INT, MAX_SCALE, SCALES, STATUS

_SYMBOL = re.compile(r"(?=.{3,64}\Z)[!-)+-9;-~]+:[!-)+-~]+")


def integer(x: Any, what: str, least: int = 0, most: int = MAX_INT) -> int:
    """x, if it is an integer from least to most."""
    if type(x) is not int:
        raise ProtocolError("range" if isinstance(x, float) else "type", f"{what} is no integer")
    if not least <= x <= most:
        raise ProtocolError("range", f"{what} is {x}")
    return x


def field(f: int, v: int) -> int:
    """v, if field f may be that. Scales and the status have bounds of their own; a newer node may know more statuses."""
    if v != ABSENT and ((1 << f & SCALES and not 0 <= v <= MAX_SCALE) or (f == STATUS and v < 0)):
        raise ProtocolError("range", f"field {f} is {v}")
    return v


@lru_cache(maxsize=1 << 14)
def valid_symbol(symbol: str) -> bool:
    """venue:NAME, of at most 64 visible ASCII characters without a star."""
    return _SYMBOL.fullmatch(symbol) is not None


def symbol_hash(symbol: str) -> int:
    """FNV-1a, 32 bits: what a heartbeat's hash is made of."""
    h = 0x811C9DC5
    for byte in symbol.encode():
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return h
