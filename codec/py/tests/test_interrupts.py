"""Ctrl-C, at any moment of a blocking client."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from peer import BTC, Peer, image, is_, served
from test_sync import program

PROGRAM = (Path(__file__).parent / "interrupted.py").read_text()


async def goes_on(p: Peer) -> None:
    await p.hello()
    await p.reply(await p.request(), is_(BTC, 0))

    async def send() -> None:
        seq = 0
        while True:
            await p.data(image(0, seq := seq + 1, 100))
            await asyncio.sleep(0.001)

    sending = asyncio.create_task(send())
    try:
        while True:
            r = await p.request()
            await p.say("reply", id=r.id, op=r.op, time=5_000_000)
    finally:
        sending.cancel()


@pytest.mark.parametrize(("how", "least", "left"), [("every", 100, r"\d+"), ("random", 60, "0")])
def test_interrupted(how: str, least: int, left: str) -> None:
    """Wherever it strikes it is raised, and the client goes on."""
    with served(goes_on) as n:
        p = program(PROGRAM, n.url, BTC, how)
        try:
            out, said = p.communicate(timeout=60)
        finally:
            p.kill()
    assert said == ""
    found = re.fullmatch(rf"(\d+) 5000000 {left}\n", out)
    assert found, out
    assert int(found[1]) >= least
