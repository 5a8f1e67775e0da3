"""What is wanted, whether or not there is a connection.

A want is a symbol or pattern that was subscribed to:

           connected           written            confirmed
    idle ------------> queued ---------> awaited ------------> held
                         ^                |   |                  |
                         |   for now      |   | for good         | other terms
                         +------ later <--+   +--> idle          |
                         +---------------------------------------+

A new connection queues all of them, but those barred by the token that it came with; a new token queues those barred by
another.
"""

from __future__ import annotations

import asyncio
import math
import numbers
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .errors import ConfigError, RequestError
from .fields import FIELDS, INDEX, view_of
from .message import Result


@dataclass(frozen=True, slots=True)
class Terms:
    """How a symbol is wanted."""

    rate: float = 0  # updates a second at the most; 0: as they come
    fields: tuple[str, ...] = ()  # names; none: all

    @property
    def view(self) -> int:
        return view_of(self.fields)


def terms_of(rate: float | None, fields: Sequence[str] | None, default: Terms) -> Terms:
    """Terms as a user gives them, where None means the default's."""
    if rate is None:
        rate = default.rate
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not 0 <= rate < math.inf:
        raise ConfigError(f"rate {rate!r}: updates a second and symbol, at least 0.1, or 0 for all as they come")
    given = default.fields if fields is None else fields
    fields = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    for name in fields:
        if not isinstance(name, str) or name not in INDEX:
            raise ConfigError(f"{name!r} is no field: {', '.join(FIELDS)}")
    return Terms(float(rate), fields)


def names_of(symbols: tuple[str | Iterable[str], ...]) -> tuple[str, ...]:
    """Symbols as a user gives them: one by one, or one iterable of them; each once."""
    given = symbols[0] if len(symbols) == 1 and isinstance(symbols[0], Iterable) and not isinstance(symbols[0], str) else symbols
    names = list(given)
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"{name!r} is no symbol: symbols are venue:NAME, or patterns as venue:*")
    if not names:
        raise ConfigError("no symbols: name one, as 'sim:ACORN-USD', or a pattern, as 'sim:*'")
    return tuple(dict.fromkeys(map(str, names)))


State = Literal[
    "idle",  # asked for on the next connection, or under the next token
    "queued",  # to be asked for
    "awaited",  # the node's reply is due
    "held",  # confirmed
    "later",  # refused for now: asked for again in a while
]


class Want:
    __slots__ = ("barred", "drop", "missed", "name", "outcome", "request", "slowed", "state", "terms", "waiters")

    def __init__(self, name: str, drop: bool = False) -> None:
        self.name = name
        self.terms = Terms()
        self.state: State = "idle"
        self.request = 0  # awaited: the one it was asked in
        self.barred: str | None = None  # idle: the token that does not cover it; None: no token's fault
        self.slowed = False  # a new token has lowered its rate, or that of what it takes
        self.drop = drop  # in the queue only: to be unsubscribed
        self.missed = False  # its refusal was logged
        self.outcome: Result | RequestError | None = None  # what a node said last, since it was asked; an error of its terms
        self.waiters: set[asyncio.Future[None]] = set()  # for the outcome

    def answer(self, outcome: Result | RequestError) -> None:
        """A node has said what became of it."""
        self.outcome = outcome
        self.release()

    def release(self) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters.clear()


def is_pattern(name: str) -> bool:
    return name.endswith("*")


class Wants:
    """The wants by name, in the order that they came in: of two that take a symbol the later rules."""

    def __init__(self) -> None:
        self._all: dict[str, Want] = {}
        self._patterns: dict[str, Want] = {}

    def __iter__(self) -> Iterator[Want]:
        return iter(list(self._all.values()))

    def get(self, name: str) -> Want | None:
        return self._all.get(name)

    def put(self, want: Want) -> None:
        """Makes it the newest."""
        self._all.pop(want.name, None)
        self._all[want.name] = want
        if is_pattern(want.name):
            self._patterns[want.name] = want

    def remove(self, name: str) -> Want | None:
        self._patterns.pop(name, None)
        return self._all.pop(name, None)

    def takers(self, symbol: str) -> list[Want]:
        """The wants that a symbol is subscribed to by; a pattern's own name is taken by no other."""
        by_name = self._all.get(symbol)
        by_pattern = [w for w in self._patterns.values() if symbol.startswith(w.name[:-1]) and w is not by_name]
        return by_pattern if by_name is None else [by_name, *by_pattern]
