from __future__ import annotations

import dataclasses
import json
from typing import Any

import msgpack
import pytest
from node_side import UnknownOp, parse_entry, parse_request
from vectors import INVALID, REFUSED, SESSIONS, VALID, Vector, content, named, spelled

from tickwire.board import Board, Quotes
from tickwire.data import Data
from tickwire.errors import ProtocolError, RequestError
from tickwire.fields import view_of
from tickwire.message import Heartbeat, Message, Reply, parse
from tickwire.quote import Quote
from tickwire.request import Encoding, encode
from tickwire.wants import Terms

PARSERS: dict[str, Any] = {"message": parse, "request": parse_request, "entry": parse_entry}


def plain(m: object) -> Any:
    """A message as a map, as the vectors have it: without what does not say anything."""
    if isinstance(m, RequestError):
        return plain({"id": m.id, "code": m.code, "text": m.text, "retry": m.retry})
    if dataclasses.is_dataclass(m) and not isinstance(m, type):
        return plain({f.name: getattr(m, f.name) for f in dataclasses.fields(m)})
    if isinstance(m, dict):
        return {key: plain(v) for key, v in m.items() if v is not None and v != ()}
    return [plain(v) for v in m] if isinstance(m, (list, tuple)) else m


@pytest.mark.parametrize("v", (vs := named(VALID, "message")).values(), ids=vs)
def test_messages(v: Vector) -> None:
    m = parse(content(v))
    if m is None:
        assert v["name"].startswith("unknown")
    elif not isinstance(m, Data):
        assert {"type": type(m).__name__.lower().replace("request", ""), **plain(m)} == {k: x for k, x in v["value"].items() if x is not None}
    else:
        implied = m.implied or [0] * len(m.updates)
        updates = [spelled(u, i) for u, i in zip(m.updates, implied, strict=True)]
        assert {"type": "data", "sent_at": m.sent_at, "updates": updates} == v["value"]


@pytest.mark.parametrize("v", (vs := named(VALID, "request")).values(), ids=vs)
def test_requests(v: Vector) -> None:
    r = parse_request(content(v))
    spelled_out = json.loads(json.dumps({**dataclasses.asdict(r), "rate": r.rate or 0}))
    assert spelled_out == v["value"]
    if v["name"] == "request_unknown_key":
        return
    # What we encode is what the node's own clients do, number widths aside.
    encoding: Encoding = v["encoding"]
    ours = encode(r, encoding)
    assert ours == v["text"] if isinstance(ours, str) else msgpack.unpackb(ours) == msgpack.unpackb(bytes.fromhex(v["hex"]))


@pytest.mark.parametrize("v", (vs := named(VALID, "entry")).values(), ids=vs)
def test_tape_entries(v: Vector) -> None:
    entry = parse_entry(bytes.fromhex(v["hex"]))
    assert {**entry, "updates": [spelled(u) for u in entry["updates"]]} == v["value"]


@pytest.mark.parametrize("v", INVALID, ids=[f"{v['name']}-{v['encoding']}" for v in INVALID])
def test_what_must_be_refused(v: Vector) -> None:
    refused = None
    try:
        PARSERS[v["kind"]](content(v))
    except (ProtocolError, UnknownOp) as e:
        refused = e
    assert refused is not None
    assert refused.kind == v["error"], refused


def play(board: Board, m: Message | None) -> None:
    """What a client does with a message."""
    if isinstance(m, Reply):
        for r in m.results:
            if r.id is not None:
                board.confirm(r.symbol, r.id, view_of(()), False)
    if isinstance(m, Data):
        board.merge(m, 1)
    if isinstance(m, Heartbeat):
        assert (board.subs, board.hash) == (m.subs, m.hash)


def snapshot(quote: Quote) -> dict[str, Any]:
    """A quote as /v1/snapshot prints it, without its history."""
    fields = {name: v if isinstance(v, int) else quote.text(name) for name, v in quote.as_dict().items()}
    return {"seq": quote.seq, **fields}


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
def test_sessions(session: Vector, encoding: str) -> None:
    board = Board()
    for m in session["messages"]:
        play(board, parse(m["json"] if encoding == "json" else bytes.fromhex(m["msgpack"])))
    assert {symbol: snapshot(quote) for symbol, quote in Quotes(board).items()} == session["quotes"]


@pytest.mark.parametrize("session", REFUSED.values(), ids=REFUSED)
def test_refused_sessions(session: Vector) -> None:
    board = Board()
    *before, last = session["messages"]
    for m in before:
        play(board, parse(m["json"]))
    with pytest.raises(ProtocolError) as refused:
        play(board, parse(last["json"]))
    assert refused.value.kind == session["error"]
    assert {symbol: snapshot(quote) for symbol, quote in Quotes(board).items()} == session["quotes"]


def test_there_are_vectors_of_every_kind() -> None:
    assert len({(v["kind"], v["encoding"]) for v in VALID}) == 5
    assert len(INVALID) > 50
    assert len(SESSIONS) > 5
    assert REFUSED
    assert Terms().view == view_of(())
