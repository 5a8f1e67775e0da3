from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peer import BTC, HISTORY, Guest, Peer, delta, image, node, resumed_to
from vectors import VALID

from tickwire import FIELDS, NotConnected, RequestError
from tickwire.data import Data
from tickwire.errors import FinalError, ProtocolError
from tickwire.message import MESSAGE_MAX, parse

BINARY = [bytes.fromhex(v["hex"]) for v in VALID if v["kind"] == "message" and v["encoding"] == "msgpack"]
TEXT = [str(v["text"]) for v in VALID if v["kind"] == "message" and v["encoding"] == "json"]

PIECES = ('"', "{", "}", "[", "]", ":", ",", "-", ".", "1e9", "null", "true", "NaN", "\\ud800", "\u0661", "9" * 20, "0")


def kind(message: bytes | str) -> str:
    try:
        parse(message)
    except ProtocolError as e:
        return e.kind
    return "none"


@pytest.mark.parametrize("message", [m for m in BINARY if m[1] < 7])  # of another type nothing is read
def test_cut_or_continued(message: bytes) -> None:
    assert {kind(message[:n]) for n in range(len(message))} <= {"truncated"}
    assert kind(message + b"\x00") == "trailing"


@given(st.sampled_from(BINARY), st.randoms(use_true_random=False))
@settings(max_examples=2000, deadline=None)
def test_mutated_bytes(message: bytes, rng: random.Random) -> None:
    """Whatever the bytes are, they are a message or refused; what is a message has values within bounds."""
    b = bytearray(message)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(b))
        match rng.randrange(4):
            case 0:
                b[at] = rng.randrange(256)
            case 1:
                del b[at : at + rng.randint(1, 5)]
            case 2:
                b[at:at] = rng.choice(BINARY)[:5]
            case _:
                b[at] = rng.choice((0xC0, 0xC1, 0xC4, 0xCA, 0xCB, 0xCF, 0xD3, 0xD6, 0xDC, 0xDD, 0xDF, 0xFF))
        b = b or bytearray(b"\x90")
    within_bounds(bytes(b))


@given(st.sampled_from(TEXT), st.randoms(use_true_random=False))
@settings(max_examples=1000, deadline=None)
def test_mutated_text(message: str, rng: random.Random) -> None:
    t = list(message)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(t))
        t[at : at + rng.randint(0, 3)] = rng.choice(PIECES)
    within_bounds("".join(t))


def within_bounds(message: bytes | str) -> None:
    try:
        m = parse(message)
    except ProtocolError:
        return
    if isinstance(m, Data):
        for key, seq, flags, mask, *values in m.updates:
            assert isinstance(key, str) or 0 <= key < 2**32
            assert 0 <= seq < 2**53
            assert len(values) == mask.bit_count() + (flags & 1)
            assert all(-(2**53) < v < 2**53 or v == -(2**63) for v in values)


@pytest.mark.parametrize(
    ("rest", "error"),
    [
        (',"price_scale":16', "range"), (',"bid":"1.00","price_scale":3', "syntax"), (',"bid":"1.00","ask":"1.0"', "syntax"),
        (',"bid":"1.00","price_scale":null', "syntax"), (',"bid":true', "type"), (',"trades":1.5', "range"), (',"trades":9007199254740993', "range"),
        (',"trades":"1"', "type"), (',"seq":1e400', "range"), (',"status":0', "type"), (',"history":-1', "range"), (',"bid":"1e5"', "syntax"),
        (',"symbol":""', "range"), (f',"symbol":"a:{"a" * 63}"', "range"), (',"bid":null,"constructor":5', "none"), (',"trades":true', "type"),
        (',"bid":"\u0661"', "syntax"), (',"bid":""', "syntax"), (f',"bid":"{"9" * 5000}"', "range"), (f',"trades":{"9" * 5000}', "range"),
        (',"x":NaN', "syntax"), (',"symbol":"a:\\ud800"', "range"), (',"trades":-9007199254740991,"bid":"-0.00"', "none"),
    ],
)  # fmt: skip
def test_text(rest: str, error: str) -> None:
    assert kind(f'{{"type":"data","sent_at":1,"updates":[{{"symbol":"a:b","seq":1{rest}}}]}}') == error


