"""Word and character error rates, by `jiwer`. Pure.

Both are the edits of a shortest way from what was said to what was understood (Levenshtein), over
what was said. They can exceed 1: a recogniser may invent more than was said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

from server.lab.scores.text import LETTERS, SPOKEN, Normaliser


@dataclass(frozen=True, slots=True)
class TextErrors:
    """Counts of words, or of letters. `reference` is how many were said."""

    normaliser: str
    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def reference(self) -> int:
        return self.hits + self.substitutions + self.deletions

    @property
    def wrong(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """None where nothing was said."""
        return self.wrong / self.reference if self.reference else None

    def __add__(self, other: "TextErrors") -> "TextErrors":
        """Of both recordings. Raises `ValueError` for figures made by different rules."""
        if self.normaliser != other.normaliser:
            raise ValueError(f"{self.normaliser} and {other.normaliser} do not count alike")
        return TextErrors(
            self.normaliser,
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def wer(said: str, understood: str, normaliser: Normaliser = SPOKEN) -> TextErrors:
    """Errors in words."""
    return _errors(normaliser.tokens(said), normaliser.tokens(understood), normaliser)


def cer(said: str, understood: str, normaliser: Normaliser = LETTERS) -> TextErrors:
    """Errors in letters. A space is a letter where `normaliser` leaves several words."""
    one, other = (" ".join(normaliser.tokens(text)) for text in (said, understood))
    return _errors(list(one), list(other), normaliser)


def _errors(said: Sequence[str], understood: Sequence[str], normaliser: Normaliser) -> TextErrors:
    if not said:  # jiwer refuses an empty reference
        return TextErrors(normaliser.label, 0, 0, 0, len(understood))
    # Letters too are given as words, so that one function counts both. A word for jiwer is what
    # stands between spaces: a space that is itself counted needs another sign.
    one, other = (" ".join("\u2423" if t == " " else t for t in ts) for ts in (said, understood))
    found = jiwer.process_words(one, other)
    return TextErrors(
        normaliser.label, found.hits, found.substitutions, found.deletions, found.insertions
    )
