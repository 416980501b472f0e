"""How much of the callers' bodies is in memory: JSON is held whole while its call waits and runs.

Owns the sum and its bound, so that a queue of large bodies cannot end the app. Uploads are not
held and do not count. Pure.
"""

from server.base.errors import Unavailable

HELD_BYTES = 512 << 20


class Held:
    """Bytes held by all calls. What was reserved is given back once, by whoever reserved it."""

    def __init__(self, limit: int = HELD_BYTES) -> None:
        self._limit = limit
        self.size = 0

    def reserve(self, size: int) -> int:
        """Raises `Unavailable` above the bound. One body alone always fits."""
        if self.size and self.size + size > self._limit:
            raise Unavailable(
                "The requests that are waiting hold as much memory as they may.",
                advice="Ask again when some of them are answered, or send less at once.",
                retry_after=5,
            )
        self.size += size
        return size

    def settle(self, reserved: int, size: int) -> int:
        """The body turned out to be `size` bytes; what is reserved now."""
        self.size += size - reserved
        return size

    def give_back(self, reserved: int) -> None:
        self.size -= reserved
