from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import pytest
from node_side import parse_request
from peer import BTC, ETH, HISTORY, Guest, Peer, Script, delta, image, is_, is_not, node, takes, until

from tickwire import NotConnected, RequestError
from tickwire.errors import Code
from tickwire.request import Request

Quotes = Callable[[Peer, Request], Awaitable[object]]


def serve(board: list[str], lines: list[str], quotes: Quotes | None = None) -> Script:
    """Answers as a node does that has these symbols, on every connection, and notes what it was asked, one line a request."""

    async def script(p: Peer) -> None:
        await p.hello()
        while True:
            r = await p.request()
            positions = sorted(f"{symbol}@{history - HISTORY}/{seq - HISTORY}" for symbol, history, seq in r.resume)
            rate = [] if r.rate is None else [f"rate {r.rate:g}"]
            lines.append(" | ".join(filter(None, [r.op, " ".join(r.symbols), ",".join(r.fields), " ".join(positions), *rate])))
            results = []
            for name in r.symbols:
                if name.endswith("*"):
                    taken = [is_(symbol, id) for id, symbol in enumerate(board) if symbol.startswith(name[:-1])]
                    results += [takes(name, len(taken)), *(taken if r.op == "subscribe" else [])]
                else:
                    results.append(is_(name, board.index(name)) if name in board else is_not(name, Code.UNKNOWN_SYMBOL))
            await p.reply(r, *results)
            if quotes:
                await quotes(p, r)

    return script


async def asks(lines: list[str], *want: str) -> None:
    """What was asked since the last time."""
    await until(f"{want} in {lines}", lambda: len(lines) >= len(want))
    assert lines[: len(want)] == [*want]
    del lines[: len(want)]


async def quiet(lines: list[str]) -> None:
    await asyncio.sleep(0.05)
    assert lines == []


async def test_unknown_symbol() -> None:
    """A symbol that the node does not know yet is asked for again, less and less often, until it does."""
    asked: list[float] = []

    async def script(p: Peer) -> None:
        await p.hello()
        await p.reply(await p.request(), is_not(BTC, Code.UNKNOWN_SYMBOL), is_not("nope", Code.BAD_SYMBOL), is_(ETH, 1))
        for i in itertools.count():
            asked.append(time.monotonic())
            r = await p.request()
            assert r.symbols == [BTC]
            await p.reply(r, is_(BTC, 0) if i == 4 else is_not(BTC, Code.UNKNOWN_SYMBOL))
            if i == 4:
                await p.data(image(0, 1, 100))

    async with node(script) as n, Guest(n.url) as c:
        sub = c.subscribe(BTC, "nope", ETH)
        unknown, bad, well = await sub.results()
        assert (unknown.error and unknown.error.code, bad.error and bad.error.retry, well.id) == (111, False, 1)
        assert str(unknown.error) == f"{BTC}: unknown_symbol:"
        first, second = c.told("error")[:2]
        assert (first.symbol, second.symbol, second.after) == (BTC, "nope", 0)
        assert first.after > 0
        await c.holds(BTC, 1, 100)
        assert (await sub.results())[0].id == 0
        waits = [b - a for a, b in itertools.pairwise(asked)]
        assert waits[0] > 0.03
        assert waits[3] > 0.12


async def test_many_unknown() -> None:
    """Ten of a thousand: the others come, and the ten are told each time, in one go."""
    names = [f"sim:S{i}" for i in range(1000)]
    lines: list[str] = []
    async with node(serve(names[:990], lines)) as n, Guest(n.url) as c:
        results = await c.subscribe(names).results()
        assert [r.symbol for r in results if r.error] == names[990:]
        await until("asked again", lambda: len(lines) >= 3)
        assert lines[1] == "subscribe | " + " ".join(names[990:])
        assert [e.symbol for e in c.told("error")[:10]] == names[990:]


