"""What a recording is once it was looked into, and the plain sound that is made of it. Pure.

Owns the shape of plain sound: samples of 16 bits, little-endian, 16 000 a second, one channel a
file, without a header. Beside each lies its envelope: how loud every hundredth of a second is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RATE = 16_000
"""Samples a second of plain sound: what recognisers of speech work on."""
SAMPLE_BYTES = 2
BYTES_PER_SECOND = RATE * SAMPLE_BYTES
FRAME_SAMPLES = RATE // 100
"""Samples of one value of an envelope: 10 ms."""
FRAMES_PER_SECOND = RATE // FRAME_SAMPLES
FULL_SCALE = 32_768

Channels = Literal["mixed", "each"]
"""All channels in one file, or a file for each."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What is in a recording, by its packets and not by what its header claims.

    `beyond`: it is longer than was asked about, and `seconds` is only how far it was followed.
    """

    container: str
    codec: str
    seconds: float
    channels: int
    sample_rate: int
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """How loud a channel is, in dB below the loudest that there is. None: not one sample sounds."""

    peak: float | None
    rms: float | None

    def quieter_than(self, decibels: float) -> bool:
        """Whether no sample is louder than `decibels`, such as -60."""
        return self.peak is None or self.peak < decibels


@dataclass(frozen=True, slots=True)
class Decoded:
    """Plain sound, a file for each channel, all of the same length.

    `envelopes` and `levels` are in the order of `channels`. An envelope is one unsigned number of
    16 bits, little-endian, for each 10 ms: the root of the mean square of its samples.
    `broken` tells how many packets could not be read; there is silence in their place.
    """

    channels: tuple[Path, ...]
    envelopes: tuple[Path, ...]
    levels: tuple[Level, ...]
    seconds: float
    broken: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """From `start` to `end` seconds of the plain sound at `path`. They are numbered from 0."""

    number: int
    start: float
    end: float
    path: Path

    @property
    def seconds(self) -> float:
        return self.end - self.start
