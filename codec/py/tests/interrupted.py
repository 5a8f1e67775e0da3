"""A program that is interrupted, many times, and says how its client was then: test_interrupts.py runs it.

python interrupted.py URL SYMBOL HOW
"""

from __future__ import annotations

import contextlib
import random
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import tickwire

URL, SYMBOL, HOW = sys.argv[1:]


@contextlib.contextmanager
def after(steps: int) -> Iterator[list[int]]:
    """Interrupts this thread after so many lines and returns of what is called."""
    left = [steps]

    def step(frame: FrameType, event: str, _: Any) -> Any:
        if event != "exception":
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
        return step

    sys.settrace(step)
    try:
        yield left
    finally:
        sys.settrace(None)


def takes_some(client: tickwire.sync.Client) -> None:
    batches = client.subscribe(SYMBOL).batches()
    next(batches)
    next(batches)
    batches.close()


def at_every_step(client: tickwire.sync.Client) -> int:
    """Interrupts all that the caller's thread does, at one step after the other."""
    steps = 0
    while True:
        steps += 1
        with contextlib.suppress(KeyboardInterrupt), after(steps) as left:
            takes_some(client)
        if left[0] > 0:
            return steps


def at_random(client: tickwire.sync.Client) -> int:
    """Ctrl-C, at any moment of an iteration."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for _ in range(60):
        with contextlib.suppress(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.03))
            for _ in client.subscribe(SYMBOL):
                pass
    return 60


HOWS: dict[str, Callable[[tickwire.sync.Client], int]] = {"every": at_every_step, "random": at_random}

if __name__ == "__main__":
    with tickwire.connect(URL) as client:
        client.subscribe(SYMBOL).results()
        steps = HOWS[HOW](client)
        print(steps, client.ping(), len(client._client._core.board.backlogs))
