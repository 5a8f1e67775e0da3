"""How one task lets another look."""

from __future__ import annotations

import asyncio


class Bell(asyncio.Event):
    async def rung(self, seconds: float | None = None) -> None:
        """Waits until the bell rings, or so long, and stops it. A timer, since before Python 3.12 a cancellation that comes
        together with what it waits for is lost in asyncio.wait_for."""
        timer = None if seconds is None else asyncio.get_running_loop().call_later(max(0, seconds), self.set)
        try:
            await self.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self.clear()
