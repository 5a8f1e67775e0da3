"""What a user subscribed to, and its iterations."""

from __future__ import annotations

import asyncio
import numbers
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from .batch import Batch
from .bell import Bell
from .errors import ConfigError, RequestError
from .message import Result
from .update import GAP, Update

if TYPE_CHECKING:
    from .core import Core

FULL = 10_000
"""So many updates may wait for an iteration: with more the client stops reading, so that the node conflates, and says so."""


class Subscription:
    """Symbols and patterns that are wanted from now on, through reconnects.

    Iterating gives updates as they were merged, beginning with an image of what is held already. What comes is kept for an
    iteration from its beginning to its end (break, return): a subscription that nobody iterates costs nothing. All
    subscriptions share the connection: where one iteration falls FULL updates behind, the client stops reading, and the node
    conflates for all of them.

    An iteration ends when the names are unsubscribed from, or the client is closed. It raises FinalError when the node will not
    have this client back, and RequestError when none of its names can come: as of a bad rate, or of names that are all
    no symbols.
    """

    def __init__(self, core: Core, names: tuple[str, ...], refused: dict[str, Result]) -> None:
        self.names = names
        self.refused = refused  # names that are none, and no node is asked for
        self.conflated = 0  # updates that were not sent, before those that iterations were given
        self.gaps = 0
        self._core = core

    async def __aiter__(self) -> AsyncGenerator[Update, None]:
        backlog = self._core.begin(self)
        try:
            while (updates := await backlog.next()) is not None:
                for update in updates:
                    yield update
        finally:
            self._core.end(backlog)

    async def batches(self, seconds: float | None = None) -> AsyncGenerator[Batch, None]:
        """All updates since the last batch: each time there are any; or every so many seconds, then also none, and sooner when
        FULL wait."""
        backlog = self._core.begin(self)
        try:
            while (updates := await backlog.next(seconds)) is not None:
                yield Batch(updates)
        finally:
            self._core.end(backlog)

    async def results(self) -> list[Result]:
        """What became of each name, once a node has said so: those still wanted, in their order. One that may appear later has
        an error of which retry is true, until it does. Raises RequestError when the terms are refused."""
        results = []
        for name in self.names:
            if (refused := self.refused.get(name)) is not None:
                results.append(refused)
                continue
            while (want := self._core.wants.get(name)) and want.outcome is None:
                waiter = asyncio.get_running_loop().create_future()
                want.waiters.add(waiter)
                try:
                    await self._core.waited(waiter)
                finally:
                    want.waiters.discard(waiter)
            if want is None:
                continue
            if isinstance(want.outcome, RequestError):
                raise want.outcome
            assert want.outcome is not None
            results.append(want.outcome)
        return results

    def unsubscribe(self) -> None:
        """Wants these names no more, here and wherever else they were subscribed to."""
        self._core.unsubscribe(self.names)

    def __repr__(self) -> str:
        return f"Subscription({', '.join(self.names[:5])}{', ...' if len(self.names) > 5 else ''})"


class Backlog:
    """What waits for one iteration."""

    def __init__(self, subscription: Subscription, room: Bell) -> None:
        self.subscription = subscription
        self._symbols = frozenset(subscription.names)
        self._prefixes = tuple(name[:-1] for name in subscription.names if name.endswith("*"))
        self._updates: list[Update] = []
        self._least = 1  # updates that the iteration waits for
        self._due = time.monotonic()  # when it was to have the last ones
        self._bell = Bell()
        self._room = room  # rung when what waited is taken
        self._over = False
        self._error: Exception | None = None

    def takes(self, symbol: str) -> bool:
        return symbol in self._symbols or symbol.startswith(self._prefixes)

    @property
    def is_full(self) -> bool:
        return len(self._updates) >= FULL

    def put(self, update: Update) -> None:
        self._updates.append(update)
        if update.conflated:
            self.subscription.conflated += update.conflated
        elif update.flags & GAP:
            self.subscription.gaps += 1

    def wake(self) -> None:
        """Lets the iteration look, if what it waits for is there."""
        if len(self._updates) >= self._least:
            self._bell.set()

    def finish(self, error: Exception | None) -> None:
        """Nothing more comes: the iteration ends with what waits, and then so."""
        if not self._over:
            self._over, self._error = True, error
            self._bell.set()

    async def next(self, seconds: float | None = None) -> list[Update] | None:
        """All that waits, once there is some; or every so many seconds, and when it is full. None: the iteration is over."""
        wait = None
        self._least = 1
        if seconds is not None:
            if not isinstance(seconds, numbers.Real) or not seconds > 0:
                raise ConfigError(f"batches every {seconds!r} s: take some seconds, or none for each time there are any")
            self._due = max(self._due + seconds, time.monotonic())
            wait = self._due - time.monotonic()
            self._least = FULL
        if len(self._updates) < self._least and not self._over:
            self._bell.clear()
            await self._bell.rung(wait)
        return self.take()

    def take(self) -> list[Update] | None:
        """All that waits. None: the iteration is over."""
        if self._over and not self._updates:
            if self._error is not None:
                raise self._error
            return None
        taken, self._updates = self._updates, []
        self._room.set()
        return taken
