"""AEC3, the echo canceller of WebRTC, for two channels that were recorded.

Owns the seam to the library: 10 ms in, 10 ms out, the far side first. The output is late by
`LATE` samples (the library's own filter banks); who compares levels has to take that into account.
The library is loaded when a canceller is made and not before: it brings threads of its own, and
only the ear's process ever needs it.
"""

from typing import Any, Protocol

import numpy as np

from server.audio.echo.samples import RATE, Samples

FRAME = RATE // 100
LATE = 180
"""Measured at 16 kHz: 11.25 ms."""


class Canceller(Protocol):
    def __call__(self, far: Samples, mic: Samples) -> Samples:
        """One frame of each; the microphone's without the far side."""
        ...


class Aec3:
    """One recording's canceller: it learns, so it is used for one recording in its order."""

    def __init__(self) -> None:
        from livekit import rtc  # noqa: PLC0415

        self._frame: Any = rtc.AudioFrame
        self._apm = rtc.AudioProcessingModule(echo_cancellation=True)

    def __call__(self, far: Samples, mic: Samples) -> Samples:
        self._apm.process_reverse_stream(self._frame(far.tobytes(), RATE, 1, FRAME))
        heard = self._frame(mic.tobytes(), RATE, 1, FRAME)
        self._apm.process_stream(heard)
        return np.frombuffer(heard.data, dtype=np.int16)