@pytest.mark.parametrize(
    ("m", "error"),
    [
        ([4, {"blocked_ms": 5, "later": {"x": [1.5, None]}}], "none"), ([4, {"blocked_ms": "x"}], "type"), ([4, {"blocked_ms": -1}], "range"),
        ([2, {"id": 1, "op": "list", "results": [{"symbol": 5}]}], "type"),
        ([2, {"id": 1, "op": "list", "results": [{"symbol": "x", "id": 1}]}], "range"),
        ([3, {"hash": 1.5}], "range"), ([3, {"hash": float("nan")}], "range"), ([4, {"x": b"bin"}], "type"), ([4, {1: 2}], "type"),
        ([4, {"x": msgpack.ExtType(5, b"x")}], "type"), ([4, {"x": 2**63}], "range"), ([4, {"x": [[[[[[[1]]]]]]]}], "none"),
        ([4, {"x": [[[[[[[[1]]]]]]]]}], "type"), ([0, 1, [1, 2, 0, 1, True]], "type"), ([0, 1, [1, 2, 0, 1, None]], "none"),
        ([0, 1, [1, 2, 0, 1 << 30, 7]], "none"), ([0, 1, [1, 2, 0, 1 << 30, "x"]], "type"), ([0, 1, 5], "type"), ([0, 1, []], "count"),
    ],
)  # fmt: skip
def test_control(m: object, error: str) -> None:
    assert kind(msgpack.packb(m)) == error


