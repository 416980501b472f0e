"""The mel spectrogram that the voice encoder was trained on: 40 bands, 25 ms windows, 10 ms steps.

Owns nothing but arithmetic. The scale and the triangles are Slaney's (Auditory Toolbox, 1998), with
equal areas, as librosa computes them by default; the power is not turned into decibels.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from server.engine.sound import Samples

RATE = 16_000
WINDOW, STEP, BANDS = 400, 160, 40
_LINEAR_HZ, _LINEAR_STEP, _LOG_STEP = 1000.0, 200.0 / 3, np.log(6.4) / 27.0


def _to_mel(hertz: float) -> float:
    if hertz < _LINEAR_HZ:
        return hertz / _LINEAR_STEP
    return float(_LINEAR_HZ / _LINEAR_STEP + np.log(hertz / _LINEAR_HZ) / _LOG_STEP)


def _to_hertz(mel: "NDArray[np.float64]") -> "NDArray[np.float64]":
    edge = _LINEAR_HZ / _LINEAR_STEP
    above = _LINEAR_HZ * np.exp(_LOG_STEP * (mel - edge))
    return np.where(mel < edge, mel * _LINEAR_STEP, above)


def bands() -> "Samples":
    """The weights of each FFT bin in each band."""
    bins = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    edges = _to_hertz(np.linspace(0.0, _to_mel(RATE / 2), BANDS + 2))
    widths = np.diff(edges)
    slopes = edges[:, None] - bins[None, :]
    rising, falling = -slopes[:-2] / widths[:-1, None], slopes[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    made: Samples = (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    return made


def spectrogram(samples: "Samples", weights: "Samples") -> "Samples":
    """Frames by bands. The frame `n` is centred on the sample `n * STEP`."""
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    made = []
    for at in range(0, len(frames), 1000):  # a block at a time: an hour has 360,000 frames
        power = np.abs(np.fft.rfft(frames[at : at + 1000] * window, axis=1)) ** 2
        made.append((power @ weights.T).astype(np.float32))
    return np.concatenate(made)
