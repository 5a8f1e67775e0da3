from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import pytest
from peer import BTC, ETH, Guest, Peer, Result, delta, error, image, is_, is_not, node, refusal, takes, until

from tickwire import ConfigError, FinalError, RequestError
from tickwire.asking import Pace
from tickwire.errors import Code
from tickwire.request import Request
from tickwire.token import renew_after


async def took(p: Peer, r: Request, ttl: int = 60, *results: Result) -> None:
    """Answers auth: the new token is good for so long."""
    assert r.op == "auth"
    await p.say("reply", id=r.id, op="auth", token_ttl=ttl, results=results)


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
async def test_narrows(encoding: str) -> None:
    """What a new token ends is told, and counts no more; under the same token it is not asked for again, on the next connection
    neither; under another it is. So is a rate that a token has lowered."""
    gone, all_asked = asyncio.Event(), asyncio.Event()

    async def first(p: Peer) -> None:
        await p.hello()
        await p.reply(await p.request(), is_(BTC, 0), takes("binance:*", 2), is_(ETH, 1), is_("sim:A", 2), takes("okx:*", 0))
        await p.data(image(0, 1, 100), image(1, 1, 100))
        r = await p.request()
        assert r.token == "t2"
        ends = [is_not("binance:*", Code.NOT_ALLOWED), is_not(ETH, Code.NOT_ALLOWED), is_not("sim:A", Code.TOO_MANY_SUBS)]
        await took(p, r, 60, *ends, is_(BTC, 0, rate=1))
        await p.data(delta(1, 2, 200))  # of what ended
        await p.data(image(0, 2, 200))
        await p.heartbeat(BTC)
        await gone.wait()
        p.ws.transport.abort()

    async def second(p: Peer) -> None:
        await p.hello()
        r = await p.request()
        assert r.symbols == [BTC, "okx:*"]  # not what ended, under the token that ended it
        await p.reply(r, is_(BTC, 0), takes("okx:*", 0))
        await p.heartbeat(BTC)
        await took(p, await p.request(), 60, is_(BTC, 0, rate=1))
        r = await p.request()
        assert (r.symbols, [symbol for symbol, _, _ in r.resume]) == (["binance:*", "sim:A"], [ETH])
        await p.reply(r, takes("binance:*", 2), is_(BTC, 0), is_(ETH, 1), is_("sim:A", 2))
        await p.heartbeat(BTC, ETH, "sim:A")
        await took(p, await p.request())
        assert (await p.request()).symbols == [BTC]
        all_asked.set()
        await p.hang()

    async with node(first, second) as n, Guest(n.url, encoding=encoding, token="t1") as c:
        c.subscribe(BTC, "binance:*", "sim:A", "okx:*")
        await c.holds(ETH, 1, 100)
        assert [r.symbol for r in await c.auth("t2")] == ["binance:*", ETH, "sim:A", BTC]
        assert (c.told("token")[0].after, str(c.told("token")[0])) == (60, "the node took a new token, good for 1m")
        assert [(e.symbol, e.after) for e in c.told("error")] == [("binance:*", 0), (ETH, 0), ("sim:A", 0)]
        assert c.told("subscribed")[-1].rate == 1
        await c.holds(BTC, 2, 200)
        await c.holds(ETH, 1, 100)
        gone.set()
        await c.event("live", 2)
        assert "out of step" not in str(c.told("connecting")[0])
        await until("held", lambda: c.told("subscribed")[-1].symbol == "okx:*" and len(c.told("subscribed")) > 7)
        await c.auth("t3")
        await until("all is held again", lambda: c.told("subscribed")[-1].symbol == "sim:A")
        await c.auth("t4")
        await asyncio.wait_for(all_asked.wait(), 5)


async def test_goes_first() -> None:
    """While a new token is verified nothing else is asked: it would be refused under the old."""

    async def script(p: Peer) -> None:
        await p.hello()
        r = await p.request()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(p.ws.recv(), 0.05)
        await p.refuse(r, Code.UNAVAILABLE, "the issuer is away")
        r = await p.request()
        assert r.op == "subscribe"
        await p.reply(r, is_not(BTC, Code.NOT_ALLOWED))
        r = await p.request()
        assert (r.op, r.token) == ("auth", "t2")
        await took(p, r)
        r = await p.request()
        assert r.op == "subscribe"
        await p.reply(r, is_(BTC, 0))
        await p.heartbeat(BTC)
        await p.hang()

    async with node(script) as n, Guest(n.url, token="t1") as c:
        await c.event("live")
        taken = asyncio.create_task(c.auth("t2"))
        await asyncio.sleep(0)
        c.subscribe(BTC)
        await taken
        first, second = c.told("error")
        assert (first.symbol, second.symbol) == (None, BTC)
        assert first.after > 0
        await c.event("subscribed")


