from __future__ import annotations

import asyncio
import gc
import logging
import time
from decimal import Decimal, localcontext

import pytest
from peer import BTC, ETH, GAP, HISTORY, Guest, Peer, delta, image, is_, node, until

from tickwire import ABSENT, Client, Event, FinalError, NotConnected, Quote, Subscription, Update
from tickwire.asking import Pace
from tickwire.subscription import FULL


async def two(p: Peer) -> None:
    """Says two symbols, and more of the first each time it is asked for the time."""
    await p.hello()
    await p.reply(await p.request(), is_(BTC, 0), is_(ETH, 1))
    await p.data(image(0, 1, 100), image(1, 1, 200))
    seq = 1
    while True:
        r = await p.request()
        if r.op == "ping":
            seq += 1
            await p.data(delta(0, seq, 100 + seq, GAP if seq == 4 else 0))
        await p.say("reply", id=r.id, op=r.op, time=5_000_000)


async def test_an_iteration_begins_with_what_is_held_and_costs_nothing_before() -> None:
    async with node(two) as n, Guest(n.url) as c:
        sub = c.subscribe(BTC, ETH)
        await c.holds(ETH, 1, 200)
        await c.holds(BTC, 1, 100)
        assert await c.ping() == 5_000_000
        assert (sub.conflated, sub.gaps, c._core.board.backlogs) == (0, 0, [])
        got: list[Update] = []
        async for u in sub:
            got.append(u)
            if len(got) == 2:
                await c.ping()
            if len(got) == 3:
                break
        assert [(u.symbol, u.image, u.seq - HISTORY, u.quote.bid) for u in got] == [
            (BTC, True, 2, Decimal("1.02")), (ETH, True, 1, Decimal("2.00")), (BTC, False, 3, Decimal("1.03")),
        ]  # fmt: skip
        assert (got[0].changed, got[2].changed, got[2].history, got[0].reason) == (("bid", "last", "price_scale"), ("bid",), HISTORY, None)
        assert got[2].received_at > 1e15
        assert got[2].sent_at == 1
        gc.collect()
        await until("the iteration is over", lambda: c._core.board.backlogs == [])
        assert all(row.backlogs == [] for row in c._core.board.rows.values())
        # Of one symbol of the two.
        async for u in Subscription(c._core, (ETH,), {}):
            assert u.symbol == ETH
            break


async def test_gaps_and_totals() -> None:
    async with node(two) as n, Guest(n.url) as c:
        sub = c.subscribe(BTC, ETH)
        seen = []
        async for u in sub:
            seen.append((u.seq - HISTORY, u.gap, u.conflated))
            if u.seq == HISTORY + 4:
                break
            await c.ping()
        assert (4, True, 0) in seen
        assert (sub.gaps, c.gaps, sub.conflated) == (1, 1, 0)


async def test_batches() -> None:
    async with node(two) as n, Guest(n.url) as c:
        sub = c.subscribe(BTC, ETH)
        sizes = []
        async for batch in sub.batches():
            sizes.append(len(batch))
            await c.ping()
            await c.ping()
            if sum(sizes) > 6:
                break
        assert max(sizes) == 2
        began, sizes = time.monotonic(), []
        async for batch in sub.batches(0.1):
            sizes.append(len(batch))
            if len(sizes) == 1:
                await c.ping()
            if len(sizes) == 3:
                break
        assert sizes == [2, 1, 0]
        with pytest.raises(ValueError, match="every 0 s"):
            async for _ in sub.batches(0):
                pass
        assert 0.28 < time.monotonic() - began < 2


async def flood(p: Peer) -> None:
    """Updates without end, as fast as they are taken, and heartbeats' worth of patience."""
    await p.subscribed(image(0, 1, 100), heartbeat=200)
    p.ws.transport.set_write_buffer_limits(1 << 14)
    seq = 1
    while True:
        await p.data(*[delta(0, seq := seq + 1, 100) for _ in range(500)])


async def test_slow_consumer() -> None:
    """Who lags has the client stop reading, for longer than it takes a node to seem silent, and nothing grows without end."""
    async with node(flood) as n, Guest(n.url) as c:
        last = 0
        async for u in c.subscribe(BTC):
            assert u.seq > last
            last = u.seq
            if u.seq - HISTORY == 2:
                await asyncio.sleep(1)
                backlog = c._core.board.backlogs[0]
                assert FULL <= len(backlog._updates) <= FULL + 500
                await asyncio.sleep(0.5)
                assert len(backlog._updates) <= FULL + 500
                held = c.quotes[BTC].seq
                assert not c.told("stale")
            if u.seq - HISTORY == 3 * FULL:
                break
        assert c.quotes[BTC].seq > held
        await asyncio.sleep(0.05)
        assert c.state == "live"
    async with node(flood) as n, Guest(n.url) as c:  # so does one that gathers: it is given what there is
        async for batch in c.subscribe(BTC).batches(30):
            assert FULL <= len(batch) <= FULL + 500
            break


