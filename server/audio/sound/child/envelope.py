"""Plain sound written as it comes, a file for each channel, with its envelope and its levels.

Owns these files. Refuses to hold more of them than a few frames of 10 ms, and a disk that would be
filled to its end.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from server.audio.sound.child import refusal
from server.audio.sound.model import FRAME_SAMPLES, FULL_SCALE, SAMPLE_BYTES

Samples = NDArray[np.int16]

SPARE_BYTES = 64 << 20
_LOOK_EVERY = 8 << 20


class Channel:
    """One channel. `put` it in order, then `finish`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.pcm"
        self.envelope = folder / f"{name}.env"
        self._folder = folder
        self._files: tuple[BinaryIO, ...] = ()
        self._rest: Samples = np.zeros(0, np.int16)
        self._unseen = _LOOK_EVERY
        self._peak = 0
        self._square = 0.0
        self.samples = 0

    def __enter__(self) -> Self:
        self._files = tuple(_new(path) for path in (self.path, self.envelope))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            for file in self._files:
                file.close()
            return
        for file in self._files:
            with suppress(OSError):  # the disk's refusal was told already
                file.close()
        for path in (self.path, self.envelope):
            path.unlink(missing_ok=True)

    def put(self, samples: Samples) -> None:
        self._look(len(samples) * SAMPLE_BYTES)
        sound, _ = self._files
        sound.write(samples.astype("<i2", copy=False).tobytes())
        self.samples += len(samples)
        if len(self._rest):
            samples = np.concatenate((self._rest, samples))
        whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = samples[whole:].copy()
        self._count(samples[:whole].reshape(-1, FRAME_SAMPLES))

    def finish(self) -> None:
        if len(self._rest):
            self._count(self._rest.reshape(1, -1))
        for file in self._files:
            file.flush()

    def level(self) -> dict[str, float | None]:
        """In dB below full scale; None where nothing sounds."""
        if not self._peak:
            return {"peak": None, "rms": None}
        rms = float(np.sqrt(self._square / self.samples))
        return {"peak": _decibels(self._peak), "rms": _decibels(rms)}

    def _count(self, frames: Samples) -> None:
        if not frames.size:
            return
        self._peak = max(self._peak, int(frames.max()), -int(frames.min()))
        squares = np.square(frames, dtype=np.float64)
        self._square += float(squares.sum())
        loud = np.sqrt(squares.mean(axis=1)).round().astype("<u2")
        self._files[1].write(loud.tobytes())

    def _look(self, size: int) -> None:
        self._unseen += size
        if self._unseen >= _LOOK_EVERY:
            self._unseen = 0
            disk = os.statvfs(self._folder)
            if disk.f_bavail * disk.f_frsize < SPARE_BYTES + _LOOK_EVERY:
                raise refusal.disk(errno.ENOSPC)


def _decibels(amplitude: float) -> float:
    return round(20 * float(np.log10(amplitude / FULL_SCALE)), 1)


def _new(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o600), "wb", buffering=1 << 18)
