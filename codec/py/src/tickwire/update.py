"""An update, as it is told."""

from __future__ import annotations

from typing import Literal

from .fields import names_of
from .quote import Quote

# Flags of an update; other bits are a newer node's.
IMAGE = 1  # replaces everything: fields not in the mask are not known
CONFLATED = 2  # merges several updates, for the reason in bits 2-3
GAP = 16  # the venue's stream, or the tape, was interrupted before this

Reason = Literal["rate", "slow", "catch-up"]
REASONS: tuple[Reason, ...] = ("rate", "slow", "catch-up")


class Update:
    """Changed fields of one symbol at one seq, and the quote that they were merged into."""

    __slots__ = ("conflated", "flags", "mask", "quote", "received_at", "sent_at")

    def __init__(self, quote: Quote, flags: int, mask: int, conflated: int, sent_at: int, received_at: int) -> None:
        self.quote = quote  # as of this update
        self.flags = flags
        self.mask = mask
        # How many updates before this one, since the last one of the symbol, were not sent: this one holds what they
        # changed. 0 behind a gap, which does not say. Where only some fields are subscribed to, those count too that
        # changed none of them.
        self.conflated = conflated
        self.sent_at = sent_at  # us since the Unix epoch, when the node sent it, by its clock
        self.received_at = received_at  # us since the Unix epoch, when it was read, by ours

    @property
    def symbol(self) -> str:
        return self.quote.symbol

    @property
    def seq(self) -> int:
        return self.quote.seq

    @property
    def history(self) -> int:
        return self.quote.history

    @property
    def image(self) -> bool:
        """It replaces everything: fields that it does not bring are not known."""
        return self.flags & IMAGE != 0

    @property
    def gap(self) -> bool:
        """The venue's stream, or the tape, was interrupted before this."""
        return self.flags & GAP != 0

    @property
    def reason(self) -> Reason | None:
        """Why it merges several: the rate asked for, our slow socket, or they came together or while we were away."""
        reason = self.flags >> 2 & 3
        return REASONS[reason - 1] if self.flags & CONFLATED and reason else None

    @property
    def changed(self) -> tuple[str, ...]:
        """The names of the fields that it brings."""
        return names_of(self.mask)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Update):
            return NotImplemented
        return self.quote == other.quote and self._told == other._told

    def __hash__(self) -> int:
        return hash((self.quote, self._told))

    @property
    def _told(self) -> tuple[int, ...]:
        return self.flags, self.mask, self.conflated, self.sent_at, self.received_at

    def __repr__(self) -> str:
        said = ["image"] * self.image + ["gap"] * self.gap + [f"{self.conflated} conflated, {self.reason}"] * (self.reason is not None)
        changes = [f"{name}={self.quote.text(name)}" for name in self.changed]
        return f"Update({', '.join([self.symbol, f'seq={self.seq}', *said, *changes])})"
