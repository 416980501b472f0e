"""Placeholders instead of what is private: the same one for the same thing, in one document. Pure.

Owns their names and what counts as the same thing. A document may be several texts, such as the
words of a transcript and its sentences: they share one `Placeholders`.
"""

import re
from collections.abc import Iterable, Sequence
from types import MappingProxyType

from server.audio.scrub.find import find
from server.audio.scrub.model import Kind, Scrubbed, Wanted
from server.audio.scrub.numbers import spoken_digits

_NUMBERS: frozenset[Kind] = frozenset({"phone", "card", "ssn"})
_PLACEHOLDER = re.compile(r"\[[A-Z]+_\d+\]")
_SAID_IN_EMAIL = (
    (re.compile(r"(?i) (?:at|ät|klammeraffe) "), "@"),
    (re.compile(r"(?i) (?:dot|punkt) "), "."),
    (re.compile(r"(?i) (?:dash|hyphen|minus|bindestrich) "), "-"),
    (re.compile(r"(?i) (?:underscore|unterstrich) "), "_"),
)


class Placeholders:
    """`[EMAIL_1]` and so on, counted in order of their first mention. A placeholder that a text of
    the document holds already is not used, so that undoing it gives back the very text. `values` is
    what each stands for, as it was first written."""

    def __init__(self, wanted: Wanted, texts: Iterable[str]) -> None:
        self._wanted = wanted
        self._there = {name for text in texts for name in _PLACEHOLDER.findall(text)}
        self._given: dict[tuple[Kind, str], str] = {}
        self._counts: dict[Kind, int] = {}
        self.values: dict[str, str] = {}

    def of(self, kind: Kind, said: str) -> str:
        same = (kind, self._same(kind, said))
        name = self._given.get(same)
        if name is None:
            name = self._given[same] = self._next(kind)
            self.values[name] = said
        return name

    def _next(self, kind: Kind) -> str:
        while True:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"[{kind.upper()}_{self._counts[kind]}]"
            if name not in self._there:
                return name

    def _same(self, kind: Kind, said: str) -> str:
        """What is equal in two ways of saying one thing: spaces and case, for numbers the digits,
        for an e-mail address the signs that were spelled out."""
        if kind in _NUMBERS:
            spoken = spoken_digits(said, self._wanted.languages)
            return "".join(run.digits for run in spoken) or re.sub(r"\D", "", said)
        plain = " ".join(said.split()).casefold()
        if kind == "email":
            for spelled, sign in _SAID_IN_EMAIL:
                plain = spelled.sub(sign, plain)
        return plain


def scrub(text: str, wanted: Wanted, people: Sequence[tuple[int, int]] = ()) -> Scrubbed:
    """`people` are where names were found by who knows names."""
    spans = find(text, wanted, people)
    names = Placeholders(wanted, (text,))
    pieces: list[str] = []
    placed: list[tuple[int, int, str]] = []
    at = length = 0
    for one in spans:
        name = names.of(one.kind, text[one.start : one.end])
        pieces += [text[at : one.start], name]
        length += one.start - at
        placed.append((length, length + len(name), name))
        length += len(name)
        at = one.end
    pieces.append(text[at:])
    values = MappingProxyType(names.values)
    return Scrubbed("".join(pieces), tuple(spans), tuple(placed), values)


def replaced(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """`text` with a placeholder in each `[start, end)`; in order, none touching another."""
    pieces: list[str] = []
    at = 0
    for start, end, name in spans:
        pieces += [text[at:start], name]
        at = max(at, end)
    return "".join(pieces) + text[at:]