async def test_patterns() -> None:
    """They bring what they take, resume it, and leave behind what other names take."""
    board, lines = ["sim:A", "sim:B", "okx:A"], []  # type: ignore[var-annotated]
    peers: list[Peer] = []

    async def quotes(p: Peer, r: Request) -> None:
        if r.op == "subscribe" and not r.resume and "sim:*" in r.symbols:
            await p.data(image(0, 1, 100), image(1, 2, 200))
        if r.op == "ping":
            p.ws.transport.abort()

    async def drop(c: Guest) -> None:
        with pytest.raises(NotConnected):
            await c.ping()
            await c.ping()
        await until("ping", lambda: "ping" in lines)
        lines.remove("ping")

    async with node(serve(board, lines, quotes)) as n, Guest(n.url) as c:
        few = ("bid", "last")
        c.subscribe("okx:A", "sim:*", fields=few)
        await asks(lines, "subscribe | okx:A sim:* | bid,last")
        await c.holds("sim:B", 2, 200)
        # One symbol cannot be taken out of a pattern.
        c.unsubscribe("sim:B")
        await c.holds("sim:B", 2, 200)
        await drop(c)
        await asks(lines, "subscribe | okx:A sim:* | bid,last | sim:A@0/1 sim:B@0/2")
        # By name it has terms of its own; of two names that take it none is resumed.
        c.subscribe("sim:B", fields=few)
        await asks(lines, "subscribe | sim:B | bid,last")
        c.subscribe("sim:A", rate=2)
        await asks(lines, "subscribe | sim:A | rate 2")
        c.subscribe("sim:A", "sim:*", rate=3)
        await asks(lines, "subscribe | sim:A sim:* | rate 3")
        await drop(c)
        await asks(lines, "subscribe | okx:A sim:B | bid,last", "subscribe | sim:A sim:* | rate 3")
        await c.holds("sim:B", 2, 200)
        # The pattern goes: what was subscribed to by name stays.
        c.unsubscribe("sim:A", "sim:*")
        assert "sim:A" not in c.quotes
        await asks(lines, "unsubscribe | sim:A sim:*")
        await c.holds("sim:B", 2, 200)
        c.unsubscribe(["sim:A", "sim:B", "okx:A"])
        await asks(lines, "unsubscribe | sim:B okx:A")
        await quiet(lines)
        board_, wants = c._core.board, c._core.wants
        assert (board_.rows, board_._live, board_.subs, board_.hash, [*wants], peers) == ({}, {}, 0, 0, [], [])


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
async def test_unsubscribe(encoding: str) -> None:
    """What was unsubscribed is forgotten at once, whatever is under way; heartbeats count again when all is answered."""

    async def script(p: Peer) -> None:
        await p.hello()
        first = await p.request()
        await p.heartbeat("sim:A")  # while something is asked
        await p.reply(first, is_(BTC, 0))
        await p.reply(first, is_(ETH, 1))
        await p.data(image(0, 1, 100), image(1, 1, 100))
        r = await p.request()  # unsubscribes
        await p.heartbeat(BTC, ETH)
        await p.data(delta(0, 2, 101), delta(1, 2, 101))
        await p.reply(first, is_(ETH, 1))  # a pattern's, which is gone
        await p.reply(r, takes("binance:*", 2))
        await p.heartbeat()
        await p.reply(await p.request(), is_(ETH, 1))
        await p.data(delta(0, 3, 102), image(1, 3, 102))
        await p.heartbeat(ETH)
        await p.hang()

    async with node(script) as n, Guest(n.url, encoding=encoding) as c:
        got = []
        sub = c.subscribe("binance:*")
        async for u in sub:
            got.append((u.symbol, u.seq - HISTORY))
            if len(got) == 2:
                sub.unsubscribe()  # which ends the iteration
                assert len(c.quotes) == 0
        await asyncio.sleep(0.05)
        async for u in c.subscribe(ETH):
            got.append((u.symbol, u.seq - HISTORY))
            break
        await asyncio.sleep(0.02)  # a mismatch would show
        assert (got, n.served) == ([(BTC, 1), (ETH, 1), (ETH, 3)], 1)


