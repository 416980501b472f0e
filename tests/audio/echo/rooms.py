"""Voices and rooms made of numbers: speech-like sound whose words are known, and its echo."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Wave = NDArray[np.float64]


@dataclass(frozen=True)
class Speech:
    """`words` are the stretches in which something is said, in seconds."""

    wave: Wave
    words: tuple[tuple[float, float], ...]


def voice(seconds: float, pitch: float, seed: int, begin: float = 0.3) -> Speech:
    """Words of 0.2 to 0.5 s made of harmonics under moving formants and some hiss."""
    random = np.random.default_rng(seed)
    wave = random.normal(0, 1e-5, round(seconds * RATE))
    words, at = [], begin
    while at + 0.6 < seconds:
        length = float(random.uniform(0.2, 0.5))
        first = round(at * RATE)
        said = _word(length, pitch, random)
        wave[first : first + len(said)] += said
        words.append((at, at + length))
        at += length + float(random.choice((0.03, 0.08, 0.5), p=(0.5, 0.35, 0.15)))
    return Speech(wave, tuple(words))


def _word(seconds: float, pitch: float, random: np.random.Generator) -> Wave:
    count = round(seconds * RATE)
    at = np.arange(count) / RATE
    tone = pitch * (1 + 0.1 * np.sin(2 * np.pi * random.uniform(1, 4) * at + random.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(tone) / RATE
    sound = np.zeros(count)
    middles = [random.uniform(300, 900), random.uniform(900, 2400), random.uniform(2400, 3500)]
    for harmonic in range(1, int(4000 / pitch)):
        hertz = harmonic * pitch
        strength = sum(
            level / (1 + ((hertz - middle) / 120) ** 2)
            for middle, level in zip(middles, (1, 0.6, 0.3), strict=True)
        )
        sound += strength * np.sin(harmonic * phase + random.uniform(0, 6))
    hiss = np.diff(random.normal(0, 1, count + 1)) * np.clip(at - 0.7 * seconds, 0, None) * 3
    shape = np.minimum(1, np.minimum(at, seconds - at) / 0.03)
    sound = (sound + hiss) * shape
    return 0.1 * sound / (np.sqrt(np.mean(sound**2)) + 1e-9)


def room(rt60: float, delay: float, seed: int) -> Wave:
    """The direct sound after `delay`, then noise that falls by 60 dB in `rt60` seconds."""
    random = np.random.default_rng(seed)
    tail = random.normal(0, 1, round(rt60 * RATE)) * 10 ** (
        -3 * np.arange(round(rt60 * RATE)) / (rt60 * RATE)
    )
    tail *= 0.5 / np.sqrt(np.sum(tail**2))
    first = round(delay * RATE)
    path = np.zeros(first + len(tail))
    path[first] = 1
    path[first + 1 :] += tail[1:]
    return path


def drifted(wave: Wave, ppm: float) -> Wave:
    """As a clock hears it that runs faster by so many millionths."""
    at = np.arange(len(wave)) * (1 - ppm * 1e-6)
    return np.interp(at, np.arange(len(wave)), wave)


def clipped(wave: Wave, drive: float) -> Wave:
    """A small loudspeaker played loud."""
    top = float(np.max(np.abs(wave)))
    return np.tanh(drive * wave / top) * top / drive


def echo(
    far: Wave,
    level: float,
    *,
    rt60: float = 0.25,
    delay: float = 0.02,
    ppm: float = 0.0,
    drive: float = 0.0,
    seed: int = 9,
) -> Wave:
    """The far side as the microphone hears it, `level` decibels against itself."""
    played = clipped(far, drive) if drive else far
    path = room(rt60, delay, seed)
    size = 1 << (len(played) + len(path) - 1).bit_length()
    heard = np.fft.irfft(np.fft.rfft(played, size) * np.fft.rfft(path, size), size)[: len(far)]
    heard = drifted(heard, ppm) if ppm else heard
    gain = 10 ** (level / 20) * np.sqrt(np.mean(far**2) / np.mean(heard**2))
    return heard * gain


def moved(wave: Wave, samples: int) -> Wave:
    """Begun later (positive) or earlier, and as long as before."""
    found = np.zeros_like(wave)
    if samples >= 0:
        found[samples:] = wave[: len(wave) - samples]
    else:
        found[:samples] = wave[-samples:]
    return found


def write(path: Path, wave: Wave) -> Path:
    path.write_bytes(np.clip(np.round(wave * 32768), -32768, 32767).astype("<i2").tobytes())
    return path
