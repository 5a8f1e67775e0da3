from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from peer import BTC, Peer, delta, image, is_, is_not, refusal, served

from tickwire import ABSENT, FIELDS, Quote, Update
from tickwire.__main__ import json_line, text_line
from tickwire.errors import Code

ENV = {key: v for key, v in os.environ.items() if not key.startswith("TICKWIRE_")} | {"PYTHONPATH": "src"}


@contextlib.contextmanager
def watch(*args: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tickwire", "watch", *args]
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV | env)
    try:
        yield p
    finally:
        p.kill()
        p.communicate()


def ends(p: subprocess.Popen[str]) -> tuple[int, str]:
    """How it ends, and what it said last."""
    _, stderr = p.communicate(timeout=60)
    return p.returncode, stderr


async def two(p: Peer) -> None:
    await p.hello()
    r = await p.request()
    await p.reply(r, is_(BTC, 0), rate=5)
    await p.data(image(0, 1, 100))
    await p.data(delta(0, 3, 101, 2 | 2 << 2))
    await p.hang()


def test_lines() -> None:
    values = dict.fromkeys(FIELDS, ABSENT) | {"last": 6183760, "price_scale": 2, "trades": 5, "status": 0}
    mask = 1 << 4 | 1 << 6 | 1 << 12 | 1 << 13
    u = Update(Quote('sim:"A\\', 1, 9, [*values.values()]), 2 | 2 << 2 | 16, mask, 0, 0, 0)
    assert json_line(u) == (
        r'{"symbol":"sim:\"A\\","seq":9,"flags":["conflated","slow","gap"],'
        '"changed":{"last":"61837.60","volume":null,"trades":5,"status":"live"}}'
    )
    u = Update(u.quote, 1, mask, 0, 0, 0)
    assert text_line(u)[13:] == 'sim:"A\\                  seq=9 image last=61837.60 volume=null trades=5 status=live'
    assert re.match(r"\d\d:\d\d:\d\d\.\d\d\d ", text_line(u))


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
def test_prints_until_it_is_interrupted(encoding: str) -> None:
    with served(two) as n, watch("--url", n.url, "--json", "--encoding", encoding, "--fields", "bid,last", BTC) as p:
        assert p.stdout is not None
        lines = [json.loads(p.stdout.readline()) for _ in range(2)]
        assert [(line["symbol"], line["flags"], line["changed"]["bid"]) for line in lines] == [
            (BTC, ["image"], "1.00"), (BTC, ["conflated", "slow"], "1.01"),
        ]  # fmt: skip
        began = time.monotonic()
        p.send_signal(signal.SIGINT)
        code, said = ends(p)
        assert (code, said) == (0, f"tickwire: {n.url}: connected to node n1\ntickwire: at most 5 updates a second and symbol\n")
        assert time.monotonic() - began < 1


async def flood(p: Peer) -> None:
    await p.subscribed(image(0, 1, 100))
    seq = 1
    while True:
        await p.data(*[delta(0, seq := seq + 1, 100) for _ in range(100)])


def test_a_reader_that_stops_or_goes() -> None:
    with served(flood) as n:
        with watch("--url", n.url, BTC) as p:
            time.sleep(1)  # more than a pipe holds
            began = time.monotonic()
            p.send_signal(signal.SIGINT)
            assert p.wait(10) == 0
            assert time.monotonic() - began < 1
        with watch("--url", n.url, BTC) as p:
            assert p.stdout is not None
            assert p.stderr is not None
            p.stdout.readline()
            p.stdout.close()
            assert p.wait(10) == 0
            assert "Traceback" not in p.stderr.read()


def test_nowhere_to_write() -> None:
    with served(flood) as n, open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "tickwire", "watch", "--url", n.url, BTC]
        p = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=ENV, timeout=60)
        assert p.returncode == 1
        assert p.stderr.splitlines()[1:] == ["tickwire: watch: standard output: No space left on device"]


def test_says_why(tmp_path: Path) -> None:
    async def refuses(p: Peer) -> None:
        await p.hello()
        r = await p.request()
        if r.rate:
            await p.refuse(r, Code.BAD_RATE, "0.01")
        await p.reply(r, *[is_not(name, Code.BAD_SYMBOL) for name in r.symbols])
        await p.hang()

    empty = tmp_path / "empty"
    empty.write_text("\n")
    with served(refuses) as n:
        for args, env, want in (
            (["nope"], {}, "watch: nope: bad_symbol"),
            (["--rate", "0.01", BTC], {}, "watch: bad_rate: 0.01"),
            (["--rate=-1", BTC], {}, "watch: rate -1.0: updates a second"),
            (["--fields", "price", BTC], {}, "watch: 'price' is no field"),
            (["--url", "http://localhost", BTC], {}, "a stream is at"),
            (["--ca", str(empty), BTC], {}, "take wss://"),
            (["--ca", str(empty), "--url", "wss://127.0.0.1:1", BTC], {}, f"watch: --ca {empty}"),
            (["--cert", str(empty), BTC], {}, "watch: --cert and --key go together"),
            (["--cert", "a", "--key", "b", "--url", "wss://127.0.0.1:1", BTC], {}, "watch: --cert a, --key b: "),
            (["--token-file", str(empty), BTC], {}, "watch: --token-file: "),
            (["--token-file", str(empty), BTC], {"TICKWIRE_TOKEN": "a.b.c"}, "take one"),
        ):
            with watch(*args, **{"TICKWIRE_URL": n.url, **env}) as p:
                code, said = ends(p)
                assert (code, "Traceback" in said) == (1, False), said
                assert want in said.splitlines()[-1]
    for wrong in ([], ["--flag", BTC], ["--encoding", "xml", BTC], ["--token", "abc", BTC]):
        with watch(*wrong) as p:
            code, said = ends(p)
            assert code == 2
            assert "usage" in said


def test_token_file_is_read_again(tmp_path: Path) -> None:
    """Before each connection; and a refusal says which flag helps."""
    file = tmp_path / "token"
    file.write_text("t1\n")

    async def goes(p: Peer) -> None:
        await p.hello()
        file.write_text("t2")
        await p.ws.close(1012)

    third = lambda upgrade: refusal(401, "missing") if upgrade > 2 else None  # noqa: E731
    with served(goes, third) as n, watch("--url", n.url, "--token-file", str(file), BTC) as p:
        code, said = ends(p)
        assert code == 1
        assert said.endswith("so says the test: connect with a token that this node takes: --token-file, or TICKWIRE_TOKEN\n")
        assert n.tokens[:2] == ["Bearer t1", "Bearer t2"]


def test_tries_again() -> None:
    with watch("--url", "ws://127.0.0.1:1", BTC) as p:
        assert p.stderr is not None
        for _ in range(2):
            assert re.match(r"tickwire: ws://127.0.0.1:1: not connected: connection refused; again in [\d.]+m?s$", p.stderr.readline())
        p.send_signal(signal.SIGINT)
        assert p.wait(10) == 0
