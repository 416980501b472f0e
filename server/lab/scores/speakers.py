"""Word diarization error rate: how many of the words are under the wrong name. Pure.

WDER = (right words + misheard words with the wrong speaker) / (right words + misheard words), after
Shafey, Soltau and Shafran, "Joint speech recognition and speaker diarization via sequence
transduction" (2019). Words that were left out or invented have no counterpart and do not count
here: the word error rate counts them.

The words of both sides are aligned by a shortest way of edits (`rapidfuzz`), then speakers are
paired one to one such that most words agree (`match`). A word without a speaker is wrong. Where
two speak at once their words have no one order: put both sides in the order of their begin.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rapidfuzz.distance import Levenshtein

from server.lab.scores.match import paired
from server.lab.scores.text import SPOKEN, Normaliser

Said = tuple[str, str]
"""A word, and who said it."""
Named = tuple[str, str | None]
"""A word, and who is said to have said it."""
Label = TypeVar("Label", str, str | None)


@dataclass(frozen=True, slots=True)
class SpeakerErrors:
    """`compared` words had a counterpart, `wrong` of them bear another name. `names` tells who of
    the reference each label was taken for."""

    normaliser: str
    compared: int
    wrong: int
    names: tuple[tuple[str, str], ...] = ()

    @property
    def rate(self) -> float | None:
        """None where no word had a counterpart."""
        return self.wrong / self.compared if self.compared else None


def wder(
    said: Iterable[Said], understood: Iterable[Named], normaliser: Normaliser = SPOKEN
) -> SpeakerErrors:
    """Both in order of their time."""
    ours, theirs = list(_tokens(said, normaliser)), list(_tokens(understood, normaliser))
    pairs: Counter[tuple[str, str | None]] = Counter()
    for one, other in _aligned(ours, theirs):
        pairs[ours[one][1], theirs[other][1]] += 1
    known = {(one, other): many for (one, other), many in pairs.items() if other is not None}
    names = paired(known)
    right = sum(many for (one, other), many in known.items() if names.get(other) == one)
    compared = pairs.total()
    return SpeakerErrors(normaliser.label, compared, compared - right, tuple(sorted(names.items())))


def _tokens(
    words: Iterable[tuple[str, Label]], normaliser: Normaliser
) -> Iterator[tuple[str, Label]]:
    """A written word may be several spoken ones, or none."""
    for text, speaker in words:
        for token in normaliser.tokens(text):
            yield token, speaker


def _aligned(ours: Sequence[Named], theirs: Sequence[Named]) -> Iterator[tuple[int, int]]:
    steps = Levenshtein.opcodes([word for word, _ in ours], [word for word, _ in theirs])
    for step in steps:
        if step.tag in {"equal", "replace"}:
            yield from zip(
                range(step.src_start, step.src_end),
                range(step.dest_start, step.dest_end),
                strict=True,
            )
