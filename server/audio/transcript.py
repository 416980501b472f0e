"""What a recogniser or a diarizer answered, whatever dialect it spoke. Pure.

Owns the two values that everything behind the engines is made of: words and sentences with their
times (`Transcript`), turns with the voices they belong to (`Diarized`). Times are seconds from the
beginning of what was sent. Refuses to know how they came over the wire: that is
`server.audio.front.dialect`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from types import MappingProxyType
from typing import NamedTuple

from server.audio.model import Turn, Word, joined


class Spoken(NamedTuple):
    """A sentence or line as a recogniser gave it. `confidence` is 0 to 1, None when it was not
    told; `silence` is how likely nobody spoke (0 to 1), None when it was not told."""

    text: str
    start: float
    end: float
    confidence: float | None = None
    silence: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """`words` are empty when none were told, and so are `segments`. In order of their start.

    `said` is the text as the engine wrote it: it may tell more than words and segments, such as
    when there are none. `duration` is what the engine says it heard, None when it did not say.
    """

    words: tuple[Word, ...] = ()
    segments: tuple[Spoken, ...] = ()
    language: str | None = None
    duration: float | None = None
    said: str = ""

    @property
    def text(self) -> str:
        if self.said:
            return self.said
        if self.segments:
            return joined(one.text for one in self.segments)
        return joined(one.text for one in self.words)


@dataclass(frozen=True, slots=True)
class Diarized:
    """Who spoke when. `voices` are embeddings by speaker, for those speakers that have one: the
    same voice in another recording points the same way. They are as the service gave them, not
    normalised."""

    turns: tuple[Turn, ...] = ()
    voices: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))
    duration: float | None = None


def timed(found: Transcript, seconds: float) -> tuple[Word, ...]:
    """The words; where the engine told none, its sentences' words with times made up by length.

    A word's share of its sentence is its share of the letters: within a second of the truth for
    sentences of usual length, which is enough to say who spoke, and never enough for subtitles by
    the word. `seconds` is the length of what was heard, for an engine that told no times at all.
    """
    if found.words:
        return found.words
    lines = found.segments or (Spoken(found.said, 0.0, seconds),)
    return tuple(word for line in lines for word in spread(line))


def spread(line: Spoken) -> list[Word]:
    """A sentence as words of one length per letter."""
    texts = line.text.split()
    letters = sum(len(text) for text in texts)
    words: list[Word] = []
    at, length = line.start, max(0.0, line.end - line.start)
    for text in texts:
        until = at + length * len(text) / letters
        words.append(Word(text, at, until, line.confidence))
        at = until
    return words


def likelihood(log_probability: float | None) -> float | None:
    """A recogniser's mean log probability as a confidence of 0 to 1."""
    return None if log_probability is None else min(1.0, exp(min(0.0, log_probability)))
