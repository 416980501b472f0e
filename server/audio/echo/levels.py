"""The levels of a stretch of the microphone: as recorded, and without the far side.

Owns the form of what `suppress` writes: for each 10 ms the sums of squares since the beginning, as
64 bit integers, so that any stretch is exact and costs two look-ups. `Levels` maps the file; the
arithmetic is pure.
"""

import mmap
from collections.abc import Sequence
from contextlib import suppress
from math import log10
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

COLUMNS = ("mic", "cancelled", "residual", "far")
FRAMES_A_SECOND = 100
SAMPLES = 160
FLOOR = 1.0
"""Mean square of one step of 16 bit: below it there is nothing to compare."""
LONGEST = 1.2
"""Recognisers stretch a word over the silence after it."""


class Loudness(NamedTuple):
    """Decibels over one step of 16 bit; 90 is as loud as it gets."""

    mic: float
    cancelled: float
    residual: float
    far: float


def over(sums: Sequence[int], start: float, end: float) -> Loudness:
    """The levels from `start` to `end` seconds; a frame at least, `LONGEST` at most."""
    last = len(sums) // len(COLUMNS) - 1
    first = min(max(0, round(start * FRAMES_A_SECOND)), max(0, last - 1))
    until = round(min(end, start + LONGEST) * FRAMES_A_SECOND)
    until = min(max(first + 1, until), last)
    if until <= first:
        return Loudness(0.0, 0.0, 0.0, 0.0)
    width, samples = len(COLUMNS), (until - first) * SAMPLES
    return Loudness(
        *(
            10 * log10((sums[until * width + one] - sums[first * width + one]) / samples + FLOOR)
            for one in range(width)
        )
    )


class Levels:
    """The file, mapped: what is asked for is read, and nothing else. A context manager."""

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
