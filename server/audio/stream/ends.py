"""Where speech begins and ends. Pure, given a detector of voices.

    quiet ──voiced for LEAST──> speaking ──silent for `pause`──> quiet
      └ the begin lies `before` the first voiced frame, the end `AFTER` the last one

Theory. A frame of 20 ms is voiced when the detector says so and it is louder than the noise. The
detector alone (WebRTC's, Gaussian mixtures over six bands) takes loud noise for speech; loudness
alone takes a door for a word. The noise is what the quietest frames are: their power is followed
down at once and up by `RISE` a second (minimum statistics, after Martin, "Noise power spectral
density estimation based on optimal smoothing and minimum statistics", 2001). Speech has dips of
more than that between its syllables and does not raise it; a fan that starts does, and so cannot
keep an utterance open.

A frame is looked at by the detector only where it is louder than the noise: most of a meeting is
not, and costs one sum of squares.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from server.audio.stream.model import RATE, SAMPLE, samples

FRAME = RATE // 50
"""Samples of a frame: 20 ms."""
LEAST = 5
"""Voiced frames, those that are not taken away, until somebody speaks: 100 ms."""
AFTER = samples(0.2)
RISE = 3.0
"""Decibels a second."""
LOUDER = 4.0
"""Power above the noise: 6 dB."""
THINNED = 4
"""Every fourth sample is enough to know how loud a frame is. 100 ms are less than the 500 numbers
above which NumPy lets other threads go first, and then waits for them."""
FAINT = 1800.0 * FRAME / THINNED
"""Power of a frame below which nothing is speech: a sample 58 dB under full scale."""
_AGAIN = 3
"""Voiced frames in a row after which a silence has to begin anew: a click is shorter."""
_GROWN = [10 ** (RISE / 10 / 50 * frames) for frames in range(51)]

Voiced = Callable[[bytes], bool]
"""Whether a frame of `FRAME` samples is a voice."""


class Edge(NamedTuple):
    """Speech began (`speaks`) or ended at a position."""

    speaks: bool
    at: int


class Ends:
    """One stream. `strict` is the detector; `pause` and `before` in seconds."""

    __slots__ = (
        "_before",
        "_pause",
        "_position",
        "_rest",
        "_row",
        "_silent",
        "_since",
        "_strict",
        "last",
        "noise",
        "speaks",
    )

    def __init__(
        self, strict: Voiced, *, pause: float = 0.5, before: float = 0.3, position: int = 0
    ) -> None:
        self._strict = strict
        self._position = position
        self._rest = b""
        self._row = 0  # voiced frames: towards a begin, or in a row while speaking
        self._silent = 0
        self._since = 0
        self.noise = FAINT / LOUDER
        self.speaks = False
        self.last = 0
        self.set(strict, pause=pause, before=before)

    def set(self, strict: Voiced, *, pause: float, before: float) -> None:
        self._strict = strict
        self._pause = max(1, round(pause * RATE / FRAME))
        self._before = samples(before)

    @property
    def needed(self) -> int:
        """What lies before this position is in no utterance that may still begin."""
        begun = self._row and not self.speaks
        return (self._since if begun else self._position) - self._before

    def quiet(self) -> None:
        """Whatever was said is over."""
        self.speaks = False
        self._row = self._silent = 0

    def feed(self, pcm: bytes) -> list[Edge]:
        if self._rest:
            pcm = self._rest + pcm
        whole = len(pcm) // (FRAME * SAMPLE)
        size = whole * FRAME * SAMPLE
        self._rest = pcm[size:]
        if not whole:
            return []
        # Of a part of the samples: what is left out folds back, and its power with it.
        sound = np.frombuffer(pcm, dtype="<i2", count=whole * FRAME)[::THINNED].astype(np.float32)
        frames = sound.reshape(whole, FRAME // THINNED)
        powers: list[float] = np.vecdot(frames, frames).tolist()
        if not self.speaks and not self._row:
            # The quietest case by far: nothing in it is louder than the noise.
            least = min(powers)
            if max(powers) <= max(FAINT, min(self.noise, least) * LOUDER):
                self._follow(least, whole)
                self._position += whole * FRAME
                return []
        edges: list[Edge] = []
        for at, power in enumerate(powers):
            self._follow(power, 1)
            loud = power > FAINT and power > self.noise * LOUDER
            cut = at * FRAME * SAMPLE
            voiced = loud and self._strict(pcm[cut : cut + FRAME * SAMPLE])
            edge = self._talking(voiced) if self.speaks else self._listening(voiced)
            self._position += FRAME
            if edge is not None:
                edges.append(edge)
        return edges

    def _follow(self, power: float, frames: int) -> None:
        grown = self.noise * _GROWN[frames] if frames < len(_GROWN) else power
        self.noise = max(1.0, min(grown, power))

    def _listening(self, voiced: bool) -> Edge | None:
        if voiced:
            if not self._row:
                self._since = self._position
            self._row += 1
            self.last = self._position + FRAME
        elif self._row:
            self._row -= 1
        if self._row < LEAST:
            return None
        self.speaks, self._silent, self._row = True, 0, 0
        return Edge(True, max(0, self._since - self._before))

    def _talking(self, voiced: bool) -> Edge | None:
        if voiced:
            self._row += 1
            self.last = self._position + FRAME
            if self._row >= _AGAIN:
                self._silent = 0
        else:
            self._row = 0
            self._silent += 1
        if self._silent < self._pause:
            return None
        self.quiet()
        return Edge(False, min(self.last + AFTER, self._position + FRAME))
