"""A subscriber's end of the stream: merged quotes that stay right through lost connections.

1. A socket is dialed, and again with full jitter whenever the connection is lost. core.py, wire.py
2. hello: everything wanted is asked for, with the seqs held, so that only what changed since comes. What callers want
   meanwhile gathers into few requests. session.py, wants.py, asking.py
3. A reply gives symbols their numbers, or says why not. answers.py
4. Each message is parsed (message.py, data.py), merged (board.py), and handed to iterations. subscription.py
5. Silence, a wrong message, other subscriptions than ours, a drain: back to 1.
6. Before a token ends another takes its place, on the same connection. token.py
"""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from .board import Quotes
from .core import Core, State
from .errors import Code, ConfigError, RequestError
from .event import Event
from .message import Result
from .request import Encoding
from .subscription import Subscription
from .token import TokenSource
from .url import check_url, nameable
from .wants import Terms, Want, names_of, terms_of

if TYPE_CHECKING:
    from typing_extensions import Self


class Client:
    """A connection to a node that stays. `async with` begins and closes it.

    url: ws:// or wss://; without a path /v1/stream is meant.
    token: a JWT, where the node asks for one, or a function that gets one, and the next in time; it may be async.
    encoding: of the messages, "msgpack" or "json".
    rate, fields: of subscriptions that do not say otherwise.
    ssl: for wss: whom to trust, and a certificate to show; None: the system's authorities.
    on_event: called with what happens to the connection and to subscriptions; without one it is logged, under "tickwire".

    Everything is called on the event loop that it was begun on: tickwire.sync.Client is for other threads.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | TokenSource | None = None,
        encoding: Encoding = "msgpack",
        rate: float | None = None,
        fields: Sequence[str] | None = None,
        ssl: ssl.SSLContext | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        if encoding not in ("msgpack", "json"):
            raise ConfigError(f"encoding {encoding!r}: msgpack or json")
        if on_event is not None and (not callable(on_event) or inspect.iscoroutinefunction(on_event)):
            raise ConfigError("on_event: a function that is not async: it is called between two messages")
        self._terms = terms_of(rate, fields, Terms())
        self._core = Core(check_url(url, ssl is not None), encoding, token, ssl, on_event)
        self._quotes = Quotes(self._core.board)

    async def __aenter__(self) -> Self:
        self._core.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends it, for good. Iterations end with what waits for them."""
        await self._core.close()

    def subscribe(self, *symbols: str | Iterable[str], rate: float | None = None, fields: Sequence[str] | None = None) -> Subscription:
        """Wants symbols, or patterns such as "sim:*", now and after every reconnect.

        rate: updates a second and symbol at the most; 0: all, as they come. fields: those wanted; (): all. What is subscribed to
        already takes the new terms, and a fresh image comes; of two names that take a symbol the later rules. Those that the node
        does not know yet are asked for again until it does. What the token does not cover is asked for again under another.
        """
        self._core.check_open()
        names, terms = names_of(symbols), terms_of(rate, fields, self._terms)
        refused: dict[str, Result] = {}
        for name in names:
            if nameable(name):
                self._want(name, terms)
                continue
            error = RequestError(Code.BAD_SYMBOL, "bad_symbol: a symbol is venue:NAME, of at most 64 visible ASCII characters", False, repr(name))
            refused[name] = Result(name, error=error)
            self._core.tell(Event("error", name, error=error))
        return Subscription(self._core, names, refused)

    def set(self, *symbols: str | Iterable[str], rate: float | None = None, fields: Sequence[str] | None = None) -> None:
        """Gives names that are subscribed to another rate, or other fields, () being all; None leaves them as they are."""
        self._core.check_open()
        changes: list[tuple[str, Terms]] = []
        for name in names_of(symbols):
            want = self._core.wants.get(name)
            if want is None:
                raise RequestError(Code.NOT_SUBSCRIBED, "not_subscribed: subscribe first", False, name)
            changes.append((name, terms_of(rate, fields, want.terms)))
        for name, terms in changes:
            self._want(name, terms)

    def _want(self, name: str, terms: Terms) -> None:
        want = self._core.wants.get(name)
        if want is not None and want.terms == terms and want.state != "idle" and not want.slowed:
            return
        want = want or Want(name)
        want.terms = terms
        self._core.wants.put(want)
        if want.state != "later":  # that is asked for in a moment
            self._core.ask(want)

    def unsubscribe(self, *symbols: str | Iterable[str]) -> None:
        """Wants names no more, as they were given: a symbol that only a pattern takes cannot be taken out of it. What another
        name takes stays."""
        self._core.unsubscribe(names_of(symbols))

    def pause(self) -> None:
        """Asks for silence, now and after a reconnect."""
        self._pause(True)

    def resume(self) -> None:
        """Ends a pause: what changed meanwhile comes merged."""
        self._pause(False)

    def _pause(self, paused: bool) -> None:
        self._core.check_open()
        self._core.paused = paused
        if self._core.asking is not None:
            self._core.asking.changed.set()

    async def ping(self) -> int:
        """The node's time, in us since the Unix epoch."""
        return (await self._core.call("ping")).time or 0

    async def list(self) -> Sequence[Result]:
        """What the node says is subscribed, and on which terms: patterns, then symbols."""
        return [*(await self._core.call("list")).results]

    async def auth(self, token: str) -> Sequence[Result]:
        """Has the node take a new token in place of the one that will expire, on this connection and on later ones; requests wait
        until it has. Gives what the token ends and slows down: what it does not cover stays wanted, another may. When the node
        refuses it, that is raised, and the one before counts again. Without a connection the new one is what the next shows."""
        return await self._core.auth(token)

    @property
    def quotes(self) -> Quotes:
        """Merged quotes by symbol, live."""
        return self._quotes

    @property
    def state(self) -> State:
        return self._core.state

    @property
    def conflated(self) -> int:
        """Updates that were not sent since the client was begun: others hold what they changed."""
        return self._core.board.conflated

    @property
    def gaps(self) -> int:
        """Updates before which the venue's stream, or the tape, was interrupted."""
        return self._core.board.gaps
