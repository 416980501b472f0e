"""How much is worked on at once: places for recordings that are composed, and space on the disk.

Owns both sums. A place is waited for, first come first served; space is had or not. Refuses to know
what the space is used for.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from server.base.errors import QueueFull


class Room:
    """`places` and `space` (bytes) are asked for each time: settings may change."""

    def __init__(self, places: Callable[[], int], space: Callable[[], int]) -> None:
        self._places = places
        self._space = space
        self._line: deque[asyncio.Future[None]] = deque()
        self.busy = 0
        self.used = 0

    @asynccontextmanager
    async def place(self, patience: float) -> AsyncIterator[None]:
        """Raises `QueueFull` after `patience` seconds of waiting."""
        await self._enter(patience)
        try:
            yield
        finally:
            self.busy -= 1
            self._next()

    async def _enter(self, patience: float) -> None:
        if not self._line and self.busy < self._places():
            self.busy += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it was given, and nobody is here to take it
                self.busy -= 1
                self._next()
            elif turn in self._line:
                self._line.remove(turn)
            if isinstance(error, TimeoutError):
                raise QueueFull(
                    f"As many recordings as may be are worked on, for more than {patience:g} s.",
                    advice="Send it again later, or raise audio.max_recordings.",
                    retry_after=30,
                ) from None
            raise

    def _next(self) -> None:
        while self._line and self.busy < self._places():
            turn = self._line.popleft()
            if not turn.done():
                self.busy += 1
                turn.set_result(None)

    def take(self, size: int, own: int = 0) -> None:
        """Raises `QueueFull` when all recordings together would take more than they may. One alone
        (all that is used is its `own`) may always be as large as an upload may be."""
        if self.used > own and self.used + size > self._space():
            raise QueueFull(
                "The recordings that are worked on take as much disk as they may.",
                advice="Send it again when some are done, or raise audio.spool_mb.",
                retry_after=15,
            )
        self.used += size

    def give_back(self, size: int) -> None:
        self.used -= size


class Share:
    """What one recording takes of the room; given back at once, at its end."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0

    def take(self, size: int) -> None:
        self._room.take(size, self._size)
        self._size += size

    def give_back(self) -> None:
        self._room.give_back(self._size)
        self._size = 0
