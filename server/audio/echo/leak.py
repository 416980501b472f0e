"""Whether the microphone hears the loudspeaker: how late, how loud, in how much of the time.

One walk through both channels, a block of 8 s at a time, so that memory does not grow with the
recording (but for ten numbers a second of it). Each block's lag is found (`lag`), then the two are
laid over each other and compared frame by frame: the part of the microphone's energy that is
coherent with the far side is echo (magnitude-squared coherence after Welch, less its bias). That
holds while somebody speaks into it too, and costs no canceller. Runs in the ear's process.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from server.audio.echo.lag import Found, lag, line, on_line
from server.audio.echo.model import Leak, Line
from server.audio.echo.samples import RATE, Wave
from server.audio.echo.track import Track

BLOCK = 1 << 17
"""Samples: 8.2 s."""
REACH = 2 * RATE
LONG = 1 << 20
"""Samples: 65.5 s, for recordings that did not begin together."""
LONG_REACH = 30 * RATE
LONG_LOOKS = 6
CLEAR = 12.0
"""Noise of a block's length stays below 6 standard deviations of its correlation, two sentences of
one voice below 9; an echo 20 dB under the voice is at 17 while both speak, else at 50 and more."""
FRAME = 4096
"""Samples: 0.26 s, most of a room's reverberation."""
STEP = RATE // 10
QUIET = 10 ** (-55 / 10)
"""Mean square below which nobody speaks: -55 dB of full scale."""


@dataclass(slots=True)
class _Walk:
    """What was gathered. `echo`, `mic` and `far` are energies of the blocks that were clear."""

    found: list[Found] = field(default_factory=list)
    blocks: int = 0
    levels: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    near: list[Wave] = field(default_factory=list)
    far: list[Wave] = field(default_factory=list)


def measure(mic: Path, system: Path) -> Leak:
    with Track(mic) as near, Track(system) as far:
        walk = _walk(near, far, 0)
        if not _enough(walk):
            offset = _offset(near, far)
            if offset is not None:
                walk = _walk(near, far, offset)
    return _summed(walk)


def _enough(walk: _Walk) -> bool:
    return walk.blocks == 0 or len(walk.found) >= max(1, walk.blocks // 10)


def _walk(near: Track, far: Track, offset: int) -> _Walk:
    """`offset`: samples by which the microphone is known to be behind."""
    walk, behind = _Walk(), float(offset)
    for start in range(0, max(1, near.length), BLOCK):
        ours, theirs = near.wave(start, BLOCK), far.wave(start - offset, BLOCK)
        if _speaks(theirs):
            walk.blocks += 1
            late, clear = lag(ours, theirs, REACH) if _heard(ours) else (0.0, 0.0)
            if clear >= CLEAR:
                behind = offset + late
                walk.found.append(Found((start + BLOCK / 2) / RATE, behind / RATE, clear))
                level, share = _coherent(ours, far.wave(start - round(behind), BLOCK))
                walk.levels.append(level)
                walk.shares.append(share)
        walk.near.append(_energies(ours))
        walk.far.append(_energies(far.wave(start - round(behind), BLOCK)))
    return walk


def _energies(wave: Wave) -> Wave:
    """Mean squares of tenths of a second."""
    whole = wave[: len(wave) // STEP * STEP].reshape(-1, STEP)
    return np.asarray(np.mean(whole * whole, axis=1), np.float32)


def _speaks(wave: Wave) -> bool:
    """For a tenth of the time at least."""
    return bool(np.mean(_energies(wave) > QUIET) >= 0.1)


def _heard(wave: Wave) -> bool:
    return bool(wave.any())


def _coherent(mic: Wave, far: Wave) -> tuple[float, float]:
    """Level of the echo against the far side in decibels, and its share of the microphone's energy,
    in the frames in which the far side speaks. Both channels laid over each other."""
    window = np.hanning(FRAME).astype(np.float32)
    starts = range(0, len(mic) - FRAME + 1, FRAME // 2)
    ours = np.stack([np.fft.rfft(mic[at : at + FRAME] * window) for at in starts])
    theirs = np.stack([np.fft.rfft(far[at : at + FRAME] * window) for at in starts])
    power = np.mean(np.abs(theirs) ** 2, axis=1)
    speaks = power > 0.01 * power.max()
    ours, theirs = ours[speaks], theirs[speaks]
    cross = np.abs(np.mean(ours * np.conj(theirs), axis=0)) ** 2
    mine = np.mean(np.abs(ours) ** 2, axis=0)
    other = np.mean(np.abs(theirs) ** 2, axis=0)
    bias = 1 / max(2.0, 0.55 * len(ours))  # frames overlap by half: so many are independent
    coherence = cross / np.maximum(mine * other, 1e-20)
    echo = float(np.sum(np.clip((coherence - bias) / (1 - bias), 0, 1) * mine))
    level = 10 * np.log10(max(echo, 1e-12) / max(float(other.sum()), 1e-12))
    return float(level), min(1.0, echo / max(float(mine.sum()), 1e-12))


def _offset(near: Track, far: Track) -> int | None:
    """Samples by which the microphone is behind, where the recordings began far apart."""
    last = max(0, near.length - LONG)
    starts = sorted({last * look // max(1, LONG_LOOKS - 1) for look in range(LONG_LOOKS)})
    best: tuple[float, float] = (CLEAR, 0.0)
    none = True
    for start in starts:
        ours, theirs = _halved(near.wave(start, LONG)), _halved(far.wave(start, LONG))
        late, clear = lag(ours, theirs, LONG_REACH // 2, RATE // 2)
        if clear > best[0]:
            best, none = (clear, late), False
    return None if none else round(best[1] * 2)


def _halved(wave: Wave) -> Wave:
    """At half the rate; what folds over lies above the band that is looked at."""
    return np.asarray(wave.reshape(-1, 2).mean(axis=1), np.float32)


def _summed(walk: _Walk) -> Leak:
    near, far = _active(np.concatenate(walk.near)), _active(np.concatenate(walk.far))
    the_line = line(walk.found)
    clear = [index for index, one in enumerate(walk.found) if the_line and on_line(one, the_line)]
    return Leak(
        the_line,
        walk.blocks,
        len(clear),
        float(np.median([walk.levels[index] for index in clear])) if clear else None,
        float(np.mean([walk.shares[index] for index in clear])) if clear else 0.0,
        _alone(near, far),
        _alone(far, near),
        bool(near.any()),
        bool(far.any()),
    )


def _active(energies: Wave) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Which tenths of a second hold more than the channel's own noise."""
    floor, top = (float(np.percentile(energies, per_cent)) for per_cent in (10, 98))
    return np.asarray(energies > max(QUIET / 10, min(10 * floor, top / 100)), dtype=np.bool_)


def _alone(
    ones: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    others: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
) -> float:
    """The share of what is heard in one channel that is heard there only."""
    count = int(ones.sum())
    return float(np.sum(ones & ~others)) / count if count else 0.0


def to_wire(found: Leak) -> dict[str, object]:
    """As the ear's process tells it."""
    return {
        "delay": None if found.line is None else found.line.delay,
        "drift": None if found.line is None else found.line.drift,
        "blocks": found.blocks,
        "clear": found.clear,
        "level": found.level,
        "share": found.share,
        "near_alone": found.near_alone,
        "far_alone": found.far_alone,
        "near_heard": found.near_heard,
        "far_heard": found.far_heard,
    }


__all__ = ["Line", "measure", "to_wire"]
