"""What a client holds: merged quotes by symbol, and the node's numbers for them. A node's messages in, updates out; no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .bounds import symbol_hash
from .data import Data
from .errors import ProtocolError
from .fields import ABSENT, ALL_FIELDS, FIELDS, NUM_FIELDS, indexes
from .quote import Quote, empty
from .update import GAP, IMAGE, Update

if TYPE_CHECKING:
    from .subscription import Backlog

_NOTHING = (ABSENT,) * NUM_FIELDS


class Row:
    """One symbol."""

    __slots__ = ("backlogs", "id", "live", "quote", "view", "whole")

    def __init__(self, symbol: str, backlogs: list[Backlog]) -> None:
        self.quote = empty(symbol)  # its seq is 0 until one came
        self.backlogs = backlogs  # the iterations under way that take the symbol
        # quote is what the node had at its seq, of the fields of view, if whole; else a new image must come before it can
        # be resumed from.
        self.whole = False
        self.view = ALL_FIELDS
        self.id = 0
        self.live = False  # the node has confirmed it on this connection, under id


class Board:
    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.backlogs: list[Backlog] = []
        self.subs = 0  # live rows
        self.hash = 0  # XOR of the live rows' hashes
        self.conflated = 0  # updates that were not sent, since the start
        self.gaps = 0
        self._live: dict[int | str, Row] = {}  # by the node's number, and by symbol

    def reset(self, most: int) -> None:
        """Begins a connection, which may have so many symbols: quotes stay, the node's numbers are another's. Those that the
        last connection did not have go when they are many: nodes may name others each time."""
        for symbol, row in list(self.rows.items()) if len(self.rows) > 2 * most else ():
            if not row.live:
                self.forget(symbol)
        for row in self.rows.values():
            self.count(row, False)

    def distrust(self) -> None:
        """Has every symbol begin with an image."""
        for row in self.rows.values():
            row.whole = False

    def confirm(self, symbol: str, id: int, view: int, resumes: bool) -> None:
        """Notes that the node has subscribed us to a symbol, under its number. An image follows, unless the subscription
        resumes from what is held."""
        row = self.rows.get(symbol)
        if row is None:
            row = self.rows[symbol] = Row(symbol, [backlog for backlog in self.backlogs if backlog.takes(symbol)])
        self.count(row, False)
        row.id, row.view = id, view
        row.whole = row.whole and resumes
        self.count(row, True)

    def count(self, row: Row, live: bool) -> None:
        """Has a row counted, or not, as one that the node sends."""
        if row.live == live:
            return
        row.live = live
        self.hash ^= symbol_hash(row.quote.symbol)
        if live:
            self.subs += 1
            self._live[row.id] = self._live[row.quote.symbol] = row
        else:
            self.subs -= 1
            self._live.pop(row.quote.symbol)
            if self._live.get(row.id) is row:  # a node that gives a number twice means the newer symbol by it
                del self._live[row.id]

    def forget(self, symbol: str) -> None:
        """A symbol is wanted no more."""
        self.count(self.rows[symbol], False)
        del self.rows[symbol]

    def merge(self, data: Data, received_at: int) -> None:
        """Merges updates, and hands them to whoever iterates. This is where the time goes: nothing is made that nobody is
        to see, but the next quote."""
        live, sent_at = self._live, data.sent_at
        implied = iter(data.implied)
        for u in data.updates:
            printed = next(implied, 0)
            row = live.get(u[0])
            if row is None:
                continue  # given up a moment ago
            _, seq, flags, mask, *values = u
            old = row.quote
            history, renewed = old.history, False
            if flags & IMAGE:
                history = values.pop(0)
                renewed = history != old.history
                mantissas = [*_NOTHING]
            else:
                mantissas = [*old.mantissas]
            if seq < old.seq and row.whole and not renewed:
                raise ProtocolError("order", f"{old.symbol}: seq went back from {old.seq} to {seq}")
            for f, v in zip(indexes(mask), values):  # noqa: B905 (parsing has counted them)
                mantissas[f] = v
            if printed:
                if not flags & IMAGE:
                    _agree(old, mantissas, printed)
                mask &= ~printed
            conflated = 0
            if flags & GAP:
                self.gaps += 1
            elif old.seq and not renewed and seq > old.seq + 1:
                conflated = seq - old.seq - 1
                self.conflated += conflated
            if flags & IMAGE:
                row.whole = True
            row.quote = quote = Quote(old.symbol, history, seq, mantissas)
            if row.backlogs:
                update = Update(quote, flags, mask, conflated, sent_at, received_at)
                for backlog in row.backlogs:
                    backlog.put(update)

    def begin(self, backlog: Backlog, now: int) -> None:
        """An iteration begins, with an image of what is held already of its symbols."""
        self.backlogs.append(backlog)
        for symbol, row in self.rows.items():
            if backlog.takes(symbol):
                row.backlogs.append(backlog)
                if row.quote.seq:
                    mask = sum(1 << f for f, v in enumerate(row.quote.mantissas) if v != ABSENT)
                    backlog.put(Update(row.quote, IMAGE, mask, 0, now, now))
        backlog.wake()

    def end(self, backlog: Backlog) -> None:
        """An iteration gets no more."""
        if backlog in self.backlogs:
            self.backlogs.remove(backlog)
            for row in self.rows.values():
                if backlog in row.backlogs:
                    row.backlogs.remove(backlog)


def _agree(old: Quote, mantissas: list[int], printed: int) -> None:
    """JSON names a scale only when it changes. Decimals printed in another than the one held would move the point of all
    that they came without."""
    for f in indexes(printed):
        was = old.mantissas[f]
        if was not in (ABSENT, mantissas[f]):
            raise ProtocolError("order", f"{old.symbol}: {FIELDS[f]} is {mantissas[f]}, not {was}")


class Quotes(Mapping[str, Quote]):
    """Merged quotes by symbol, of all that is subscribed to, live; without a connection they stay, and grow old."""

    def __init__(self, board: Board) -> None:
        self._rows = board.rows

    def __getitem__(self, symbol: str) -> Quote:
        quote = self._rows[symbol].quote
        if not quote.seq:
            raise KeyError(symbol)
        return quote

    def __iter__(self) -> Iterator[str]:
        return iter([symbol for symbol, row in tuple(self._rows.items()) if row.quote.seq])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<{len(self)} quotes>"
