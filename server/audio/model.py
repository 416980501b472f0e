"""What transcripts are made of. Times are seconds from the beginning of the recording.

These are tuples and not dataclasses: a long meeting has a hundred thousand words, and making a
tuple costs a third.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

# Thai, Lao, Myanmar, Khmer; Japanese and Chinese with their punctuation and full-width forms.
_DENSE = (
    r"\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
)
_UNSPACED = re.compile(rf"(?<=[{_DENSE}]) (?=[{_DENSE}])")

How = Literal["overlap", "nearest", "sentence", "flip", "channel", "referee", "none"]
"""What a word's speaker was decided by: time shared with a turn, the nearest turn within reach, the
rest of its sentence, its two neighbours, the channel it was heard on, a language model that was
asked (`server.audio.referee`); `none`: it has no speaker."""


class Word(NamedTuple):
    """As a recogniser gave it. `confidence` is 0 to 1, None when it was not told."""

    text: str
    start: float
    end: float
    confidence: float | None = None


class Turn(NamedTuple):
    """Somebody speaks from `start` to `end`. Turns of different speakers may overlap."""

    speaker: str
    start: float
    end: float


class Said(NamedTuple):
    """A word with its speaker (None: nobody near enough spoke).

    `certainty` is how far the speaker leads the next best, as a share of the word's time (0 to 1).
    `overlapped` tells that somebody else spoke during the word too.
    """

    word: Word
    speaker: str | None
    certainty: float
    overlapped: bool
    how: How
    channel: str | None = None


class Gap(NamedTuple):
    """Nobody heard this stretch of the recording, though it is there: what was said, or who said
    it, is `missing`. `code` is that of the error, `reason` what it says to people."""

    start: float
    end: float
    code: str
    reason: str
    missing: Literal["words", "speakers"] = "words"


class Segment(NamedTuple):
    """Words of one speaker without a long pause, in order."""

    speaker: str | None
    start: float
    end: float
    words: tuple[Said, ...]
    channel: str | None = None

    @property
    def text(self) -> str:
        return joined(said.word.text for said in self.words)


def joined(texts: Iterable[str]) -> str:
    """Words as a sentence. Recognisers differ: some bring the space before a word with it. Scripts
    that are written without spaces have none."""
    sentence = " ".join(filter(None, (text.strip() for text in texts)))
    return sentence if sentence.isascii() else _UNSPACED.sub("", sentence)