@pytest.mark.parametrize(
    "message",
    [
        (b"\xdd" + struct.pack(">I", MESSAGE_MAX - 5)) * 1000 + b"\x90" * (MESSAGE_MAX - 5000), b"\xdd\xff\xff\xff\xff" * 500, b"\x91" * MESSAGE_MAX,
        b"\x92\x04" + (b"\xdf" + struct.pack(">I", MESSAGE_MAX // 3)) * 500, "[" * MESSAGE_MAX, '{"a":' * (MESSAGE_MAX // 5), b"\xc1" * MESSAGE_MAX,
    ],
    ids=range(7),
)  # fmt: skip
def test_promises_get_no_memory(message: bytes | str) -> None:
    tracemalloc.start()
    began = time.process_time()
    try:
        assert kind(message) in ("truncated", "type", "trailing", "syntax")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * MESSAGE_MAX
    assert time.process_time() - began < 5


Say = Callable[[Peer], object]
LIES: dict[str, tuple[bytes | str, str]] = {
    "no msgpack": (b"\xc1", "type"),
    "a client's text": ("{", "syntax"),
    "a reply first": (b"\x92\x02\x80", "type"),
    "a heartbeat first": (msgpack.packb([3, {}]), "order"),
    "more than 4 MiB": (b"\x00" * (MESSAGE_MAX + 1), "syntax"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_first_message(lie: str) -> None:
    """It is told, and tried again: another node may be there then."""

    async def lies(p: Peer) -> None:
        await p.ws.send(LIES[lie][0])
        await p.hang()

    async with node(lies, lambda p: p.subscribed()) as n, Guest(n.url) as c:
        e = (await c.event("connecting")).error
        assert isinstance(e, ProtocolError)
        assert e.kind == LIES[lie][1], e
        await c.event("live")


FRAMES = {
    "reserved op code": b"\x83\x00",
    "reserved bits": b"\xc2\x01x",
    "masked": b"\x82\x81\x00\x00\x00\x00x",
    "continuation of nothing": b"\x80\x01x",
    "a long ping": b"\x89\x7e\x00\xc8" + b"x" * 200,
    "text that is not UTF-8": b"\x81\x01\xff",
    "a terabyte": b"\x82\x7f\x00\x00\x01\x00\x00\x00\x00\x00",
    "no frame": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("raw", FRAMES.values(), ids=FRAMES)
async def test_frames(raw: bytes) -> None:
    """What RFC 6455 forbids is the node's fault, not ours: it is no final code, and what is held is resumed."""

    async def lies(p: Peer) -> None:
        await p.subscribed(image(0, 10, 100))
        p.ws.transport.write(raw)
        await asyncio.sleep(0.5)

    async with node(lies, resumed_to) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        assert isinstance((await c.event("connecting")).error, ProtocolError)
        await c.holds(BTC, 11, 101)


@pytest.mark.parametrize(("more", "why"), [({"protocol": 2}, "version 2"), ({"fields": ["ask", "bid"]}, "its field 0 is 'ask', not 'bid'")])
async def test_another_protocol(more: dict[str, Any], why: str) -> None:
    async with node(lambda p: p.hello(**more)) as n, Guest(n.url) as c:
        with pytest.raises(FinalError, match=why):
            async for _ in c.subscribe(BTC):
                pass


async def test_more_fields() -> None:
    """A newer node has more; what is sent of them is passed over."""

    async def newer(p: Peer) -> None:
        u = image(0, 1, 100)
        u[3] |= 1 << 19
        await p.subscribed([*u, 77], fields=[*FIELDS, "mark"])
        await p.hang()

    async with node(newer) as n, Guest(n.url) as c:
        c.subscribe(BTC)
        await c.holds(BTC, 1, 100)


async def test_no_websocket() -> None:
    """What answers something else, or nothing whole, is no node: it is told and tried again."""
    answers = [b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"]
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        writer.write(answers[served % len(answers)])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with Guest(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}") as c:
        await c.event("connecting", 8)
    server.close()
    await server.wait_closed()


async def test_pings_that_are_not_read_are_not_answered_for_ever() -> None:
    """A node that asks for pongs without end and takes none is left, and gets no memory."""

    async def floods(p: Peer) -> None:
        await p.hello()
        p.ws.transport.pause_reading()
        while not p.ws.transport.is_closing():
            p.ws.transport.write((b"\x89\x7d" + b"x" * 125) * 1000)
            await asyncio.sleep(0)
            if p.ws.transport.get_write_buffer_size() > 64 << 20:
                break

    async with node(floods) as n, Guest(n.url) as c:
        await c.event("connecting")


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_a_node_says(seed: int) -> None:
    """Messages that are right by themselves, in any order, with any numbers, and some that are not: the client may leave, and
    comes back; nothing of it fails."""
    rng = random.Random(seed)

    def number() -> int:
        return rng.choice((0, 1, 2, 3, 7, HISTORY + rng.randrange(20)))

    def name() -> str:
        return rng.choice((BTC, "sim:A", "sim:*", "binance:*", "*", "nope", ""))

    def result() -> dict[str, Any]:
        refused = {"code": rng.choice((111, 110, 130, 121, 140, 999)), "text": "so says the test", "retry": rng.random() < 0.5}
        return {"symbol": name(), **rng.choice(({"id": rng.randrange(3)}, {"matched": rng.randrange(3)}, {"error": refused}, {"rate": 1.0}, {}))}

    async def says(p: Peer) -> None:
        await p.hello(token_ttl=rng.choice((None, 0, 1, 60)), heartbeat=rng.choice((0, 100, 10**6)))
        for _ in range(rng.randrange(60)):
            match rng.randrange(8):
                case 0 | 1:
                    await p.data(rng.choice((image, delta))(rng.randrange(3), rng.randrange(20), rng.randrange(9)))
                case 2 | 3:
                    op = rng.choice(("subscribe", "subscribe", "auth", "ping", "list", "set"))
                    await p.say("reply", id=rng.randrange(6), op=op, token_ttl=number(), results=[result() for _ in range(rng.randrange(4))])
                case 4:
                    await p.say(
                        "error", **rng.choice(({}, {"id": rng.randrange(6)})), code=number(), text="so says the test", retry=rng.random() < 0.5
                    )
                case 5 if rng.random() < 0.3:
                    await p.heartbeat(*rng.choice(((), (BTC,), (BTC, "sim:A"))))
                case 6:
                    await p.say(rng.choice(("lag", "hello")), blocked_ms=number(), node="again")
                case 7 if rng.random() < 0.1:
                    await p.say("drain", within_ms=rng.randrange(20))
            await asyncio.sleep(rng.choice((0, 0, 0.001)))
        await p.ws.close(rng.choice((1000, 1011, 1012, 4100)))

    tokens = iter(range(10**6))
    async with node(says) as n, Guest(n.url, token=lambda: f"t{next(tokens)}") as c:

        async def use() -> None:
            while True:
                with contextlib.suppress(RequestError, NotConnected):
                    sub = c.subscribe(rng.choice((BTC, "sim:A", "sim:*", "*")), rate=rng.choice((0, 1)))
                    async for _ in sub:
                        if rng.random() < 0.3:
                            break
                        if rng.random() < 0.3:
                            c.unsubscribe(sub.names)
                with contextlib.suppress(RequestError, NotConnected, asyncio.TimeoutError):
                    await asyncio.wait_for(rng.choice((c.ping, c.list, lambda: c.auth(f"a{next(tokens)}")))(), 0.01)
                await asyncio.sleep(0)

        users = [asyncio.create_task(use()) for _ in range(3)]
        done, _ = await asyncio.wait(users, timeout=1.5)
        assert [task.exception() for task in done] == []
        while left := [task for task in users if not task.done()]:  # before Python 3.12 wait_for loses a cancellation now and then
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=0.1)
        assert c.state != "closed"
        assert n.served > 5
        assert sum(row.live for row in c._core.board.rows.values()) == c._core.board.subs
