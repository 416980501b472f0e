"""How a text is made comparable before its errors are counted. Pure.

A word error rate says nothing without the rule by which "It's" and "its" were or were not the same
word. So a rule has a name and a version, and each score carries both. A rule is never changed: it
gets a new version, and old figures stay what they were.

Numbers are not spelled out by any rule here: "20" and "twenty" are different words. Texts that are
read aloud for a measurement avoid digits.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

_APOSTROPHES = dict.fromkeys(map(ord, "\u2019\u2018\u02bc\uff07"), "'")
_DASHES = dict.fromkeys(map(ord, "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212/_"), " ")


@dataclass(frozen=True, slots=True)
class Normaliser:
    """`tokens` are the words of a text; of each nothing is left that is not compared."""

    name: str
    version: int
    tokens: Callable[[str], list[str]]

    @property
    def label(self) -> str:
        """As it is written beside a figure."""
        return f"{self.name}/{self.version}"


def _verbatim(text: str) -> list[str]:
    return text.split()


def _spoken(text: str) -> list[str]:
    return [word for word in _plain(text).split() if word]


def _letters(text: str) -> list[str]:
    return ["".join(_spoken(text))] if _spoken(text) else []


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    parted = folded.translate(_APOSTROPHES).translate(_DASHES)
    return "".join(letter for letter in parted if _is_heard(letter))


def _is_heard(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter)[0] in "LNM"


VERBATIM = Normaliser("verbatim", 1, _verbatim)
"""Words as they are written, parted by spaces: case and punctuation count."""
SPOKEN = Normaliser("spoken", 1, _spoken)
"""What is heard: no case, no punctuation. Hyphens and dashes part words, apostrophes vanish within
one ("it's" is "its")."""
LETTERS = Normaliser("letters", 1, _letters)
"""As `spoken`, and spaces do not count either: for character errors, and for scripts without
spaces."""
