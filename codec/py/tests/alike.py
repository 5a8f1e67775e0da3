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


updates = 0


def shown(quote: tickwire.Quote) -> dict[str, object]:
    texts = {field: quote.text(field) for field in ("bid", "ask", "last", "status")}
    return {"seq": quote.seq, **{field: text for field, text in texts.items() if text is not None}}


async def answer(client: tickwire.Client) -> None:
    """Answers what it is asked on stdin, until that ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        if line == "quotes":
            say("quotes", json.dumps({symbol: shown(quote) for symbol, quote in client.quotes.items()}))
        else:
            say(line, updates if line == "updates" else client.conflated)


async def main(cfg: dict[str, Any]) -> None:
    global updates
    file = cfg.get("token_file")
    token = (lambda: Path(file).read_text().strip()) if file else cfg.get("token")
    async with tickwire.Client(cfg["url"], token=token, encoding=cfg["encoding"], on_event=told) as client:
        answering = asyncio.create_task(answer(client))
        try:
            async for _ in client.subscribe(cfg["symbols"]):
                updates += 1
        except tickwire.FinalError as e:
            say("final", e.code, e.reason or "-")
        except tickwire.RequestError:
            pass  # told as an event
        await answering


asyncio.run(main(json.loads(sys.argv[1])))
