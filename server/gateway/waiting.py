"""What a waiting caller is told: where it stands, as SSE comments that no client shows.

Owns when the first comment goes out and what they say; the last one has the time waited, as the
header would. Refuses to make up text of an answer. Once it has spoken the status is 200 and the
upstream's own headers can no longer be sent.
"""

import asyncio
import math

from server.gateway.model import Waiting
from server.gateway.relay import Answer


def comment(waiting: Waiting) -> bytes:
    """`: queued position=3 eta=42`; without an eta when it is not known."""
    eta = waiting.eta_seconds
    known = "" if eta is None else f" eta={max(0, math.ceil(eta))}"
    return f": queued position={waiting.position}{known}\n\n".encode()


def waited_comment(seconds: float) -> bytes:
    """`: spark-queue-seconds=12.345`, in the place of `X-Spark-Queue-Seconds`."""
    return f": spark-queue-seconds={seconds:.3f}\n\n".encode()


class Told:
    """One wait. `heard` takes what the admission says; `stop` before anything else is sent."""

    __slots__ = ("_answer", "_seconds", "_task", "_timer", "last")

    def __init__(self, answer: Answer, seconds: float | None) -> None:
        """`seconds` between two comments; None for a caller that takes none."""
        self.last: Waiting | None = None
        self._answer = answer
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def heard(self, waiting: Waiting) -> None:
        first = self.last is None
        self.last = waiting
        if first and self._seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._begin, self._seconds)

    def _begin(self, seconds: float) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._talk(seconds))

    async def _talk(self, seconds: float) -> None:
        while self.last is not None:
            await self._answer.remark(comment(self.last))
            await asyncio.sleep(seconds)

    async def over(self, waited: float) -> None:
        """Its turn has come after so many seconds."""
        await self.stop()
        if self._answer.started:
            await self._answer.remark(waited_comment(waited))

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
