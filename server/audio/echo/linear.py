"""What is left of a microphone when a linear echo of the far side is taken away.

AEC3 also suppresses what its filter leaves, and with it whoever speaks at the same time. This
filter does not: what it cannot explain by the far side stays. So where the near side speaks too,
little is gained here and much there; the two together tell echo from both speaking.

A partitioned-block frequency-domain Kalman filter (Enzner and Vary 2006; partitioned after Kuech,
Mabande and Enzner 2014): it finds its own step from how sure it is of each bin, so that it needs no
detector of double talk. Owns the filter of one recording. Runs in the ear's process; needs numpy.
"""

import numpy as np
from numpy.typing import NDArray

from server.audio.echo.samples import Wave

BLOCK = 1024
"""Samples: 64 ms."""
PARTS = 4
"""Blocks of the echo's path: 256 ms."""
STEADY = 0.9995
"""How much of the path stays from one block to the next."""
SMOOTH = 0.5
"""How much of the residual's power is taken from the block before."""
_TINY = 1e-10


class Linear:
    """Takes blocks in their order."""

    def __init__(self) -> None:
        bins = BLOCK + 1
        self._path: NDArray[np.complex64] = np.zeros((PARTS, bins), np.complex64)
        self._doubt: NDArray[np.float32] = np.ones((PARTS, bins), np.float32)
        self._heard: NDArray[np.complex64] = np.zeros((PARTS, bins), np.complex64)
        self._before: Wave = np.zeros(BLOCK, np.float32)
        self._noise: NDArray[np.float32] = np.zeros(bins, np.float32)

    def __call__(self, far: Wave, mic: Wave) -> Wave:
        """The microphone's block less the echo."""
        self._heard = np.roll(self._heard, 1, axis=0)
        self._heard[0] = np.fft.rfft(np.concatenate((self._before, far)))
        self._before = far
        guess = np.fft.irfft((self._path * self._heard).sum(axis=0))[BLOCK:]
        left = (mic - guess).astype(np.float32)
        self._learn(left)
        return left

    def _learn(self, left: Wave) -> None:
        error = np.fft.rfft(np.concatenate((np.zeros(BLOCK, np.float32), left)))
        power = (np.abs(error) ** 2).astype(np.float32)
        self._noise = SMOOTH * self._noise + (1 - SMOOTH) * power
        loud = np.abs(self._heard) ** 2
        whole = 0.5 * (self._doubt * loud).sum(axis=0) + self._noise + _TINY
        step = self._doubt / whole
        change = np.fft.irfft(step * np.conj(self._heard) * error, axis=1)
        change[:, BLOCK:] = 0  # a block's path is one block long
        self._path += np.fft.rfft(change, axis=1).astype(np.complex64)
        kept = np.clip(1 - 0.5 * step * loud, 0, 1)
        self._doubt = STEADY**2 * kept * self._doubt + (1 - STEADY**2) * np.abs(self._path) ** 2
