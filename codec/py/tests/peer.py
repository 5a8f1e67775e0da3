"""The other end: a WebSocket server on loopback, and a client with little patience."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgpack
from node_side import parse_request
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HTTPRequest
from websockets.http11 import Response

import tickwire
from tickwire.asking import Pace
from tickwire.bounds import symbol_hash
from tickwire.data import Data
from tickwire.errors import Code
from tickwire.fields import FIELDS, SCALE_OF
from tickwire.message import parse
from tickwire.request import Request

BTC, ETH = "binance:BTC-USDT", "binance:ETH-USDT"
HISTORY = 1_700_000_000_000
IMAGE, CATCH_UP, GAP = 1, 14, 16
SOON = 10.0  # for what must happen; quickly, but not on a machine that is busy
TYPES = ("data", "hello", "reply", "heartbeat", "lag", "drain", "error")
RETRY = {Code.UNKNOWN_SYMBOL, Code.TOO_MANY_REQUESTS, Code.UNAVAILABLE}

Result = dict[str, Any]


class Peer:
    """One connection as the node has it."""

    def __init__(self, ws: ServerConnection) -> None:
        self.ws = ws
        self.json = ws.subprotocol == "tickwire.v1.json"

    async def request(self) -> Request:
        """The next request; when the client has gone the script ends."""
        message = await self.ws.recv()
        assert isinstance(message, str) == self.json
        return parse_request(message)

    async def say(self, kind: str, **m: Any) -> None:
        await self.ws.send(json.dumps({"type": kind, **m}) if self.json else msgpack.packb([TYPES.index(kind), m]))

    async def hello(self, heartbeat: int = 60_000, **more: Any) -> None:
        limits = {"request_bytes": 65_536, "request_symbols": 4096, "subs": 10_000, "requests_per_s": 50}
        m = {"protocol": 1, "node": "n1", "time": 1, "fields": FIELDS, "heartbeat": heartbeat, "periods": [0], "limits": limits, "token_ttl": None}
        await self.say("hello", **{**m, **more})

    async def reply(self, r: Request, *results: Result, **more: Any) -> None:
        m: dict[str, Any] = {"id": r.id, "op": r.op, "rate": r.rate or 0, "results": results}
        if r.fields:
            m["fields"] = [*r.fields, "price_scale"]
        await self.say("reply", **{**m, **more})

    async def refuse(self, r: Request | None, code: Code, text: str = "") -> None:
        await self.say("error", **({} if r is None else {"id": r.id}), **error(code, text))

    async def data(self, *updates: list[Any], names: dict[int, str] | None = None) -> None:
        """Updates as msgpack has them, with a bid and a last price of two decimals at the most."""
        if not self.json:
            await self.ws.send(msgpack.packb([0, 1, *updates]))
            return
        await self.ws.send(json.dumps({"type": "data", "sent_at": 1, "updates": [spell(u, names or {0: BTC, 1: ETH}) for u in updates]}))

    async def heartbeat(self, *symbols: str) -> None:
        h = 0
        for symbol in symbols:
            h ^= symbol_hash(symbol)
        await self.say("heartbeat", time=1, subs=len(symbols), hash=h)

    async def subscribed(self, *updates: list[Any], **hello: Any) -> Request:
        """Begins as most do: hello, and BTC is asked for and numbered 0."""
        await self.hello(**hello)
        r = await self.request()
        await self.reply(r, is_(BTC, 0))
        if updates:
            await self.data(*updates)
        return r

    async def hang(self) -> None:
        """Keeps the connection until the client goes."""
        async for _ in self.ws:
            pass


def spell(u: list[Any], names: dict[int, str]) -> dict[str, Any]:
    key, seq, flags, mask, *values = u
    o: dict[str, Any] = {"symbol": names[key], "seq": seq}
    if flags & IMAGE:
        o |= {"image": True, "history": values.pop(0)}
    if flags & 2:
        o["conflated"] = ("", "rate", "slow", "catch-up")[flags >> 2 & 3]
    if flags & GAP:
        o["gap"] = True
    for f, name in enumerate(FIELDS):
        if mask >> f & 1:
            v = values.pop(0)
            o[name] = v if SCALE_OF[f] < 0 else f"{v // 100}.{v % 100:02}"
    return o


def image(id: int, seq: int, bid: int, history: int = HISTORY) -> list[Any]:
    return [id, HISTORY + seq, IMAGE, 1 << 0 | 1 << 4 | 1 << 16, history, bid, 7, 2]


def delta(id: int, seq: int, bid: int, flags: int = 0) -> list[Any]:
    return [id, HISTORY + seq, flags, 1, bid]


def is_(symbol: str, id: int, **more: Any) -> Result:
    return {"symbol": symbol, "id": id, **more}


def is_not(symbol: str, code: Code) -> Result:
    return {"symbol": symbol, "error": error(code)}


def takes(pattern: str, n: int) -> Result:
    return {"symbol": pattern, "matched": n}


def error(code: Code, text: str = "") -> dict[str, Any]:
    return {"code": int(code), "text": f"{code.name.lower()}: {text}", "retry": code in RETRY}


Script = Callable[[Peer], Awaitable[object]]


async def resumed_to(p: Peer) -> None:
    """A node that a client comes back to with BTC as of its tenth update, and is sent the next alone."""
    await p.hello()
    r = await p.request()
    assert r.resume == [(BTC, HISTORY, HISTORY + 10)]
    await p.reply(r, is_(BTC, 0))
    await p.data(delta(0, 11, 101))
    await p.hang()


class Node:
    """Each connection runs the next of its scripts; the last one serves all that follow."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self.scripts = scripts
        self.served = 0
        self.tokens: list[str | None] = []  # that upgrades brought
        self.came_at: list[float] = []
        self.failed: list[BaseException] = []  # assertions of scripts
        self.refuse: Callable[[int], Response | None] = lambda upgrade: None
        self.server: Server

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    def upgrade(self, ws: ServerConnection, request: HTTPRequest) -> Response | None:
        self.tokens.append(request.headers.get("Authorization"))
        self.came_at.append(time.monotonic())
        return self.refuse(len(self.tokens))

    async def serve(self, ws: ServerConnection) -> None:
        script = self.scripts[min(self.served, len(self.scripts) - 1)]
        self.served += 1
        try:
            await script(Peer(ws))
        except ConnectionClosed:
            pass
        except BaseException as e:
            self.failed.append(e)
            await ws.close(4099, "the script failed")


