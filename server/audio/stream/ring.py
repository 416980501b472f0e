"""The sound that may still be needed, by its position. Pure.

Owns the bytes between two positions. What lies before the first is gone. Cutting at the front of a
`bytearray` only moves its begin, so neither end costs a copy of the rest.
"""

from server.audio.stream.model import SAMPLE


class Ring:
    """`start` and `end` are positions in samples."""

    __slots__ = ("_bytes", "end", "start")

    def __init__(self, position: int = 0) -> None:
        self._bytes = bytearray()
        self.start = self.end = position

    def __len__(self) -> int:
        return self.end - self.start

    def add(self, pcm: bytes) -> None:
        """Whole samples."""
        self._bytes += pcm
        self.end += len(pcm) // SAMPLE

    def forget(self, before: int) -> None:
        """What lies before the position; nothing when that is gone already."""
        count = min(before, self.end) - self.start
        if count > 0:
            del self._bytes[: count * SAMPLE]
            self.start += count

    def between(self, start: int, end: int) -> bytes:
        """A copy; what is gone, or has not come, is not in it."""
        first, last = max(start, self.start), min(end, self.end)
        if last <= first:
            return b""
        return bytes(
            memoryview(self._bytes)[(first - self.start) * SAMPLE : (last - self.start) * SAMPLE]
        )
