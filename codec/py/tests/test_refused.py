from __future__ import annotations

import asyncio
from typing import Any

import pytest
from peer import BTC, Guest, Peer, image, node, refusal

import tickwire
from tickwire import Client, ConfigError, FinalError, NotConnected


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 4001, 4002, 4050])
async def test_final_codes(code: int) -> None:
    """They end the client with an error that says what to do, out of every iteration and await."""

    async def sends_away(p: Peer) -> None:
        await p.subscribed(image(0, 1, 100))
        await p.request()
        await p.ws.close(code, "because\n\x1b[2J")

    async with node(sends_away) as n, Guest(n.url) as c:
        sub, seen = c.subscribe(BTC), 0
        await c.holds(BTC, 1, 100)
        pinging = asyncio.create_task(c.ping())
        with pytest.raises(FinalError, match=rf"^refused with {code}: because \[2J: .{{20}}") as why:
            async for _ in sub:
                seen += 1
        assert (seen, why.value.code, why.value.text, c.state) == (1, code, "because [2J", "closed")
        for call in (pinging, c.ping(), c.list(), c.auth("a.b.c")):
            with pytest.raises(FinalError):
                await call
        with pytest.raises(FinalError):
            c.subscribe(BTC)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 3000, 4100, 4101])
async def test_other_codes(code: int) -> None:
    async def sends_away(p: Peer) -> None:
        await p.hello()
        await p.ws.close(code)

    async with node(sends_away) as n, Guest(n.url) as c:
        assert f"closed by the node: {code}" in str(await c.event("connecting", 2))


async def test_close_without_an_end() -> None:
    """A node that says goodbye and leaves the connection open has said it."""

    async def lingers(p: Peer) -> None:
        await p.hello()
        p.ws.protocol.send_close(4001, "revoked")
        p.ws.transport.write(b"".join(p.ws.protocol.data_to_send()))
        await asyncio.sleep(1)

    async with node(lingers) as n, Guest(n.url) as c:
        with pytest.raises(FinalError, match="4001"):
            await asyncio.wait_for(anything(c), 0.8)


async def anything(c: Client) -> None:
    async for _ in c.subscribe("sim:*"):
        pass


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_refused_upgrade(status: int) -> None:
    async with node() as n:
        n.refuse = lambda _: refusal(status, "revoked")
        async with Guest(n.url, token="a.b.c") as c:
            with pytest.raises(FinalError) as why:
                await anything(c)
        assert (why.value.code, why.value.text, why.value.reason, n.tokens) == (status, "so says the test", "revoked", ["Bearer a.b.c"])


@pytest.mark.parametrize("status", [301, 408, 429, 500, 503])
async def test_refused_for_now(status: int) -> None:
    """Who is sent elsewhere does not follow, for the token is not theirs to see."""
    async with node() as n:
        n.refuse = lambda _: refusal(status, "conns", Location=n.url + "/elsewhere")
        async with Guest(n.url, token="a.b.c") as c:
            assert f"HTTP {status}" in str(await c.event("connecting", 2))


@pytest.mark.parametrize(("after", "least"), [("30", 30), ("9999999", 60), ("9" * 30, 60), ("9" * 5000, 60), ("-1", 0), ("soon", 0)])
async def test_retry_after(after: str, least: float) -> None:
    async with node() as n:
        n.refuse = lambda _: refusal(429, "conns", **{"Retry-After": after})
        async with Guest(n.url) as c:
            e = await c.event("connecting")
            assert least <= e.after < least + 1
            assert "429 Too Many Requests: so says the test" in str(e)


async def test_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of proxies is not for a stream."""
    for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "foo://bar")
    monkeypatch.delenv("no_proxy", raising=False)
    async with node(lambda p: p.hello()) as n, Guest(n.url) as c:
        await c.event("live")


@pytest.mark.parametrize(
    ("url", "options", "advice"),
    [
        ("http://127.0.0.1:1/v1/stream", {}, "take ws://"),
        ("https://h/v1/stream", {}, "take wss://"),
        ("ws://me:secret@h", {}, "a name and a password"),
        ("ws://me:secret@h:x", {}, "cannot be read"),
        ("ws://h?token=secret", {}, "a token is never taken from it"),
        ("127.0.0.1:8080", {}, "HOST"),
        ("ws:///v1/stream", {}, "wss"),
        ("ws://h\nx", {}, "white space"),
        ("ws://h/\ud800", {}, "cannot be read"),
        (5, {}, "no text"),
        ("ws://a..b", {}, "cannot be read"),
        ("ws://h", {"encoding": "xml"}, "msgpack or json"),
        ("ws://h", {"token": "a\r\nb: c"}, "a blank, a newline or the like"),
        ("ws://h", {"rate": -1}, "at least 0.1"),
        ("ws://h", {"rate": float("nan")}, "at least 0.1"),
        ("ws://h", {"fields": ["price"]}, "'price' is no field: bid, bid_size"),
        ("ws://h", {"ssl": True}, "take wss://"),
        ("ws://h", {"on_event": anything}, "not async"),
    ],
)
def test_config(url: str, options: dict[str, Any], advice: str) -> None:
    with pytest.raises(ConfigError, match=advice) as why:
        Client(url, **options)
    assert "secret" not in str(why.value)
    assert isinstance(why.value, ValueError)


async def test_misuse() -> None:
    c = Client("wss://example.com:1")
    assert c._core.url == "wss://example.com:1/v1/stream"
    sub = c.subscribe("sim:A")
    with pytest.raises(NotConnected, match="async with"):
        await anything(c)
    with pytest.raises(NotConnected, match="async with"):
        await sub.results()
    with pytest.raises(NotConnected, match="not connected"):
        await c.ping()
    for wrong in ((), ([],), (5,), (["sim:A", None],)):
        with pytest.raises(ConfigError):
            c.subscribe(*wrong)
    for fields in (5, ["bid", []]):
        with pytest.raises(ConfigError, match="is no field"):
            c.subscribe("sim:A", fields=fields)  # type: ignore[arg-type]
    async with Client("ws://127.0.0.1:1") as begun:
        with pytest.raises(ConfigError, match="take some seconds"):
            await anext(begun.subscribe("sim:A").batches("1"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rate"):
        c.subscribe("sim:A", rate=-1)
    with pytest.raises(tickwire.RequestError, match="sim:B: not_subscribed"):
        c.set("sim:A", "sim:B", rate=1)
    await c.close()
    await c.close()
