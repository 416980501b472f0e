"""What a stream of sound is made of: what happens to it, what it does, what it tells. Pure.

Positions are samples since the stream began, at `RATE`; what is told is in seconds. Sound that was
lost still counts, so a position means the same for both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from server.audio.model import Word, joined
from server.base.errors import SparkError

RATE = 16_000
SAMPLE = 2
"""Bytes of one: 16 bits, little-endian, one channel."""

Lost = Literal["overflow", "failed"]
"""Why sound was not heard: it came faster than the engine could take it, or the engine failed."""


def seconds(position: int) -> float:
    return position / RATE


def samples(length: float) -> int:
    return round(length * RATE)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a client may choose, checked. `pause` is the silence that ends an utterance, `before`
    how much is taken from before its begin, `strictness` that of the detector of voices (0 to 3).
    `manual`: the client says where an utterance ends."""

    model: str | None = None
    language: str | None = None
    prompt: str = ""
    vocabulary: tuple[str, ...] = ()
    pause: float = 0.5
    before: float = 0.3
    strictness: int = 2
    manual: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """Of all streams. In seconds: `step` is how much is new in each window, `window` the longest,
    `overlap` what neighbours share, `longest` after what an utterance is told in parts, `buffer`
    how much sound is kept for an engine that is behind. `tries` is how often one window is asked
    for."""

    step: float = 2.0
    window: float = 12.0
    overlap: float = 2.0
    longest: float = 30.0
    buffer: float = 30.0
    tries: int = 3


# ---- what happens


class Sound(NamedTuple):
    pcm: bytes


class Commit(NamedTuple):
    """The utterance ends here."""


class Clear(NamedTuple):
    """What was not ended yet is forgotten."""


class Stop(NamedTuple):
    """No more sound comes."""


class Set(NamedTuple):
    setup: Setup


class Taken(NamedTuple):
    """There is a place at an engine now."""


class Answered(NamedTuple):
    """Words of the window of that number, timed from its begin."""

    window: int
    words: Sequence[Word]


class Failed(NamedTuple):
    """The window was not heard; `again`: it may be the next time."""

    window: int
    error: SparkError
    again: bool


Event = Sound | Commit | Clear | Stop | Set | Taken | Answered | Failed


# ---- what it does


class Want(NamedTuple):
    """A place at an engine; `since` is from when on it is late, on the clock of `now`: a step after
    the oldest sound came that was not heard yet. `after`: not before this many seconds."""

    since: float
    after: float = 0.0


class Window(NamedTuple):
    """This is to be heard."""

    number: int
    start: float
    pcm: bytes
    setup: Setup

    @property
    def length(self) -> float:
        return len(self.pcm) / (RATE * SAMPLE)


class Over(NamedTuple):
    """All was told."""


# ---- what it tells


class Started(NamedTuple):
    """Somebody begins to speak."""

    id: int
    at: float


class Stopped(NamedTuple):
    """The utterance is over; its words are still to come. `at` is where the speech ended."""

    id: int
    at: float
    before: int | None
    """The utterance before it."""


class Nothing(NamedTuple):
    """There was nothing to end."""


class Cleared(NamedTuple):
    id: int | None


class Partial(NamedTuple):
    """So far. `stable` begins `text` and stays; the rest may change. `sure` is what of `stable` is
    new."""

    id: int
    revision: int
    stable: str
    text: str
    sure: str
    until: float


class Change(NamedTuple):
    """A word that the vocabulary put right."""

    was: str
    now: str
    start: float


class Final(NamedTuple):
    """What was said; it is never changed. `sequence` counts these from 1. `sure` is what no
    `Partial` told as stable. `at` is how much had come when the speech was found to be over."""

    sequence: int
    id: int
    words: tuple[Word, ...]
    start: float
    end: float
    sure: str
    changes: tuple[Change, ...] = ()
    at: float = 0.0
    error: SparkError | None = None

    @property
    def text(self) -> str:
        return joined(word.text for word in self.words)

    @property
    def confidence(self) -> float | None:
        known = [word.confidence for word in self.words if word.confidence is not None]
        return sum(known) / len(known) if known else None


class Gap(NamedTuple):
    """Sound that nobody heard."""

    start: float
    end: float
    why: Lost
    id: int | None = None


Told = Started | Stopped | Nothing | Cleared | Partial | Final | Gap
Effect = Told | Want | Window | Over
