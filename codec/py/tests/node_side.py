"""What a node reads: requests, and entries of the tape. A client does not, but the classes of what is wrong are the same."""

from __future__ import annotations

from typing import Any

import msgpack

from tickwire.bounds import integer, valid_symbol
from tickwire.data import update_tail
from tickwire.errors import ProtocolError
from tickwire.message import check, parse_json, unpack
from tickwire.request import Request

OPS = ("subscribe", "unsubscribe", "set", "pause", "resume", "list", "auth", "ping")


class UnknownOp(Exception):
    kind = "unknown_op"


def parse_request(message: bytes | str) -> Request:
    o = parse_json(message) if isinstance(message, str) else unpack(message)
    check(o)
    if not isinstance(o, dict):
        raise ProtocolError("type", "a request is a map")
    op = o.get("op")
    if not isinstance(op, str):
        raise ProtocolError("type", "op is a string")
    if op not in OPS:
        raise UnknownOp(op)
    rate = o.get("rate")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, (int, float))):
        raise ProtocolError("type", "rate is a number")
    token = o.get("token", "")
    if not isinstance(token, str):
        raise ProtocolError("type", "token is a string")
    resume = [_position(p) for p in o.get("resume", [])]
    return Request(integer(o.get("id", 0), "id"), op, _texts(o.get("symbols", [])), _texts(o.get("fields", [])), rate, resume, token)


def _texts(x: Any) -> list[str]:
    if not isinstance(x, list) or not all(isinstance(text, str) for text in x):
        raise ProtocolError("type", "an array of strings")
    return x


def _position(p: Any) -> tuple[str, int, int]:
    if not isinstance(p, list):
        raise ProtocolError("type", "a position is an array")
    if len(p) != 3:
        raise ProtocolError("count", "a position is [symbol, history, seq]")
    _texts(p[:1])
    return p[0], integer(p[1], "history"), integer(p[2], "seq")


def parse_entry(message: bytes) -> dict[str, Any]:
    """An entry is an array, and then an array for each of its updates."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(message)
    try:
        head = unpacker.unpack()
        if not isinstance(head, list) or not head:
            raise ProtocolError("type", "an entry is an array")
        if head[0] != 2:
            raise ProtocolError("version", "an entry of another layout")
        if len(head) != 9:
            raise ProtocolError("count", "an entry's head has nine elements")
        epoch, n, prev_epoch, prev_n, history, sent_at, server, count = (integer(x, "a number") for x in head[1:])
        updates = [_entry_update(unpacker.unpack()) for _ in range(count)]
    except msgpack.OutOfData:
        raise ProtocolError("truncated", "the bytes end too early") from None
    if unpacker.tell() != len(message):
        raise ProtocolError("trailing", "bytes after the end")
    entry = {"id": f"{epoch}-{n}", "prev": f"{prev_epoch}-{prev_n}", "history": history, "sent_at": sent_at, "server": server}
    return {**entry, "updates": updates}


def _entry_update(u: Any) -> list[Any]:
    if not isinstance(u, list) or not u or not isinstance(u[0], str):
        raise ProtocolError("type", "an update's key is a symbol")
    if not valid_symbol(u[0]):
        raise ProtocolError("range", "a symbol is venue:NAME")
    return [u[0], *update_tail(u[1:])]
