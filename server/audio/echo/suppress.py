"""How much quieter the microphone gets without the far side, 100 times a second.

Both channels are walked through once, a second and a half at a time, the far side moved to where
the microphone heard it. Written are sums of squares since the beginning, so that whoever asks for a
stretch subtracts two of them (`levels`): 32 bytes for each 10 ms, whatever the length. Owns the
walk and the file. Runs in the ear's process; needs numpy.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from server.audio.echo.canceller import FRAME, LATE, Aec3, Canceller
from server.audio.echo.leak import QUIET
from server.audio.echo.linear import BLOCK, Linear
from server.audio.echo.loudness import COLUMNS
from server.audio.echo.model import Line
from server.audio.echo.samples import RATE, Samples
from server.audio.echo.track import Track

PIECE = 5120 * 5
"""Samples: whole frames of the canceller (160) and whole blocks of the filter (1024)."""
LEAD = 0.010
"""Seconds that the far side is left ahead, as in a room: neither part can hear the future."""
FAR_ALONE = 10**1.5
LOUD = 32**2
"""Mean square: -60 dB of full scale."""
WARM = 12 * PIECE
"""Samples (19 s) of the far side's first words that the filter learns from before it is asked."""


def suppress(
    mic: Path, system: Path, out: Path, line: Line, canceller: Callable[[], Canceller] = Aec3
) -> float:
    """Write `out`; by how many decibels the linear filter alone made the far side quieter, by the
    median of the moments in which the canceller heard nothing else."""
    with Track(mic) as near, Track(system) as far, out.open("wb") as file:
        walk = _Walk(canceller(), far, line)
        walk.warm(near)
        reached = np.zeros(len(COLUMNS), dtype=np.int64)
        gains: list[float] = []
        file.write(reached.astype("<i8").tobytes())
        for start in range(0, near.length, PIECE):
            sums = walk.over(near, start)
            whole = np.cumsum(sums, axis=0) + reached
            reached = whole[-1]
            gains += _gains(sums)
            file.write(whole.astype("<i8").tobytes())
    return float(np.median(gains)) if gains else 0.0


class _Walk:
    """Both detectors side by side. The canceller is fed `LATE` samples ahead of what is compared,
    so that its output lies where its input was."""

    def __init__(self, canceller: Canceller, far: Track, line: Line) -> None:
        self._canceller, self._linear = canceller, Linear()
        self._far, self._line = far, line
        self._left: Samples = np.zeros(0, dtype=np.int16)
        self._fed = 0

    def warm(self, near: Track) -> None:
        """A recording may be listened to twice: the first words are as good as the others."""
        starts = range(0, near.length, PIECE)
        begin = next((at for at in starts if _speaks(self._aligned(at, PIECE))), near.length)
        for start in range(begin, min(begin + WARM, near.length), PIECE):
            self._residual(self._aligned(start, PIECE), near.take(start, PIECE))

    def over(self, near: Track, start: int) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
        mic, far = near.take(start, PIECE), self._aligned(start, PIECE)
        columns = (mic, self._cancelled(near, start), self._residual(far, mic), far)
        return np.stack([_squares(one) for one in columns], axis=1)

    def _aligned(self, start: int, count: int) -> Samples:
        """The far side as it arrived while the microphone recorded these."""
        late = round((self._line.at(start / RATE) - LEAD) * RATE)
        return self._far.take(start - late, count)

    def _cancelled(self, near: Track, start: int) -> Samples:
        """`PIECE` samples of the canceller's output that belong to `start`."""
        parts = [self._left]
        have = len(self._left)
        while have < PIECE + (LATE if start == 0 else 0):
            far, mic = self._aligned(self._fed, FRAME), near.take(self._fed, FRAME)
            parts.append(self._canceller(far, mic))
            self._fed += FRAME
            have += FRAME
        whole = np.concatenate(parts)
        begin = LATE if start == 0 else 0
        self._left = whole[begin + PIECE :]
        return whole[begin : begin + PIECE]

    def _residual(self, far: Samples, mic: Samples) -> Samples:
        ours, theirs = (one.astype(np.float32) / np.float32(32768) for one in (mic, far))
        left = [
            self._linear(theirs[at : at + BLOCK], ours[at : at + BLOCK])
            for at in range(0, PIECE, BLOCK)
        ]
        return np.clip(np.concatenate(left) * 32768, -32768, 32767).astype(np.int16)


def _gains(sums: "np.ndarray[tuple[int, int], np.dtype[np.int64]]") -> list[float]:
    """Of the tenths of a second in which the far side alone was heard."""
    mic, cancelled, residual, _ = sums.reshape(-1, 10, len(COLUMNS)).sum(axis=1).T / (10 * FRAME)
    alone = (mic > LOUD) & (mic > FAR_ALONE * (cancelled + 1))
    gains: list[float] = (10 * np.log10(mic[alone] / (residual[alone] + 1))).tolist()
    return gains


def _speaks(samples: Samples) -> bool:
    """Louder than -55 dB of full scale."""
    return float(np.mean(samples.astype(np.float32) ** 2)) > QUIET * 32768**2


def _squares(samples: Samples) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    frames = samples.astype(np.int64).reshape(-1, FRAME)
    return np.asarray((frames * frames).sum(axis=1), np.int64)
