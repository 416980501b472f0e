"""The levels of a stretch of the microphone, out of sums of squares since the beginning. Pure.

Owns the form of what `suppress` writes: for each 10 ms one row of 64 bit integers, so that any
stretch is exact and costs two look-ups.
"""

from collections.abc import Sequence
from math import log10
from typing import NamedTuple

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
