from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from peer import BTC, ETH, HISTORY, Peer, delta, image, is_, node, served

import tickwire
from tickwire import FinalError, NotConnected, RequestError
from tickwire.sync import Client


async def two(p: Peer) -> None:
    await p.hello()
    await p.reply(await p.request(), is_(BTC, 0), is_(ETH, 1))
    await p.data(image(0, 1, 100), image(1, 1, 200))
    seq = 1
    while True:
        r = await p.request()
        seq += 1
        await p.data(delta(0, seq, 100 + seq))
        if r.symbols == ["nope"]:
            await p.say("reply", id=r.id, op=r.op, results=[{"symbol": "nope", "error": {"code": 110, "text": "bad_symbol: nope"}}])
        else:
            await p.say("reply", id=r.id, op=r.op, time=5_000_000, results=[is_(name, 0) for name in r.symbols])


def test_same_names() -> None:
    with served(two) as n, tickwire.connect(n.url) as c:
        sub = c.subscribe(BTC, ETH)
        assert [r.id for r in sub.results()] == [0, 1]
        seen = []
        for u in sub:
            seen.append((u.symbol, u.seq - HISTORY))
            if len(seen) >= 2:
                assert c.ping() == 5_000_000
            if len(seen) == 4:
                break
        assert seen == [(BTC, 1), (ETH, 1), (BTC, 2), (BTC, 3)]
        assert sorted(c.quotes) == [BTC, ETH]
        assert c.quotes[BTC].seq - HISTORY >= 3
        batches = sub.batches(0.05)
        assert [len(next(batches)), len(next(batches))] == [2, 0]
        batches.close()
        c.set(BTC, rate=2)
        c.pause()
        c.resume()
        assert c.list() == []
        with pytest.raises(RequestError, match="bad_symbol"):
            next(iter(c.subscribe("nope")))
        assert (c.state, c.conflated, c.gaps, sub.conflated, sub.gaps, sub.names) == ("live", 0, 0, 0, 0, (BTC, ETH))
        sub.unsubscribe()
        c.unsubscribe(BTC)
        assert list(sub) == []
    with pytest.raises(NotConnected, match="closed"):
        c.ping()
    c.close()
    assert c.state == "closed"


def test_ends_with_the_node() -> None:
    async def sends_away(p: Peer) -> None:
        await p.subscribed(image(0, 1, 100))
        await p.request()
        await p.ws.close(4003, "replaced")

    with served(sends_away) as n, Client(n.url) as c:
        sub = c.subscribe(BTC)
        iterator = iter(sub)
        next(iterator)
        with pytest.raises(FinalError, match="no more connections"):
            c.ping()
        with pytest.raises(FinalError):
            list(iterator)
        with pytest.raises(FinalError):
            c.subscribe(ETH)


def test_closed_by_another_thread() -> None:
    with served(two) as n:
        c = Client(n.url)
        threading.Timer(0.2, c.close).start()
        ends: list[object] = []
        sub = c.subscribe(BTC, ETH)
        others = [threading.Thread(target=lambda: ends.append(len(list(sub)))) for _ in range(3)]
        for other in others:
            other.start()
        with pytest.raises(NotConnected):
            while True:
                c.ping()
        for other in others:
            other.join(5)
        assert len(ends) == 3
        c.close()


def test_waits_for_itself_never() -> None:
    errors: list[Exception] = []

    def pings(event: tickwire.Event) -> None:
        try:
            c.ping()
        except Exception as e:
            errors.append(e)

    with served(two) as n:
        c = Client(n.url, on_event=pings)
        with c:
            c.subscribe(BTC, ETH).results()
        assert "wait for itself" in str(errors[0])


async def test_amid_a_running_loop() -> None:
    """As in a notebook."""

    def use(url: str) -> int:
        with Client(url) as c:
            return len(next(c.subscribe(BTC, ETH).batches(0.2)))

    async with node(two) as n:
        assert await asyncio.to_thread(use, n.url) == 2
    with served(two) as n:
        assert use(n.url) == 2  # on the loop's own thread


def program(text: str, *args: str, **options: Any) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": "src"}
    return subprocess.Popen([sys.executable, "-c", text, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, **options)


def test_no_event_loop() -> None:
    """Without descriptors the client cannot begin, and says so."""
    text = "import os, resource, sys, tickwire\ntickwire.Client(sys.argv[1])\n"
    text += "resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')) - 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
    text += "try:\n    tickwire.connect(sys.argv[1])\nexcept tickwire.NotConnected as e:\n    print(e)"
    out, _ = program(text, "ws://127.0.0.1:1").communicate(timeout=60)
    assert "cannot begin: " in out
    assert "Too many open files" in out


def test_forked() -> None:
    """The client stays in the process that made it; in the other it says so, and closes nothing."""
    text = f"import os, sys, tickwire\nc = tickwire.connect(sys.argv[1])\nsub = c.subscribe('{BTC}', '{ETH}')\n"
    text += "batches = sub.batches()\nnext(batches)\nif os.fork():\n    os.wait()\n    print(c.ping(), flush=True)\n    os._exit(0)\n"
    for call in ("c.ping()", "c.subscribe('sim:A')", "next(batches)", "next(iter(sub))"):
        text += f"try:\n    {call}\nexcept tickwire.NotConnected as e:\n    print(e, flush=True)\n"
    text += "c.close()"
    with served(two) as n:
        out, _ = program(text, n.url).communicate(timeout=60)
    assert out.split("\n") == ["the client is of the process that this one was forked from: make another here"] * 4 + ["5000000", ""]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_ends_the_thread() -> None:
    def ends(event: tickwire.Event) -> None:
        raise SystemExit

    with served(two) as n, Client(n.url, on_event=ends) as c:
        c._thread.join(5)
        with pytest.raises(NotConnected, match="closed"):
            c.ping()


@pytest.mark.parametrize("closes", ["with tickwire.connect(sys.argv[1]) as c:", "c = tickwire.connect(sys.argv[1])\nif True:"])
def test_ctrl_c(closes: str) -> None:
    """It ends an iteration that waits, and the program, at once, whether it closes or not."""
    text = f"import sys, tickwire\n{closes}\n    for u in c.subscribe('{BTC}', '{ETH}'):\n        print(u, flush=True)\n"
    with served(two) as n:
        p = program(text, n.url)
        assert p.stdout is not None
        assert p.stderr is not None
        for _ in range(2):
            assert "Update(" in p.stdout.readline()
        began = time.monotonic()
        p.send_signal(signal.SIGINT)
        p.wait(10)
        assert time.monotonic() - began < 2
        assert p.stderr.read().strip().endswith("KeyboardInterrupt")
        p.stdout.close()
        p.stderr.close()
