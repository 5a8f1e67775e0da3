"""What there is of a client besides its connections, and the loop that makes these. All of it belongs to one event loop."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from .asking import Asking, Call, Pace
from .bell import Bell
from .board import Board
from .data import Data
from .errors import EXPIRED, FinalError, NotConnected, ProtocolError, RequestError
from .event import Event
from .message import Reply, Result
from .request import Encoding, Op
from .session import Session
from .subscription import Backlog, Subscription
from .token import NoToken, Pass, TokenSource, check_token, renewed
from .wants import Want, Wants
from .wire import Drained, Lost, Wire, dial

State = Literal["connecting", "live", "stale", "closed"]
"""connecting: to a node, for the first time or again; stale: as that, since the node fell silent; closed: for good."""

T = TypeVar("T")

log = logging.getLogger("tickwire")


class Core:
    def __init__(
        self, url: str, encoding: Encoding, token: str | TokenSource | None, tls: ssl.SSLContext | None, on_event: Callable[[Event], object] | None
    ) -> None:
        self.url = url
        self.encoding = encoding
        self.source = token if callable(token) else None
        self.token = Pass(check_token("" if callable(token) else token or ""))
        self.pace = Pace()
        self.wants = Wants()
        self.board = Board()
        self.paused = False
        self.state: State = "connecting"
        self.asking: Asking | None = None  # None without a connection, and before its hello
        self._tls = tls
        self._on_event = on_event
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None  # why it was closed, if not by its user
        self._room = Bell()  # an iteration has taken what waits for it
        self._waiting: set[asyncio.Future[Any]] = set()
        self._auths: list[tuple[str, asyncio.Future[list[Result]]]] = []

    # Beginning and end.

    def start(self) -> None:
        if self._task is not None or self.state == "closed":
            raise NotConnected("this client was begun before: make another")
        self._task = asyncio.create_task(self._live(), name="tickwire")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._finish(None)

    async def _live(self) -> None:
        try:
            await self._run()
        except Exception as e:
            self._finish(e)
        finally:
            self._finish(None)

    def _finish(self, error: Exception | None) -> None:
        if self.state == "closed":
            return
        self.state, self._error = "closed", error
        self.asking = None
        for backlog in [*self.board.backlogs]:
            self.end(backlog, error)
        for future in self._waiting:
            if not future.done():
                future.set_exception(error or NotConnected("the client is closed"))

    def check_open(self) -> None:
        """Raises why nothing can come any more, if so."""
        if self.state == "closed":
            raise self._error or NotConnected("the client is closed: make another")

    async def waited(self, future: asyncio.Future[T]) -> T:
        """Waits for what comes, but not beyond the end."""
        self.check_open()
        if self._task is None:
            raise NotConnected("the client was not begun: async with Client(...) as client")
        self._waiting.add(future)
        try:
            return await future
        finally:
            self._waiting.discard(future)

    # Connections.

    async def _run(self) -> None:
        """Stays connected until it is cancelled; raises FinalError or ConfigError."""
        attempt = 0
        while True:
            session, error = await self._connect()
            if (isinstance(error, FinalError) and not self._survives(error)) or not isinstance(error, (FinalError, Lost, ProtocolError, NoToken)):
                raise error
            self._lost()
            leave = None if session is None else session.leave
            hasty = session is not None and leave is not None and time.monotonic() - session.began < self.pace.backoff_most
            if session is not None and session.talked and not hasty and not isinstance(error, ProtocolError):
                attempt = 0  # only data, or a reply, proves that the way is free, if we are not sent away at once
            wait = random.uniform(0, min(self.pace.backoff_most, self.pace.backoff_first * 2 ** min(attempt, 10)))
            if leave is not None and isinstance(error, Drained):
                wait = wait if attempt else 0  # it sends away one after the other
            elif leave is not None:
                wait = max(wait, random.uniform(0, max(0, leave - time.monotonic())))  # it ended with all its connections
            silent = False
            if isinstance(error, Lost):
                wait += error.after
                silent = error.silent
            self.state = "stale" if silent else "connecting"
            self.tell(Event("stale" if silent else "connecting", error=error, after=wait))
            await asyncio.sleep(wait)
            attempt += 1

    async def _connect(self) -> tuple[Session | None, Exception]:
        """Lives through one connection, and tells how it went and why it ended."""
        session: Session | None = None
        wire: Wire | None = None
        try:
            token = await self._present()
            wire = await dial(self.url, self.encoding, token, self._tls)
            session = Session(self, wire, token)
            await session.run()
            raise AssertionError("a session ends with a reason")
        except asyncio.CancelledError:
            if wire is not None:
                await wire.bye(1000)
            raise
        except Exception as e:
            if isinstance(e, ProtocolError):
                e.__traceback__ = e.__context__ = None  # whoever keeps it shall not keep the message, which their frames have
                if e.kind == "order":
                    self.board.distrust()
            if wire is not None and isinstance(e, (ProtocolError, FinalError, Drained)):
                await wire.bye(1000 if isinstance(e, Drained) else 1002)
            return session, e
        finally:
            if wire is not None:
                wire.drop()

    def greeted(self, asking: Asking) -> None:
        self.asking, self.state = asking, "live"

    def _lost(self) -> None:
        """Leaves the client without a connection."""
        asking, self.asking = self.asking, None
        calls = [] if asking is None else [*asking.calls, *(asked.call for asked in asking.asked.values() if asked.call)]
        for call in calls:
            if not call.reply.done():
                call.reply.set_exception(NotConnected("the connection ended before there was an answer"))
        for _, done in self._auths:  # the next connection shows the new token
            if not done.done():
                done.set_result([])
        self._auths.clear()

    # Tokens.

    async def _present(self) -> str:
        """The token to connect with: the one in use, unless another is due."""
        had = self.token
        if self.source is None or not had.is_due:
            return had.token
        try:
            token = await renewed(self.source)
        except NoToken as e:
            if had.spent or not had.token:
                raise
            self.tell(Event("token", error=e))  # that in use may still be good
            return had.token
        if self.token == had:  # auth was not called meanwhile
            self.token = Pass(token)
        return self.token.token

    def _survives(self, why: FinalError) -> bool:
        """Whether another token may help against what refused this one."""
        expired = why.code == EXPIRED or (why.code == 401 and why.reason == "expired")
        if expired and self.source is not None:
            self.token = Pass(self.token.token, self.token.due, spent=True)
            return True
        return False

    async def auth(self, token: str) -> list[Result]:
        self.check_open()
        self.token = Pass(check_token(token))
        if self.asking is None:
            return []
        self.asking.auth, self.asking.auth_later = True, False
        self.asking.changed.set()
        done: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        self._auths.append((token, done))
        return await self.waited(done)

    def authorized(self, token: str, answer: list[Result] | RequestError) -> None:
        """The node has said what it makes of a token. Of one that another took the place of before it was shown it never will."""
        for shown, done in self._auths:
            if done.done() or (shown != token and shown == self.token.token):
                continue
            if shown == token and isinstance(answer, RequestError):
                done.set_exception(answer)
            else:
                done.set_result([] if isinstance(answer, RequestError) or shown != token else answer)
        self._auths = [(shown, done) for shown, done in self._auths if not done.done()]

    # What is asked, and told.

    def ask(self, want: Want) -> None:
        """Puts a want into the queue, where there is a connection."""
        want.barred = want.outcome = None
        if self.asking is not None:
            self.asking.ask(want)

    def unsubscribe(self, names: Sequence[str]) -> None:
        for name in names:
            want = self.wants.remove(name)
            if want is not None:
                want.release()
                self.ask(Want(name, drop=True))
        for symbol in list(self.board.rows):
            if not self.wants.takers(symbol):
                self.board.forget(symbol)
        for backlog in [*self.board.backlogs]:
            if not any(self.wants.get(name) for name in backlog.subscription.names):
                self.end(backlog)

    async def call(self, op: Op) -> Reply:
        self.check_open()
        if self.asking is None:
            raise NotConnected("not connected")
        call = Call(op, asyncio.get_running_loop().create_future())
        self.asking.calls.append(call)
        self.asking.changed.set()
        return await self.waited(call.reply)

    def tell(self, *events: Event) -> None:
        """Tells what happened, and ends the iterations that nothing can come for now."""
        for event in events:
            if self._on_event is None:
                self._log(event)
                continue
            try:
                self._on_event(event)
            except (Exception, asyncio.CancelledError):
                log.exception("on_event failed at: %s", event)
        if any(event.kind == "error" for event in events):
            for backlog in [*self.board.backlogs]:
                if (why := self._hopeless(backlog.subscription)) is not None:
                    self.end(backlog, why)

    def _log(self, event: Event) -> None:
        """Tells whoever has asked for nothing else: what needs somebody's attention is a warning, but once."""
        level = logging.WARNING if event.is_trouble else logging.INFO
        want = self.wants.get(event.symbol or "")
        if want is not None and event.kind in ("error", "subscribed"):
            if event.kind == "error" and event.after and want.missed:
                level = logging.DEBUG
            want.missed = event.kind == "error"
        log.log(level, "%s", event)

    # Iterations.

    def merge(self, data: Data) -> None:
        self.board.merge(data, time.time_ns() // 1000)
        for backlog in self.board.backlogs:
            backlog.wake()

    @property
    def is_full(self) -> bool:
        return any(backlog.is_full for backlog in self.board.backlogs)

    async def room(self) -> None:
        """Waits until no iteration is so far behind."""
        while self.is_full:
            await self._room.rung()

    def begin(self, subscription: Subscription) -> Backlog:
        """An iteration begins."""
        self.check_open()
        if self._task is None:
            raise NotConnected("the client was not begun: async with Client(...) as client")
        backlog = Backlog(subscription, self._room)
        self.board.begin(backlog, time.time_ns() // 1000)
        why = self._hopeless(subscription)
        if why is not None or not any(self.wants.get(name) for name in subscription.names):
            self.end(backlog, why)
        return backlog

    def end(self, backlog: Backlog, error: Exception | None = None) -> None:
        """An iteration is over, or is to end with what waits for it, and then so."""
        backlog.finish(error)
        self.board.end(backlog)
        self._room.set()

    def _hopeless(self, subscription: Subscription) -> RequestError | None:
        """Why none of the names of a subscription can come, if so, as things are."""
        why = None
        for name in subscription.names:
            want = self.wants.get(name)
            outcome = subscription.refused.get(name) or (want and want.state == "idle" and want.outcome) or None
            why = outcome.error if isinstance(outcome, Result) else outcome
            if why is None:
                return None
        return why
