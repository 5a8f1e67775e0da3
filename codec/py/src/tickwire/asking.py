"""The requests of one connection: which is next, and what it asks."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .bell import Bell
from .message import Hello, Reply
from .request import Op, Position, Request
from .wants import Terms, Want, is_pattern

if TYPE_CHECKING:
    from .core import Core

_SHARE = 0.75  # of the bytes that a node takes are used: lengths are estimates
_SYMBOL_COST = 8  # bytes of a symbol in a request, beside its name
_POSITION_COST = 32  # bytes of a position in a request, beside its name


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a client is, in seconds."""

    backoff_first: float = 0.25  # before connecting again
    backoff_most: float = 10
    ask_first: float = 1  # before asking again for what the node lacks
    ask_most: float = 5


@dataclass(slots=True)
class Call:
    """A request that a caller waits for."""

    op: Op
    reply: asyncio.Future[Reply]


@dataclass(slots=True)
class Asked:
    """A request that is not answered yet."""

    op: str = ""
    resumed: set[str] = field(default_factory=set)  # symbols whose position was told
    call: Call | None = None
    token: str = ""  # of auth


class Asking:
    """What is asked on one connection, at the rate that its node takes it."""

    def __init__(self, core: Core, hello: Hello, token: str) -> None:
        self.core = core
        self.limits = hello.limits
        self.token = token  # that the node took last
        self.queue: deque[Want] = deque()  # to be asked for, or to be unsubscribed
        self.calls: deque[Call] = deque()
        self.asked: dict[int, Asked] = {}  # requests not answered yet
        self.auth = False  # a new token is to be told
        self.auth_later = False  # at ask_at, again
        self.authing = False  # it was, and is not answered
        self.paused = False  # what the node was told
        self.requests = 0
        self.ask_at: float | None = None  # when wants that are later are due, by time.monotonic
        self.ask_delay = core.pace.ask_first  # the next pause before that
        self.changed = Bell()  # for the writer: something was put above
        self.aged = Bell()  # for the renewal: the token is another, or was refused

    @property
    def renewing(self) -> bool:
        """Whether the node is to take a new token."""
        return self.auth or self.auth_later or self.authing

    @property
    def busy(self) -> bool:
        """Whether something is asked, or to be asked at once."""
        return bool(self.asked or self.queue)

    def ask(self, want: Want) -> None:
        """Puts a want into the queue."""
        if want.state != "queued":
            want.state, want.outcome = "queued", None
            self.queue.append(want)
            self.changed.set()

    def put_off(self) -> float:
        """When to ask again for what is refused for now, all of it at once: in so many seconds."""
        if self.ask_at is None:
            # A fifth more or less, so that clients do not stay in step.
            self.ask_at = time.monotonic() + self.ask_delay * random.uniform(0.8, 1.2)
            self.ask_delay = min(2 * self.ask_delay, self.core.pace.ask_most)
            self.changed.set()
        return max(0.001, self.ask_at - time.monotonic())

    def next(self) -> Request | None:
        """The request to send now."""
        core = self.core
        if self.ask_at is not None and time.monotonic() >= self.ask_at:
            self.ask_at = None
            for want in core.wants:
                if want.state == "later":
                    core.ask(want)
            self.auth, self.auth_later = self.auth or self.auth_later, False
        if self.authing:
            return None  # what is asked meanwhile is asked under the new token
        self.queue = deque(want for want in self.queue if want.drop or core.wants.get(want.name) is want)
        self.calls = deque(call for call in self.calls if not call.reply.done())  # those that nobody waits for any more
        r, asked = Request(self.requests + 1, ""), Asked()
        if self.auth:
            self.auth, self.authing, asked.token = False, True, core.token.token
            r.op, r.token = "auth", asked.token
        elif self.paused != core.paused:
            self.paused = core.paused
            r.op = "pause" if self.paused else "resume"
        elif self.queue:
            self._fill(r, asked)
        elif self.calls:  # last, so that their answers are of what was wanted before
            asked.call = self.calls.popleft()
            r.op = asked.call.op
        else:
            return None
        self.requests, asked.op = r.id, r.op
        self.asked[r.id] = asked
        return r

    def _fill(self, r: Request, asked: Asked) -> None:
        """Takes wants of equal terms off the queue, as many as a request holds, with the positions of what is held."""
        first = self.queue[0]
        names: list[str] = []
        positions: list[Position] = []
        r.op, r.symbols, r.resume = "unsubscribe" if first.drop else "subscribe", names, positions
        if not first.drop:
            r.rate, r.fields = first.terms.rate or None, first.terms.fields
        left = int(_SHARE * self.limits.request_bytes)
        while self.queue and len(names) < self.limits.request_symbols:
            want = self.queue[0]
            left -= len(want.name) + _SYMBOL_COST
            if want.drop != first.drop or want.terms != first.terms or (left < 0 and names):
                return
            self.queue.popleft()
            names.append(want.name)
            want.state, want.request = "awaited", r.id
            if not want.drop:
                most = self.limits.request_symbols - len(positions)
                for position, cost in self._positions(want.name, want.terms)[:most]:
                    if left < cost:
                        break
                    left -= cost
                    positions.append(position)
                    asked.resumed.add(position[0])

    def _positions(self, name: str, terms: Terms) -> list[tuple[Position, int]]:
        """What is held of a want, and the bytes that it costs to say so: what a request has no room for gets images. So do
        symbols of which other fields are held, and those that several wants take, since each would begin anew."""
        rows, takers = self.core.board.rows, self.core.wants.takers
        symbols = [s for s in rows if s.startswith(name[:-1])] if is_pattern(name) else [name]
        return [
            ((symbol, row.quote.history, row.quote.seq), len(symbol) + _POSITION_COST)
            for symbol in symbols
            if (row := rows.get(symbol)) and not row.live and row.whole and row.view == terms.view and len(takers(symbol)) == 1
        ]
