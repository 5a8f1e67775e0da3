from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import pytest
from peer import BTC, CATCH_UP, ETH, HISTORY, Guest, Peer, delta, image, is_, node, resumed_to, until

from tickwire.errors import NotConnected, ProtocolError

BOTH = pytest.mark.parametrize("encoding", ["msgpack", "json"])


@BOTH
async def test_resumes(encoding: str) -> None:
    """A lost connection is resumed from the seq held, and the quote stays meanwhile."""

    async def first(p: Peer) -> None:
        r = await p.subscribed(image(0, 10, 100), delta(0, 11, 101))
        assert not r.resume
        await asyncio.sleep(0.05)
        p.ws.transport.abort()

    async def second(p: Peer) -> None:
        await p.hello()
        r = await p.request()
        assert r.resume == [(BTC, HISTORY, HISTORY + 11)]
        await p.reply(r, is_(BTC, 0))
        await p.data(delta(0, 15, 105, CATCH_UP))
        await p.hang()

    async with node(first, second) as n, Guest(n.url, encoding=encoding) as c:
        seen = []
        async for u in c.subscribe(BTC):
            seen.append((u.seq - HISTORY, u.quote.bid, u.quote.last, u.image, u.reason, u.conflated, u.changed))
            if u.seq == HISTORY + 11:
                await c.event("connecting")
                assert c.quotes[BTC].bid in (Decimal("1.01"), Decimal("1.05"))
            if u.seq == HISTORY + 15:
                break
        last = Decimal("0.07")
        assert seen[0][:6] == (10, Decimal("1.00"), last, True, None, 0)
        assert seen[1:] == [(11, Decimal("1.01"), last, False, None, 0, ("bid",)), (15, Decimal("1.05"), last, False, "catch-up", 3, ("bid",))]
        assert (c.conflated, c.gaps, c.states) == (3, 0, ["live", "live", "connecting", "live", "live"])


async def test_waits_longer_each_time() -> None:
    """The wait grows until data or a reply comes; a connection and a hello prove nothing."""

    async def only_hello(p: Peer) -> None:
        await p.hello()

    async with node(only_hello) as n, Guest(n.url) as c:
        await c.event("connecting", 8)
        waits = [e.after for e in c.told("connecting")]
        assert max(waits) < 0.02
        assert max(waits) > 0.002

    async def replies(p: Peer) -> None:
        await p.subscribed()

    async with node(replies) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        await c.event("connecting", 8)
        assert max(e.after for e in c.told("connecting")) < 0.002


async def test_never_spins() -> None:
    """With the patience that it comes with, nobody there is asked a few times in the first seconds."""

    async def gone(p: Peer) -> None:
        p.ws.transport.abort()

    async with node(gone) as n, Guest(n.url) as c:
        c._core.pace = type(c._core.pace)()
        await asyncio.sleep(1.5)
        assert 1 < n.served < 30
    async with node(gone) as n:
        url = n.url
    async with Guest(url) as c:
        e = await c.event("connecting", 3)
        assert "refused" in str(e)


async def test_stale() -> None:
    """Nothing heard for two and a half heartbeats: the node is given up; what is held is resumed."""

    async def silent(p: Peer) -> None:
        await p.subscribed(image(0, 1, 100), heartbeat=200)
        for _ in range(5):
            await asyncio.sleep(0.1)
            await p.heartbeat(BTC)
        await p.hang()

    async def second(p: Peer) -> None:
        await p.hello()
        assert (await p.request()).resume == [(BTC, HISTORY, HISTORY + 1)]
        await p.hang()

    async with node(silent, second) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        began = time.monotonic()
        e = await c.event("stale")
        assert time.monotonic() - began > 0.9
        assert str(e.error) == "nothing heard for 500ms"
        await c.event("live", 2)
        assert c.states == ["live", "live", "stale", "live"]


async def test_own_sleep_is_not_the_nodes_silence() -> None:
    async def beats(p: Peer) -> None:
        await p.subscribed(image(0, 1, 100), heartbeat=100)
        for _ in range(30):
            await p.heartbeat(BTC)
            await asyncio.sleep(0.05)
        await p.hang()

    async with node(beats) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        await c.holds(BTC, 1, 100)
        for _ in range(3):
            time.sleep(0.4)  # noqa: ASYNC251 (the client's loop is what sleeps)
            await asyncio.sleep(0.01)
        assert not c.told("stale")


async def test_no_hello() -> None:
    async def says_nothing(p: Peer) -> None:
        await p.hang()

    async with node(says_nothing) as n:
        c = Guest(n.url)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tickwire.session.DIAL_TIMEOUT", 0.2)
            async with c:
                assert str((await c.event("connecting")).error) == "no hello within 200ms: what answers there is no node"


