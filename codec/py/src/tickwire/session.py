"""One connection, from its hello to its end."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from .answers import failed, replied
from .asking import Asking
from .bell import Bell
from .bounds import integer
from .data import Data
from .errors import FinalError, ProtocolError, RequestError
from .event import Event, span
from .fields import FIELDS
from .message import LIMIT_MAX, Drain, Heartbeat, Hello, Lag, Reply, parse
from .request import encode
from .subscription import FULL
from .token import NoToken, Pass, renewed
from .wire import DIAL_TIMEOUT, Drained, Lost, Wire

if TYPE_CHECKING:
    from .core import Core

_STALE_BEATS = 2.5  # heartbeats may fail to come before the node is given up
_WRITE_TIMEOUT = 10.0  # seconds
_LATE = 0.1  # seconds by which a timer may be late
_HOUR = 3600.0


class Session:
    """One connection. Its tasks read, write requests, watch the silence, and have the token renewed; the first that raises
    ends it."""

    def __init__(self, core: Core, wire: Wire, token: str) -> None:
        self.core = core
        self.wire = wire
        self.token = token  # that it was opened with
        self.silence = DIAL_TIMEOUT  # seconds after which the node is given up
        self.began = time.monotonic()
        self.leave: float | None = None  # by time.monotonic, when to go if a node that drains has not sent us away
        self.talked = False  # data or a reply came
        self.asking: Asking | None = None  # None before hello
        self._holding = False  # it is us who reads nothing
        self._sooner = Bell()  # for the watch: it has to look sooner than it meant to
        self._tasks: list[asyncio.Task[None]] = []
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Raises why the connection ended."""
        self._go(self._read())
        self._go(self._watch())
        try:
            await asyncio.shield(self._end)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if not self._end.cancel():
                self._end.exception()  # looked at, also where we were cancelled at the same time

    def _go(self, task: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(task))
        self._tasks[-1].add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._fail(Lost("a task of the client was cancelled, not by it"))  # else it has ended, and nobody waits for why
        elif (e := task.exception()) is not None:
            self._fail(e)

    def _fail(self, why: BaseException) -> None:
        if not self._end.done():
            self._end.set_exception(why)

    async def _read(self) -> None:
        wire, core = self.wire, self.core
        try:
            while True:
                m = parse(await wire.recv())
                if isinstance(m, Data):
                    self.talked = True
                    for part in (m,) if len(m.updates) <= FULL else m.parts(FULL):
                        core.merge(part)
                        if core.is_full:
                            await self._hold()
                elif m is not None:
                    self._take(m)
        except ConnectionClosed as e:
            raise wire.why(e) from e

    async def _hold(self) -> None:
        """Reads nothing until the slowest iteration has taken what waits for it."""
        self._holding = True
        await self.core.room()
        self._holding = False
        self.wire.heard = time.monotonic()  # what the node said meanwhile we have not looked at

    async def _watch(self) -> None:
        """Ends the connection when nothing is heard for too long, and when a drain has its time."""
        while True:
            now = time.monotonic()
            wait = self.silence if self._holding else self.wire.heard + self.silence - now
            if self.leave is not None:
                if now >= self.leave:
                    raise Drained("the node restarts")
                wait = min(wait, self.leave - now)
            if wait <= 0 and self.asking is None:
                raise Lost(f"no hello within {span(self.silence)}: what answers there is no node")
            if wait <= 0:
                raise Lost(f"nothing heard for {span(self.silence)}", silent=True)
            await self._sooner.rung(wait)
            if time.monotonic() > now + wait + _LATE:
                # It was us who slept, in a callback or with the lid closed: what waits for us is read first.
                self.wire.heard = max(self.wire.heard, time.monotonic() + _LATE - self.silence)

    def _take(self, m: Hello | Reply | Heartbeat | Lag | Drain | RequestError) -> None:
        """Acts on a message other than data."""
        core, asking = self.core, self.asking
        match m:
            case Hello():
                if asking is None:
                    self._greet(m)
            case Lag():
                core.tell(Event("lag", after=m.blocked_ms / 1000))
            case Drain():
                within = min(m.within_ms / 1000, _HOUR)
                self.leave = time.monotonic() + within
                self._sooner.set()
                core.tell(Event("drain", after=within))
            case _ if asking is None:
                raise ProtocolError("order", "the first message is no hello")
            case Reply():
                self.talked = True
                core.tell(*replied(asking, m))
            case RequestError():
                event, fatal = failed(asking, m)
                core.tell(event)
                if fatal:
                    raise Lost(str(m))  # the next connection begins with what is wanted
            case Heartbeat():
                self._compare(m, asking)

    def _greet(self, hello: Hello) -> None:
        """Begins: everything wanted is asked for, but for what this token is known not to cover."""
        core = self.core
        if hello.protocol != 1:
            raise FinalError(1002, f"it speaks version {hello.protocol} of the protocol, not 1")
        for f, (theirs, ours) in enumerate(zip(hello.fields, FIELDS, strict=False)):
            if theirs != ours:
                raise FinalError(1002, f"its field {f} is {theirs!r}, not {ours!r}")
        limits = hello.limits
        for limit in (limits.request_bytes, limits.request_symbols, limits.subs, limits.requests_per_s):
            integer(limit, "a limit of hello", 1, LIMIT_MAX)
        if 0 < hello.heartbeat < _HOUR * 1000:
            self.silence = _STALE_BEATS * hello.heartbeat / 1000
            self._sooner.set()
        asking = self.asking = Asking(core, hello, self.token)
        for want in core.wants:
            want.state = "idle"
            if want.barred is None or want.barred != self.token:
                want.barred = None
                asking.ask(want)
        asking.auth = core.token.token != self.token  # auth was called since we dialed
        if not asking.auth:
            core.token = core.token.lasts(hello.token_ttl)
        core.board.reset(limits.subs)
        core.greeted(asking)
        core.tell(Event("live", hello=hello))
        self._go(self._write(asking))
        if core.source is not None:
            self._go(self._renew(asking))

    def _compare(self, h: Heartbeat, asking: Asking) -> None:
        """Holds a heartbeat against what we believe to be subscribed to, when no request is under way."""
        board = self.core.board
        if not asking.busy and (h.subs, h.hash) != (board.subs, board.hash):
            raise ProtocolError("order", f"the node has {h.subs} subscriptions, hash {h.hash:08x}; we have {board.subs}, {board.hash:08x}")

    async def _write(self, asking: Asking) -> None:
        """Sends requests, at the rate that the node takes them."""
        pause = 1 / asking.limits.requests_per_s
        while True:
            r = asking.next()
            if r is None:
                wait = None if asking.ask_at is None else max(0, asking.ask_at - time.monotonic())
                await asking.changed.rung(wait)
                continue
            late = asyncio.get_running_loop().call_later(_WRITE_TIMEOUT, self._fail, Lost(f"the node took no request for {_WRITE_TIMEOUT:g}s"))
            try:
                await self.wire.send(encode(r, self.core.encoding))
            except ConnectionClosed:
                return  # the reader meets the reason
            finally:
                late.cancel()
            await asyncio.sleep(pause)

    async def _renew(self, asking: Asking) -> None:
        """Has the token of the connection renewed before it ends."""
        core = self.core
        pause = core.pace.ask_first
        while True:
            had = core.token
            wait = None if had.due is None or asking.renewing else had.due - time.monotonic()
            if wait is None or wait > 0:
                await asking.aged.rung(wait)
                continue
            token, error = had.token, None
            try:
                assert core.source is not None
                token = await renewed(core.source)
            except NoToken as e:
                error = e
            if core.token != had:
                continue  # auth was called
            if token != had.token:
                core.token, asking.auth, pause = Pass(token), True, core.pace.ask_first
                asking.changed.set()
                continue
            # A tenth more or less, so that clients do not stay in step.
            after = pause * random.uniform(0.9, 1.1)
            core.token = Pass(had.token, time.monotonic() + after, had.spent)
            pause = min(2 * pause, core.pace.backoff_most)
            if error is not None:
                core.tell(Event("token", error=error, after=after))
