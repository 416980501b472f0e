"""How late the event loop runs what is due: what a blocking call anywhere costs everybody.

Owns one small task that asks to be woken at a fixed pace and measures by how much each waking came
too late. A stream's chunk is late by the same amount.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

PACE = 0.05


class LoopLag:
    """`observe` gets every lateness in seconds. `start` and `close` it in the loop it watches."""

    def __init__(
        self,
        observe: Callable[[float], None],
        monotonic: Callable[[], float],
        pace: float = PACE,
    ) -> None:
        self._observe = observe
        self._monotonic = monotonic
        self._pace = pace
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="loop lag")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            due = self._monotonic() + self._pace
            await asyncio.sleep(self._pace)
            self._observe(max(0.0, self._monotonic() - due))
