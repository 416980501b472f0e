"""AEC3, the echo canceller of WebRTC, for two channels that were recorded.

Owns the seam to the library: 10 ms in, 10 ms out. The output is late by `LATE` samples (the
library's own filter banks); who compares levels has to take that into account. The library is
loaded when a canceller is made and not before: only the ear's process ever needs it.
"""

from typing import Protocol

import numpy as np

from server.audio.echo.samples import RATE, Samples

FRAME = RATE // 100
LATE = 128
"""Measured at 16 kHz: 8 ms."""


class Canceller(Protocol):
    def __call__(self, far: Samples, mic: Samples) -> Samples:
        """One frame of each; the microphone's without the far side."""
        ...


class Aec3:
    """One recording's canceller: it learns, so it is used for one recording in its order."""

    def __init__(self) -> None:
        from pywebrtc_audio import EchoCanceller  # noqa: PLC0415

        self._canceller = EchoCanceller(RATE, 1)

    def __call__(self, far: Samples, mic: Samples) -> Samples:
        return np.asarray(self._canceller.process(mic, far))
