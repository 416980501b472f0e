"""What `suppress` wrote, mapped: what is asked for is read, and nothing else.

Owns the file while it is open. The arithmetic is `loudness`.
"""

import mmap
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from server.audio.echo.loudness import Loudness, over


class Levels:
    """A context manager."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._view = memoryview(self._map)
        self._sums = self._view.cast("q")

    def over(self, start: float, end: float) -> Loudness:
        return over(self._sums, start, end)

    def close(self) -> None:
        self._sums.release()
        self._view.release()
        with suppress(BufferError):
            self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
