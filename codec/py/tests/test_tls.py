from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

from peer import Guest

# Of 127.0.0.1, by no authority, for a hundred years.
CERT = """\
-----BEGIN CERTIFICATE-----
MIIBjjCCATagAwIBAgIUF2UiK/18NKAKaf1iuNOF/l66wHswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODE4MjU1NVoYDzIxMjYxMTA0
MTgyNTU1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASaxXV+hdPNGpqzZBWWkiENWViKkdcil3Svb1ZNgzN/9ejkXAv+fTrY
7Y02YJiu2ZDIR/Bmlo+SIVtFniA0vkalo2QwYjAdBgNVHQ4EFgQUlcC+/8t+BYJT
JikmM6XfNdBJlE4wHwYDVR0jBBgwFoAUlcC+/8t+BYJTJikmM6XfNdBJlE4wDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0YAMEMC
H36P9pBykFS43m4oQE48ezVE69elOmg123+WMe0nQbgCICvd8H/ky2e4bshd2ItH
47s64Z1O7wakLqtDqfYWlupF
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgnvN78p91dn4ehR+P
GPxechkgqntO/rzVmyQ9EO4TBX6hRANCAASaxXV+hdPNGpqzZBWWkiENWViKkdci
l3Svb1ZNgzN/9ejkXAv+fTrY7Y02YJiu2ZDIR/Bmlo+SIVtFniA0vkal
-----END PRIVATE KEY-----
"""


def url_of(server: asyncio.Server) -> str:
    return f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_no_tls() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await hang_up(_, writer)

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server, Guest(url_of(server)) as c:
        assert "this port does not speak TLS, take ws://" in str(await c.event("connecting"))


async def test_not_trusted(tmp_path: Path) -> None:
    """It says what to do, and that helps."""
    file = tmp_path / "cert.pem"
    file.write_text(CERT)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context) as server:
        async with Guest(url_of(server)) as c:
            assert "certificate: self-signed certificate; ssl=ssl.create_default_context(cafile=FILE)" in str(await c.event("connecting"))
        trusted = ssl.create_default_context(cafile=file)
        async with Guest(url_of(server), ssl=trusted) as c:
            assert "certificate" not in str(await c.event("connecting"))
