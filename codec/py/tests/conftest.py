from __future__ import annotations

import asyncio
import inspect

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs tests that are async, each on an event loop of its own; what its tasks leave behind is an error."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}

    async def limited() -> None:
        await asyncio.wait_for(pyfuncitem.obj(**arguments), 60)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for _ in range(100):  # servers take a moment to go
            if not (left := {task for task in left if not task.done()}):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"left behind: {left}")

    asyncio.run(limited())
    return True
