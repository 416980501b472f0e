"""A channel on disk as samples: raw signed 16 bit, little-endian, mono, 16 kHz.

Owns reading a stretch of it wherever it lies, before the beginning and behind the end too: there
is silence. Holds no more than what was asked for. Runs in the ear's process.
"""

from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from server.audio.echo.samples import WIDTH, Samples, Wave


class Track:
    """Open for reading until it is closed; a context manager."""

    def __init__(self, path: Path) -> None:
        self._file: BufferedReader = path.open("rb")
        self.length = path.stat().st_size // WIDTH

    def take(self, start: int, count: int) -> Samples:
        """`count` samples from `start` on, silence where there are none."""
        found = np.zeros(count, dtype=np.int16)
        first, last = max(0, start), min(self.length, start + count)
        if last > first:
            self._file.seek(first * WIDTH)
            raw = self._file.read((last - first) * WIDTH)
            read = np.frombuffer(raw[: len(raw) // WIDTH * WIDTH], dtype="<i2")
            found[first - start : first - start + len(read)] = read
        return found

    def wave(self, start: int, count: int) -> Wave:
        """The same between -1 and 1."""
        return self.take(start, count).astype(np.float32) / np.float32(32768)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
