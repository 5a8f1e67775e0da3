"""python -m tickwire watch: updates as lines, as `tickwire watch` prints them where there is no terminal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import ssl
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from .errors import EXPIRED, ConfigError, FinalError, TickwireError
from .event import Event
from .fields import INDEX, SCALE_OF
from .sync import Client
from .update import CONFLATED, Update
from .wire import TRUST


def parser() -> argparse.ArgumentParser:
    def env(name: str, default: str | None = None) -> str | None:
        return os.environ.get(f"TICKWIRE_{name}") or default

    p = argparse.ArgumentParser("python -m tickwire", description="A subscriber of Tickwire. Every flag has a variable, as --url has TICKWIRE_URL.")
    commands = p.add_subparsers(required=True, metavar="watch")
    w = commands.add_parser("watch", help="print updates as they come, a line each", allow_abbrev=False)  # --token is no --token-file
    w.add_argument("symbols", nargs="+", metavar="SYMBOL", help="symbols, as coinbase:BTC-USD, or patterns, as 'sim:*'")
    w.add_argument("--url", default=env("URL", "ws://127.0.0.1:8080/v1/stream"), help="stream of a node [%(default)s]")
    as_json = env("JSON") not in (None, "0", "false")
    w.add_argument("--json", action="store_true", default=as_json, help="print JSON: symbol, seq, flags, changed fields")
    w.add_argument("--rate", type=float, default=env("RATE", "0"), metavar="N", help="updates a second and symbol at the most [all of them]")
    w.add_argument("--fields", default=env("FIELDS", ""), metavar="NAME,...", help="fields wanted, as bid,ask [all of them]")
    w.add_argument("--encoding", choices=("msgpack", "json"), default=env("ENCODING", "msgpack"), help="of the messages [%(default)s]")
    w.add_argument("--ca", default=env("CA"), metavar="FILE", help="of wss: certificate authorities to trust, PEM [the system's]")
    w.add_argument("--cert", default=env("CERT"), metavar="FILE", help="of wss: certificate to show to a node that asks for one, PEM [none]")
    w.add_argument("--key", default=env("KEY"), metavar="FILE", help="its key, PEM [none]")
    w.add_argument("--token-file", default=env("TOKEN_FILE"), metavar="FILE", help="that has the token; read again before it ends [TICKWIRE_TOKEN's]")
    return p


class TokenFile:
    """A token that something else may write anew."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.last = ""  # what was read

    def read(self) -> str:
        self.last = Path(self.name).read_text().strip()
        if not self.last:
            raise ConfigError(f"{self.name} is empty")
        return self.last


def json_line(u: Update) -> str:
    """Decimals as strings, other integers as numbers, what is no more known as null."""
    changed = {}
    for name in u.changed:
        text = u.quote.text(name)
        is_number = text is not None and name != "status" and SCALE_OF[INDEX[name]] < 0
        changed[name] = u.quote.mantissa(name) if is_number else text
    return json.dumps({"symbol": u.symbol, "seq": u.seq, "flags": words(u), "changed": changed}, separators=(",", ":"))


def text_line(u: Update) -> str:
    changed = [f"{name}={u.quote.text(name) or 'null'}" for name in u.changed]
    now = datetime.now().strftime("%H:%M:%S.%f")[:-3]
    return " ".join([now, f"{u.symbol:<24}", f"seq={u.seq}", *words(u), *changed])


def words(u: Update) -> list[str]:
    """What the flags say."""
    reason = [u.reason] if u.reason else []
    return ["image"] * u.image + (["conflated", *reason] if u.flags & CONFLATED else []) + ["gap"] * u.gap


class Reporter:
    """Says on stderr what happens to the connection."""

    def __init__(self, url: str, rate: float, lost: Callable[[], None]) -> None:
        self.url, self.rate, self.lost = url, rate, lost

    def __call__(self, e: Event) -> None:
        if e.kind in ("live", "connecting", "stale"):
            tell(f"{self.url}: {e}".replace(TRUST, "--ca FILE says whom to trust"))
        elif e.kind != "subscribed" or not e.matched:
            tell(str(e))
        elif e.rate != self.rate and e.rate is not None:
            self.rate = e.rate
            tell(f"at most {self.rate:g} updates a second and symbol")
        if e.kind in ("connecting", "stale"):
            self.lost()


def tell(text: str) -> None:
    print(f"tickwire: {text}", file=sys.stderr, flush=True)


def watch(args: argparse.Namespace) -> None:
    """Prints until it is interrupted. Lines are written past Python's own buffer, which would wait for a reader at the end."""
    file = TokenFile(args.token_file) if args.token_file else None
    if file is not None and os.environ.get("TICKWIRE_TOKEN"):
        raise ConfigError("--token-file and TICKWIRE_TOKEN are both there: take one")

    presenting: asyncio.Task[None] | None = None

    async def present() -> None:
        """Has the next connection made with what the file has now, if that is another."""
        with contextlib.suppress(OSError, ValueError, TickwireError):  # it is being written
            if file is not None and file.last != file.read():
                await client._client.auth(file.last)

    def lost() -> None:
        nonlocal presenting
        presenting = asyncio.get_running_loop().create_task(present())  # kept, for a loop keeps no task alive

    try:
        token = file.read if file and file.read() else os.environ.get("TICKWIRE_TOKEN")
    except (OSError, ValueError, ConfigError) as e:
        raise ConfigError(f"--token-file: {e}") from None
    tls = tls_of(args)
    fields = [name for name in args.fields.split(",") if name]
    client = Client(args.url, token=token, encoding=args.encoding, ssl=tls, on_event=Reporter(args.url, args.rate, lost))
    line = json_line if args.json else text_line
    with client:
        for batch in client.subscribe(args.symbols, rate=args.rate, fields=fields).batches():
            text = memoryview("".join(f"{line(u)}\n" for u in batch).encode())
            while text:
                text = text[write(text) :]


def write(text: memoryview) -> int:
    try:
        return os.write(1, text)
    except BrokenPipeError:
        raise  # who reads has gone, as head does
    except OSError as e:
        raise TickwireError(f"standard output: {e.strerror}") from None


def tls_of(args: argparse.Namespace) -> ssl.SSLContext | None:
    """How to speak TLS to a node: whom to trust, and what to show."""
    if bool(args.cert) != bool(args.key):
        raise ConfigError("--cert and --key go together")
    if not (args.ca or args.cert):
        return None
    if not args.url.startswith("wss://"):
        raise ConfigError("--ca, --cert and --key are of TLS, which --url does not speak: take wss://")
    try:
        tls = ssl.create_default_context(cafile=args.ca)
    except OSError as e:
        raise ConfigError(f"--ca {args.ca}: {e}") from None
    try:
        if args.cert:
            tls.load_cert_chain(args.cert, args.key, password="")  # else it would be asked for
    except OSError as e:
        raise ConfigError(f"--cert {args.cert}, --key {args.key}: {e}") from None
    return tls


def advise(e: TickwireError) -> str:
    """A refusal, and which flag helps."""
    if isinstance(e, FinalError) and e.reason == "missing":
        return f"{e}: --token-file, or TICKWIRE_TOKEN"
    if isinstance(e, FinalError) and (e.reason == "expired" or e.code == EXPIRED):
        return f"{e}; a --token-file that is renewed is read again in time"
    return str(e)


def main() -> int:
    try:
        watch(parser().parse_args())
    except TickwireError as e:
        tell(f"watch: {advise(e)}")
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
