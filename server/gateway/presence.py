"""Whether the caller is still there.

Owns listening to the caller's connection while nothing else reads from it. Most calls are over
before that is worth a task, so a timer starts it. Refuses to decide what leaving means: it tells
`left` once.
"""

import asyncio
from collections.abc import Callable

from starlette.types import Receive

from server.base.errors import ClientClosed, SparkError
from server.gateway.intake.body import Upload

# A caller that leaves earlier than this is noticed after it.
LISTEN_AFTER = 0.05
_GONE = frozenset({"http.disconnect", "websocket.disconnect"})


def _nobody(_error: SparkError) -> None:
    pass


class Presence:
    """`listen` and `pause` may alternate; `upload` is read ahead while nobody takes from it."""

    __slots__ = ("_left", "_receive", "_task", "_timer", "upload")

    def __init__(self, receive: Receive, left: Callable[[SparkError], None]) -> None:
        self.upload: Upload | None = None
        self._receive = receive
        self._left = left
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def listen(self) -> None:
        if self._timer is None and self._task is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LISTEN_AFTER, self._begin)

    def forget(self) -> None:
        """Nobody is told any more: the call is over."""
        self._left = _nobody

    def _begin(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        try:
            if self.upload is not None:
                await self.upload.ahead()
                if not self.upload.complete:
                    return
            while (await self._receive())["type"] not in _GONE:
                pass
        except SparkError as error:
            self._left(error)
        else:
            self._left(ClientClosed("The client left before the answer was complete."))

    async def pause(self) -> None:
        """Afterwards nothing of this reads from the connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif self._task is not None:
            task, self._task = self._task, None
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            elif not task.cancelled():
                task.result()