@pytest.mark.parametrize("lie", ["hash", "count", "seq", "image"])
async def test_distrust(lie: str) -> None:
    """Other subscriptions than ours, or a seq that goes back: nothing held is trusted, and the next connection begins with images."""
    codes = []

    async def lies(p: Peer) -> None:
        await p.subscribed(image(0, 10, 100))
        await p.heartbeat(BTC)
        await p.data(delta(0, 10, 100))  # the same seq again is harmless
        match lie:
            case "hash":
                await p.heartbeat(ETH)
            case "count":
                await p.heartbeat()
            case "seq":
                await p.data(delta(0, 9, 99))
            case "image":
                await p.data(image(0, 9, 99))
        await p.ws.wait_closed()
        codes.append(p.ws.close_code)

    async def behind(p: Peer) -> None:
        r = await p.subscribed(image(0, 5, 50))  # another node: no matter now
        assert not r.resume
        await p.hang()

    async with node(lies, behind) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        e = (await c.event("connecting")).error
        assert isinstance(e, ProtocolError)
        assert e.kind == "order"
        assert c.quotes[BTC].mantissa("bid") in (100, 50)  # it stays until there is another
        await c.holds(BTC, 5, 50)
        await until("closed", lambda: codes == [1002])


async def test_what_is_no_message_took_nothing() -> None:
    async def first(p: Peer) -> None:
        await p.subscribed(image(0, 10, 100))
        await p.ws.send(b"\x93\x00")
        await p.hang()

    async with node(first, resumed_to) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        assert isinstance((await c.event("connecting")).error, ProtocolError)
        await c.holds(BTC, 11, 101)


@pytest.mark.parametrize("then", ["sends away", "stays", "dies"])
async def test_drain(then: str) -> None:
    """Whom a node that drains sends away is back at once; who is not goes when the time is up; and where it dies before, all of
    its clients come spread over what is left."""
    within = 0.3 if then == "stays" else 600

    async def drains(p: Peer) -> None:
        await p.subscribed(image(0, 1, 100))
        await p.say("drain", within_ms=int(within * 1000))
        if then == "stays":
            await p.hang()
        elif then == "sends away":
            await p.ws.close(1012, "the node restarts")
        else:
            p.ws.transport.abort()

    async def second(p: Peer) -> None:
        await p.subscribed(delta(0, 2, 200))
        await p.hang()

    async with node(drains, second) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        assert (await c.event("drain")).after == within
        began = time.monotonic()
        after = (await c.event("connecting")).after
        if then == "dies":
            assert c._core.pace.backoff_most < after < within
        else:
            assert after == 0
            await c.holds(BTC, 2, 200)
            assert time.monotonic() - began > within - 0.05 or then == "sends away"


async def test_ends_with_its_user() -> None:
    """close says goodbye, ends iterations, and what is waited for."""
    codes = []

    async def stays(p: Peer) -> None:
        await p.subscribed(image(0, 1, 100))
        await p.hang()
        codes.append(p.ws.close_code)

    async with node(stays) as n:
        async with Guest(n.url) as c:
            sub = c.subscribe(BTC)

            async def iterate() -> int:
                return len([u async for u in sub])

            iterating = asyncio.create_task(iterate())
            await c.holds(BTC, 1, 100)
            pinging = asyncio.create_task(c.ping())
            await asyncio.sleep(0.05)
        assert await iterating == 1
        with pytest.raises(NotConnected):
            await pinging
        await until("goodbye", lambda: codes == [1000])
        assert c.state == "closed"
        with pytest.raises(NotConnected, match="closed"):
            c.subscribe(ETH)
        with pytest.raises(NotConnected, match="closed"):
            await c.ping()
        with pytest.raises(NotConnected, match="make another"):
            await c.__aenter__()


async def test_ends_amid_a_goodbye() -> None:
    """Whenever close comes, it ends the client: also as the answer to a close frame comes."""

    async def lies(p: Peer) -> None:
        await p.hello()
        await lie.wait()
        await p.ws.send(b"\xc1")
        await p.hang()

    async with node(lies) as n:
        for i in range(40):
            lie = asyncio.Event()
            async with Guest(n.url) as c:
                await c.event("live")
                lie.set()
                for _ in range(i):
                    await asyncio.sleep(0)
                await asyncio.wait_for(c.close(), 3)


async def test_a_task_that_others_cancel() -> None:
    """As who cancels all there are: the connection is given up, and comes back."""

    async def stays(p: Peer) -> None:
        await p.subscribed(image(0, 10, 100))
        await p.hang()

    async with node(stays, resumed_to) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        await c.holds(BTC, 10, 100)
        for task in asyncio.all_tasks():
            if "Session._read" in str(task):
                task.cancel()
        await c.holds(BTC, 11, 101)


async def test_ends_though_nobody_reads_what_it_says() -> None:
    async def deaf(p: Peer) -> None:
        await p.hello()
        p.ws.transport.pause_reading()
        await asyncio.sleep(1.5)

    async with node(deaf) as n:
        began = 0.0
        async with Guest(n.url) as c:
            await c.event("live")
            c._core.pace = type(c._core.pace)()
            began = time.monotonic()
        assert time.monotonic() - began < 1
