"""The client for programs that are not async: the same names, blocking.

    with tickwire.connect("ws://localhost:8080") as client:
        for update in client.subscribe("sim:*"):
            print(update.symbol, update.quote.bid)

The connection lives on an event loop of its own, in a thread: it works amid a loop that runs, as a notebook has it. Between the
threads go whole batches. Any thread may call anything.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import ssl
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import client as aio
from . import subscription
from .batch import Batch
from .board import Quotes
from .core import State
from .errors import ConfigError, NotConnected
from .event import Event
from .message import Result
from .request import Encoding
from .token import TokenSource
from .update import Update

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Client:
    """A connection to a node that stays, from now on; `with` closes it. What the parameters mean is tickwire.Client's to say.

    on_event and token, where that is a function, are called in the client's thread, and hold it up.
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
        self._client = aio.Client(url, token=token, encoding=encoding, rate=rate, fields=fields, ssl=ssl, on_event=on_event)
        self._ready = threading.Event()
        self._lock = threading.Lock()  # protects what follows: once closed is set nothing more is put onto the loop
        self._closed = False
        self._failed: BaseException | None = None
        self._pid = os.getpid()
        # A daemon: who forgets to close is not kept from ending.
        self._thread = threading.Thread(target=self._run, name="tickwire", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as e:  # the system has no more
            raise NotConnected(f"the client cannot begin: {e}") from e
        self._ready.wait()
        if self._failed is not None:
            raise NotConnected(f"the client cannot begin: {self._failed}") from self._failed

    def _run(self) -> None:
        living = self._live()
        try:
            asyncio.run(living)
        except BaseException as e:
            if self._ready.is_set():
                raise
            self._failed = e  # there is no event loop without descriptors
        finally:
            living.close()
            self._ready.set()

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            async with self._client:
                self._ready.set()
                await self._stop.wait()
        finally:
            with self._lock:
                self._closed = True  # also where a callback has ended the thread, as SystemExit does

    def _await(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs it in the client's thread, and waits; what ends the waiting, as ctrl-C, ends it, too."""
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise ConfigError("this would wait for itself: on_event and token are called in the client's thread")
        if os.getpid() != self._pid:
            coroutine.close()
            raise NotConnected("the client is of the process that this one was forked from: make another here")
        with self._lock:
            if self._closed:
                coroutine.close()
                raise NotConnected("the client is closed: make another")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise NotConnected("the client is closed: make another") from None
        finally:
            future.cancel()

    def _call(self, function: Callable[[], T]) -> T:
        """As that, of what does not wait."""

        async def call() -> T:
            return function()

        return self._await(call())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends it, for good; iterations in other threads end."""
        if os.getpid() != self._pid:
            return  # it goes on in the process that this one was forked from
        with self._lock:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._stop.set)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def subscribe(self, *symbols: str | Iterable[str], rate: float | None = None, fields: Sequence[str] | None = None) -> Subscription:
        """Wants symbols, or patterns such as "sim:*", now and after every reconnect."""
        return Subscription(self, self._call(lambda: self._client.subscribe(*symbols, rate=rate, fields=fields)))

    def set(self, *symbols: str | Iterable[str], rate: float | None = None, fields: Sequence[str] | None = None) -> None:
        """Gives names that are subscribed to another rate, or other fields, () being all; None leaves them as they are."""
        self._call(lambda: self._client.set(*symbols, rate=rate, fields=fields))

    def unsubscribe(self, *symbols: str | Iterable[str]) -> None:
        """Wants names no more, as they were given."""
        self._call(lambda: self._client.unsubscribe(*symbols))

    def pause(self) -> None:
        """Asks for silence, now and after a reconnect."""
        self._call(self._client.pause)

    def resume(self) -> None:
        """Ends a pause: what changed meanwhile comes merged."""
        self._call(self._client.resume)

    def ping(self) -> int:
        """The node's time, in us since the Unix epoch."""
        return self._await(self._client.ping())

    def list(self) -> Sequence[Result]:
        """What the node says is subscribed, and on which terms: patterns, then symbols."""
        return self._await(self._client.list())

    def auth(self, token: str) -> Sequence[Result]:
        """Has the node take a new token in place of the one that will expire."""
        return self._await(self._client.auth(token))

    @property
    def quotes(self) -> Quotes:
        """Merged quotes by symbol, live."""
        return self._client.quotes

    @property
    def state(self) -> State:
        return self._client.state

    @property
    def conflated(self) -> int:
        """Updates that were not sent since the client was begun: others hold what they changed."""
        return self._client.conflated

    @property
    def gaps(self) -> int:
        """Updates before which the venue's stream, or the tape, was interrupted."""
        return self._client.gaps


class Subscription:
    """Symbols and patterns that are wanted from now on; what tickwire.Subscription says of iterations holds for these."""

    def __init__(self, client: Client, of: subscription.Subscription) -> None:
        self._client = client
        self._of = of

    def __iter__(self) -> Generator[Update, None, None]:
        for batch in self.batches():
            yield from batch.updates

    def batches(self, seconds: float | None = None) -> Generator[Batch, None, None]:
        """All updates since the last batch: each time there are any; or every so many seconds, then also none, and sooner when
        subscription.FULL wait."""
        core = self._client._client._core
        backlog = self._client._call(lambda: core.begin(self._of))
        try:
            while True:
                try:
                    updates = self._client._await(backlog.next(seconds))
                except NotConnected:
                    if not self._client._closed:
                        raise
                    # Closed between two batches, by another thread: the iteration ends with what waits.
                    self._client._thread.join()
                    updates = backlog.take()
                if updates is None:
                    return
                yield Batch(updates)
        finally:
            with contextlib.suppress(NotConnected):  # closed: the iteration has ended, too
                self._client._call(lambda: core.end(backlog))

    def results(self) -> Sequence[Result]:
        """What became of each name, once a node has said so."""
        return self._client._await(self._of.results())

    def unsubscribe(self) -> None:
        """Wants these names no more, here and wherever else they were subscribed to."""
        self._client._call(self._of.unsubscribe)

    @property
    def names(self) -> tuple[str, ...]:
        return self._of.names

    @property
    def conflated(self) -> int:
        return self._of.conflated

    @property
    def gaps(self) -> int:
        return self._of.gaps

    def __repr__(self) -> str:
        return repr(self._of)


connect = Client
