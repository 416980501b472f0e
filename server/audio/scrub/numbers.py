"""Numbers that were said and not written: "four one five, five five five" as digits.

A recogniser writes a card number as it was spoken. So words for digits are read as digits, with the
place of each in the text, and the rules for written numbers look at those. "Double five", "triple
zero" and "eight hundred" are read as English speakers mean them, "einundzwanzig" as Germans do.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from server.audio.scrub.model import Language


def _counted(words: str, first: int = 0) -> dict[str, str]:
    return {word: str(number) for number, word in enumerate(words.split(), first)}


_EN = _counted(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
) | {"oh": "0", "o": "0", "nought": "0"}
_EN_TENS = _counted("twenty thirty forty fifty sixty seventy eighty ninety", 2)
_DE_UNITS = _counted("ein zwei drei vier fünf sechs sieben acht neun", 1)
_DE_TENS = _counted("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig", 2) | {
    "dreissig": "3"
}
_DE = (
    _counted(
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn"
        " fünfzehn sechzehn siebzehn achtzehn neunzehn"
    )
    | {"ein": "1", "zwo": "2"}
    | {word: digit + "0" for word, digit in _DE_TENS.items()}
    | {
        f"{unit}und{word}": digit + number
        for word, digit in _DE_TENS.items()
        for unit, number in _DE_UNITS.items()
    }
)
WORDS: Mapping[Language, Mapping[str, str]] = MappingProxyType({"en": _EN, "de": _DE})
TENS: Mapping[Language, Mapping[str, str]] = MappingProxyType({"en": _EN_TENS, "de": {}})
TIMES = MappingProxyType({"double": 2, "triple": 3})
HUNDRED = frozenset({"hundred"})
PLUS = frozenset({"plus"})

LONGEST_WORD = 24
"""Neither a word for a digit nor a part of a number that somebody says is longer."""
_WORD = re.compile(r"[^\W\d_]+|\d+")
_BETWEEN = re.compile(r"[\s,.()/\-–]*")


class Digits(NamedTuple):
    """A run of digits as said. `places[i]` is `[start, end)` of the words that digit `i` is of.
    `plus`: where the word "plus" before it begins."""

    digits: str
    places: tuple[tuple[int, int], ...]
    plus: int | None = None


def spoken_digits(
    text: str, languages: Iterable[Language], written: Iterable[tuple[int, int]] = ()
) -> list[Digits]:
    """Runs that hold at least one digit word. Words go on being one run over spaces, commas, full
    stops and hyphens, and over written digits between them; not over `written`, numbers that are
    known already, in order."""
    known: dict[str, str] = {}
    tens: dict[str, str] = {}
    for language in languages:
        known |= WORDS[language]
        tens |= TENS[language]
    runs: list[Digits] = []
    run = _Run()
    numbers = iter(written)
    number = next(numbers, None)
    for found in _WORD.finditer(text):
        word = found[0].lower()
        while number is not None and number[1] <= found.start():
            number = next(numbers, None)
        if number is not None and number[0] < found.end():
            run = run.over(runs)
            continue
        if run.begun and not _BETWEEN.fullmatch(text, run.end, found.start()):
            run = run.over(runs)
        if word in PLUS:
            run = run.over(runs)
        if len(word) > LONGEST_WORD or not run.take(word, found.span(), known, tens):
            run = run.over(runs)
    run.over(runs)
    return runs


class _Run:
    def __init__(self) -> None:
        self.places: list[tuple[int, int]] = []
        self.end = 0
        self.plus: int | None = None
        self.single = False
        """The last word was one digit."""
        self._digits = ""
        self._said = False
        self._times = 1
        self._from: int | None = None
        self._tens = False

    @property
    def begun(self) -> bool:
        return bool(self.places) or self.plus is not None or self._from is not None

    def take(
        self, word: str, span: tuple[int, int], known: Mapping[str, str], tens: Mapping[str, str]
    ) -> bool:
        """Whether the word is part of a number."""
        if word in TIMES:
            self.begin_times(TIMES[word], span)
        elif word in PLUS:
            self.plus, self.end = span
        elif word in HUNDRED and self.single:
            self.add("00", span)
        elif word.isdecimal():
            self.add(word, span)
        elif word in known:
            self.add(known[word], span, said=True)
        elif word in tens:
            self.add_tens(tens[word], span)
        else:
            return False
        return True

    def begin_times(self, times: int, span: tuple[int, int]) -> None:
        self._times, (self._from, self.end) = times, span

    def add(self, digits: str, span: tuple[int, int], *, said: bool = False) -> None:
        start = span[0] if self._from is None else self._from
        if self._tens and said and len(digits) == 1:  # "twenty" and "three" are two digits, not 203
            self._digits = self._digits[:-1]
            self.places.pop()
        digits *= self._times if said and len(digits) == 1 else 1
        self._digits += digits
        self.places += [(start, span[1])] * len(digits)
        self._said |= said
        self._tens, self._times, self._from, self.end = False, 1, None, span[1]
        self.single = said and len(digits) == 1

    def add_tens(self, digit: str, span: tuple[int, int]) -> None:
        self.add(digit + "0", span)
        self._said = self._tens = True

    def over(self, runs: list[Digits]) -> "_Run":
        if self._said:
            runs.append(Digits(self._digits, tuple(self.places), self.plus))
        return _Run()
