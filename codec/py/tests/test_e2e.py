"""Against a real node with a simulated market, as `tickwire up` has it:

    TICKWIRE_URL=ws://127.0.0.1:8080 pytest tests/test_e2e.py

and one that speaks TLS and asks for tokens, signed by PROGRAM with a key of `tickwire keys keys`:

    tickwire up --sim-symbols 4 --heartbeat 1s --token-leeway 0s --token-key keys/public.pem --tls-cert cert.pem --tls-key key.pem
    TICKWIRE_DOOR=wss://127.0.0.1:8080 TICKWIRE_CA=cert.pem TICKWIRE_SIGN_KEY=keys/signing.pem TICKWIRE_PROGRAM=tickwire pytest tests/test_e2e.py
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import pytest
from peer import until
from test_vectors import snapshot

import tickwire
from tickwire import Client, Event, FinalError, Update

URL = os.environ.get("TICKWIRE_URL", "")
DOOR = os.environ.get("TICKWIRE_DOOR", "")
node = pytest.mark.skipif(not URL, reason="TICKWIRE_URL names no node")
door = pytest.mark.skipif(not DOOR, reason="TICKWIRE_DOOR names no node that asks for tokens")

Quotes = dict[str, dict[str, Any]]


def get(path: str) -> Any:
    with urllib.request.urlopen(f"http://{urllib.parse.urlsplit(URL).netloc}{path}") as answer:
        return json.load(answer)


def symbols(n: int) -> list[str]:
    return [s for s in get("/v1/symbols")["symbols"] if s.startswith("sim:")][:n]


def quotes_of(names: list[str]) -> Quotes:
    quotes: Quotes = get("/v1/snapshot?symbols=" + urllib.parse.quote(",".join(names)))["symbols"]
    return quotes


class Record:
    """Updates by symbol and seq: what a snapshot has must be among them, to the letter."""

    def __init__(self) -> None:
        self.by_seq: dict[tuple[str, int], Update] = {}

    def note(self, update: Update) -> None:
        self.by_seq[update.symbol, update.seq] = update

    def found(self, quotes: Quotes) -> set[str]:
        """The symbols of which the snapshot's quote is one that we held. We may be behind it, and skip what came together."""
        found = set()
        for symbol, quote in quotes.items():
            held = self.by_seq.get((symbol, quote["seq"]))
            if held is not None:
                assert {"history": held.history, **snapshot(held.quote)} == quote
                found.add(symbol)
        return found


@contextlib.asynccontextmanager
async def relay() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """A way to the node that can be cut: its URL, and the ends of its connections."""
    there = urllib.parse.urlsplit(URL)
    ends: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        ends.append(writer)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", ends
    finally:
        server.close()


@node
@pytest.mark.parametrize("encoding", ["msgpack", "json"])
async def test_agrees_with_the_snapshot(encoding: Any) -> None:
    """Before and after a connection that is cut: it is resumed, and what is held is what the node has."""
    names, record, found = symbols(8), Record(), set[str]()
    async with relay() as (url, ends), Client(url, encoding=encoding) as c:
        sub = c.subscribe(names)
        assert [r.symbol for r in await sub.results() if r.error is None] == names
        end, cut, images = time.monotonic() + 60, False, 0
        async for batch in sub.batches(0.05):
            assert time.monotonic() < end, f"only found {found}"
            for update in batch:
                record.note(update)
                images += update.image
            found |= record.found(await asyncio.to_thread(quotes_of, names))
            if cut and len(ends) == 1:
                found.clear()  # it is not back yet
            elif found == {*names} and cut:
                break
            elif found == {*names}:
                ends[0].transport.abort()
                cut = True
                found.clear()
        assert len(ends) == 2
        assert images == len(names)  # what came after the cut was resumed
        assert c.gaps == 0


@node
def test_blocking() -> None:
    names, record = symbols(4), Record()
    with tickwire.connect(URL) as c:
        found: set[str] = set()
        for batch in c.subscribe(names).batches():
            for update in batch:
                record.note(update)
            found |= record.found(quotes_of(names))
            if found == {*names}:
                break
        assert sorted(c.quotes) == names


@node
def test_frames_are_exact() -> None:
    """What tables have of the quotes that the snapshot has is its text."""
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    names, compared = symbols(6), 0
    with tickwire.connect(URL) as c:
        updates: list[Update] = []
        for batch in c.subscribe(names).batches(0.1):
            updates += batch
            quotes = quotes_of(names)
            table = tickwire.Batch(updates)
            exact = [(u.symbol, u.seq) for u in updates]
            rows = {s: exact.index((s, q["seq"])) for s, q in quotes.items() if (s, q["seq"]) in exact}
            if not rows:
                continue
            pandas, polars, numpy = table.to_pandas(), table.to_polars(), table.to_numpy()
            for symbol, i in rows.items():
                for name in ("bid", "ask_size", "turnover"):
                    text = quotes[symbol][name]
                    assert str(pandas[name][i]) == text
                    assert polars[name][i] == pandas[name][i]
                    assert str(numpy[name][i]) == text.replace(".", "").lstrip("0")
                assert pandas["event_time"][i].value // 1000 == quotes[symbol]["event_time"]
                compared += 1
            if compared >= 12:
                break
    assert len(table) > len(names)


