"""What a caller is told while its recording is worked on.

Owns when something is said: nothing before there is something to say, then at every part, and now
and then in between, so that no proxy takes the connection for dead. Only who asked for a stream is
told. Once something was said the status is 200: an error after that is an event.
"""

import asyncio
from collections.abc import Callable

from server.audio.front.events import Standing, comment, progress
from server.audio.long.model import Progress
from server.gateway.relay import Answer


class Telling:
    """`work(share)` gives what one of the works reports to; `share` is its part of the whole.

    `events`: progress is sent as events as well. `seconds` between two remarks.
    """

    def __init__(self, answer: Answer, seconds: float, *, events: bool) -> None:
        self._answer = answer
        self._seconds = seconds
        self._events = events
        self._works: list[tuple[float, Progress]] = []
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def work(self, share: float, seconds: float) -> Callable[[Progress], None]:
        """`seconds` is how much there is to do."""
        number = len(self._works)
        self._works.append((share / max(seconds, 0.001), Progress(0, 0, 0.0, None)))

        def tell(now: Progress) -> None:
            self._works[number] = (self._works[number][0], now)
            # Before anything was heard an error can still be told by its status.
            if now.done or self._events:
                self._changed.set()

        return tell

    def standing(self) -> Standing:
        told = [now for _, now in self._works]
        etas = [now.eta_seconds for now in told]
        known = [eta for eta in etas if eta is not None]
        return Standing(
            percent=min(100.0, 100 * sum(rate * now.seconds_done for rate, now in self._works)),
            done=sum(now.done for now in told),
            total=sum(now.total for now in told),
            eta_seconds=max(known) if known and len(known) == len(etas) else None,
        )

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._talk())
        if self._events:
            self._changed.set()

    async def end(self) -> None:
        """Nothing is said any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    async def _talk(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            now = self.standing()
            await self._answer.remark(comment(now) + (progress(now) if self._events else b""))
