"""What a node says: bytes or text in, messages out, and what is wrong refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgpack
from msgpack.exceptions import ExtraData, OutOfData

from .bounds import integer, valid_symbol
from .data import Data, data, data_json, update
from .errors import ProtocolError, RequestError, printable
from .fields import MAX_INT

MESSAGE_MAX = 4 << 20  # bytes; a node ends its messages at 16 KiB
LIMIT_MAX = 1_000_000  # of hello: what is subscribed to is memory
_LARGE = 64 << 10  # bytes: what is larger, as a reply may be, is held against the memory that its arrays and maps take
_LEAST = 12  # bytes that it has for each of these: a symbol's result is a map of 16 at the least
_DEPTH_MAX = 8  # of maps and arrays in what is no data: a reply has 5
_TYPES = ("data", "hello", "reply", "heartbeat", "lag", "drain", "error")
_UNKNOWN = bytes([len(_TYPES)])
_TOO_MANY = "more arrays and maps than a message has"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a node takes from one connection."""

    request_bytes: int
    request_symbols: int
    subs: int
    requests_per_s: int


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a connection."""

    protocol: int
    node: str
    time: int  # us since the Unix epoch, the node's clock
    fields: tuple[str, ...]  # names by bit of a mask
    heartbeat: int  # ms of silence after which a heartbeat comes
    periods: tuple[int, ...]  # ms between two updates of a symbol that a rate may be rounded to; 0 is raw
    limits: Limits
    token_ttl: int | None  # seconds that the token is good for; None without one


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one symbol, or pattern, of a request."""

    symbol: str
    id: int | None = None  # the node's number for the symbol on this connection
    matched: int | None = None  # of a pattern: symbols that match now
    rate: float | None = None  # in effect: updates a second and symbol; 0 is as they come
    fields: tuple[str, ...] | None = None  # in effect; None is all
    error: RequestError | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request."""

    id: int
    op: str
    rate: float | None = None
    fields: tuple[str, ...] | None = None
    time: int | None = None  # of ping: us since the Unix epoch
    token_ttl: int | None = None  # of auth: seconds that the token is good for
    results: Sequence[Result] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    time: int
    subs: int
    hash: int


@dataclass(frozen=True, slots=True)
class Lag:
    blocked_ms: int


@dataclass(frozen=True, slots=True)
class Drain:
    within_ms: int


Message = Data | Hello | Reply | Heartbeat | Lag | Drain | RequestError


def parse(message: bytes | str) -> Message | None:
    """Reads a message; None is of a type that a newer node may have, and to be ignored."""
    return _parse_text(message) if isinstance(message, str) else _parse_binary(message)


def _parse_binary(message: bytes) -> Message | None:
    if message[:1] == b"\x92" and _UNKNOWN <= message[1:2] < b"\x80":
        return None  # of a type that it does not know a receiver reads nothing
    m = unpack(message)
    if not isinstance(m, list):
        raise ProtocolError("type", "a message is an array")
    if len(m) < 2:
        raise ProtocolError("count", "a message has two elements at least")
    t = integer(m[0], "type", 0, 255)
    if t >= len(_TYPES):
        return None
    if t == 0:
        return data(m)
    check(m[1])
    if len(m) != 2:
        raise ProtocolError("count", "a message other than data has one map")
    return _CONTROLS[_TYPES[t]](_map(m[1], _TYPES[t]))


def _parse_text(message: str) -> Message | None:
    o = _map(parse_json(message), "a message")
    name = _string(o.get("type"), "type")
    if name not in _TYPES:
        return None
    return data_json(o) if name == "data" else _CONTROLS[name](o)


def parse_json(text: str) -> Any:
    """Decodes JSON, which has no NaN."""
    if len(text) > _LARGE and text.count("[") + text.count("{") > len(text) // _LEAST:
        raise ProtocolError("type", _TOO_MANY)
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as e:
        raise ProtocolError("syntax", str(e)) from None
    except RecursionError:
        raise ProtocolError("type", "nested too deeply") from None
    except ValueError as e:  # an integer of more digits than Python reads
        raise ProtocolError("range", str(e)) from None


def _no_constant(name: str) -> float:
    raise json.JSONDecodeError(f"{name} is no number", name, 0)


def unpack(message: bytes) -> Any:
    """Decodes msgpack. Passing over it first costs an eighth of decoding it, and shows what is cut: the decoder would make
    room for as much as a length promises, at every level of nesting."""
    unpacker = msgpack.Unpacker(max_buffer_size=MESSAGE_MAX + 1)
    try:
        unpacker.feed(message)
        unpacker.skip()
        if unpacker.tell() != len(message):
            raise ProtocolError("trailing", "bytes after the end")
        return msgpack.unpackb(message, strict_map_key=False) if len(message) <= _LARGE else _unpack_large(message)
    except OutOfData:
        raise ProtocolError("truncated", "the bytes end too early") from None
    except ExtraData:
        raise ProtocolError("trailing", "bytes after the end") from None
    except UnicodeDecodeError as e:
        raise ProtocolError("syntax", str(e)) from None
    except (ValueError, TypeError, msgpack.UnpackException) as e:  # nested too deeply, a key that is none, no msgpack
        raise ProtocolError("type", str(e) or type(e).__name__) from None


def _unpack_large(message: bytes) -> list[Any]:
    """Decodes an array, piece by piece. An empty one in it, or a map, takes up to 70 times its bytes: the first update that is
    none ends it, and so do too many of what is no update."""
    left = len(message) // _LEAST

    def made(x: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(_TOO_MANY)
        return x

    unpacker = msgpack.Unpacker(max_buffer_size=MESSAGE_MAX + 1, strict_map_key=False, list_hook=made, object_hook=made)
    unpacker.feed(message)
    n = unpacker.read_array_header()
    m: list[Any] = [integer(unpacker.unpack(), "type", 0, 255)]
    for i in range(1, n):
        is_update = i > 1 and m[0] == 0
        if is_update:
            left = 1
        m.append(unpacker.unpack())
        if is_update:
            update(m[i])
    return m


def check(x: Any, depth: int = 0) -> None:
    """Refuses in what is no data whatever JSON does not have, under any key."""
    if isinstance(x, (dict, list)):
        if depth == _DEPTH_MAX:
            raise ProtocolError("type", "nested too deeply")
        if isinstance(x, dict):
            for key in x:
                _string(key, "a key")
        for v in x.values() if isinstance(x, dict) else x:
            check(v, depth + 1)
    elif isinstance(x, float):
        _number(x, "a number")
    elif isinstance(x, int):
        if not -MAX_INT <= x <= MAX_INT:
            raise ProtocolError("range", f"{x} is beyond 53 bits")
    elif not isinstance(x, (str, type(None))):
        raise ProtocolError("type", f"{type(x).__name__} is none of the protocol's")


def _hello(o: dict[str, Any]) -> Hello:
    limits = _map(o.get("limits") or {}, "limits")
    return Hello(
        natural(o, "protocol"), printable(_string(o.get("node"), "node")), natural(o, "time"),
        tuple(_list(o.get("fields"), "fields", _string)), natural(o, "heartbeat"),
        tuple(_list(o.get("periods") or [], "periods", integer)),
        Limits(*(natural(limits, key) for key in ("request_bytes", "request_symbols", "subs", "requests_per_s"))),
        _natural_or_none(o, "token_ttl"),
    )  # fmt: skip


def _reply(o: dict[str, Any]) -> Reply:
    return Reply(
        natural(o, "id"), _string(o.get("op"), "op"), _rate(o), _fields(o), _natural_or_none(o, "time"),
        _natural_or_none(o, "token_ttl"), tuple(_list(o.get("results") or [], "results", _result)),
    )  # fmt: skip


def _result(x: Any, what: str) -> Result:
    o = _map(x, what)
    symbol = _string(o.get("symbol"), "symbol")
    number = o.get("id")
    if number is not None:
        integer(number, "id", 0, 2**32 - 1)
        if not valid_symbol(symbol):
            raise ProtocolError("range", f"a symbol called {symbol[:64]!r}")
    error = o.get("error")
    error = None if error is None else _error(_map(error, "error"), printable(symbol))
    return Result(symbol, number, _natural_or_none(o, "matched"), _rate(o), _fields(o), error)


def _error(o: dict[str, Any], symbol: str | None = None) -> RequestError:
    text = printable(_string(o.get("text"), "text"))
    return RequestError(natural(o, "code"), text, o.get("retry") is True, symbol, _natural_or_none(o, "id"))


_CONTROLS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "hello": _hello,
    "reply": _reply,
    "heartbeat": lambda o: Heartbeat(natural(o, "time"), natural(o, "subs"), integer(o.get("hash") or 0, "hash", 0, 2**32 - 1)),
    "lag": lambda o: Lag(natural(o, "blocked_ms")),
    "drain": lambda o: Drain(natural(o, "within_ms")),
    "error": _error,
}


def natural(o: dict[str, Any], key: str) -> int:
    """A key's integer from 0; a key that is missing says 0, as the node's own encoder leaves some out."""
    x = o.get(key)
    return 0 if x is None else integer(x, key)


def _natural_or_none(o: dict[str, Any], key: str) -> int | None:
    return None if o.get(key) is None else natural(o, key)


def _rate(o: dict[str, Any]) -> float | None:
    return None if o.get("rate") is None else _number(o["rate"], "rate")


def _fields(o: dict[str, Any]) -> tuple[str, ...] | None:
    return None if o.get("fields") is None else tuple(_list(o["fields"], "fields", _string))


def _map(x: Any, what: str) -> dict[str, Any]:
    if not isinstance(x, dict):
        raise ProtocolError("type", f"{what} is no map")
    return x


T = TypeVar("T")


def _list(x: Any, what: str, one: Callable[[Any, str], T]) -> list[T]:
    if not isinstance(x, list):
        raise ProtocolError("type", f"{what} is no array")
    return [one(v, what) for v in x]


def _string(x: Any, what: str) -> str:
    if not isinstance(x, str):
        raise ProtocolError("type", f"{what} is no text")
    return x


def _number(x: Any, what: str) -> float:
    if isinstance(x, bool) or not isinstance(x, (int, float)):
        raise ProtocolError("type", f"{what} is no number")
    if not abs(x) < math.inf:
        raise ProtocolError("range", f"{what} is {x}")
    return float(x)
