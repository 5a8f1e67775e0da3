"""What a client asks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgpack

Encoding = Literal["msgpack", "json"]
Op = Literal["subscribe", "unsubscribe", "pause", "resume", "list", "ping", "auth"]
Position = tuple[str, int, int]  # what is held of a symbol: symbol, history, seq


@dataclass(slots=True)
class Request:
    id: int  # that the reply will have
    op: str
    symbols: Sequence[str] = ()
    fields: Sequence[str] = ()  # none: all
    rate: float | None = None  # updates a second and symbol; 0, or none: as they come
    resume: Sequence[Position] = ()
    token: str = ""


def encode(r: Request, encoding: Encoding) -> bytes | str:
    """A request as a client sends it: a map, as text or binary."""
    body: dict[str, object] = {"op": r.op, "id": r.id}
    for key in ("symbols", "fields", "rate", "resume", "token"):
        value = getattr(r, key)
        if value is not None and value != () and value != [] and value != "":
            body[key] = value
    if encoding == "json":
        if r.rate is not None and r.rate == int(r.rate):
            body["rate"] = int(r.rate)  # as other clients write it
        return json.dumps(body, separators=(",", ":"))
    packed: bytes = msgpack.packb(body)
    return packed
