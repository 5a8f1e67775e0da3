"""The subscriber's end of Tickwire: merged quotes with exact decimals.

    async with tickwire.Client("ws://localhost:8080/v1/stream") as client:
        async for update in client.subscribe("sim:*", rate=5):
            print(update.symbol, update.quote.bid, update.quote.ask, update.conflated)

tickwire.connect is the same for programs that are not async.
"""

from . import sync
from .batch import Batch
from .client import Client
from .core import State
from .errors import Code, ConfigError, FinalError, NotConnected, ProtocolError, RequestError, TickwireError
from .event import Event, EventKind
from .fields import ABSENT, FIELDS
from .message import Hello, Result
from .quote import Quote
from .request import Encoding
from .subscription import Subscription
from .sync import connect
from .token import TokenSource
from .update import Update

__version__ = "0.1.0"

__all__ = [
    "ABSENT", "FIELDS", "Batch", "Client", "Code", "ConfigError", "Encoding", "Event", "EventKind", "FinalError", "Hello",
    "NotConnected", "ProtocolError", "Quote", "RequestError", "Result", "State", "Subscription", "TickwireError", "TokenSource", "Update",
    "connect", "sync",
]  # fmt: skip
