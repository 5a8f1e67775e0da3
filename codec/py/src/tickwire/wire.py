"""One WebSocket to a node: how it is opened, and why it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import time
from http import HTTPStatus
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import DATA_OPCODES, CloseCode, Frame
from websockets.protocol import Event

from .errors import FinalError, ProtocolError, TickwireError, is_final, printable
from .message import MESSAGE_MAX
from .request import Encoding

DIAL_TIMEOUT = 10.0  # seconds: dial, TLS, upgrade; and again until hello
BYE_TIMEOUT = 0.1  # a close frame may take so long
_QUEUE_MAX = 2  # frames read and not taken, so that little is old when a reader that stopped goes on
_FRAMES_MAX = 1 << 12  # of one message, which a node writes in one: of those that are empty no number makes it too long
_UNSENT_MAX = 1 << 20  # bytes: a node that takes nothing, but asks for pongs, is left
_RETRY_AFTER_MAX = 60  # seconds for which an HTTP refusal may send us away
_REASON_MAX = 1 << 10  # bytes kept of an HTTP refusal's body


TRUST = "ssl=ssl.create_default_context(cafile=FILE) says whom to trust"

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")  # what versions of OpenSSL make of an answer in plain text
_UNKNOWN_CA = (18, 19, 20, 21)  # verify codes: of no authority that we know


class Lost(TickwireError):
    """A connection ended, or was not opened, for a reason that may be another later."""

    def __init__(self, text: str, after: float = 0, silent: bool = False) -> None:
        super().__init__(text)
        self.after = after  # seconds that the node wants to be left alone at the least
        self.silent = silent


class Drained(Lost):
    """A node that restarts has sent us away, or was to have done so by now."""


class Wire(ClientConnection):
    """A connection that notes when it heard something, and ends when the other side has ended it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard = time.monotonic()
        self._frames = 0  # of a message that has not ended

    def data_received(self, data: bytes) -> None:
        self.heard = time.monotonic()
        super().data_received(data)
        if self._frames > _FRAMES_MAX:
            self.protocol.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.send_data()
        if self.transport.get_write_buffer_size() > _UNSENT_MAX:
            self.drop()
        if self.protocol.close_rcvd is not None or self.protocol.parser_exc is not None or self._frames > _FRAMES_MAX:
            self.loop.call_later(BYE_TIMEOUT, self.drop)  # else whoever leaves the TCP connection open would have us wait

    def process_event(self, event: Event) -> None:
        if self._frames > _FRAMES_MAX:
            return
        if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            self._frames = 0 if event.fin else self._frames + 1
        super().process_event(event)

    def drop(self) -> None:
        """Ends the TCP connection."""
        with contextlib.suppress(AttributeError):  # of Python 3.11, when a TLS connection was closed twice before
            self.transport.abort()

    async def bye(self, code: int) -> None:
        """Sends a close frame and does not wait for long for its answer, nor for a write under way."""
        late = self.loop.call_later(2 * BYE_TIMEOUT, self.drop)  # before Python 3.12 asyncio.wait_for may lose a cancellation
        try:
            await self.close(code)
        finally:
            late.cancel()
            self.drop()

    def why(self, e: ConnectionClosed) -> TickwireError:
        """What the end of the connection says."""
        if e.rcvd is not None and e.rcvd_then_sent is not False:
            code, reason = int(e.rcvd.code), printable(e.rcvd.reason)
            kind = Drained if code == CloseCode.SERVICE_RESTART else Lost
            return FinalError(code, reason) if is_final(code) else kind(f"closed by the node: {code} {reason}".rstrip())
        if e.sent is not None and e.sent.code != 1000:
            return ProtocolError("syntax", f"{int(e.sent.code)} {printable(e.sent.reason)}".rstrip())
        return Lost(f"the connection was lost: {_cause(e.__cause__)}" if isinstance(e.__cause__, OSError) else "the connection was lost")


class _Dial(connect):
    def process_redirect(self, exc: Exception) -> Exception:
        """A node sends nobody elsewhere, and who would must not be shown the token."""
        return exc


async def dial(url: str, encoding: Encoding, token: str, tls: ssl.SSLContext | None) -> Wire:
    """Opens the WebSocket. Who echoes no subprotocol is told from a node by its hello."""
    more: dict[str, Any] = {} if tls is None else {"ssl": tls}
    try:
        wire = await _Dial(
            url, subprotocols=[_PROTOCOLS[encoding]], additional_headers={"Authorization": f"Bearer {token}"} if token else None, compression=None,
            open_timeout=DIAL_TIMEOUT, ping_interval=None, close_timeout=BYE_TIMEOUT, max_size=MESSAGE_MAX, max_queue=_QUEUE_MAX,
            proxy=None, create_connection=Wire, **more,
        )  # fmt: skip
        assert isinstance(wire, Wire)
        return wire
    except InvalidStatus as e:
        raise _refusal(e) from None
    except WebSocketException as e:
        raise Lost(f"what answers there is no node: {printable(str(e))}") from e
    except asyncio.TimeoutError as e:
        raise Lost(f"no answer within {DIAL_TIMEOUT:g}s") from e
    except (OSError, EOFError) as e:
        raise Lost(_cause(e)) from e


_PROTOCOLS: dict[Encoding, Any] = {"msgpack": "tickwire.v1.msgpack", "json": "tickwire.v1.json"}


def _refusal(e: InvalidStatus) -> TickwireError:
    """What an answer says that upgrades nothing: a node's, which is JSON, or that of whatever stands before it."""
    response = e.response
    status = response.status_code
    text, reason = bytes(response.body or b"")[:_REASON_MAX].decode(errors="replace"), ""
    try:
        told = json.loads(text)
        if isinstance(told, dict) and isinstance(told.get("error"), str):
            text, reason = told["error"], told.get("reason", "")
    except (ValueError, RecursionError):
        pass
    text = printable(text)
    if is_final(status):
        return FinalError(status, text, printable(reason) if isinstance(reason, str) else "")
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    after = response.headers.get_all("Retry-After")
    seconds = min(float(after[0]), _RETRY_AFTER_MAX) if after and re.fullmatch(r"[0-9]+", after[0]) else 0
    return Lost(f"HTTP {status} {phrase}: {text}", seconds)


def _tls_cause(e: ssl.SSLError) -> str:
    """And what to do about it."""
    if isinstance(e, ssl.SSLCertVerificationError):
        return f"certificate: {e.verify_message}" + (f"; {TRUST}" if e.verify_code in _UNKNOWN_CA else "")
    reason = e.reason or str(e)
    return "this port does not speak TLS, take ws://" if reason in _NO_TLS else reason


def _cause(e: BaseException) -> str:
    """An error of the system in its own words, without what Python adds."""
    if isinstance(e, ssl.SSLError):
        return _tls_cause(e)
    number = re.search(r"Errno (\d+)", str(e))
    errno = getattr(e, "errno", None) or (int(number[1]) if number else 0)
    text = os.strerror(errno) if errno > 0 else getattr(e, "strerror", None) or str(e) or type(e).__name__
    return printable(text).lower()
