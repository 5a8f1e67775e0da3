"""What a hostile node can have a client do is bounded: connects, and memory."""

from __future__ import annotations

import asyncio
import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from peer import BTC, HISTORY, Guest, Peer, error, image, is_, is_not, node, resumed_to, takes, until

from tickwire import Client
from tickwire.asking import Pace
from tickwire.errors import Code, ProtocolError
from tickwire.message import MESSAGE_MAX, parse
from tickwire.subscription import FULL

LIMITS = {"request_bytes": 65_536, "request_symbols": 4096, "subs": 10, "requests_per_s": 50}


def array(n: int, one: bytes) -> bytes:
    return b"\xdd" + struct.pack(">I", n) + one * n


N = MESSAGE_MAX - 100
RESULTS = b"\x92\x02\x81\xa7results"
CROWDS: dict[str, tuple[bytes | str, str, int]] = {  # and how many times its size one may take
    "arrays": (array(N, b"\x90"), "type", 4),
    "maps": (array(N // 3, b"\x81\xa0\xc0"), "type", 4),
    "updates that are empty": (b"\xdd" + struct.pack(">I", N + 2) + b"\x00\x01" + b"\x90" * N, "count", 4),
    "an update of arrays": (b"\x93\x00\x01" + array(N, b"\x90"), "type", 4),
    "an update of maps": (b"\x93\x00\x01" + array(N // 3, b"\x81\xa0\xc0"), "type", 4),
    "a reply of arrays": (RESULTS + array(N, b"\x90"), "type", 8),
    "a reply of maps": (RESULTS + array(N // 3, b"\x81\xa0\xc0"), "type", 24),
    "a lag of many": (b"\xdd" + struct.pack(">I", N) + b"\x04" + b"\x90" * (N - 1), "type", 8),
    "JSON arrays": ('{"type":"data","updates":[' + "[]," * (N // 3) + "[]]}", "type", 4),
    "JSON maps": ('{"type":"data","updates":[' + "{}," * (N // 3) + "{}]}", "type", 4),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_what_is_small_and_many_gets_little_memory(crowd: str) -> None:
    message, kind, times = CROWDS[crowd]
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError) as why:
            parse(message)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert why.value.kind == kind
    assert most < times * len(message)


@pytest.mark.parametrize("results", [{"id": 0}, {"error": {"code": 0, "text": ""}}, {"id": 0, "fields": ["bid"]}], ids=range(3))
def test_the_smallest_results_are_no_crowd(results: dict[str, Any]) -> None:
    m = {"id": 1, "op": "list", "results": [{"symbol": "a:b", **results}] * 10_000}
    reply = parse(msgpack.packb([2, m]))
    assert len(getattr(reply, "results", ())) == 10_000
    updates = [[7, 1 << 52, 0, 1, 5]] * 10_000
    data = parse(msgpack.packb([0, 1, *updates, [7, 5, 0, 1 << 30 | 1, None, 1]]))
    assert getattr(data, "updates", ()) == [*updates, [7, 5, 0, 1, -(2**63)]]


async def test_many_updates_are_merged_in_parts() -> None:
    """What waits for an iteration takes more than the message: the client holds on amid one."""
    most = 0

    async def floods(p: Peer) -> None:
        await p.subscribed()
        await p.data(image(0, 1, 100), *[[0, HISTORY + 1 + i, 0, 0] for i in range(35_000)])
        await p.hang()

    async with node(floods) as n, Guest(n.url) as c:
        seen = 0
        async for batch in c.subscribe(BTC).batches():
            most, seen = max(most, len(batch)), seen + len(batch)
            if seen == 35_001:
                break
    assert most == FULL


async def test_what_nobody_waits_for_is_forgotten() -> None:
    """Whoever asks again and again, and waits for no answer, costs no memory."""
    pings = 0

    async def slow(p: Peer) -> None:
        nonlocal pings
        await p.hello(limits={**LIMITS, "requests_per_s": 4})
        while True:
            pings += (await p.request()).op == "ping"

    async with node(slow) as n, Guest(n.url) as c:
        await c.event("live")
        sub = c.subscribe(BTC)
        for _ in range(100):
            for ask in (c.ping, sub.results):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(ask(), 0.002)
        await asyncio.sleep(0.3)
        want = c._core.wants.get(BTC)
        assert want is not None
        assert not want.waiters
        assert c._core.asking is not None
        assert len(c._core.asking.calls) < 60
        assert pings < 10


async def test_a_refused_message_is_not_kept() -> None:
    """Whoever keeps what was told does not keep the message with it."""

    async def lies(p: Peer) -> None:
        await p.hello()
        await p.ws.send(b"\x93\x00\x01" + array(N, b"\x90"))
        await p.hang()

    async with node(lies, lambda p: p.subscribed()) as n, Guest(n.url) as c:
        e: BaseException | None = (await c.event("connecting")).error
        assert isinstance(e, ProtocolError)
        assert (e.__traceback__, e.__context__) == (None, None)


async def test_fragments() -> None:
    """A message of empty fragments would never be too long, and some libraries keep them all. That it comes in some is no fault."""

    async def floods(p: Peer) -> None:
        await p.subscribed(image(0, 1, 90))
        whole = msgpack.packb([0, 1, image(0, 10, 100)])
        p.ws.transport.write(b"\x02\x00" + b"\x00\x00" * 4000 + bytes([0x80, len(whole)]) + whole)
        p.ws.transport.write(b"\x02\x00" + (b"\x00\x00" * 10 + b"\x89\x00") * 500)
        await p.hang()

    async with node(floods, resumed_to) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        assert str((await c.event("connecting")).error) == "protocol error: syntax: 1009 too many fragments"
        await c.holds(BTC, 11, 101)


async def test_drained_again_and_again() -> None:
    """Who is sent away by one node after the other, each time at once, does not come faster and faster."""

    async def drains(p: Peer) -> None:
        await p.subscribed(image(0, 1, 100))
        await p.say("drain", within_ms=0)
        await p.hang()

    async with node(drains) as n, Guest(n.url) as c:
        c._core.pace = Pace()
        c.subscribe(BTC)
        await c.event("connecting", 2)
        assert c.told("connecting")[0].after == 0
        await asyncio.sleep(1)
        assert 2 <= n.served <= 15


async def test_more_symbols_than_hello_allows() -> None:
    """They are no node's; and a node that never has too many, but others each time, is not remembered for ever."""
    named = 0

    async def invents(p: Peer) -> None:
        nonlocal named
        await p.hello(limits=LIMITS)
        await p.request()
        fresh = [is_(f"sim:{named + i}", i) for i in range(10 + (n.served == 1))]
        named += len(fresh)
        await p.say("reply", id=7, op="subscribe", results=fresh)
        await p.ws.close(1012)

    async with node(invents) as n, Guest(n.url) as c:
        c.subscribe("sim:*")
        e = (await c.event("connecting")).error
        assert isinstance(e, ProtocolError)
        assert e.kind == "order"
        assert str(e).endswith("the node has subscribed us to 11 symbols, of 10 at the most")
        await until("many were named", lambda: named > 100)
        assert len(c._core.board.rows) <= 30


async def test_more_symbols_under_a_new_token() -> None:
    async def invents(p: Peer) -> None:
        await p.hello(limits=LIMITS)
        await p.reply(await p.request(), takes("sim:*", 0))
        r = await p.request()
        await p.say("reply", id=r.id, op="auth", results=[is_(f"sim:{i}", i, rate=1) for i in range(11)])
        await p.hang()

    async with node(invents, lambda p: p.hello()) as n, Guest(n.url, token="t1") as c:
        c.subscribe("sim:*")
        await c.event("subscribed")
        await c.auth("t2")
        assert "11 symbols, of 10 at the most" in str((await c.event("connecting")).error)


@pytest.mark.parametrize("subs", [0, None, 1_000_001])
async def test_a_hello_without_limits(subs: int | None) -> None:
    async with node(lambda p: p.hello(limits={**LIMITS, "subs": subs}), lambda p: p.subscribed()) as n, Guest(n.url) as c:
        assert "a limit of hello is" in str((await c.event("connecting")).error)
        await c.event("live")


async def test_refusals_that_are_logged_once_are_not_collected(caplog: pytest.LogCaptureFixture) -> None:
    """Of what is asked for again the first refusal is a warning; what a node makes up is not remembered."""
    rounds = 0

    async def makes_up(p: Peer) -> None:
        nonlocal rounds
        await p.hello()
        while True:
            r = await p.request()
            rounds += 1
            late = {"symbol": f"sim:{rounds}", "error": error(Code.UNKNOWN_SYMBOL)}
            await p.reply(r, is_not(BTC, Code.UNKNOWN_SYMBOL), late)

    async with node(makes_up) as n, Client(n.url) as c:
        c._core.pace = Pace(0.002, 0.02, 0.004, 0.01)
        c.subscribe(BTC, "sim:*")
        await until("it was asked again", lambda: rounds > 5)
    warned = [record.message.split(": ")[0] for record in caplog.records if record.levelname == "WARNING"]
    assert warned.count(BTC) == 1
    assert not [name for name in vars(c._core) if isinstance(getattr(c._core, name), set) and getattr(c._core, name)]
