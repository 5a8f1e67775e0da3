"""What can go wrong, as exceptions. All of them are TickwireErrors."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal


class Code(IntEnum):
    """The stable numbers of what a node refuses a request, or a symbol of one, for."""

    MALFORMED = 100
    UNKNOWN_OP = 101
    BAD_SYMBOL = 110
    UNKNOWN_SYMBOL = 111
    NOT_SUBSCRIBED = 112
    UNKNOWN_FIELD = 113
    BAD_RATE = 114
    BAD_RESUME = 115
    TOO_MANY_SYMBOLS = 120
    TOO_MANY_SUBS = 121
    TOO_MANY_REQUESTS = 122
    NOT_ALLOWED = 130
    TOKEN_REFUSED = 131
    UNAVAILABLE = 140


class TickwireError(Exception):
    """Whatever this package raises."""


class ConfigError(TickwireError, ValueError):
    """What was asked for cannot be: the text says what to do about it."""


class NotConnected(TickwireError, ConnectionError):
    """There is no connection to ask on just now, or no more. The client goes on trying, unless it is closed."""


class RequestError(TickwireError):
    """A node refused a request, or one symbol or pattern of it."""

    def __init__(self, code: int, text: str, retry: bool, symbol: str | None = None, id: int | None = None) -> None:
        super().__init__(f"{symbol}: {text}" if symbol else text)
        self.code = code  # as in Code; a newer node may know more
        self.text = text  # begins with the name of the code
        self.retry = retry  # the same may succeed later; what is subscribed to is asked for again
        self.symbol = symbol  # or pattern; None: the whole request
        self.id = id  # of the request, where the node could read it


# Close codes, and HTTP statuses of a refused upgrade, that say more than that they are final.
REVOKED, EXPIRED, REPLACED = 4001, 4002, 4003
_TOKEN, _TOO_MUCH = "connect with a token that this node takes", "it was asked too much at a time"
_ADVICE = {
    401: _TOKEN,
    403: "who runs the node says who may connect",
    404: "a node's stream is at /v1/stream",
    1008: _TOO_MUCH,
    1009: _TOO_MUCH,
    REVOKED: _TOKEN,
    EXPIRED: _TOKEN,
    REPLACED: "the token allows no more connections at a time",
}


class FinalError(TickwireError):
    """Why a node will not have this client back: connecting again as it is cannot help."""

    def __init__(self, code: int, text: str, reason: str = "") -> None:
        advice = _ADVICE.get(code, "connecting again as before cannot help")
        super().__init__(f"refused with {code}: {text}: {advice}" if text else f"refused with {code}: {advice}")
        self.code = code  # of the close, or the HTTP status of the handshake
        self.text = text  # the node's words
        self.reason = reason  # of a status: one of the protocol's, as "expired"; "" without one


def is_final(code: int) -> bool:
    """Whether a close code, or the HTTP status of an answer to the upgrade, says that coming back cannot help."""
    if code in (408, 429):
        return False
    return 400 <= code < 500 or code in (1002, 1003, 1007, 1008, 1009) or 4000 <= code < 4100


Kind = Literal["truncated", "trailing", "type", "range", "count", "syntax", "version", "order"]


class ProtocolError(TickwireError):
    """A message that is wrong, by the classes of PROTOCOL.md; or, of kind order, a promise that was broken: a seq
    that goes back, decimals of another scale than the one held. The connection is given up for it, and comes back."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(f"protocol error: {kind}: {text}")
        self.kind: Kind = kind


def printable(text: str) -> str:
    """Text of others on one line, without what could harm a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
