"""A subscriber of PyPI's websockets, for interop_test.go: what it saw goes to stdout as JSON.

python interop.py SUBPROTOCOL
"""

import asyncio
import json
import logging
import os
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


class Pings(logging.Handler):
    """Counts the pings in the library's log, which has every frame."""

    count = 0

    def emit(self, record):
        self.count += record.getMessage().startswith("< PING")


async def visit(leave):
    """Subscribes until it has enough, and then leaves, or says that it is ready and waits."""
    pings, log = Pings(), logging.getLogger("interop")
    log.setLevel(logging.DEBUG)
    log.propagate, log.handlers = False, [pings]
    ca = os.environ.get("TICKWIRE_CA")
    options = {"ssl": ssl.create_default_context(cafile=ca)} if ca else {}
    socket = await connect(
        os.environ["TICKWIRE_URL"],
        subprotocols=[sys.argv[1]],
        additional_headers={"Authorization": "Bearer " + os.environ["TICKWIRE_TOKEN"]},
        compression="deflate",
        proxy=None,
        logger=log,
        **options,
    )
    offered = socket.request.headers["Sec-WebSocket-Extensions"]
    assert offered.startswith("permessage-deflate"), offered
    seen = dict(images=0, updates=0, lags=0, bytes=0)
    await socket.send('{"op":"subscribe","id":1,"symbols":["sim:*"]}')
    enough = False
    try:
        while True:
            text = await socket.recv()
            message = json.loads(text)
            seen["bytes"] += len(text)
            seen["lags"] += message["type"] == "lag"
            for update in message.get("updates", []):
                seen["images" if update.get("image") else "updates"] += 1
            if enough or seen["images"] < 24 or seen["bytes"] < 32 << 10 or pings.count < 5:
                continue
            enough = True
            if leave:
                await socket.close(1000)
            else:
                print("ready", flush=True)
    except ConnectionClosed as e:
        return seen | dict(
            protocol=socket.subprotocol,
            extensions=socket.response.headers.get("Sec-WebSocket-Extensions", ""),
            pings=pings.count,
            code=e.rcvd.code if e.rcvd else 1006,
            clean=e.rcvd is not None and e.sent is not None,
        )


async def main():
    visits = [await visit(True), await visit(False)]
    while len(visits) < 3:
        await asyncio.sleep(0.2)  # the node is gone, and will be back
        try:
            visits.append(await visit(True))
        except OSError:
            pass
    print(json.dumps(visits))


asyncio.run(main())