@contextlib.asynccontextmanager
async def node(*scripts: Script) -> AsyncIterator[Node]:
    n = Node(scripts)
    n.server = await serve(
        n.serve, "127.0.0.1", 0, subprotocols=["tickwire.v1.msgpack", "tickwire.v1.json"], compression=None, process_request=n.upgrade,  # type: ignore[list-item]
        ping_interval=None, close_timeout=0.1,
    )  # fmt: skip
    try:
        yield n
    finally:
        n.server.close()
        await n.server.wait_closed()
    for e in n.failed:
        if not isinstance(e, asyncio.CancelledError):
            raise e


@contextlib.contextmanager
def served(script: Script, refuse: Callable[[int], Response | None] = lambda upgrade: None) -> Iterator[Node]:
    """A node on a loop of another thread, for clients that block."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    nodes: list[Node] = []
    stop = asyncio.Event()

    async def serve() -> None:
        async with node(script) as n:
            n.refuse = refuse
            nodes.append(n)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield nodes[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def refusal(status: int, reason: str, **headers: str) -> Response:
    """An upgrade that is refused, as a node does."""
    body = json.dumps({"error": "so says the test", "reason": reason}).encode()
    return Response(status, "No", Headers({"Content-Length": str(len(body)), "Connection": "close", **headers}), body)


class Guest(tickwire.Client):
    """A client with little patience, and what it was told."""

    def __init__(self, url: str, **options: Any) -> None:
        self.events: list[tickwire.Event] = []
        self.states: list[str] = []  # when each event was told
        super().__init__(url, on_event=self.note, **options)
        self._core.pace = Pace(0.002, 0.02, 0.04, 0.16)

    def note(self, e: tickwire.Event) -> None:
        self.events.append(e)
        self.states.append(self.state)

    def told(self, kind: str) -> list[tickwire.Event]:
        return [e for e in self.events if e.kind == kind]

    async def event(self, kind: str, n: int = 1) -> tickwire.Event:
        """Waits for the n-th event of a kind."""
        await until(f"event {n} {kind} in {[str(e) for e in self.events][-5:]}", lambda: len(self.told(kind)) >= n)
        return self.told(kind)[n - 1]

    async def holds(self, symbol: str, seq: int, bid: int) -> None:
        """Waits for a symbol's seq and bid."""
        await until(
            f"{symbol} has seq {seq} and bid {bid}",
            lambda: symbol in self.quotes and (self.quotes[symbol].seq - HISTORY, self.quotes[symbol].mantissa("bid")) == (seq, bid),
        )


async def until(what: str, is_so: Callable[[], bool], within: float = SOON) -> None:
    end = time.monotonic() + within
    while not is_so():
        assert time.monotonic() < end, f"not within {within} s: {what}"
        await asyncio.sleep(0.002)


def parsed(message: bytes | str) -> list[list[Any]]:
    m = parse(message)
    assert isinstance(m, Data)
    return m.updates
