"""One request at a time for each model, and a short line before it.

Owns who works and who waits. A model is one thread; who waits longer than the line is long is
refused with 429 at once, and who leaves is told to the worker, which stops at its next step.
Refuses to start work for somebody who has left while waiting.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from server.base.errors import QueueFull
from server.engine.sound import Gone, GoneAway

T = TypeVar("T")


class Line:
    """`places` may wait besides the one that is served."""

    def __init__(self, name: str, places: int) -> None:
        self.name = name
        self._places = places
        self._held = 0
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    @property
    def held(self) -> int:
        """How many are served or wait."""
        return self._held

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _enter(self) -> None:
        if self._held > self._places:
            raise QueueFull(
                f"{self.name} is busy and {self._places} requests wait already.",
                advice="Try again later; this is the small engine, one request at a time.",
                retry_after=5,
            )
        self._held += 1

    async def run(self, work: Callable[[Gone], T]) -> T:
        """The answer of `work`. Cancelling this tells the worker."""
        self._enter()
        gone = Gone()
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._pool, self._checked, work, gone)
        job.add_done_callback(self._leave)
        try:
            return await asyncio.shield(job)
        finally:
            gone.leave()

    def stream(self, work: Callable[[Gone, Callable[[T], None]], None]) -> AsyncIterator[T]:
        """What `work` tells, as it tells it. Raises QueueFull at once, not at the first item."""
        self._enter()
        gone = Gone()
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[T | None] = asyncio.Queue()

        def tell(item: T) -> None:
            gone.check()
            loop.call_soon_threadsafe(told.put_nowait, item)

        def whole(gone: Gone) -> None:
            work(gone, tell)

        job = loop.run_in_executor(self._pool, self._checked, whole, gone)
        job.add_done_callback(self._leave)
        job.add_done_callback(lambda _: told.put_nowait(None))
        return self._told(job, told, gone)

    async def _told(
        self, job: "asyncio.Future[None]", told: "asyncio.Queue[T | None]", gone: Gone
    ) -> AsyncIterator[T]:
        try:
            while (item := await told.get()) is not None:
                yield item
            await job
        finally:
            gone.leave()

    @staticmethod
    def _checked(work: Callable[[Gone], T], gone: Gone) -> T:
        gone.check()
        return work(gone)

    def _leave(self, job: "asyncio.Future[T]") -> None:
        self._held -= 1
        if not job.cancelled():
            error = job.exception()  # asked for, so that one nobody awaits any more is no warning
            if error is not None and not isinstance(error, GoneAway):
                error.add_note(f"while {self.name} worked")
