"""How many updates a second one core of a client takes: of CPU time, so that what else the machine does counts little.

    python bench/throughput.py          some seconds

Messages are real ones, of a market of 200 symbols whose bid, ask or last trade changes, and have hundreds of updates each, as a
node writes them to whom it owes many. Decode and merge is without a socket; the rest is through a WebSocket on loopback, whose
server is another process. In the end comes the dearest way, a message for each update, and a profile of it: whose code the time
of a message goes to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import msgpack
from websockets.asyncio.server import ServerConnection, serve

sys.path[:0] = [str(Path(__file__).parents[1] / "src")]

import tickwire
from tickwire.bell import Bell
from tickwire.board import Board
from tickwire.data import Data
from tickwire.fields import ALL_FIELDS, FIELDS, STATUSES, indexes
from tickwire.message import parse
from tickwire.subscription import Backlog, Subscription
from tickwire.update import IMAGE

SYMBOLS = [f"bench:S{i:03}-USD" for i in range(200)]
PER_MESSAGE = 250
MOST = 50_000  # updates that the server has
START = 1_795_750_944_246_026
NOW = 1_795_750_944_000_000
MASKS = [0b1000000000000011, 0b1000000000001100, 0b1101100011110000]  # bid; ask; a trade: last, volume, turnover, vwap, trades, times


def updates(n: int) -> list[list[Any]]:
    """Images of all, and then changes."""
    values = [random.randrange(10_000, 99_999_999) for _ in FIELDS]
    values[13:] = [0, NOW, NOW, 2, 4, 4]
    every = [[i, START, IMAGE, ALL_FIELDS, 1, *values] for i in range(len(SYMBOLS))]
    seqs = [START] * len(SYMBOLS)
    for _ in range(n - len(SYMBOLS)):
        i, mask = random.randrange(len(SYMBOLS)), random.choice(MASKS)
        seqs[i] += 1
        every.append([i, seqs[i], 0, mask, *[NOW if f in (14, 15) else random.randrange(10_000, 99_999_999) for f in indexes(mask)]])
    return every


def text(u: list[Any]) -> dict[str, Any]:
    """An update as JSON has it."""
    i, seq, flags, mask, *values = u
    o: dict[str, Any] = {"symbol": SYMBOLS[i], "seq": seq}
    if flags & IMAGE:
        o |= {"image": True, "history": values.pop(0)}
    for f, v in zip(indexes(mask), values, strict=True):
        places = 2 if f in (0, 2, 4, 8, 9, 10, 11) else 4 if f < 8 else 0
        o[FIELDS[f]] = f"{v // 10**places}.{v % 10**places:0{places}}" if places else STATUSES[v] if f == 13 else v
    return o


def messages(n: int, encoding: str, per_message: int = PER_MESSAGE) -> list[bytes | str]:
    random.seed(1)
    every = updates(n)
    parts = [every[i : i + per_message] for i in range(0, n, per_message)]
    if encoding == "json":
        return [json.dumps({"type": "data", "sent_at": NOW, "updates": [text(u) for u in part]}) for part in parts]
    return [msgpack.packb([0, NOW, *part]) for part in parts]


def report(what: str, n: int, seconds: float) -> None:
    print(f"{what:<38} {n / seconds:>10,.0f} updates/s per core", flush=True)


def decode_and_merge(encoding: str, n: int) -> None:
    board = Board()
    for i, symbol in enumerate(SYMBOLS):
        board.confirm(symbol, i, ALL_FIELDS, False)
    parts = messages(n, encoding)
    began = time.process_time()
    for part in parts:
        m = parse(part)
        assert isinstance(m, Data)
        board.merge(m, NOW)
    report(f"{encoding}: decode and merge", n, time.process_time() - began)


def serve_for_ever(ready: Any) -> None:
    """A node that sends a market to whoever subscribes, as fast as it is taken. The path says how many updates a message has."""
    every = {(encoding, per_message): messages(MOST, encoding, per_message) for encoding in ("msgpack", "json") for per_message in (PER_MESSAGE, 1)}

    async def handler(ws: ServerConnection) -> None:
        encoding = str(ws.subprotocol).rpartition(".")[2]

        async def say(kind: int, m: dict[str, Any]) -> None:
            named = {"type": ("data", "hello", "reply")[kind], **m}
            await ws.send(json.dumps(named) if encoding == "json" else msgpack.packb([kind, m]))

        limits = {"request_bytes": 65_536, "request_symbols": 4096, "subs": 10_000, "requests_per_s": 50}
        await say(1, {"protocol": 1, "node": "bench", "fields": FIELDS, "heartbeat": 60_000, "limits": limits})
        await ws.recv()
        await say(2, {"id": 1, "op": "subscribe", "results": [{"symbol": s, "id": i} for i, s in enumerate(SYMBOLS)]})
        for part in every[encoding, int(ws.request.path[1:]) if ws.request else 0]:
            await ws.send(part)
        await ws.wait_closed()

    async def main() -> None:
        protocols: Any = ["tickwire.v1.msgpack", "tickwire.v1.json"]
        async with serve(handler, "127.0.0.1", 0, subprotocols=protocols, compression=None, ping_interval=None) as server:
            ready.send(server.sockets[0].getsockname()[1])
            await asyncio.get_running_loop().create_future()

    asyncio.run(main())


Use = Callable[[Any, int], Awaitable[None]]


async def by_update(client: tickwire.Client, n: int) -> None:
    async for _ in client.subscribe("bench:*"):
        n -= 1
        if n == 0:
            return


async def by_batch(client: tickwire.Client, n: int, use: Callable[[tickwire.Batch], object] = len) -> None:
    async for batch in client.subscribe("bench:*").batches():
        use(batch)
        n -= len(batch)
        if n <= 0:
            return


async def by_table(client: tickwire.Client, n: int) -> None:
    await by_batch(client, n, tickwire.Batch.to_numpy)


async def nobody(client: tickwire.Client, n: int) -> None:
    client.subscribe("bench:*")
    while sum(q.seq - START + 1 for q in client.quotes.values()) < n:
        await asyncio.sleep(0.005)


async def through_a_socket(url: str, encoding: Any, use: Use, n: int) -> float:
    async with tickwire.Client(url, encoding=encoding) as client:
        began = time.process_time()
        await use(client, n)
        return time.process_time() - began


def profile(url: str, n: int) -> None:
    """Looks every half millisecond whose code runs: the innermost of the packages below, for what they call is their cost."""
    samples: Counter[str] = Counter()

    def look(_: int, frame: FrameType | None) -> None:
        while frame is not None:
            parts = Path(frame.f_code.co_filename).with_suffix("").parts
            frame = frame.f_back
            if "selectors" in parts:
                return  # it waits
            package = next((p for p in ("websockets", "tickwire", "asyncio") if p in parts), None)
            if package is not None:
                samples[f"tickwire.{parts[-1]}" if package == "tickwire" else package] += 1
                return

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    rounds = 5
    seconds = sum(asyncio.run(through_a_socket(url, "msgpack", by_update, n)) for _ in range(rounds)) / rounds
    signal.setitimer(signal.ITIMER_REAL, 0)
    for name, count in samples.most_common(10):
        print(f"    {name:<30} {1e6 * seconds / n * count / samples.total():>10.2f} us")


def tables(n: int) -> None:
    """What a row of a table takes, without a socket."""
    board = Board()
    for i, symbol in enumerate(SYMBOLS):
        board.confirm(symbol, i, ALL_FIELDS, False)
    backlog = Backlog(Subscription(None, ("bench:*",), {}), Bell())  # type: ignore[arg-type]
    board.begin(backlog, NOW)
    for part in messages(n, "msgpack"):
        m = parse(part)
        assert isinstance(m, Data)
        board.merge(m, NOW)
    batch = tickwire.Batch(backlog.take() or [])
    for library in ("numpy", "pandas", "polars"):
        make = getattr(batch, f"to_{library}")
        for floats in (True, False):
            what = f"{'floats' if floats else 'integers' if library == 'numpy' else 'Decimals'}"
            try:
                make(floats)  # imports what it needs
            except tickwire.ConfigError as e:
                print(f"{library}: {e}")
                break
            began = time.process_time()
            make(floats)
            print(f"{f'to_{library}, {what}':<38} {1e6 * (time.process_time() - began) / len(batch):>10.2f} us per row", flush=True)


def blocking(url: str, n: int) -> float:
    with tickwire.connect(url) as client:
        began, left = time.process_time(), n
        for _ in client.subscribe("bench:*"):
            left -= 1
            if left == 0:
                break
        return time.process_time() - began


def number(text: str) -> int:
    n = int(text)
    if not len(SYMBOLS) <= n <= MOST:
        raise argparse.ArgumentTypeError(f"{n}: the market has {len(SYMBOLS)} images and {MOST:,} updates: take from {len(SYMBOLS)} to {MOST}")
    return n


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    p.add_argument("--updates", type=number, default=MOST, metavar="N", help=f"of each measurement, {len(SYMBOLS)} to {MOST:,} [%(default)s]")
    n = p.parse_args().updates
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve_for_ever, args=(theirs,), daemon=True)
    server.start()
    node = f"ws://127.0.0.1:{ours.recv()}"
    url = f"{node}/{PER_MESSAGE}"
    try:
        for encoding in ("msgpack", "json"):
            decode_and_merge(encoding, n)
            for name, use in (("nobody iterates", nobody), ("async for", by_update), ("batches", by_batch), ("batches, to_numpy", by_table)):
                report(f"{encoding}: {name}", n, asyncio.run(through_a_socket(url, encoding, use, n)))
        report("msgpack: for, of tickwire.connect", n, blocking(url, n))
        for encoding in ("msgpack", "json"):
            report(f"{encoding}: async for, of messages of one", n, asyncio.run(through_a_socket(f"{node}/1", encoding, by_update, n)))
        tables(n)
        profile(f"{node}/1", n)
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
