"""The address of a stream."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit, urlunsplit

from .errors import ConfigError

_PATH = "/v1/stream"
_STREAM = f"a stream is at ws://HOST:PORT{_PATH}, or wss://"


def check_url(text: str, tls: bool) -> str:
    """Completes it, and refuses what is no stream's, and what would be shown with the URL and is a secret."""
    if not isinstance(text, str) or re.search(r"[\x00-\x20\x7f\ud800-\udfff]", text):
        raise ConfigError(f"the URL cannot be read, it is no text, or has white space: {_STREAM}")
    try:
        url = urlsplit(text)
        _ = url.port, (url.hostname or "").encode("idna")
    except ValueError:
        raise ConfigError(f"the URL cannot be read: {_STREAM}") from None
    if "@" in url.netloc:
        raise ConfigError("URL: a name and a password in it are not sent: leave them out, a node asks for a token or a certificate")
    if "token" in parse_qs(url.query, keep_blank_values=True):
        raise ConfigError("URL: a token is never taken from it, for others would log it: it goes apart, as Authorization")
    if url.scheme in ("http", "https"):
        raise ConfigError(f"URL {text!r}: take ws{url.scheme[4:]}://, {_STREAM}")
    if url.scheme not in ("ws", "wss") or not url.hostname:
        raise ConfigError(f"URL {text!r}: {_STREAM}")
    if tls and url.scheme == "ws":
        raise ConfigError(f"URL {text!r}: ssl is of TLS, which it does not speak: take wss://")
    return urlunsplit(url._replace(path=url.path if url.path not in ("", "/") else _PATH, fragment=""))


def nameable(name: str) -> bool:
    """Whether a node can be asked for a name: else it is no symbol, and might not even fit a request."""
    return re.fullmatch(r"[!-~]{1,64}", name) is not None
