"""The lag of the event loop is measured, and blocking shows in it."""

import asyncio
import time

from server.base.lag import LoopLag


async def test_what_blocks_the_loop_is_measured() -> None:
    """A blocking call of 60 ms makes a waking that was due in it late by most of that."""
    seen: list[float] = []
    measured = asyncio.Event()

    def observe(seconds: float) -> None:
        seen.append(seconds)
        measured.set()

    lag = LoopLag(observe, time.monotonic, pace=0.01)
    await lag.start()
    await asyncio.sleep(0)
    time.sleep(0.06)  # noqa: ASYNC251 - blocking is what is measured
    await measured.wait()
    await lag.close()
    assert seen[0] >= 0.04


async def test_it_ends_when_it_is_closed() -> None:
    """Twice does no harm."""
    lag = LoopLag(lambda _seconds: None, time.monotonic)
    await lag.start()
    await lag.close()
    await lag.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "loop lag"]
