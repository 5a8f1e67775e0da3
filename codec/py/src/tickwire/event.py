"""What happens to the connection, or to a subscription."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import printable
from .message import Hello

EventKind = Literal[
    "live",  # hello came
    "connecting",  # there is no connection; the client goes on trying
    "stale",  # as connecting: the node fell silent
    "subscribed",  # the node has confirmed a symbol or pattern
    "error",  # a symbol or pattern was refused, or a whole request
    "token",  # the node took a new token; with an error, none could be had
    "lag",  # our socket took nothing for a while: what follows is merged
    "drain",  # the node restarts, and is about to send us away
]


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. As text it is one line, which does a terminal no harm."""

    kind: EventKind
    symbol: str | None = None  # subscribed; error: the symbol or pattern, None for a whole request
    rate: float | None = None  # subscribed: in effect, updates a second; 0: as they come
    matched: int = 0  # subscribed: how many symbols a pattern takes now; 1 of a symbol
    error: Exception | None = None  # connecting, stale, token; error: a RequestError
    # Seconds until the client tries again: connecting, stale, token with an error, and error, where 0 means that it does
    # not. Token without: for how long the new one is good. Lag: for how long nothing was taken. Drain: within which time we
    # are sent away.
    after: float = 0
    hello: Hello | None = None  # live

    def __str__(self) -> str:
        text = self._text()
        if self.after > 0 and not (self.kind in ("lag", "drain") or (self.kind == "token" and self.error is None)):
            text += f"; again in {span(self.after)}"
        return printable(text)

    def _text(self) -> str:
        match self.kind:
            case "live":
                return f"connected to node {self.hello.node if self.hello else ''}"
            case "connecting" | "stale":
                return f"not connected: {self.error}"
            case "subscribed":
                return f"{self.symbol}: subscribed" + ("" if self.matched else "; no symbol matches so far")
            case "token" if self.error is None:
                return f"the node took a new token, good for {span(self.after)}"
            case "lag":
                return f"this reader was too slow for {span(self.after)}: updates were merged"
            case "drain":
                return f"the node restarts within {span(self.after)}"
        return str(self.error)

    @property
    def is_trouble(self) -> bool:
        """Whether it needs somebody's attention."""
        return self.kind in ("error", "connecting", "stale") or (self.kind == "token" and self.error is not None)


def span(seconds: float) -> str:
    """A time as 250ms, 1.02s, 5m or 2h30m."""
    if round(seconds, 2) < 1:
        return f"{10 * round(seconds * 100)}ms"
    if seconds < 60:
        return f"{round(seconds, 2):g}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if n)
