"""What a client sends as samples becomes the sound that is heard: 16 kHz, 16 bits, one channel.

Owns the formats (`pcm16`, `pcmu`, `pcma`; any rate from 8 to 48 kHz) and what a message leaves
over: half a sample, or the tail of the resampler. Nothing is refused: any bytes are sound. Pure:
the same bytes give the same sound.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]

from server.audio.stream.model import RATE, SAMPLE

Encoding = Literal["pcm16", "pcmu", "pcma"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
TELEPHONE = 8_000
"""The rate of `pcmu` and `pcma` that is not told."""
LEAST, MOST = 8_000, 48_000


class Inlet:
    """One connection. `taken` counts the samples that came, as the client counts them."""

    __slots__ = ("_half", "_resampler", "_table", "rate", "taken", "width")

    def __init__(self, encoding: Encoding = "pcm16", rate: int = RATE) -> None:
        self.rate = rate
        self.taken = 0
        self.width = SAMPLE if encoding == "pcm16" else 1
        self._half = b""
        self._table = None if encoding == "pcm16" else table(encoding)
        self._resampler = (
            None
            if rate == RATE
            else soxr.ResampleStream(rate, RATE, 1, dtype="int16", quality="LQ")
        )

    def bytes_of(self, length: float) -> int:
        """So many of the client's bytes are that many seconds."""
        return int(length * self.rate) * self.width

    def feed(self, data: bytes) -> bytes:
        if self.width == SAMPLE:
            if self._half:
                data = self._half + data
            self._half = data[len(data) // SAMPLE * SAMPLE :]
            data = data[: len(data) - len(self._half)] if self._half else data
        self.taken += len(data) // self.width
        if self._table is None and self._resampler is None:
            return data
        sound: npt.NDArray[np.int16]
        if self._table is not None:
            sound = self._table[np.frombuffer(data, dtype=np.uint8)]
        else:
            sound = np.frombuffer(data, dtype="<i2")
        if self._resampler is not None:
            sound = self._resampler.resample_chunk(sound)
        return sound.astype("<i2", copy=False).tobytes()

    def end(self) -> bytes:
        """What the resampler still holds. Nothing may be fed after it."""
        if self._resampler is None:
            return b""
        rest: npt.NDArray[np.int16] = self._resampler.resample_chunk(
            np.empty(0, dtype=np.int16), last=True
        )
        self._resampler = None
        return rest.astype("<i2", copy=False).tobytes()


def table(encoding: Encoding) -> npt.NDArray[np.int16]:
    """ITU-T G.711: the sample that each byte means."""
    code = np.arange(256, dtype=np.int32)
    if encoding == "pcmu":
        code = ~code & 0xFF
        size = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
        return np.where(code & 0x80, -size, size).astype(np.int16)
    code = code ^ 0x55
    exponent, mantissa = (code & 0x70) >> 4, (code & 0x0F) << 4
    size = np.where(exponent, (mantissa + 0x108) << np.maximum(exponent - 1, 0), mantissa + 8)
    return np.where(code & 0x80, size, -size).astype(np.int16)
