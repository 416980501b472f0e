"""Frames of a decoder gathered into blocks of samples from -1 to 1.

Owns that what is not a number, or endless, becomes silence: a resampler would spread it over
everything that follows. Frames are gathered because most are 20 ms: handling each would cost more
than decoding it.
"""

from typing import Any

import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MOST_PLANES = 8
_LOUDEST = 8.0
_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_FULL = {2: 1 << 15, 4: 1 << 31, 8: 1 << 63}
"""Full scale of whole numbers, by their bytes."""

Shape = tuple[int, str, int]
"""Samples a second, the library's word for their kind, and how many channels."""


def frames_of(packet: "Packet[AudioStream]") -> list[AudioFrame] | None:
    """None: it cannot be read."""
    try:
        frames = packet.decode()
    except av.error.InvalidDataError:
        return None
    return frames if all(trusted(frame) for frame in frames) else None


def trusted(frame: AudioFrame) -> bool:
    """A decoder that a damaged packet confused may tell of planes that are not there (AAC does, of
    more than the eight that a frame has room for): to look at one ends the process."""
    return not frame.format.is_planar or frame.layout.nb_channels <= MOST_PLANES


def shape_of(frame: AudioFrame) -> Shape:
    return frame.sample_rate, frame.format.name, frame.layout.nb_channels


class Gathered:
    """Frames of one shape, in order."""

    def __init__(self, shape: Shape) -> None:
        self.rate, name, self._channels = shape
        self._type = np.dtype(_TYPES[name.removesuffix("p")])
        self._planar = name.endswith("p")
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self.samples = 0

    def add(self, frame: AudioFrame) -> None:
        count = frame.samples
        if not self._planar:
            count *= self._channels
        planes: tuple[Any, ...] = frame.planes  # each may be longer than what is in it
        self._parts.append(tuple(np.frombuffer(one, self._type, count) for one in planes))
        self.samples += frame.samples

    def taken(self) -> Floats:
        """What was gathered, (samples, channels); nothing is left."""
        parts, self._parts, self.samples = self._parts, [], 0
        if not parts:
            return np.zeros((0, self._channels), np.float32)
        planes = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
        if self._planar:
            return floats(np.stack(planes, axis=1))
        return floats(planes[0].reshape(-1, self._channels))


def floats(sound: NDArray[Any]) -> Floats:
    if sound.dtype.kind == "f":
        if not np.abs(sound).max(initial=0) <= _LOUDEST:
            sound = np.nan_to_num(sound, nan=0.0, posinf=0.0, neginf=0.0)
            sound = sound.clip(-_LOUDEST, _LOUDEST)
        return sound.astype(np.float32, copy=False)
    if sound.dtype == np.uint8:
        return (sound.astype(np.float32) - np.float32(128)) * np.float32(1 / 128)
    return sound.astype(np.float32) * np.float32(1 / _FULL[sound.dtype.itemsize])
