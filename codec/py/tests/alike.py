"""A client that says a line for whatever happens to it, as the other languages' do: cmd/tickwire/alike_test.go holds them
against each other."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import tickwire


def say(*words: object) -> None:
    print(*words, flush=True)


def told(e: tickwire.Event) -> None:
    match e.kind:
        case "error":
            code = e.error.code if isinstance(e.error, tickwire.RequestError) else 0
            say("error", int(code), e.symbol or "-", str(bool(e.after)).lower())
        case "token":
            say("token" if e.error is None else "token-error")
        case "live" | "connecting" | "stale" | "drain":
            say(e.kind)


async def answer(client: tickwire.Client) -> None:
    """Answers what it is asked on stdin, until that ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        if line == "quotes":
            quotes = {s: {"seq": q.seq, **{f: q.text(f) for f in ("bid", "ask", "last", "status") if q.text(f) is not None}} for s, q in client.quotes.items()}
            say("quotes", json.dumps(quotes))
        else:
            say("conflated", client.conflated)


async def main(cfg: dict[str, Any]) -> None:
    file = cfg.get("token_file")
    token = (lambda: Path(file).read_text().strip()) if file else cfg.get("token")
    async with tickwire.Client(cfg["url"], token=token, encoding=cfg["encoding"], on_event=told) as client:
        answering = asyncio.create_task(answer(client))
        try:
            async for _ in client.subscribe(cfg["symbols"]):
                pass
        except tickwire.FinalError as e:
            say("final", e.code, e.word or "-")
        await answering


asyncio.run(main(json.loads(sys.argv[1])))