async def test_other_terms_while_away() -> None:
    """What was held under other fields is not resumed from; under the same, at whatever rate, it is."""
    lines: list[str] = []

    async def quotes(p: Peer, r: Request) -> None:
        if not r.resume and len(r.symbols) == 2:
            await p.data(image(0, 1, 100), image(1, 2, 100))
            await asyncio.sleep(0.03)
            p.ws.transport.abort()

    async with node(serve([BTC, ETH], lines, quotes)) as n, Guest(n.url) as c:
        c.subscribe(BTC, ETH, fields=["bid", "ask"])
        c._core._on_event = lambda e: (
            e.kind == "connecting"
            and (
                c.subscribe(BTC, fields=["bid", "ask", "last"]),
                c.subscribe(ETH, fields=["ask", "bid", "price_scale"], rate=1),
            )
        )
        resumed = f"subscribe | {ETH} | ask,bid,price_scale | {ETH}@0/2 | rate 1"
        await asks(lines, f"subscribe | {BTC} {ETH} | bid,ask", f"subscribe | {BTC} | bid,ask,last", resumed)


async def test_calls_gather() -> None:
    """What is wanted and no more wanted before anyone was told is told as it is."""
    lines: list[str] = []
    async with node(serve([BTC, ETH], lines)) as n, Guest(n.url, rate=2) as c:
        c.subscribe(BTC, ETH)
        c.unsubscribe(BTC)
        c.pause()
        c.resume()
        c.subscribe(ETH, rate=5, fields="bid")
        await asks(lines, f"subscribe | {ETH} | bid | rate 5")
        await c.event("subscribed")
        c.unsubscribe(ETH)
        c.subscribe(ETH)
        await asks(lines, f"unsubscribe | {ETH}", f"subscribe | {ETH} | rate 2")
        assert [(r.id, r.rate) for r in await c.subscribe(ETH).results()] == [(1, 2)]
        c.set(ETH, rate=0, fields=["ask"])
        await asks(lines, f"subscribe | {ETH} | ask")
        c.set(ETH, fields=())
        await asks(lines, f"subscribe | {ETH}")
        c.set(ETH, rate=0)  # again, the same
        await quiet(lines)
        c.pause()
        await asks(lines, "pause")
        c.resume()
        await asks(lines, "resume")


async def test_many_symbols() -> None:
    """Many calls become few requests, each within the node's limits; all are told again after a reconnect, with positions as far
    as there is room."""
    names = [f"venue:{'A' * 40}-{i:05}" for i in range(10_000)]
    positions = []

    async def script(p: Peer) -> None:
        await p.hello()
        requests, asked = 0, 0
        while asked < len(names):
            message = await p.ws.recv()
            r = parse_request(message)
            requests += 1
            positions.append(len(r.resume))
            assert len(message) <= 65_536
            assert len(r.symbols) <= 4096
            await p.reply(r, *[is_(name, asked + i) for i, name in enumerate(r.symbols)])
            await p.data(*[image(asked + i, 1, 1) for i in range(len(r.symbols))], names=dict(enumerate(r.symbols, asked)))
            asked += len(r.symbols)
        assert requests < 40
        await p.heartbeat(*names)
        await asyncio.sleep(0.1)  # a mismatch would show

    async with node(script) as n, Guest(n.url) as c:
        await c.event("live")
        for name in names:
            c.subscribe(name)
        for i in (1, 2):
            assert "protocol" not in str((await c.event("connecting", i)).error)
        assert len(c.quotes) == 10_000
        assert max(positions) > 100


async def test_asks_no_faster_than_the_node_takes() -> None:
    """Requests that differ cannot be one: they go at the rate that hello says."""
    came: list[float] = []

    async def script(p: Peer) -> None:
        await p.hello(limits={"request_bytes": 65_536, "request_symbols": 2, "subs": 9, "requests_per_s": 50})
        while True:
            r = await p.request()
            came.append(time.monotonic())
            assert len(r.symbols) <= 2
            await p.reply(r, *[is_(name, len(came)) for name in r.symbols])

    async with node(script) as n, Guest(n.url) as c:
        for i in range(6):
            c.subscribe(f"sim:A{i}", f"sim:B{i}", f"sim:C{i}", rate=1 + i)
        await until("all are asked for", lambda: len(came) == 12)
        assert came[-1] - came[0] > 11 / 50 - 0.02


