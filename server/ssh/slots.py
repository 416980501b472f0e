"""How many sessions one connection may carry at a time. sshd refuses more than its MaxSessions.

Owns the count, a first-come queue, and the limit learned when the server refused earlier than we
expected. A slot is a lease with an idempotent release.
"""

import asyncio
from collections import deque


class Slot:
    """The right to one session, until `release`."""

    def __init__(self, slots: "Slots") -> None:
        self._slots: Slots | None = slots

    def release(self) -> None:
        if self._slots is not None:
            slots, self._slots = self._slots, None
            slots.give_back()


class Slots:
    """One per connection."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    async def take(self) -> Slot:
        if self.taken < self.limit:
            self.taken += 1
            return Slot(self)
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn  # the slot is handed over: `taken` counts it already
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise
        return Slot(self)

    def give_back(self) -> None:
        while self._queue and self.taken <= self.limit:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.taken -= 1

    def shrink(self, limit: int) -> None:
        """The server refused: never ask for more than `limit` again on this connection."""
        self.limit = max(1, min(self.limit, limit))
