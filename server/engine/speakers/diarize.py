"""Who speaks when in a recording, and what each voice is like.

Owns the way from samples to turns: where somebody speaks (Silero's voice activity detector, which
comes with faster-whisper), windows of 1.5 s, an embedding of each, clusters, votes. The embedding
of a speaker is returned with the turns, so that the parts of a long recording can be put
together.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from server.engine.extra import need
from server.engine.sound import RATE, seconds
from server.engine.speakers.cluster import clusters
from server.engine.speakers.encoder import Encoder
from server.engine.speakers.turns import (
    Span,
    Turn,
    centroids,
    trimmed,
    turns,
    windows,
    without_scraps,
)
from server.engine.weights.shelf import Shelf

if TYPE_CHECKING:
    from server.engine.sound import Samples

MIN_SPEECH_MS, MIN_SILENCE_MS, PAD_MS = 150, 200, 60
LEVEL_SECONDS = 0.01
LONGEST_REGION = float("inf")


class Speaker(NamedTuple):
    name: str
    embedding: tuple[float, ...]
    seconds: float


class Diarized(NamedTuple):
    duration: float
    turns: tuple[Turn, ...]
    speakers: tuple[Speaker, ...]


class Bounds(NamedTuple):
    """How many speakers the caller says there are."""

    least: int = 1
    most: int | None = None


class Speakers:
    """The loaded encoder. Not for two threads at once."""

    def __init__(self, encoder: Encoder, vad: Any) -> None:
        self._encoder = encoder
        self._vad = vad

    @classmethod
    def open(cls, shelf: Shelf | None = None) -> "Speakers":
        """Raises MissingWeights."""
        return cls(Encoder.open(shelf), need("faster_whisper.vad"))

    def diarize(
        self,
        samples: "Samples",
        bounds: Bounds = Bounds(),  # noqa: B008 - a frozen value
        *,
        step: Callable[[], None] = lambda: None,
    ) -> Diarized:
        """`step` is called now and then, and may raise when nobody waits any more."""
        regions = self.regions(samples)
        step()
        spans = windows(regions)
        rows = self._encoder.windows(samples, spans, step)
        group = clusters(rows, least=bounds.least, most=bounds.most)
        if bounds.least == 1:
            group = without_scraps(rows, group, spans)
        found = turns(regions, spans, group)
        middle = centroids(rows, group) if len(group) else rows
        speakers = tuple(
            Speaker(
                name(number),
                tuple(round(float(value), 6) for value in row),
                round(sum(turn.end - turn.start for turn in found if turn.speaker == number), 3),
            )
            for number, row in enumerate(middle)
        )
        return Diarized(seconds(samples), tuple(found), speakers)

    def regions(self, samples: "Samples") -> list[Span]:
        """Where somebody speaks, in seconds."""
        options = self._vad.VadOptions(
            min_speech_duration_ms=MIN_SPEECH_MS,
            min_silence_duration_ms=MIN_SILENCE_MS,
            speech_pad_ms=PAD_MS,
            max_speech_duration_s=LONGEST_REGION,
        )
        found = self._vad.get_speech_timestamps(samples, options)
        spans = [(one["start"] / RATE, one["end"] / RATE) for one in found]
        return trimmed(spans, _levels(samples), LEVEL_SECONDS)


def _levels(samples: "Samples") -> "Samples":
    """Decibels of each 10 ms."""
    length = int(LEVEL_SECONDS * RATE)
    rows = samples[: len(samples) // length * length].reshape(-1, length)
    made: Samples = 10 * np.log10(np.mean(np.square(rows), axis=1) + 1e-12)
    return made


def name(number: int) -> str:
    return f"SPEAKER_{number:02d}"