async def test_refused_request() -> None:
    """As a whole, it is asked again when that can help. An error that names no request is of the oldest."""

    async def script(p: Peer) -> None:
        await p.hello()
        await p.refuse(await p.request(), Code.UNAVAILABLE, "busy")
        for code in (Code.UNAVAILABLE, Code.TOO_MANY_REQUESTS):
            await p.request()
            await p.refuse(None, code)
        await p.refuse(await p.request(), Code.BAD_RATE, "0.01")
        r = await p.request()  # other terms have mended it
        assert (r.rate, r.op) == (1, "subscribe")
        await p.reply(r, is_(BTC, 0))
        await p.heartbeat(BTC)
        await p.hang()

    async with node(script) as n, Guest(n.url) as c:
        sub = c.subscribe(BTC, rate=0.01)
        with pytest.raises(RequestError, match=r"^bad_rate: 0.01$") as why:
            await sub.results()
        assert (why.value.code, why.value.retry, why.value.symbol) == (Code.BAD_RATE, False, None)
        assert [e.after > 0 for e in c.told("error")] == [True, True, True, False]
        with pytest.raises(RequestError, match="bad_rate"):  # rather than wait for ever
            async for _ in sub:
                pass
        assert (await c.subscribe(BTC, rate=1).results())[0].rate == 1


async def test_nothing_can_come() -> None:
    """An iteration under way ends when all of its names are refused, not when one is."""

    async def script(p: Peer) -> None:
        await p.hello()
        await p.reply(await p.request(), is_not("nope", Code.BAD_SYMBOL), is_not("okx:A", Code.NOT_ALLOWED), is_(BTC, 0))
        await p.data(image(0, 1, 100))
        await p.hang()

    async with node(script) as n, Guest(n.url) as c:
        some, none = c.subscribe("nope", BTC), c.subscribe("nope", "okx:A", "no\nname", "x" * 65)
        with pytest.raises(RequestError, match="bad_symbol"):
            async for _ in none:
                pass
        assert [r.error and r.error.code for r in await none.results()] == [110, 130, 110, 110]
        async for u in some:
            assert u.symbol == BTC
            break


async def test_refused_pause() -> None:
    """What else a node refuses leaves it doing something that we do not want: the next connection begins anew."""

    async def script(p: Peer) -> None:
        await p.hello()
        r = await p.request()
        assert r.op == "pause"
        await p.refuse(None, Code.TOO_MANY_REQUESTS)
        await p.hang()

    async with node(script) as n, Guest(n.url) as c:
        c.pause()
        for i in (1, 2):
            assert "too_many_requests" in str(await c.event("connecting", i))


async def test_node_behind() -> None:
    """Another node may be behind what is held: it says so, and is asked again."""

    async def first(p: Peer) -> None:
        await p.subscribed(image(0, 5, 100))
        await asyncio.sleep(0.05)

    async def second(p: Peer) -> None:
        await p.hello()
        await p.reply(await p.request(), is_not(BTC, Code.UNAVAILABLE))
        r = await p.request()
        assert [seq - HISTORY for _, _, seq in r.resume] == [5]
        await p.reply(r, is_(BTC, 0))
        await p.data(delta(0, 6, 101))
        await p.hang()

    async with node(first, second) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        await c.holds(BTC, 6, 101)


async def test_refused_under_a_pattern() -> None:
    async def script(p: Peer) -> None:
        await p.hello()
        r = await p.request()
        await p.reply(r, takes("binance:*", 2), is_(BTC, 0), is_not(ETH, Code.TOO_MANY_SUBS))
        await p.reply(r, is_not("binance:*", Code.TOO_MANY_SUBS))
        await p.hang()

    async with node(script) as n, Guest(n.url) as c:
        assert [(r.symbol, r.matched) for r in await c.subscribe("binance:*").results()] == [("binance:*", 2)]
        await c.event("error", 2)
        assert [(e.symbol, e.after) for e in c.told("error")] == [(ETH, 0), ("binance:*", 0)]