async def test_two_iterations_end_together() -> None:
    async def sends_away(p: Peer) -> None:
        await p.subscribed(image(0, 1, 100))
        await asyncio.sleep(0.05)
        await p.ws.close(4001, "revoked")

    async def last_of(c: Client, sub: Subscription) -> object:
        try:
            async for _ in sub:
                pass
        except FinalError as e:
            return e.code
        return "ended"

    async with node(sends_away) as n, Guest(n.url) as c:
        ends = [asyncio.create_task(last_of(c, c.subscribe(BTC))), asyncio.create_task(last_of(c, c.subscribe("binance:*")))]
        assert await asyncio.gather(*ends) == [4001, 4001]


async def test_cancelled_iteration() -> None:
    """A task that is cancelled amid an iteration ends, and what waited with it."""
    async with node(two) as n, Guest(n.url) as c:
        sub = c.subscribe(BTC, ETH)

        async def iterate() -> None:
            async for _ in sub:
                pass

        task = asyncio.create_task(iterate())
        await c.holds(ETH, 1, 200)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until("the iteration is over", lambda: c._core.board.backlogs == [])
        call = asyncio.create_task(c.ping())
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await c.ping() == 5_000_000


async def test_events_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What somebody must know is a warning, so that a notebook shows it; what is asked for again and again, once."""
    caplog.set_level(logging.INFO, "tickwire")

    async def script(p: Peer) -> None:
        await p.hello()
        await p.reply(await p.request(), {"symbol": "sim:NOPE", "error": {"code": 111, "text": "unknown_symbol: not on the board", "retry": True}})
        await p.reply(await p.request(), {"symbol": "sim:NOPE", "error": {"code": 111, "text": "unknown_symbol: not on the board", "retry": True}})
        await p.say("lag", blocked_ms=1234)
        await p.ws.close(1012, "the node restarts")

    async with node(script) as n, Client(n.url) as c:
        c._core.pace = Pace(0.002, 0.02, 0.04, 0.16)
        c.subscribe("sim:NOPE")
        await until("told", lambda: "restarts" in caplog.text)
    told = [(r.levelname, r.getMessage().split("; again")[0]) for r in caplog.records if r.name == "tickwire"]
    assert told[:4] == [
        ("INFO", "connected to node n1"), ("WARNING", "sim:NOPE: unknown_symbol: not on the board"),
        ("INFO", "this reader was too slow for 1.23s: updates were merged"), ("WARNING", "not connected: closed by the node: 1012 the node restarts"),
    ]  # fmt: skip


@pytest.mark.parametrize("error", [KeyError("mine"), asyncio.CancelledError()], ids=["error", "cancelled"])
async def test_a_callback_that_fails_is_told(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def fails(event: Event) -> None:
        raise error

    async with node(two) as n, Client(n.url, on_event=fails) as c:
        c.subscribe(BTC, ETH)
        assert await asyncio.wait_for(c.subscribe(BTC).results(), 5)
        assert "on_event failed at: connected to node n1" in caplog.text


async def test_a_fault_of_ours_hangs_nobody() -> None:
    """Whatever ends the client ends what waits for it."""
    async with node(two) as n, Guest(n.url) as c:
        sub = c.subscribe(BTC, ETH)
        await c.event("live")
        c._core.board.merge = None  # type: ignore[assignment, method-assign]
        with pytest.raises(TypeError):
            async for _ in sub:
                await c.ping()
        with pytest.raises((TypeError, NotConnected)):
            await c.ping()


def test_quote() -> None:
    values = [6183763, 378826, ABSENT, 154698, -5, ABSENT, 0, 9007199254740991, *[ABSENT] * 4, 3, 0, 1723161254087891, ABSENT, 2, 0, 15]
    q = Quote("sim:A", 1, 2, values)
    with localcontext() as context:  # whose precision does not matter
        context.prec = 2
        assert (q.bid, q.bid_size, q.ask, q.last) == (Decimal("61837.63"), Decimal(378826), None, Decimal("-0.05"))
        assert (str(q.turnover), f"{q.volume:f}") == ("9.007199254740991", "0.000000000000000")
    assert (q.trades, q.status, q.event_time, q.recv_time, q.price_scale) == (3, "live", 1723161254087891, None, 2)
    assert [q.text(f) for f in ("bid", "ask", "last", "bid_size", "volume", "status", "trades")] == [
        "61837.63", None, "-0.05", "378826", "0.000000000000000", "live", "3",
    ]  # fmt: skip
    assert (q.mantissa("bid"), q.scale("bid"), q.scale("trades"), q.number("bid"), q.number("ask")) == (6183763, 2, 0, 61837.63, None)
    assert list(q.as_dict())[:3] == ["bid", "bid_size", "ask_size"]
    assert repr(q).startswith("Quote(sim:A, seq=2, bid=61837.63, bid_size=378826, ask_size=154698")
    assert q == Quote("sim:A", 1, 2, [*values])
    assert len({q, Quote("sim:A", 1, 3, values)}) == 2
    with pytest.raises(KeyError, match="price_scale"):
        q.text("price")
    with pytest.raises(AttributeError):
        q.bid = Decimal(1)  # type: ignore[misc]
    later = Quote("sim:A", 1, 3, [*values[:13], 7, *values[14:]])
    assert (later.status, later.text("status")) == ("7", "7")
    assert repr(Update(q, 1 | GAP, 1, 0, 0, 0)) == "Update(sim:A, seq=2, image, gap, bid=61837.63)"
