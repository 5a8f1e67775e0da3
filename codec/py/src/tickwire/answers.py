"""What a node answers to the requests of one connection."""

from __future__ import annotations

import time
from dataclasses import replace

from .asking import Asked, Asking
from .errors import Code, ProtocolError, RequestError
from .event import Event
from .fields import view_of
from .message import Reply, Result
from .token import Pass, good_for
from .wants import Want


def replied(asking: Asking, r: Reply) -> list[Event]:
    """Takes a reply: numbers for symbols, and what was refused."""
    asked = _answered(asking, r.id, r)
    if asked.op == "auth":
        return _authorized(asking, r, asked)
    if r.op != "subscribe":
        return []  # nothing of it is news
    return [event for x in r.results if (event := _took(asking, x, r, asked))]


def _answered(asking: Asking, id: int, answer: Reply | RequestError) -> Asked:
    """Ends a request, and what a caller waits for."""
    asked = asking.asked.pop(id, None)
    if asked is None:
        return Asked()  # a pattern takes a new symbol
    if asked.op == "auth":
        asking.authing = False
        asking.changed.set()  # what waited for it
    if asked.call and not asked.call.reply.done():
        if isinstance(answer, Reply):
            asked.call.reply.set_result(answer)
        else:
            asked.call.reply.set_exception(answer)
    return asked


def _took(asking: Asking, x: Result, r: Reply, asked: Asked) -> Event | None:
    """Takes what became of one symbol, or of a pattern, that was subscribed to."""
    core = asking.core
    want, takers = core.wants.get(x.symbol), core.wants.takers(x.symbol)
    ours = want is not None and want.state == "awaited" and want.request == r.id
    if x.error is not None:
        after = 0.0
        if want is not None and ours:
            after = _refused(asking, want, x.error)
            want.answer(x)
        # Else one that a pattern takes, or a pattern that takes no more.
        news = bool(takers) if want is None else ours or want.state == "held"
        return Event("error", x.symbol, error=x.error, after=after) if news else None
    if not takers:
        return None  # unsubscribed meanwhile
    result = replace(x, rate=r.rate if x.rate is None else x.rate, fields=r.fields if x.fields is None else x.fields)
    if want is not None and ours:
        want.state = "held"
        if asking.ask_at is None:
            asking.ask_delay = core.pace.ask_first
        if r.rate is not None:
            want.slowed = want.slowed and r.rate > 0 and (want.terms.rate == 0 or r.rate < want.terms.rate)
        want.answer(result)
    if x.id is not None:
        _confirm(asking, x, view_of(r.fields or ()), x.symbol in asked.resumed)
    return Event("subscribed", x.symbol, rate=r.rate or 0, matched=1 if x.matched is None else x.matched)


def _confirm(asking: Asking, x: Result, view: int, resumes: bool) -> None:
    """Takes the node's number for a symbol. Under a pattern it may name whatever it likes, but not more than it said."""
    board, most = asking.core.board, asking.limits.subs
    board.confirm(x.symbol, x.id or 0, view, resumes)
    if board.subs > most:
        raise ProtocolError("order", f"the node has subscribed us to {board.subs} symbols, of {most} at the most")


def _refused(asking: Asking, want: Want, error: RequestError) -> float:
    """Puts off a want that the node may have in a moment: for so many seconds; 0 is never."""
    if error.retry:
        want.state = "later"
        return asking.put_off()
    want.state = "idle"
    if error.code == Code.NOT_ALLOWED:
        want.barred = asking.token
    return 0


def failed(asking: Asking, error: RequestError) -> tuple[Event, bool]:
    """Takes an error, of a whole request: and whether the node now does what we do not want. Answers come in order, so that
    one that names none is of the oldest."""
    core = asking.core
    id = min(asking.asked, default=asking.requests + 1) if error.id is None else error.id
    asked = _answered(asking, id, error)
    after = 0.0
    for want in core.wants:
        if want.state == "awaited" and want.request == id:
            after = _refused(asking, want, error)
            if not error.retry:
                want.answer(error)
    if asked.op == "auth":
        after = _unauthorized(asking, asked, error)
    return Event("error", error=error, after=after), asked.op in ("unsubscribe", "pause", "resume")


def _authorized(asking: Asking, r: Reply, asked: Asked) -> list[Event]:
    """Takes the reply to auth: what the new token ends, and what it slows down. It has what the one before did not cover asked
    for, and what that slowed down."""
    core = asking.core
    asking.token = asked.token
    if core.token.token == asked.token:
        core.token = Pass(asked.token).lasts(r.token_ttl)
        asking.aged.set()
    events = [Event("token", after=good_for(r.token_ttl))]
    again = [w for w in core.wants if (w.state == "idle" and w.barred is not None) or (w.state == "held" and w.slowed)]
    events += [event for x in r.results if (event := _narrowed(asking, x))]
    for want in again:
        if want.barred != asking.token:
            core.ask(want)
    core.authorized(asked.token, list(r.results))
    return events


def _narrowed(asking: Asking, x: Result) -> Event | None:
    """Takes what a new token did to a symbol, or to a pattern. What ended keeps its quote, as through a lost connection: it
    may be covered again."""
    core = asking.core
    want, takers, row = core.wants.get(x.symbol), core.wants.takers(x.symbol), core.board.rows.get(x.symbol)
    if not takers:
        return None  # unsubscribed meanwhile
    if x.error is not None:
        if want is not None and want.state != "queued":
            want.state, want.barred = "idle", asking.token
            want.answer(x)
        if row is not None:
            core.board.count(row, False)
        return Event("error", x.symbol, error=x.error)
    if x.id is None:
        return None
    _confirm(asking, x, view_of(x.fields or ()), False)
    for taker in takers:
        taker.slowed = True
    return Event("subscribed", x.symbol, rate=x.rate or 0, matched=1)


def _unauthorized(asking: Asking, asked: Asked, error: RequestError) -> float:
    """When the node is asked again to take the token that it refused; 0 for never. Then that before it counts again, here and
    on later connections, as the node has it, and the source, if there is one, is asked for another in a while."""
    core = asking.core
    ours = core.token.token == asked.token
    asking.auth_later = error.retry and ours
    if asking.auth_later:
        return asking.put_off()
    if ours:
        core.token = Pass(asking.token, due=time.monotonic() + core.pace.backoff_most)
        asking.auth = False  # auth was called again with this one: the node has the other
        asking.aged.set()
    core.authorized(asked.token, error)
    return 0