@pytest.mark.parametrize("is_async", [True, False])
async def test_renews(is_async: bool) -> None:
    """The source is asked for the first token, before one ends, and when a node says that it has."""
    numbers = itertools.count(1)

    async def later() -> str:
        await asyncio.sleep(0.01)
        return f"t{next(numbers)}"

    async def first(p: Peer) -> None:
        await p.hello(token_ttl=2)
        r = await p.request()
        assert r.token == "t2"
        await took(p, r, 253402300799)  # the end of the year 9999
        await p.ws.close(4002, "the token has expired")

    async def last(p: Peer) -> None:
        await p.hello(token_ttl=3600)
        await p.hang()

    async with node(first, last) as n:
        n.refuse = lambda upgrade: refusal(401, "expired") if upgrade == 2 else None
        began = time.monotonic()
        async with Guest(n.url, token=later if is_async else lambda: f"t{next(numbers)}") as c:
            assert (await c.event("token")).after == 365 * 24 * 3600
            assert time.monotonic() - began > 0.5
            await c.event("live", 2)
        assert n.tokens == ["Bearer t1", "Bearer t3", "Bearer t4"]


async def test_source_fails() -> None:
    """A token that cannot be had is asked for again, and told; one that is refused for another reason than its time is final."""
    answers: list[Any] = [OSError("closed at 1"), "", "t1", "t1", "t1", ConnectionError("closed again")]

    def source() -> str:
        answer = answers.pop(0) if answers else "t2"
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async def script(p: Peer) -> None:
        await p.hello(100, token_ttl=1)
        while True:
            try:
                r = await asyncio.wait_for(p.request(), 0.05)
                if r.op == "auth":
                    await took(p, r)
                    break
                await p.reply(r, takes("sim:*", 0))
            except asyncio.TimeoutError:
                await p.heartbeat()
        await p.ws.close(4001, "revoked")

    async with node(script) as n:
        c = Guest(n.url, token=source)
        with pytest.raises(FinalError, match="4001"):
            async with c:
                async for _ in c.subscribe("sim:*"):
                    pass
    assert [str(e.error) for e in c.told("connecting")] == ["no new token: closed at 1", "no new token: there is none"]
    assert str(c.told("token")[0]).startswith("no new token: closed again; again in ")
    assert n.tokens == ["Bearer t1"]
    async with Guest("ws://127.0.0.1:1", token=lambda: "a\nb") as c:
        assert "a blank, a newline or the like" in str(await c.event("connecting"))


async def test_renewed_one_is_refused() -> None:
    """One that the source gives and the node refuses is not connected with; the next one is told."""
    numbers = itertools.count(1)

    async def first(p: Peer) -> None:
        await p.hello(token_ttl=1)
        for token in ("t2", "t3"):
            r = await p.request()
            assert r.token == token
            await p.refuse(r, Code.TOKEN_REFUSED, "the aud is another")
        await p.ws.close(1012)

    async def second(p: Peer) -> None:
        await p.hello(token_ttl=3600)
        await p.hang()

    async with node(first, second) as n:
        c = Guest(n.url, token=lambda: f"t{next(numbers)}")
        c._core.pace = Pace(0.002, 1, 0.04, 0.16)
        async with c:
            await c.event("live", 2)
        assert n.tokens == ["Bearer t1", "Bearer t1"]


async def test_connection_ends_amid_renewal() -> None:
    """It takes the renewal with it: the next one begins with a token of its own."""
    asked, cancelled = 0, []
    renewing = asyncio.Event()

    async def source() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            renewing.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise
        return f"t{asked}"

    async def first(p: Peer) -> None:
        await p.hello(token_ttl=1)
        await renewing.wait()

    async def second(p: Peer) -> None:
        await p.hello(token_ttl=3600)
        await p.hang()

    async with node(first, second) as n:
        c = Guest(n.url, token=source)
        c._core.token = type(c._core.token)("t1")
        async with c:
            await c.event("live", 2)
        assert (n.tokens, asked, cancelled) == (["Bearer t1", "Bearer t2"], 2, [True])


