"""One request at a time for each model, and a short line before it.

Owns who works and who waits. A model is one thread; who waits longer than the line is long is
refused with 429 at once, and who leaves is told to the worker, which stops at its next step.
Refuses to start work for somebody who has left while waiting.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from server.base.errors import QueueFull
from server.engine.sound import Gone

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

    async def run(self, work: Callable[[Gone], T]) -> T:
        """The answer of `work`. Cancelling this tells the worker."""
        gone = Gone()
        job = self._enter(work, gone)
        try:
            return await asyncio.shield(asyncio.wrap_future(job))
        finally:
            _leave(job, gone)

    def stream(self, work: Callable[[Gone, Callable[[T], None]], None]) -> AsyncGenerator[T, None]:
        """What `work` tells, as it tells it. Raises QueueFull at once, not at the first item."""
        gone = Gone()
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[T | None] = asyncio.Queue()

        def tell(item: T) -> None:
            gone.check()
            loop.call_soon_threadsafe(told.put_nowait, item)

        job = self._enter(lambda gone: work(gone, tell), gone)
        done = asyncio.wrap_future(job)
        done.add_done_callback(lambda _: told.put_nowait(None))
        return _told(done, told, lambda: _leave(job, gone))

    def _enter(self, work: Callable[[Gone], T], gone: Gone) -> "Future[T]":
        """The place is held until the worker has ended, not only until nobody waits for it."""
        if self._held > self._places:
            raise QueueFull(
                f"{self.name} is busy and {self._places} requests wait already.",
                advice="Try again later; this is the small engine, one request at a time.",
                retry_after=5,
            )
        self._held += 1
        loop = asyncio.get_running_loop()
        job = self._pool.submit(_checked, work, gone)
        job.add_done_callback(lambda _: _soon(loop, self._freed))
        return job

    def _freed(self) -> None:
        self._held -= 1


async def _told(
    done: "asyncio.Future[None]", told: "asyncio.Queue[T | None]", leave: Callable[[], None]
) -> AsyncGenerator[T, None]:
    try:
        while (item := await told.get()) is not None:
            yield item
        await done
    finally:
        leave()


def _checked(work: Callable[[Gone], T], gone: Gone) -> T:
    gone.check()
    return work(gone)


def _leave(job: "Future[Any]", gone: Gone) -> None:
    """Whoever still waits gives the place up now; who is served, when the worker notices."""
    gone.leave()
    job.cancel()


def _soon(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
        loop.call_soon_threadsafe(act)
