"""What a long recording becomes, and by which rules. Times are seconds from its beginning. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from server.audio.model import Gap, Turn, Word
from server.audio.transcript import Spoken


class Progress(NamedTuple):
    """`done` of `total` parts, which are `seconds_done` of sound. `eta_seconds` is how long the
    rest will take at the pace so far, None before the first part came back."""

    done: int
    total: int
    seconds_done: float
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class LongTranscript:
    """Every word once, in order. `segments` hold the same words, as sentences.

    `gaps` are what no part could hear. `dropped` are phrases that a recogniser repeated over
    measured silence.
    """

    words: tuple[Word, ...]
    segments: tuple[Spoken, ...]
    language: str | None
    gaps: tuple[Gap, ...]
    seconds: float
    dropped: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class LongDiarized:
    """Turns in order of their start, the same person by the same name throughout: `SPEAKER_00` in
    the order of their first turn, or the name of a known speaker. `voices` are their embeddings."""

    turns: tuple[Turn, ...]
    gaps: tuple[Gap, ...]
    seconds: float
    voices: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Rules:
    """`at_once` parts are asked at the same time: one more than the services take, so that the next
    one stands in the gateway's line when a place becomes free.

    A part that failed is asked again after each of `rests` (seconds), then it is a gap. A service
    that says it is busy is waited for, for `patience` seconds in which nothing is heard. Voices
    within `speaker_distance` are one person.
    """

    part_seconds: float = 300.0
    overlap_seconds: float = 2.0
    at_once: int = 3
    rests: tuple[float, ...] = (1.0, 4.0, 15.0)
    patience: float = 900.0
    speaker_distance: float = 0.35