async def test_auth_while_dialing() -> None:
    """A token that came while we dialed is told; a new one that is refused leaves all as it is."""
    ready = asyncio.Event()

    async def script(p: Peer) -> None:
        await ready.wait()
        await p.hello()
        r = await p.request()
        assert r.token == "t2"
        await p.refuse(r, Code.TOKEN_REFUSED, "expired")
        await p.reply(await p.request(), is_(BTC, 0))
        await p.hang()

    async with node(script) as n, Guest(n.url, token="t1") as c:
        c.subscribe(BTC)
        await until("dialed", lambda: n.served == 1)
        assert await c.auth("t2") == []
        ready.set()
        assert (await c.event("error")).symbol is None
        await c.event("subscribed")
        with pytest.raises(ConfigError):
            await c.auth("a b")


async def test_auth_is_refused() -> None:
    """It changes nothing: it is told, and the one that the node took last is what later connections bring."""
    twice = asyncio.Event()

    async def refuse(p: Peer, want: str) -> None:
        r = await p.request()
        assert r.token == want
        if want == "t2":
            await twice.wait()
        await p.refuse(r, Code.TOKEN_REFUSED, "the aud is another")

    async def first(p: Peer) -> None:
        await p.hello()
        await refuse(p, "t2")
        assert (await p.request()).op == "subscribe"
        await p.ws.close(1012)

    async def second(p: Peer) -> None:
        await p.subscribed()
        await took(p, await p.request())
        await refuse(p, "t4")
        await p.ws.close(1012)

    async def third(p: Peer) -> None:
        await p.hello()
        await p.hang()

    async with node(first, second, third) as n, Guest(n.url, token="t1") as c:
        await c.event("live")
        tasks = [asyncio.create_task(c.auth("t2"))]
        await until("asked", lambda: bool(c._core.asking and c._core.asking.authing))
        tasks.append(asyncio.create_task(c.auth("t2")))  # again: neither it nor the one before is told once more
        await asyncio.sleep(0)
        c.subscribe(BTC)
        twice.set()
        for refused in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(refused, RequestError)
            assert refused.code == Code.TOKEN_REFUSED
        await c.event("subscribed")
        await c.auth("t3")
        with pytest.raises(RequestError):
            await c.auth("t4")
        await c.event("live", 3)
        assert n.tokens == ["Bearer t1", "Bearer t1", "Bearer t3"]
        assert error(Code.TOKEN_REFUSED)["retry"] is False


async def test_a_newer_token_is_not_forgotten() -> None:
    """That one is refused does not touch the one that came since."""

    async def first(p: Peer) -> None:
        await p.hello()
        r = await p.request()
        assert r.token == "t2"
        await until("another came", lambda: c._core.token.token == "t3")
        await p.refuse(r, Code.TOKEN_REFUSED)
        await took(p, await p.request())
        await p.ws.close(1012)

    async def second(p: Peer) -> None:
        await p.hello()
        await p.hang()

    async with node(first, second) as n, Guest(n.url, token="t1") as c:
        await c.event("live")
        refused = asyncio.create_task(c.auth("t2"))
        await until("asked", lambda: bool(c._core.asking and c._core.asking.authing))
        assert await c.auth("t3") == []
        with pytest.raises(RequestError):
            await refused
        await c.event("live", 2)
        assert n.tokens == ["Bearer t1", "Bearer t3"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_source_is_cancelled(is_async: bool) -> None:
    """Not by us: another token is asked for."""
    calls = itertools.count(1)

    def source() -> Any:
        if next(calls) > 2:
            return "t"
        if not is_async:
            raise asyncio.CancelledError
        waits = asyncio.ensure_future(asyncio.sleep(10))
        waits.cancel()
        return waits

    async with node(lambda p: p.subscribed()) as n, Guest(n.url, token=source) as c:
        await c.event("live")
        assert [str(e.error) for e in c.told("connecting")] == ["no new token: CancelledError"] * 2


async def test_source_closes_the_client() -> None:
    """After close nothing goes on, wherever it is called; and it waits for a source that is asked."""
    asked, over = asyncio.Event(), []

    async def closes() -> str:
        await c.close()
        return "t"

    async def waits() -> str:
        asked.set()
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.01)
            over.append(True)
        return "t"

    async with node(lambda p: p.hello()) as n:
        async with Guest(n.url, token=closes) as c:
            await until("closed", lambda: c.state == "closed")
            await until("over", lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "tickwire"])
        async with Guest(n.url, token=waits) as c:
            await asked.wait()
        assert over == [True]
        assert n.served == 0


def test_is_left_alone_for_two_thirds() -> None:
    for left, want in ((3600, 2400), (15, 10), (9, 4), (6, 2), (1, 1), (0, 1)):
        for _ in range(100):
            assert 0.9 * want <= renew_after(left) <= want
