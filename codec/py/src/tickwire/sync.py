"""The client for programs that are not async: the same names, blocking.

    with tickwire.connect("ws://localhost:8080") as client:
        for update in client.subscribe("sim:*"):
            print(update.symbol, update.quote.bid)

The connection lives on an event loop of its own, in a thread: it works amid a loop that runs, as a notebook has it. Between the
threads go whole batches. Any thread may call anything.

Ctrl-C may interrupt the callers' side between any two steps. So it has neither locks nor futures, which stay locked then: it
only calls call_soon_threadsafe, and takes what comes of it from a queue that is written in C. Tasks live and die in the client's
thread, for what Python runs at the end of one would swallow the interrupt, and so would what it runs after an import.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401 (asyncio would import it, and encodings.idna, when it looks a name up)
import contextlib
import encodings.idna  # noqa: F401
import os
import ssl
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import client as aio
from . import subscription
from .batch import Batch
from .bell import Bell
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
Answers = SimpleQueue[Any]  # to one caller: what it asked for, or an exception, and then _OVER
Work = Callable[[], Coroutine[Any, Any, None]]

_OVER = object()
_CLOSED = "the client is closed: make another"


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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun: SimpleQueue[BaseException | None] = SimpleQueue()
        # By whom it is for; a caller notes itself, and all else is the client's thread's.
        self._tasks: dict[Answers, asyncio.Task[None] | None] = {}
        self._pid = os.getpid()
        # A daemon: who forgets to close is not kept from ending.
        self._thread = threading.Thread(target=self._run, name="tickwire", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as e:  # the system has no more
            raise NotConnected(f"the client cannot begin: {e}") from e
        failed = self._begun.get()
        if failed is not None:
            raise NotConnected(f"the client cannot begin: {failed}") from failed

    # The client's thread.

    def _run(self) -> None:
        living = self._live()
        try:
            asyncio.run(living)
        except BaseException as e:
            if self._loop is not None:
                raise
            self._begun.put(e)  # there is no event loop without descriptors
        finally:
            living.close()
            for answers in list(self._tasks):  # whoever comes later finds the loop closed
                answers.put(_OVER)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            async with self._client:
                self._begun.put(None)
                await self._stop.wait()
        finally:
            self._stop.set()  # also where a callback has ended the thread, as SystemExit does: no more tasks

    def _begin(self, work: Work, answers: Answers) -> None:
        if not self._stop.is_set():
            self._tasks[answers] = asyncio.create_task(self._do(work, answers))

    async def _do(self, work: Work, answers: Answers) -> None:
        try:
            await work()
        except Exception as e:
            answers.put(e)
        finally:
            answers.put(_OVER)

    def _leave(self, answers: Answers) -> None:
        task = self._tasks.pop(answers, None)
        if task is not None:
            task.cancel()

    # The callers' threads.

    def _post(self, function: Callable[..., object], *args: Any) -> bool:
        """Has the client's thread call it. False: the client is closed, and who waited was told."""
        if os.getpid() != self._pid:
            raise NotConnected("the client is of the process that this one was forked from: make another here")
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return False
        return True

    @contextlib.contextmanager
    def _doing(self, work: Work, answers: Answers) -> Iterator[None]:
        """Has a task of the client's thread do it, until the caller leaves."""
        if threading.current_thread() is self._thread:
            raise ConfigError("this would wait for itself: on_event and token are called in the client's thread")
        self._tasks[answers] = None
        try:
            if not self._post(self._begin, work, answers):
                raise NotConnected(_CLOSED)
            yield
        finally:
            with contextlib.suppress(NotConnected):  # of another process
                if not self._post(self._leave, answers):
                    self._tasks.pop(answers, None)

    def _await(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Awaits it in the client's thread; what ends the waiting here, as ctrl-C, ends it there, too."""
        answers: Answers = SimpleQueue()

        async def answer() -> None:
            answers.put(await function())

        with self._doing(answer, answers):
            result: T = _take(answers)
        if result is _OVER:
            raise NotConnected(_CLOSED)
        return result

    def _call(self, function: Callable[[], T]) -> T:
        """As that, of what does not wait."""

        async def call() -> T:
            return function()

        return self._await(call)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends it, for good; iterations in other threads end."""
        if os.getpid() != self._pid:
            return  # it goes on in the process that this one was forked from
        self._post(self._stop.set)
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
        return self._await(self._client.ping)

    def list(self) -> Sequence[Result]:
        """What the node says is subscribed, and on which terms: patterns, then symbols."""
        return self._await(self._client.list)

    def auth(self, token: str) -> Sequence[Result]:
        """Has the node take a new token in place of the one that will expire."""
        return self._await(lambda: self._client.auth(token))

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


def _take(answers: Answers) -> Any:
    answer = answers.get()
    try:
        if isinstance(answer, Exception):
            raise answer
        return answer
    finally:
        del answer  # an exception holds this frame, which is not to hold it


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
        core, of = self._client._client._core, self._of
        answers: Answers = SimpleQueue()
        asked = Bell()  # else a batch would be as old as the last one took its taker

        async def iterate() -> None:
            backlog = core.begin(of)
            try:
                while True:
                    await asked.rung()
                    if (updates := await backlog.next(seconds)) is None:
                        return
                    answers.put(updates)
            except asyncio.CancelledError:
                answers.put(backlog.take() or [])  # closed between two batches: the iteration ends with what waits
                raise
            finally:
                core.end(backlog)

        with self._client._doing(iterate, answers):
            while True:
                self._client._post(asked.set)
                updates = _take(answers)
                if updates is _OVER:
                    return
                yield Batch(updates)

    def results(self) -> Sequence[Result]:
        """What became of each name, once a node has said so."""
        return self._client._await(self._of.results)

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