@node
async def test_lists_sets_and_ends() -> None:
    symbol = symbols(1)[0]
    async with Client(URL) as c:
        await c.subscribe(symbol, rate=3).results()
        assert [(r.symbol, r.rate) for r in await c.list()] == [(symbol, 2)]  # rounded down to a listed period
        c.set(symbol, fields=["bid", "ask"])
        assert [(r.symbol, r.rate, r.fields) for r in await c.list()] == [(symbol, 2, ("bid", "ask", "price_scale"))]
        await until("an image of the fields", lambda: symbol in c.quotes and c.quotes[symbol].last is None)
        sub = c.subscribe("sim:*")
        assert [(r.symbol, r.error) for r in await sub.results()] == [("sim:*", None)]
        sub.unsubscribe()
        assert [(r.symbol, r.rate) for r in await c.list()] == [(symbol, 0)]  # stays, on the pattern's terms
        assert [*c.quotes] == [symbol]
        c.unsubscribe(symbol)
        assert await c.list() == []
        assert await c.ping() > 1e15


@node
async def test_many_of_which_some_are_unknown() -> None:
    names = symbols(20) + [f"sim:NONE{i}-USD" for i in range(10)]
    async with Client(URL, on_event=lambda e: None) as c:
        assert [r.error.code if r.error else 0 for r in await c.subscribe(names).results()] == [0] * (len(names) - 10) + [111] * 10


@node
async def test_pauses() -> None:
    async with Client(URL) as c:
        sub = c.subscribe("sim:*")
        async for batch in sub.batches(0.2):
            if len(batch) > 5 and c.state == "live":
                break
        c.pause()
        await c.ping()
        seqs = {s: q.seq for s, q in c.quotes.items()}
        await asyncio.sleep(0.3)
        await c.ping()
        assert {s: q.seq for s, q in c.quotes.items()} == seqs
        c.resume()
        await until("what changed meanwhile", lambda: any(q.seq > seqs[s] for s, q in c.quotes.items()))
        assert c.conflated > 0


def sign(sub: str, good: str, *grant: str) -> str:
    return subprocess.check_output([os.environ["TICKWIRE_PROGRAM"], "token", "sign", "--sub", sub, "--for", good, *grant], text=True).strip()


def guest(token: Any, **options: Any) -> tuple[Client, list[Event]]:
    events: list[Event] = []
    return Client(DOOR, token=token, ssl=ssl.create_default_context(cafile=os.environ["TICKWIRE_CA"]), on_event=events.append, **options), events


def kinds(events: list[Event]) -> list[str]:
    return [e.kind for e in events if e.kind != "subscribed"]


@door
@pytest.mark.parametrize("encoding", ["msgpack", "json"])
async def test_renews_on_one_connection(encoding: Any) -> None:
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        return await asyncio.to_thread(sign, "py", "3s")

    client, events = guest(token, encoding=encoding)
    async with client as c:
        end = time.monotonic() + 5
        async for _ in c.subscribe("sim:*"):
            if time.monotonic() > end:
                break
    assert {*kinds(events)} == {"live", "token"}
    assert kinds(events).count("live") == 1
    assert 3 < asked < 10


@door
async def test_holds_what_a_token_covers() -> None:
    """The node's heartbeats, a second apart while nothing else comes, are compared: another count would cost the connection."""
    client, events = guest(sign("py", "10m"))
    async with client as c:
        await c.subscribe("sim:ACORN-USD", "sim:*").results()
        everything = [(r.symbol, r.rate) for r in await c.list()]
        ended = await c.auth(sign("py", "10m", "--symbols", "sim:A*", "--rate", "5"))
        assert [(r.symbol, r.rate) for r in await c.list()] == [("sim:ACORN-USD", 5)]
        assert sorted((e.symbol, 130) for e in events if e.kind == "error") == sorted((r.symbol, r.error.code) for r in ended if r.error)
        c.pause()
        await asyncio.sleep(2.5)
        c.resume()
        await c.auth(sign("py", "10m"))
        await until("all is asked for again", lambda: [e.symbol for e in events if e.kind == "subscribed"].count("sim:*") == 2)
        await c.ping()
        assert sorted((r.symbol, r.rate) for r in await c.list()) == sorted(everything)
        c.pause()
        await asyncio.sleep(2.5)
    assert kinds(events).count("live") == 1
    assert "connecting" not in kinds(events)


@door
async def test_why_there_is_no_way_in() -> None:
    async def end(client: Client) -> tuple[int, str]:
        with pytest.raises(FinalError) as why:
            async with client as c:
                async for _ in c.subscribe("sim:*"):
                    pass
        return why.value.code, why.value.reason

    newest = ("--conns", "1", "--newest")
    replaced = asyncio.create_task(end(guest(sign("one", "10m", *newest))[0]))
    expires = asyncio.create_task(end(guest(sign("py", "2s"))[0]))
    assert await end(guest(None)[0]) == (401, "missing")
    assert await end(guest("abc")[0]) == (401, "malformed")
    await asyncio.sleep(0.5)
    async with guest(sign("one", "10m", *newest))[0] as newer:
        await newer.subscribe("sim:*").results()
        assert await asyncio.wait_for(replaced, 10) == (4003, "")
    assert await asyncio.wait_for(expires, 10) == (4002, "")
    events: list[Event] = []
    async with Client(DOOR, on_event=events.append):
        await until("told", lambda: bool(events))
    assert "certificate: " in str(events[0])
