"""The token in use, and when another is due."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from .errors import ConfigError, TickwireError

TokenSource = Callable[[], str | Awaitable[str]]
"""Gets a token: to begin with, when two thirds of what the node said that one is good for are over, and when a node says that
it has expired. It is never called twice at a time. The one that it gave before is no error, nor is an exception: it is called
again soon. One that blocks holds up the client: let it be async if it has to wait."""

_LEAST = 5.0  # seconds before its end a token is renewed, if it has so long
_PAUSE = 1.0  # seconds between two tokens at the least
_TTL_MAX = 365 * 24 * 3600  # seconds; more is as good


class NoToken(TickwireError):
    """None could be had so far."""


@dataclass(frozen=True, slots=True)
class Pass:
    """The token in use."""

    token: str = ""
    due: float | None = None  # by time.monotonic, when the source is to be asked; None: nobody said how long the token is good
    spent: bool = False  # a node said that it has expired

    def lasts(self, ttl: int | None) -> Pass:
        """A node said for how long it is good: it may say so again, but never has it renewed later than it said first."""
        if ttl is None:
            return self
        due = time.monotonic() + renew_after(good_for(ttl))
        return replace(self, due=due if self.due is None else min(self.due, due))

    @property
    def is_due(self) -> bool:
        return self.spent or not self.token or (self.due is not None and time.monotonic() >= self.due)


def good_for(ttl: int | None) -> float:
    """For how many seconds a node says that a token is good; 0 when it does not."""
    return float(min(ttl or 0, _TTL_MAX))


def renew_after(left: float) -> float:
    """How long a token that is good for so long is left alone: two thirds of it, or less for one that would then end within
    five seconds; a tenth less or not, so that tokens given out together are not renewed together."""
    wait = max(_PAUSE, left / 3, min(left * 2 / 3, left - _LEAST))
    return wait * (1 - 0.1 * random.random())


def check_token(token: str) -> str:
    """Refuses text that is no token, and would not be a header's."""
    if not isinstance(token, str) or any(not "!" <= c <= "~" for c in token):
        raise ConfigError("token: it has a blank, a newline or the like")
    return token


async def renewed(source: TokenSource) -> str:
    """Asks for a token, in a task of its own: that it was cancelled is told from that we are, and it may close the client."""
    (token,) = await asyncio.gather(_called(source), return_exceptions=True)
    if isinstance(token, BaseException):  # whatever it is, it may be better later
        raise NoToken(f"no new token: {str(token) or type(token).__name__}") from token
    return token


async def _called(source: TokenSource) -> str:
    token = source()
    if inspect.isawaitable(token):
        token = await token
    if not token:
        raise ConfigError("there is none")
    return check_token(token)
