"""By how much one channel lags behind another, from the sound alone. Pure; needs numpy.

Each block is compared by generalised cross-correlation with phase transform (GCC-PHAT; Knapp and
Carter 1976): the spectra are whitened, so that a room's reverberation and a loudspeaker's colour
leave one sharp peak where the direct sound arrives. Two devices have two clocks, so the lags of the
blocks lie on a line; Theil and Sen's estimate of it (the median of the slopes between all pairs)
stands wrong peaks in a quarter of the blocks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from server.audio.echo.model import Line
from server.audio.echo.samples import RATE, Wave

BAND = (200.0, 4000.0)
"""Hz where speech is and most loudspeakers and microphones work."""
NEAR_LINE = 0.004
"""Seconds within which a block's lag belongs to the line."""
STEEPEST = 1e-3
"""The clocks of sound cards differ by up to some hundred millionths; more is a wrong peak."""
PAIRED = 240
"""So many blocks at most are paired with each other: 28,680 slopes."""


class Found(NamedTuple):
    """`at` is the middle of the block in seconds, `lag` in seconds. `clear` is how far the peak
    stands above everything else, in standard deviations."""

    at: float
    lag: float
    clear: float


def lag(mic: Wave, far: Wave, reach: int, rate: int = RATE) -> tuple[float, float]:
    """Samples by which `mic` is behind `far` (both of one length), at most `reach` either way, and
    how clear that is. (0, 0) where one of them is silent."""
    size = 2 * len(mic)
    cross = np.fft.rfft(mic, size) * np.conj(np.fft.rfft(far, size))
    strength = np.abs(cross)
    if not strength.any():
        return 0.0, 0.0
    cross /= strength + np.float32(1e-12)
    low, high = (round(hertz * size / rate) for hertz in BAND)
    cross[:low] = 0
    cross[high:] = 0
    whole = np.fft.irfft(cross, size)
    near = np.abs(np.concatenate((whole[-reach:], whole[: reach + 1])))
    peak = int(np.argmax(near))
    rest = float(np.sqrt(np.mean(near * near)))
    if not rest:
        return 0.0, 0.0
    return peak - reach + _between(near, peak), float(near[peak]) / rest


def _between(values: "np.ndarray[tuple[int], np.dtype[np.floating]]", peak: int) -> float:
    """Where the top of the parabola through a peak and its neighbours lies."""
    if not 0 < peak < len(values) - 1:
        return 0.0
    before, top, after = (float(values[peak + step]) for step in (-1, 0, 1))
    bend = before - 2 * top + after
    return 0.5 * (before - after) / bend if bend else 0.0


def line(found: Sequence[Found]) -> Line | None:
    """The line that most of the blocks lie on; None without any."""
    if not found:
        return None
    chosen = _spread(found)
    at = np.array([one.at for one in chosen])
    lags = np.array([one.lag for one in chosen])
    drift = _slope(at, lags)
    delay = float(np.median(lags - drift * at))
    close = np.abs(lags - drift * at - delay) <= NEAR_LINE
    if close.sum() >= 3:  # once more without what is far off
        drift = _slope(at[close], lags[close])
        delay = float(np.median(lags[close] - drift * at[close]))
    return Line(delay, drift)


def _spread(found: Sequence[Found]) -> Sequence[Found]:
    step = -(-len(found) // PAIRED)
    return found[::step]


def _slope(
    at: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    lags: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> float:
    """The median slope. Three points at least, else two wrong ones make any line."""
    if len(at) < 3:
        return 0.0
    first, second = np.triu_indices(len(at), 1)
    slopes = (lags[second] - lags[first]) / (at[second] - at[first])
    drift = float(np.median(slopes))
    return drift if abs(drift) <= STEEPEST else 0.0


def on_line(one: Found, the_line: Line) -> bool:
    return abs(one.lag - the_line.at(one.at)) <= NEAR_LINE
