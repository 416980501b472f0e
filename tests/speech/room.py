"""Rooms, loudspeakers and microphones in numpy. Sounds are float32 from -1 to 1, at `RATE`.

Owns how a loudspeaker gets into a microphone: the room (exponential tail, Polack 1988; early
reflections from the image method, Allen and Berkley 1979), the way there, a clock that runs a
little differently, a loudspeaker that cannot be louder. All chance comes from the given seed.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RATE = 16_000
SOUND_SPEED = 343.0
Sound = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Bleed:
    """`level_db` is how loud the echo is against the far sound at the same place; `drift_ppm` by
    how much the microphone's clock is faster; `clip` where the loudspeaker stops being linear, as a
    share of the far sound's peak (1: never)."""

    level_db: float = -10.0
    delay_ms: float = 20.0
    drift_ppm: float = 0.0
    clip: float = 1.0
    rt60: float = 0.25


def response(rt60: float, seed: int = 1) -> Sound:
    """What a room answers to a click: the way there, six walls, then a tail that falls by 60 dB in
    `rt60` seconds. Its energy is 1."""
    chance = np.random.default_rng(seed)
    length = int(RATE * rt60)
    times = np.arange(length) / RATE
    tail = chance.standard_normal(length) * 10 ** (-3 * times / rt60)
    tail[: int(0.004 * RATE)] = 0.0
    tail *= np.sqrt(0.5 / np.sum(tail**2))
    room, there, here = np.array([5.0, 4.0, 2.6]), np.array([2.0, 1.5, 1.1]), [2.6, 1.8, 1.2]
    for axis in range(3):
        for wall in (0.0, room[axis]):
            image = there.copy()
            image[axis] = 2 * wall - there[axis]
            _click(tail, float(np.linalg.norm(image - here)), 0.5)
    _click(tail, float(np.linalg.norm(there - here)), 1.0)
    return np.asarray(tail / np.sqrt(np.sum(tail**2)), np.float32)


def _click(heard: npt.NDArray[np.float64], metres: float, strength: float) -> None:
    at = round(metres / SOUND_SPEED * RATE)
    if at < heard.size:
        heard[at] += strength / max(metres, 0.3)


def through(sound: Sound, heard: Sound) -> Sound:
    """`sound` in the room of `heard` (a convolution), as long as it was."""
    size = 1 << (sound.size + heard.size - 1).bit_length()
    product = np.fft.rfft(sound, size) * np.fft.rfft(heard, size)
    return np.asarray(np.fft.irfft(product, size)[: sound.size], np.float32)


def drifted(sound: Sound, ppm: float) -> Sound:
    """By a clock that is `ppm` millionths faster; as long as it was."""
    if not ppm:
        return sound
    at = np.arange(sound.size) * (1 + ppm * 1e-6)
    return np.asarray(np.interp(at, np.arange(sound.size), sound), np.float32)


def echo(far: Sound, bleed: Bleed) -> Sound:
    """What a microphone hears of a loudspeaker that plays `far`."""
    top = float(np.abs(far).max(initial=1e-9)) * bleed.clip
    played = np.asarray(top * np.tanh(far / top), np.float32) if bleed.clip < 1 else far
    heard = drifted(through(played, response(bleed.rt60)), bleed.drift_ppm)
    late = np.zeros_like(heard)
    delay = round(bleed.delay_ms * RATE / 1000)
    late[delay:] = heard[: heard.size - delay]
    wanted = loudness(far) * 10 ** (bleed.level_db / 20)
    return np.asarray(late * (wanted / max(loudness(late), 1e-9)), np.float32)


def pink(samples: int, level_db: float, seed: int = 2) -> Sound:
    """Noise of equal power per octave, `level_db` under full scale."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    shaped = spectrum / np.sqrt(np.maximum(np.arange(spectrum.size), 1))
    noise = np.fft.irfft(shaped, samples)
    noise *= 10 ** (level_db / 20) / np.sqrt(np.mean(noise**2))
    return np.asarray(noise, np.float32)


def loudness(sound: Sound) -> float:
    """Root mean square of where something is heard: pauses do not make a voice quieter."""
    peak = float(np.abs(sound).max(initial=0.0))
    loud = sound[np.abs(sound) > peak * 0.01]
    return float(np.sqrt(np.mean(loud**2))) if loud.size else 0.0
